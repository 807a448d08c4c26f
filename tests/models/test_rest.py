"""A network cut at a layer: what its rest makes of the layer's own map, and of changed ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from loce_jax import InputError, load_network
from loce_jax.models.adapters import from_function
from loce_jax.models.base import Preprocess
from tests.support.native_cases import CASES, checkpoint
from tests.support.resuming import assert_resumes, photos
from tests.support.selection import further


def made_up_maps(network, name, count):
    (layer,) = network.resolve([name])
    shape = (count, *layer.grid, layer.channels)
    return jnp.asarray(np.random.default_rng(0).normal(size=shape).astype("float32"))


@pytest.fixture(scope="module")
def lite0():
    return load_network("efficientnet-lite0", size=(64, 96))


@pytest.mark.parametrize("layer", ["_conv_head", *further("_conv_stem", "_blocks.4", "_blocks.10", "_blocks.15")])
def test_resumes_where_nothing_goes_around(layer, lite0):
    assert assert_resumes(lite0, layer) == [None]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.usefixtures("torch")
def test_every_native_network_resumes(name):
    network = load_network(str(checkpoint(name)[1]), size=CASES[name].sizes[0])
    names = [layer.name for layer in network.layers()]
    assert_resumes(network, names[0], names[len(names) // 2])


def test_tokens_around_the_map_are_the_context():
    def f(params, images):
        patches = images.reshape(len(images), 4, 8, 6, 8, 3).mean((2, 4)).reshape(len(images), 24, 3)
        tokens = jnp.concatenate([patches.mean(1, keepdims=True), patches], axis=1)
        mixed = jax.nn.relu(tokens @ params["w"])
        return {"tokens": tokens, "mixed": mixed * mixed[:, :1]}

    network = from_function(
        f,
        {"w": jax.random.normal(jax.random.key(0), (3, 5))},
        preprocess=Preprocess((32, 48)),
        name="f",
        prefix_tokens=1,
    )
    assert network.layers()[0].kind == "tokens"
    (context,) = assert_resumes(network, "tokens")
    assert [array.shape[0] for array in context] == [2]
    assert sum(array.size for array in context) <= 2 * 25 * 3


def test_any_number_of_images(lite0):
    rest = lite0.rest("_conv_head", "logits")
    maps = made_up_maps(lite0, "_conv_head", 3)
    together = rest(lite0.params, maps)["logits"]
    alone = [rest(lite0.params, one[None])["logits"][0] for one in maps]
    np.testing.assert_allclose(together, np.stack(alone), atol=1e-5)  # sums in another order, logits up to 10


def test_nothing_before_the_layer_is_computed(lite0):
    maps = made_up_maps(lite0, "_blocks.10", 1)
    rest = lite0.rest("_blocks.10", "logits")
    text = jax.jit(lambda params, maps: rest(params, maps)["logits"]).lower(lite0.params, maps).as_text()
    whole = jax.jit(lite0.edit({}, "logits")).lower(lite0.params, photos(lite0, 1)).as_text()
    assert text.count("convolution") < whole.count("convolution") / 2


@pytest.mark.wrong_types
def test_errors_name_the_argument(lite0):
    with pytest.raises(InputError, match="`to` must name at least one"):
        lite0.rest("_blocks.10", [])
    with pytest.raises(InputError, match="layer 'nonsense'"):
        lite0.rest("_blocks.10", "nonsense")
    maps = made_up_maps(lite0, "_blocks.10", 1)
    with pytest.raises(InputError, match="`to` must name what lies behind layer '_blocks.10', .* '_blocks.4'"):
        jax.eval_shape(lite0.rest("_blocks.10", "_blocks.4"), lite0.params, maps)
    for wrong in (maps[..., :3], maps[:, :2], maps[0], maps[:0]):
        with pytest.raises(InputError, match="`activations` must have shape .* as layer '_blocks.10' has"):
            jax.eval_shape(lite0.rest("_blocks.10", "logits"), lite0.params, wrong)
    for change in (lambda maps: maps[..., :3], lambda maps: None, lambda maps: 0):
        with pytest.raises(InputError, match="`edits` must return what has the shape of the map of '_blocks.10'"):
            jax.eval_shape(lite0.edit({"_blocks.10": change}, "logits"), lite0.params, photos(lite0, 1))
    with pytest.raises(InputError, match="`context` must hold the 0 arrays"):
        jax.eval_shape(lite0.rest("_blocks.10", "logits"), lite0.params, maps, (maps,))
    with pytest.raises(
        InputError, match="`edits` must hold a function for each layer, but for '_blocks.10' it holds a i"
    ):
        lite0.edit({"_blocks.10": 0}, "logits")
    with pytest.raises(InputError, match="a layer must be given by its name, but got 10"):
        lite0.edit({10: jnp.tanh}, "logits")
    with pytest.raises(InputError, match="`edits` must name each layer once"):
        lite0.edit({"_blocks.10": jnp.tanh, "blocks.10": jnp.tanh}, "logits")
