"""Networks changed and differentiated at a layer, against PyTorch's hooks and against finite differences."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from loce_jax import load_network
from tests.support.compiled import compiled_quickly
from tests.support.native_cases import CASES, checkpoint
from tests.support.parity import on_grid
from tests.support.resuming import photos

pytestmark = [pytest.mark.usefixtures("torch"), pytest.mark.slow]

NETWORKS = {  # what the gradient is of
    "vit classifier": "logits",
    "deit teacher": "logits",
    "yolos": "pred_boxes",
    "detr": "logits",
    "dinov2 giant": "logits",
    "clip projection": "image_embeds",
    "siglip tower": "pooled",
    "convnext classifier": "logits",
    "resnet basic": "logits",
    "efficientnet deep": "logits",
    "mobilenet_v2": "pooled",
    "swin window as wide as the grid": "logits",
    "segformer head": "logits",
}
# Both sides add the same float32 products in another order, forward and back: that moves a gradient by some 1e-6 of
# its largest entry.  A wrong axis, a token too many or a lost shortcut moves it by more than 1e-2.
TOLERANCE = 1e-4
STEP = 1e-6  # of finite differences
EDITS = {"zero": lambda cells: 0 * cells, "scale": lambda cells: 1.5 * cells, "add": lambda cells: cells + 0.25}


def torch_outputs(name, model, path, layer, images, output, edit=None, weights=None):
    """What the model returns as `output` with the cells of one module changed; with `weights` the gradient there."""
    import torch

    case, kept, pooled = CASES[name], [], []

    def change(module, inputs, returned):
        tensor = case.pick(path, returned)
        cells = tensor
        if tensor.ndim == 3:
            end, count = tensor.shape[1] - case.after, layer.grid[0] * layer.grid[1]
            cells = tensor[:, end - count : end]
        if edit is not None:
            with torch.no_grad():
                cells.copy_(edit(cells))
        if weights is not None:
            tensor.retain_grad()
            kept.append(tensor)

    def keep_pooled(module, inputs, returned):
        if getattr(returned, "pooler_output", None) is not None:
            pooled.append(returned.pooler_output.flatten(1))

    modules = dict(model.named_modules())
    hooks = [modules[path].register_forward_hook(change)]
    hooks += [module.register_forward_hook(keep_pooled) for module in modules.values()]
    with torch.set_grad_enabled(weights is not None):
        # images too: transformers freezes the backbones of detectors
        images = torch.from_numpy(np.array(images)).requires_grad_(weights is not None)
        returned = case.run(model, images.permute(0, 3, 1, 2))
        value = pooled[-1] if output == "pooled" else returned[output]
        value = value.movedim(1, -1) if value.ndim == 4 else value
        for hook in hooks:
            hook.remove()
        if weights is None:
            return value.numpy()
        (value * torch.from_numpy(weights)).sum().backward()
    return on_grid(kept[0].grad, layer, case.after)


@pytest.fixture(params=NETWORKS)
def cut(request):
    """A network's name, PyTorch's form of it, ours, a layer in its middle, and an output."""
    name = request.param
    model, folder = checkpoint(name)
    network = load_network(str(folder), size=CASES[name].sizes[0])
    return name, model, network, network.layers()[len(network.layers()) // 2], NETWORKS[name]


def relative(found, expected):
    return float(np.abs(np.asarray(found) - expected).max() / np.abs(expected).max())


def test_changes_and_gradients_agree_with_torch_hooks(cut):
    """Slow: 13 networks are compiled with their gradients.  It proves that what goes on is what PyTorch's hooks set."""
    name, model, network, layer, output = cut
    (path,) = [one for one in (layer.name, *layer.aliases) if one in dict(model.named_modules())][:1]
    images, rest = photos(network), network.rest(layer.name, output)
    shape = next(one.shape for one in network.outputs if one.name == output)
    weights = np.random.default_rng(1).normal(size=(len(images), *shape)).astype("float32")

    def compute(params, images, _):
        cells = network.activations(params, images, (layer.name,))[layer.name]
        context = rest.context(params, images)
        changed = {kind: rest(params, edit(cells), context)[output] for kind, edit in EDITS.items()}
        edited = {
            kind: network.edit({layer.name: edit}, output)(params, images)[output] for kind, edit in EDITS.items()
        }
        gradient = jax.grad(lambda cells: (rest(params, cells, context)[output] * weights).sum())(cells)
        return changed, edited, gradient

    changed, edited, gradient = compiled_quickly(compute)(network.params, images, None)
    normalized = network.normalize(jnp.asarray(images))
    for kind, edit in EDITS.items():
        expected = torch_outputs(name, model, path, layer, normalized, output, edit)
        assert relative(changed[kind], expected) < TOLERANCE, kind
        assert relative(edited[kind], expected) < TOLERANCE, kind
    expected = torch_outputs(name, model, path, layer, normalized, output, weights=weights)
    assert relative(gradient, expected) < TOLERANCE


def test_gradients_agree_with_finite_differences(cut):
    """Slow: 13 networks in float64.  It proves that no gradient stops or is wrong on its way through the rest."""
    _, _, network, layer, output = cut
    with jax.enable_x64(True):
        params = jax.tree.map(lambda x: x.astype("float64"), network.params)
        exact = replace(network, params=params, dtype="float64")
        rest, images = exact.rest(layer.name, output), photos(network, 1)
        rng = np.random.default_rng(2)
        weights = rng.normal(size=(1, *next(one.shape for one in network.outputs if one.name == output)))

        direction = rng.normal(size=(1, *layer.grid, layer.channels))

        def compute(params, images, _):
            cells = exact.activations(params, images, (layer.name,))[layer.name]
            context = rest.context(params, images)

            def score(cells):
                return (rest(params, cells, context)[output] * weights).sum()

            steps = [score(cells + sign * STEP * direction) for sign in (1, -1)]
            return jax.grad(score)(cells), steps

        gradient, (above, below) = compiled_quickly(compute)(params, images, None)
        assert gradient.dtype == "float64" and np.isfinite(gradient).all()
        found, expected = float((gradient * direction).sum()), float(above - below) / (2 * STEP)
    # the third derivative times the step's square, and rounding by the step: 1e-10 and 1e-9 of scores around 1
    assert found == pytest.approx(expected, rel=1e-5)
