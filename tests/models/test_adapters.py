"""A user's own network as ours: the same activations as by hand, whatever it is written in, and plain words else."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from loce_jax import solve
from loce_jax.activations import make_extractor
from loce_jax.checks import InputError
from loce_jax.models import from_function, from_linen, from_nnx
from loce_jax.models.base import Preprocess
from tests.support.resuming import assert_resumes

SIZE = (32, 48)
PREPROCESS = Preprocess(SIZE, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))


def photos(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *SIZE, 3), dtype=np.uint8)


def convolve(images, kernel):
    return jax.lax.conv_general_dilated(images, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def function(params, images):
    first = jax.nn.relu(convolve(images, params["first"]))
    second = convolve(first, params["second"])
    tokens = second.reshape(len(images), -1, second.shape[-1])
    cls = jnp.broadcast_to(tokens.mean(1, keepdims=True), (len(images), 1, tokens.shape[-1]))
    return {"z": first, "a": second, "m": jnp.concatenate([cls, 2 * tokens], 1)}


def kernels(seed=0):
    rng = np.random.default_rng(seed)
    return {
        "first": rng.normal(size=(3, 3, 3, 4)).astype("float32"),
        "second": rng.normal(size=(3, 3, 4, 5)).astype("float32"),
    }


class Block(nnx.Module):
    def __init__(self, channels, out, rngs):
        self.conv = nnx.Conv(channels, out, (3, 3), strides=2, rngs=rngs)
        self.norm = nnx.BatchNorm(out, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x):
        x = self.norm(self.conv(x))
        self.sow(nnx.Intermediate, "doubled", 2 * x)
        return self.drop(jax.nn.relu(x))


class Nnx(nnx.Module):
    def __init__(self, rngs):
        self.zebra = Block(3, 4, rngs)
        self.apple = Block(4, 5, rngs)
        self.mix = nnx.Linear(5, 5, rngs=rngs)

    def __call__(self, images, classify=True):
        x = self.mix(self.mix(self.apple(self.zebra(images))))
        return x.mean((1, 2)) if classify else x


class Linen(linen.Module):
    @linen.compact
    def __call__(self, images, train=False):
        x = linen.Conv(4, (3, 3), strides=2, name="zebra")(images)
        x = linen.BatchNorm(use_running_average=not train, name="norm")(x)
        self.sow("intermediates", "doubled", 2 * x)
        x = linen.Conv(5, (3, 3), strides=2, name="apple")(jax.nn.relu(x))
        return linen.Dropout(0.5, deterministic=not train)(x)


def nnx_module(seed=0):
    module = Nnx(nnx.Rngs(seed))
    module.zebra.norm.mean[...] = jnp.arange(4.0) / 4
    module.eval()
    return module


def linen_module():
    module = Linen()
    variables = module.init(jax.random.key(0), jnp.zeros((1, *SIZE, 3)))
    variables["batch_stats"]["norm"]["mean"] = jnp.arange(4.0) / 4
    return module, variables


def function_network():
    return from_function(function, kernels(), preprocess=PREPROCESS, name="mine", prefix_tokens=1)


@pytest.fixture(params=["function", "nnx", "linen"])
def network(request):
    if request.param == "function":
        return function_network()
    if request.param == "nnx":
        return from_nnx(nnx_module(), preprocess=PREPROCESS)
    return from_linen(*linen_module(), preprocess=PREPROCESS)


def names(network):
    return tuple(layer.name for layer in network.layers())


def maps(network, images):
    return jax.jit(network.activations, static_argnums=2)(network.params, images, names(network))


def assert_same(found, expected):
    # the same operations; jit only fuses them, which moves a sum's last bits
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_a_function_gives_what_it_gives_by_hand():
    network, images = function_network(), photos(2)
    expected = function(kernels(), PREPROCESS.normalize(jnp.asarray(images)))
    found = maps(network, images)
    assert [(layer.name, layer.grid, layer.channels, layer.stride, layer.kind) for layer in network.layers()] == [
        ("z", (16, 24), 4, 2.0, "grid"),
        ("a", (8, 12), 5, 4.0, "grid"),
        ("m", (8, 12), 5, 4.0, "tokens"),
    ]
    assert_same(found["z"], expected["z"])
    assert_same(found["m"], expected["m"][:, 1:].reshape(2, 8, 12, 5))
    assert_same(found["m"], 2 * found["a"])


@pytest.mark.filterwarnings("ignore:Using 'Module.sow:DeprecationWarning")  # by hand there is no capture
def test_an_nnx_module_gives_what_it_gives_by_hand():
    module, images = nnx_module(), photos(2)
    network = from_nnx(module, preprocess=PREPROCESS, arguments={"classify": False})
    first = ["zebra.conv", "zebra.norm", "zebra.doubled", "zebra.drop", "zebra"]
    second = [name.replace("zebra", "apple") for name in first]
    assert set(names(network)) == {*first, *second, "mix.__call__.0", "mix.__call__.1", "__call__"}
    order = [names(network).index(name) for name in (*first[:2], *second[:2], "mix.__call__.0", "mix.__call__.1")]
    assert order == sorted(order)
    found = maps(network, images)
    x = PREPROCESS.normalize(jnp.asarray(images))
    assert_same(found["zebra.norm"], module.zebra.norm(module.zebra.conv(x)))
    assert_same(found["zebra.doubled"], 2 * found["zebra.norm"])
    assert_same(found["apple"], module.apple(module.zebra(x)))
    assert_same(found["mix.__call__.1"], module.mix(found["mix.__call__.0"]))
    assert_same(found["__call__"], module(x, classify=False))


def test_a_linen_module_gives_what_it_gives_by_hand():
    (module, variables), images = linen_module(), photos(2)
    network = from_linen(module, variables, preprocess=PREPROCESS)
    assert set(names(network)) == {"zebra", "norm", "doubled", "apple", "Dropout_0", "__call__"}
    x = PREPROCESS.normalize(jnp.asarray(images))
    found = maps(network, images)
    assert_same(found["__call__"], module.apply(variables, x))
    zebra = linen.Conv(4, (3, 3), strides=2).apply({"params": variables["params"]["zebra"]}, x)
    assert_same(found["zebra"], zebra)
    assert_same(found["doubled"], 2 * found["norm"])


def test_the_extractor_and_the_solver_take_it(network):
    layer = network.layers()[-1]
    activations = make_extractor(network, [layer.name], batch_size=2)(photos(3))[layer.name]
    assert activations.shape == (3, *layer.grid, layer.channels)
    masks = np.zeros((3, *layer.grid), np.float32)
    masks[:, :2, :3] = 1
    solution = solve(activations, masks)
    assert solution.vectors.shape == (3, layer.channels)
    assert np.isfinite(solution.vectors).all()


def test_a_photo_does_not_depend_on_its_batch(network):
    images = photos(3)
    together = maps(network, images)
    for name, found in maps(network, images[1:2]).items():
        assert_same(found, together[name][1:2])


def test_bfloat16_stays_bfloat16_and_close(network):
    exact = maps(network, photos(2))
    for name, found in maps(network.astype("bfloat16"), photos(2)).items():
        assert found.dtype == jnp.bfloat16
        # 8 bits of mantissa, through two convolutions
        assert np.linalg.norm(found.astype(np.float32) - exact[name]) < 0.05 * np.linalg.norm(exact[name])


@pytest.mark.slow
def test_threads_do_not_disturb_each_other(network):
    images, start = photos(6), threading.Barrier(3)

    def work(number):
        start.wait()
        extract = make_extractor(network, names(network), batch_size=number + 1)  # each thread traces its own
        return extract(images)

    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(work, range(3)))
    for found in results[1:]:
        for name in names(network):
            assert_same(found[name], results[0][name])


def test_the_fingerprint_knows_names_weights_structure_and_what_a_function_holds():
    def fingerprint(f, params, name="mine"):
        return from_function(f, params, preprocess=PREPROCESS, name=name).fingerprint

    held = jnp.asarray(kernels()["first"])
    held_otherwise = held.at[0, 0, 0, 0].add(1)
    plain = fingerprint(lambda p, x: {"a": convolve(x, p)}, held)
    assert plain == fingerprint(lambda p, x: {"a": jax.nn.relu(convolve(x, p))}, held)  # the code is not seen
    found = {
        plain,
        fingerprint(lambda p, x: {"a": convolve(x, p)}, held, name="mine-2"),
        fingerprint(lambda p, x: {"a": convolve(x, p)}, held_otherwise),
        fingerprint(lambda p, x: {"a": convolve(x, p["w"])}, {"w": held}),
        fingerprint(jax.jit(lambda p, x: {"a": convolve(x, held)}), {}),
        fingerprint(jax.jit(lambda p, x: {"a": convolve(x, held_otherwise)}), {}),
    }
    assert len(found) == 6
    dropped, other = nnx_module(), nnx_module()
    dropped.zebra.drop.rngs = nnx.Rngs(5).dropout.fork()  # random numbers that evaluation never draws
    other.zebra.norm.epsilon = 1e-3
    same, dropped, other = (from_nnx(m, preprocess=PREPROCESS).fingerprint for m in (nnx_module(), dropped, other))
    assert same == from_nnx(nnx_module(), preprocess=PREPROCESS).fingerprint
    assert same == dropped != other


def test_what_happens_to_the_module_later_does_not_reach_the_network():
    module = nnx_module()
    network = from_nnx(module, preprocess=PREPROCESS)
    before = maps(network, photos(1))
    module.zebra.norm.mean[...] = jnp.full(4, 9.0)
    module.train()
    for name, found in maps(network, photos(1)).items():
        np.testing.assert_array_equal(found, before[name])


def test_tokens_find_their_grid():
    def network(count, size=SIZE, **options):
        def f(params, images):
            return {"t": jnp.ones((len(images), count, 2))}

        return from_function(f, {}, preprocess=Preprocess(size), name="t", **options).layers()[0].grid

    assert network(6) == network(7, prefix_tokens=1) == network(6, prefix_tokens=1) == (2, 3)
    assert network(850, size=(800, 1066)) == (25, 34)
    assert network(12, token_grid=(3, 4)) == (3, 4)
    with pytest.raises(InputError, match=r"'t' has shape \[b 7 2\], which is a grid of 2 x 3 with `prefix_tokens=1`"):
        network(7)


@pytest.mark.parametrize(
    ("output", "fault"),
    [
        (lambda x: jnp.moveaxis(x, 3, 1), r"'bad' has shape \[b 3 32 48\], as if channels came before the grid"),
        (lambda x: x.mean((1, 2), keepdims=True), r"'bad' has shape \[b 1 1 3\]"),
        (lambda x: x[0], r"the first axis of 'bad' is not the images': its shape is \(32, 48, 3\) for 2 of them"),
        (lambda x: x > 0, "'bad' holds bool numbers"),
    ],
)
def test_outputs_without_a_grid_are_named(output, fault):
    with pytest.raises(InputError, match=fault):
        from_function(lambda p, x: {"good": x, "bad": output(x)}, {}, preprocess=PREPROCESS, name="f")


class LogitsNnx(nnx.Module):
    def __init__(self, rngs):
        self.stem = nnx.Conv(3, 4, (3, 3), strides=2, rngs=rngs)
        self.aside, self.logits = nnx.Linear(4, 2, rngs=rngs), nnx.Linear(4, 3, rngs=rngs)

    def __call__(self, images):
        x = self.stem(images)
        self.aside(x)
        return self.logits(jax.nn.relu(x).mean((1, 2)))


class LogitsLinen(linen.Module):
    @linen.compact
    def __call__(self, images):
        x = linen.Conv(4, (3, 3), strides=2, name="stem")(images)
        linen.Dense(2, name="aside")(x)
        return linen.Dense(3, name="logits")(jax.nn.relu(x).mean((1, 2)))


@pytest.mark.parametrize("kind", ["nnx", "linen"])
def test_logits_are_outputs_and_layers_resume_up_to_them(kind):
    if kind == "nnx":
        network = from_nnx(LogitsNnx(nnx.Rngs(0)), preprocess=PREPROCESS)
    else:
        variables = LogitsLinen().init(jax.random.key(0), jnp.zeros((1, *SIZE, 3)))
        network = from_linen(LogitsLinen(), variables, preprocess=PREPROCESS)
    assert [(output.name, output.shape) for output in network.outputs] == [("logits", (3,)), ("__call__", (3,))]
    assert (names(network), network.dead_ends) == (("stem", "aside"), ("aside",))
    rest, images = network.rest("stem", "logits"), jnp.asarray(photos(2))
    assert rest.context(network.params, images) is None

    def logit(activations):
        found = rest(network.params, activations)["logits"]
        return found[:, 0].sum(), found

    activations = network.activations(network.params, images, ("stem",))["stem"]
    (_, found), gradient = jax.value_and_grad(logit, has_aux=True)(activations)
    assert_same(found, network.edit({}, "logits")(network.params, images)["logits"])
    assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0


def test_arrays_without_a_grid_are_outputs_of_a_function():
    network = from_function(
        lambda p, x: {"map": x, "pooled": x.mean((1, 2)), "energy": (x**2).sum((1, 2, 3))},
        {},
        preprocess=PREPROCESS,
        name="f",
    )
    assert {output.name: output.shape for output in network.outputs} == {"pooled": (3,), "energy": ()}
    assert_resumes(network, "map")


def test_what_cannot_be_called_is_said():
    with pytest.raises(InputError, match=r"images of shape \(2, 32, 48, 3\), .* but it raises KeyError: 'none'"):
        from_function(lambda p, x: {"a": p["none"]}, {}, preprocess=PREPROCESS, name="f")
    with pytest.raises(InputError, match="`params` must be a pytree of arrays"):
        from_function(function, {"first": "weights.npz"}, preprocess=PREPROCESS, name="f")


def test_training_mode_is_refused():
    module = nnx_module()
    module.zebra.drop.train()
    with pytest.raises(InputError, match=re.escape("zebra.drop.rngs.count") + r".* `module.eval\(\)`"):
        from_nnx(module, preprocess=PREPROCESS)
    module.eval()
    module.apple.norm.train()
    with pytest.raises(InputError, match=r"changes apple.norm.mean[^,]*, apple.norm.var"):
        from_nnx(module, preprocess=PREPROCESS)
    with pytest.raises(InputError, match="evaluation mode"):
        from_linen(*linen_module(), preprocess=PREPROCESS, arguments={"train": True})


@pytest.mark.slow
def test_a_module_without_a_grid_is_refused_and_hidden_tokens_are_mentioned(caplog):
    class Tokens(nnx.Module):
        def __init__(self, rngs):
            self.embed = nnx.Conv(3, 4, (16, 16), strides=16, rngs=rngs)
            self.block = nnx.Linear(4, 4, rngs=rngs)

        def __call__(self, images):
            x = self.embed(images).reshape(len(images), -1, 4)
            return self.block(jnp.pad(x, ((0, 0), (1, 0), (0, 0)))).mean((1, 2))

    module = Tokens(nnx.Rngs(0))
    assert names(from_nnx(module, preprocess=PREPROCESS)) == ("embed",)
    assert "'block', which is a grid of 2 x 3 with `prefix_tokens=1`" in caplog.text
    assert names(from_nnx(module, preprocess=PREPROCESS, prefix_tokens=1)) == ("embed", "block")
    with pytest.raises(InputError, match=r"`module` must have submodules that return .*'__call__' has shape \[b 3\]"):
        from_nnx(nnx.Sequential(lambda x: x.mean((1, 2))), preprocess=PREPROCESS)
