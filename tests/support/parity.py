"""Compare our networks with PyTorch's, layer by layer: random checkpoints, hooks, and one number.

A `Case` is a tiny network of transformers with random weights.  Our layers are matched to PyTorch's modules by name:
one of a layer's names or aliases must be the module's path in the transformers that is installed.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from tests.support.compiled import compiled_quickly

PREPROCESSOR = {
    "size": {"height": 64, "width": 64},
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "resample": 3,
    "rescale_factor": 1 / 255,
}

OUTPUTS = ("logits", "cls_logits", "distillation_logits", "pred_boxes", "image_embeds")


@dataclass(frozen=True)
class Case:
    """A tiny network of transformers.

    Attributes:
        family: the row of the README's table.
        model: name of the class in transformers, e.g. ``"ViTModel"``.
        config: name of its configuration's class.
        options: entries of the configuration.
        sizes: ``(h, w)`` of the input to try.
        after: tokens behind the grid's, which the layers leave out.
        run: what makes the modules work, given the model and images ``[b 3 h w]``; what it returns holds the outputs.
        not_built: outputs of transformers' network that ours has not.
        pick: from a module's path and output to the tensor ``[b c h w]``, ``[b h w c]`` or ``[b t c]`` that counts.
    """

    family: str
    model: str
    config: str
    options: dict[str, Any]
    sizes: tuple[tuple[int, int], ...] = ((64, 64), (64, 96))
    after: int = 0
    run: Callable[[Any, Any], Any] = lambda model, images: model(images)
    pick: Callable[[str, Any], Any] = lambda path, output: first_tensor(output)
    not_built: tuple[str, ...] = ()


def first_tensor(output):
    """The tensor itself, or the first one of a tuple or of a ModelOutput."""
    while not hasattr(output, "detach"):
        output = output[0]
    return output


def randomize(model, seed=0):
    """Random weights and BatchNorm statistics, nothing at its neutral start, and no signal that dies or explodes."""
    import torch

    generator = torch.Generator().manual_seed(seed)

    def normal(tensor, mean, std):
        tensor.copy_(mean + std * torch.randn(tensor.shape, generator=generator))

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                normal(parameter, 0, parameter[0].numel() ** -0.5 if parameter.shape[0] > 1 else 0.5)
            else:
                normal(parameter, 0.0 if name.endswith("bias") else 1.0, 0.3)
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                normal(buffer, 0, 0.3)
            elif name.endswith("running_var"):
                buffer.copy_(0.5 + torch.rand(buffer.shape, generator=generator))
            elif name.endswith(("weight", "bias")):  # of a normalization that is not trained
                normal(buffer, 0.0 if name.endswith("bias") else 1.0, 0.3)
    return model.eval()


def make_model(case):
    """The case's network with random weights."""
    import transformers

    if case.options.get("use_timm_backbone"):
        pytest.importorskip("timm", reason="timm, which builds this network's backbone, is not installed")
    config = getattr(transformers, case.config)(**case.options)
    return randomize(getattr(transformers, case.model)(config))


def save(model, folder, **options):
    """`model` as a folder in Hugging Face's layout; `options` go to `save_pretrained`."""
    model.save_pretrained(folder, **options)
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
    return folder


def hooked(model, paths, images, case):
    """What the modules at `paths` return for normalized `images` [b h w 3], and the outputs of the model."""
    import torch

    found, outputs, hooks = {}, {}, []
    modules = dict(model.named_modules())

    def keep_pooled(module, inputs, output):
        if getattr(output, "pooler_output", None) is not None:
            outputs["pooled"] = output.pooler_output.detach().clone().flatten(1)

    hooks += [module.register_forward_hook(keep_pooled) for module in modules.values()]
    for path in paths:

        def keep(module, inputs, output, path=path):
            found[path] = case.pick(path, output).detach().clone()

        hooks.append(modules[path].register_forward_hook(keep))
    with torch.no_grad():
        returned = case.run(model, torch.from_numpy(np.array(images)).permute(0, 3, 1, 2))
    outputs |= {name: returned[name] for name in OUTPUTS if returned.get(name) is not None}
    for hook in hooks:
        hook.remove()
    return found, outputs


def on_grid(tensor, layer, after=0):
    """A module's output as ``[b gh gw c]``."""
    array = tensor.numpy()
    if array.ndim == 4:
        return (
            array if array.shape[1:3] == layer.grid and array.shape[3] == layer.channels else np.moveaxis(array, 1, 3)
        )
    rows, columns = layer.grid
    end = array.shape[1] - after
    return array[:, end - rows * columns : end].reshape(len(array), rows, columns, -1)


def differences(network, model, case, images=None):
    """``{name: largest difference / largest value}`` for all layers and outputs of `network`, against `model`."""
    layers, paths = network.layers(), dict(model.named_modules())
    where = {layer.name: [path for path in (layer.name, *layer.aliases) if path in paths] for layer in layers}
    lost = [name for name, found in where.items() if not found]
    assert not lost, f"no name of these layers is a module of {case.model}: {lost}; its modules: {list(paths)}"
    where = {name: found[0] for name, found in where.items()}
    if images is None:
        images = np.random.default_rng(0).integers(0, 256, (2, *network.preprocess.size, 3), dtype=np.uint8)
    names = (*where, *(output.name for output in network.outputs))
    found = compiled_quickly(network.activations)(network.params, jnp.asarray(images), names)
    expected, outputs = hooked(model, set(where.values()), network.preprocess.normalize(jnp.asarray(images)), case)
    worst = {}
    for layer in layers:
        truth = on_grid(expected[where[layer.name]], layer, case.after)
        assert found[layer.name].shape == truth.shape == (len(images), *layer.grid, layer.channels), layer
        worst[layer.name] = float(np.abs(found[layer.name] - truth).max() / np.abs(truth).max())
    shapes = {output.name: output.shape for output in network.outputs}
    assert shapes.keys() - {"pooled"} <= outputs.keys() - set(case.not_built) <= shapes.keys(), (shapes, list(outputs))
    for name in outputs.keys() & shapes.keys():
        truth = np.moveaxis(outputs[name].numpy(), 1, -1) if outputs[name].ndim == 4 else outputs[name].numpy()
        assert found[name].shape == truth.shape == (len(images), *shapes[name]), name
        worst[name] = float(np.abs(found[name] - truth).max() / np.abs(truth).max())
    return worst
