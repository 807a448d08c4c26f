"""Scores of networks: the class's own output, with what goes around the layer."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from loce_jax import InputError
from loce_jax.attribution import ablate, channel_gradients, class_score, gradcam, gradient_is_constant
from loce_jax.attribution.scores import IMAGES_PER_BATCH
from loce_jax.models.base import Layer, Network, Output, Preprocess

RNG = np.random.default_rng(0)


def network_of_tokens():
    """A class token and patches that are mixed by a layer of attention, so that something goes around the map."""

    def forward(params, images, names, edits=None):
        b, h, w, _ = images.shape
        patches = images.reshape(b, h // 8, 8, w // 8, 8, 3).mean((2, 4)) @ params["in"]
        patches = (edits or {}).get("patches", lambda one: one)(patches)
        tokens = jnp.concatenate([images.mean((1, 2))[:, None] @ params["in"], patches.reshape(b, -1, 5)], 1)
        mixed = jax.nn.softmax(tokens @ tokens.swapaxes(1, 2), -1) @ tokens
        found = {"patches": patches, "logits": mixed[:, 0] @ params["out"], "boxes": mixed}
        return {name: found[name] for name in names}

    params = {"in": jnp.asarray(RNG.normal(size=(3, 5)), "f4"), "out": jnp.asarray(RNG.normal(size=(5, 4)), "f4")}
    outputs = Output("logits", (4,), ("cat", "dog", "cow", "dog")), Output("boxes", (13, 5)), Output("unnamed", (4,))
    layers = (Layer("patches", 5, (3, 4), 8.0, "tokens"),)
    return Network("tokens", "0" * 64, Preprocess((24, 32)), params, forward, layers, outputs)


NETWORK = network_of_tokens()
IMAGES = RNG.integers(0, 256, (3, 24, 32, 3), np.uint8)
MAPS = NETWORK.activations(NETWORK.params, jnp.asarray(IMAGES), ("patches",))["patches"]


def test_a_class_score_is_the_networks_own():
    score = class_score(NETWORK, "patches", "cow")
    found = [score(one, jax.tree.map(lambda a, n=n: a[n], score.context(IMAGES))) for n, one in enumerate(MAPS)]
    expected = jax.jit(NETWORK.edit({}, "logits"))(NETWORK.params, jnp.asarray(IMAGES))["logits"][:, 2]
    np.testing.assert_allclose(found, expected, rtol=1e-5)  # float32


def test_gradients_of_images_with_context_are_those_of_the_whole_network():
    score = class_score(NETWORK, "patches", 2)

    def total(added):
        edited = NETWORK.edit({"patches": lambda maps: maps + added}, "logits")
        return edited(NETWORK.params, jnp.asarray(IMAGES))["logits"][:, 2].sum()

    gradients = jax.jit(jax.grad(total))(jnp.zeros_like(MAPS))
    found = channel_gradients(score, MAPS, score.context(IMAGES))
    np.testing.assert_allclose(found.sums, gradients.sum((1, 2)), atol=1e-6)
    cam = gradcam(score, MAPS, score.context(IMAGES))
    expected = np.maximum(np.einsum("nhwc,nc->nhw", MAPS, gradients.mean((1, 2))), 0)
    np.testing.assert_allclose(cam.maps, expected, atol=1e-6)
    assert not cam.closed_form


@pytest.mark.slow  # compiles the network once more, with an edit
def test_ablation_is_an_edit_of_the_network():
    score, vector = class_score(NETWORK, "patches", 0), RNG.normal(size=5).astype("f4")
    unit = vector / np.linalg.norm(vector)
    edited = NETWORK.edit({"patches": lambda maps: maps - (maps @ unit)[..., None] * unit}, "logits")
    expected = jax.jit(edited)(NETWORK.params, jnp.asarray(IMAGES))["logits"][:, 0]
    found = ablate(score, MAPS, vector[None], context=score.context(IMAGES))
    np.testing.assert_allclose(found.after[:, 0], expected, atol=1e-6)


def test_any_number_of_images_and_no_context():
    def forward(params, images, names, edits=None):
        maps = (edits or {}).get("maps", lambda one: one)(images)
        found = {"maps": maps, "logits": maps.mean((1, 2)) @ params}
        return {name: found[name] for name in names}

    params = jnp.asarray(RNG.normal(size=(3, 2)), "f4")
    network = Network(
        "pooled", "0" * 64, Preprocess((4, 6)), params, forward, (Layer("maps", 3, (4, 6), 1.0, "grid"),),
        (Output("logits", (2,)),),
    )  # fmt: skip
    score = class_score(network, "maps", 1)
    assert score.context(np.zeros((2, 4, 6, 3), np.uint8)) is None
    many = RNG.normal(size=(IMAGES_PER_BATCH + 5, 4, 6, 3)).astype("f4")
    assert gradient_is_constant(score, many)
    together, alone = gradcam(score, many), [gradcam(score, one[None]).maps[0] for one in many]
    np.testing.assert_allclose(together.maps, alone, atol=1e-7)
    half = class_score(network.astype("bfloat16"), "maps", 1)
    found = gradcam(half, jnp.asarray(many, jnp.bfloat16))
    np.testing.assert_allclose(found.maps, together.maps, atol=0.02)  # values below 1 of 8 bits


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("patches", "kow"), "unknown class 'kow'. Did you mean 'cow'"),
        (("patches", "dog"), "`target` must name one class, but 1, 3 are all named 'dog'"),
        (("patches", 4), "`target` must be a whole number from 0 to 3"),
        (("patches", -1), "`target` must be a whole number from 0 to 3"),
        (("patches", 1.5), "`target` must be a whole number from 0 to 3"),
        ((3, 0), "a layer must be given by its name, but got 3"),
        (("nonsense", 0), "layer 'nonsense'"),
    ],
)
@pytest.mark.wrong_types
def test_errors_name_the_argument(arguments, words):
    with pytest.raises(InputError, match=words):
        class_score(NETWORK, *arguments)


def test_outputs_that_are_not_a_value_a_class():
    with pytest.raises(InputError, match="'boxes' has shape"):
        class_score(NETWORK, "patches", 0, output="boxes")
    with pytest.raises(InputError, match="`target` must be a number, because the .* have no names, but got 'cow'"):
        class_score(NETWORK, "patches", "cow", output="unnamed")
    with pytest.raises(InputError, match="unknown output 'boxen'"):
        class_score(NETWORK, "patches", 0, output="boxen")
    score = class_score(replace(NETWORK), "patches", 0)
    with pytest.raises(InputError, match="`context` must hold the 1 arrays"):
        gradcam(score, MAPS)
