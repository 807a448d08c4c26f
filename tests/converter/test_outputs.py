"""What a PyTorch network returns, as outputs of the converted one: the same numbers and gradients."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch, the reference here, is not installed")

from torch import nn  # noqa: E402

from loce_jax.models import convert, load_converted  # noqa: E402
from loce_jax.models.base import Output, Preprocess  # noqa: E402
from tests.support.resuming import assert_resumes, photos  # noqa: E402

pytestmark = pytest.mark.torch

PREPROCESS = Preprocess((16, 24), mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
KINDS = {
    "dict": lambda x, z: {"logits": z, "features": x, "loss": None, "hidden_states": (x, x), "stem": z[:, 0]},
    "tensor": lambda x, z: z,
    "tuple": lambda x, z: (z, [x], z[:, None] * 2),
    "nothing fit": lambda x, z: [{"boxes": z}, z.argmax(1), z[0], z.mean()],
}


class Classifier(nn.Module):
    """A convolution, a shortcut around another one, and a classifier."""

    def __init__(self, returns):
        super().__init__()
        self.stem, self.mix, self.head = nn.Conv2d(3, 8, 4, 4), nn.Conv2d(8, 8, 3, padding=1), nn.Linear(8, 3)
        self.returns = returns
        self.config = SimpleNamespace(id2label={0: "cat", 1: "dog", 2: "owl"})

    def forward(self, images):
        x = torch.relu(self.stem(images))
        x = x + torch.tanh(self.mix(x))
        return self.returns(x, self.head(x.mean((2, 3))))


def classifier(kind):
    torch.manual_seed(0)
    return Classifier(KINDS[kind]).eval()


def normalized(network, count=2):
    return np.array(network.normalize(photos(network, count)))


def in_pytorch(images):
    return torch.from_numpy(images.transpose(0, 3, 1, 2).copy())


def test_a_dictionary_gives_outputs_by_key(tmp_path):
    module = classifier("dict")
    network = convert(module, PREPROCESS, out=tmp_path / "kept")
    assert network.outputs == (
        Output("logits", (3,), ("cat", "dog", "owl")),
        Output("features", (8, 4, 6)),
        Output("output.stem", ()),
    )
    images = normalized(network)
    with torch.no_grad():
        expected = module(in_pytorch(images))
    found = network.forward(network.params, jnp.asarray(images), ("logits", "features", "output.stem"))
    for name in found:
        np.testing.assert_allclose(found[name], expected[name.removeprefix("output.")], rtol=1e-5, atol=1e-6)
    read = load_converted(tmp_path / "kept")
    assert (read.outputs, read.fingerprint) == (network.outputs, network.fingerprint)
    assert network.dead_ends == ()
    assert_resumes(network, "stem")


def test_the_gradient_of_a_logit_by_a_layer_is_pytorchs():
    module = classifier("tensor")
    network = convert(module, PREPROCESS)
    assert network.outputs == (Output("output", (3,), ("cat", "dog", "owl")),)
    images, kept = normalized(network), []
    module.mix.register_forward_hook(lambda _, __, output: kept.append(output))
    logits = module(in_pytorch(images))
    (expected,) = torch.autograd.grad(logits[:, 1].sum(), kept)
    rest = network.rest("mix", "output")
    seen = jnp.asarray(photos(network))
    maps, context = network.activations(network.params, seen, ("mix",))["mix"], rest.context(network.params, seen)

    def logit(maps):
        found = rest(network.params, maps, context)["output"]
        return found[:, 1].sum(), found

    found, values = jax.grad(logit, has_aux=True)(maps)
    np.testing.assert_allclose(values, logits.detach().numpy(), rtol=1e-4, atol=1e-6)
    scale = float(expected.abs().max())
    np.testing.assert_allclose(found, expected.permute(0, 2, 3, 1), rtol=0, atol=1e-4 * scale)


def test_a_tuple_gives_numbered_outputs_and_what_does_not_fit_is_left_out():
    shapes = {output.name: output.shape for output in convert(classifier("tuple"), PREPROCESS).outputs}
    assert shapes == {"output.0": (3,), "output.2": (1, 3)}
    network = convert(classifier("nothing fit"), PREPROCESS)
    assert (network.outputs, network.dead_ends) == ((), ("mix",))


def test_outputs_that_cannot_be_converted_do_not_disturb_the_layers(caplog):
    module = Classifier(lambda x, z: torch.lgamma(z)).eval()
    network = convert(module, PREPROCESS)
    assert [layer.name for layer in network.layers()] == ["stem", "mix"]
    assert network.outputs == () and "aten.lgamma" in caplog.text
