"""`convert` on small networks: what it promises, and what it leaves alone."""

import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch, the reference here, is not installed")

from torch import nn  # noqa: E402

from loce_jax.checks import InputError  # noqa: E402
from loce_jax.models import convert, load_converted  # noqa: E402
from loce_jax.models.base import Preprocess  # noqa: E402
from tests.support.compiled import compiled_quickly  # noqa: E402

pytestmark = pytest.mark.torch

SIZE = (16, 24)


class Small(nn.Module):
    """Convolution, normalization, activation in place, attention over the cells, tied weights."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 4, 4)
        self.norm = nn.BatchNorm2d(8)
        self.act = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(0.5)
        self.mix = nn.Linear(8, 8)
        self.same = nn.Linear(8, 8)
        self.same.weight = self.mix.weight
        self.register_buffer("places", torch.arange(8))
        self.head = nn.Linear(8, 3)

    def forward(self, images):
        x = self.act(self.norm(self.stem(images)))
        tokens = self.drop(x.flatten(2).transpose(1, 2)) + self.places
        attended = nn.functional.scaled_dot_product_attention(self.mix(tokens), self.same(tokens), tokens)
        return self.head(attended.mean(1))


def small():
    torch.manual_seed(0)
    module = Small().eval()
    with torch.no_grad():
        for name, buffer in module.norm.named_buffers():
            if name.startswith("running"):
                buffer += torch.rand(8) / 4
    return module


@pytest.fixture(scope="module")
def network():
    return convert(small(), Preprocess(SIZE), name="small")


def random_images(n, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(n, *SIZE, 3)), jnp.float32)


def names_of(network):
    return tuple(layer.name for layer in network.layers())


def test_layers_are_the_modules_in_order(network):
    assert names_of(network) == ("stem", "norm", "act", "drop", "mix", "same")
    assert [layer.kind for layer in network.layers()] == ["grid"] * 3 + ["tokens"] * 3
    assert {layer.grid for layer in network.layers()} == {(4, 6)}
    assert network.layers()[0].stride == 4.0


def test_weights_carry_their_names_and_tied_ones_come_once(network):
    expected = {"stem.weight", "stem.bias", "norm.weight", "norm.bias", "norm.running_mean", "norm.running_var"}
    assert network.params.keys() - expected == {
        "mix.weight",
        "mix.bias",
        "same.bias",
        "places",
        "head.weight",
        "head.bias",
    }


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_any_batch_and_one_by_one_under_vmap(network, batch):
    names, images = names_of(network), random_images(batch)
    together = network.forward(network.params, images, names)
    alone = jax.vmap(lambda image: network.forward(network.params, image[None], names))(images)
    for name in names:
        assert together[name].shape == (batch, 4, 6, 8)
        np.testing.assert_allclose(together[name], alone[name][:, 0], atol=1e-6)  # rounding of sums


def test_gradient_is_pytorchs(network):
    module, images = small(), random_images(2)
    found = jax.grad(lambda x: (network.forward(network.params, x, ("mix",))["mix"] ** 2).sum())(images)
    x = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).requires_grad_()
    kept = []
    module.mix.register_forward_hook(lambda _, __, output: kept.append(output))
    module(x)
    (expected,) = torch.autograd.grad((kept[0] ** 2).sum(), x)
    np.testing.assert_allclose(found, expected.permute(0, 2, 3, 1), atol=1e-5)  # rounding of sums


def test_bfloat16_is_close_and_stays(network):
    names, half = names_of(network), network.astype("bfloat16")
    found = half.forward(half.params, random_images(2), names)
    exact = network.forward(network.params, random_images(2), names)
    for name in names:
        assert found[name].dtype == jnp.bfloat16
        np.testing.assert_allclose(found[name].astype("float32"), exact[name], atol=0.1)  # 8 bits


def test_a_network_in_bfloat16_is_converted_as_it_is():
    network = convert(small().to(torch.bfloat16), Preprocess(SIZE))
    assert network.dtype == "bfloat16"
    assert network.forward(network.params, random_images(1), ("act",))["act"].dtype == jnp.bfloat16


def test_only_what_is_asked_for_is_computed(network):
    trace = jax.make_jaxpr(network.forward, static_argnums=2)
    few, all_of_it = (trace(network.params, random_images(1), names) for names in (("stem",), names_of(network)))
    assert len(few.eqns) < len(all_of_it.eqns) / 2


def test_a_layer_holds_what_its_module_returned_or_what_was_made_of_it():
    returned = convert(small(), Preprocess(SIZE))
    overwritten = convert(small(), Preprocess(SIZE), after_inplace=True)
    images = random_images(2)
    norm, act = (returned.forward(returned.params, images, ("norm", "act"))[name] for name in ("norm", "act"))
    later = overwritten.forward(overwritten.params, images, ("norm",))["norm"]
    assert norm.min() < 0
    np.testing.assert_array_equal(later, act)
    np.testing.assert_array_equal(later, jnp.maximum(norm, 0))


class Counts(nn.Module):
    """Its code asks for the number of images."""

    def __init__(self):
        super().__init__()
        self.stem, self.act = nn.Conv2d(3, 4, 4, 4), nn.ReLU()

    def forward(self, images):
        return self.act(torch.stack([row for row in self.stem(images).unbind(0)]))


def test_a_network_that_fixes_the_batch_runs_for_any():
    module = Counts().eval()
    network = convert(module, Preprocess(SIZE))
    images = random_images(5)
    with torch.no_grad():
        expected = module(torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    np.testing.assert_allclose(network.forward(network.params, images, ("act",))["act"], expected, atol=1e-5)


class Overwrites(nn.Module):
    """It doubles a tensor in place, and reads it through a view from before."""

    def __init__(self):
        super().__init__()
        self.stem, self.act = nn.Conv2d(3, 4, 4, 4), nn.ReLU()

    def forward(self, images):
        x = self.stem(images)
        view = x[:, :2]
        x.mul_(2)
        return self.act(view)


def test_what_is_written_in_place_is_seen_through_views():
    module = Overwrites().eval()
    network = convert(module, Preprocess(SIZE))
    images = random_images(2)
    with torch.no_grad():
        expected = module(torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    np.testing.assert_allclose(network.forward(network.params, images, ("act",))["act"], expected, atol=1e-5)


def test_nothing_is_left_changed():
    module = small()
    module.train()
    module.drop.eval()
    module.stem.register_forward_hook(lambda *_: None)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    flags, seed = {name: part.training for name, part in module.named_modules()}, torch.random.get_rng_state()
    convert(module, Preprocess(SIZE))
    assert {name: part.training for name, part in module.named_modules()} == flags
    assert torch.equal(torch.random.get_rng_state(), seed)
    assert torch.is_grad_enabled()
    assert torch.get_default_dtype() == torch.float32
    assert [len(part._forward_hooks) for part in module.modules()] == [0, 1, 0, 0, 0, 0, 0, 0]
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    assert all(weight.requires_grad and weight.grad is None for weight in module.parameters())


def test_training_flags_do_not_matter(network):
    again = convert(small().train(), Preprocess(SIZE), name="small")
    assert again.fingerprint == network.fingerprint


def test_other_weights_have_another_fingerprint(network):
    module = small()
    with torch.no_grad():
        module.stem.weight[0, 0, 0, 0] += 1
    assert convert(module, Preprocess(SIZE), name="small").fingerprint != network.fingerprint


def test_three_threads_at_once(network):
    names, images = names_of(network), random_images(3)
    expected, found = network.forward(network.params, images, names), {}

    def work(i):
        found[i] = compiled_quickly(network.forward)(network.params, images[i : i + 1], names)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(3):
        np.testing.assert_allclose(found[i]["same"][0], expected["same"][i], atol=1e-5)  # rounding of sums


class Unknown(nn.Module):
    """Operations that have no JAX function here."""

    def __init__(self):
        super().__init__()
        self.stem, self.act = nn.Conv2d(3, 4, 4, 4), nn.ReLU()

    def forward(self, images):
        x = self.stem(images)
        return self.act(x + torch.fft.fft(x).real + torch.rand_like(x))


def test_unknown_operations_are_all_named_with_what_to_do():
    with pytest.raises(InputError, match="no JAX function") as caught:
        convert(Unknown(), Preprocess(SIZE))
    for part in ("fft", "rand", "(the network itself)", "loce_jax/models/converter/ops/", "`OPS`"):
        assert part in str(caught.value)


def test_a_module_that_takes_no_images_is_told_apart():
    with pytest.raises(InputError, match=r"`module` must take one batch of images \[b 3 16 24\]"):
        convert(nn.Linear(7, 7), Preprocess(SIZE))


def test_a_module_without_maps_is_told_apart():
    with pytest.raises(InputError, match="feature maps"):
        convert(nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 24, 4)), Preprocess(SIZE))


def test_out_must_be_new(tmp_path):
    (tmp_path / "something").touch()
    with pytest.raises(InputError, match="`out` must be a new or empty folder"):
        convert(small(), Preprocess(SIZE), out=tmp_path)


def test_what_is_written_is_read_again(tmp_path, network):
    convert(small(), Preprocess(SIZE), name="small", out=tmp_path / "new" / "small")
    again = load_converted(tmp_path / "new" / "small")
    assert again == network or (again.fingerprint, again.layers()) == (network.fingerprint, network.layers())
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["small"]
    names, images = names_of(network), random_images(2)
    for name, array in again.forward(again.params, images, names).items():
        np.testing.assert_array_equal(array, network.forward(network.params, images, names)[name])


def test_an_example_tells_the_size():
    network = convert(small(), torch.zeros(1, 3, *SIZE), name="small")
    assert network.preprocess == Preprocess(SIZE)
    with pytest.raises(
        InputError, match=r"`example` must be a `Preprocess` or images .* got Tensor of shape \(3, 8, 8\)"
    ):
        convert(small(), torch.zeros(3, 8, 8))
