"""From any PyTorch vision network to one that runs in JAX, with every module's output as a layer."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from loce_jax.checks import InputError
from loce_jax.foreign_text import logger
from loce_jax.models.base import Layer, Network, Output, Preprocess
from loce_jax.models.converter import folder
from loce_jax.models.converter.graph import Graph, Node, Ref, name_outputs
from loce_jax.models.converter.grids import Arrangement, find_layers
from loce_jax.models.converter.network import to_network
from loce_jax.models.converter.torch.exporting import export
from loce_jax.models.converter.torch.probing import frozen, probe
from loce_jax.models.converter.torch.translating import Tensors, translate

log = logger(__name__)


def convert(
    module: Any,
    example: Any,
    *,
    name: str | None = None,
    out: str | Path | None = None,
    after_inplace: bool = False,
    classes: Sequence[str] = (),
) -> Network:
    """A PyTorch network as a `Network`: recorded once as it computes in evaluation, from then on without PyTorch.

    Every module inside whose output is a map of the image, or tokens that are cells of one, becomes a layer under
    its dotted path; of several tensors the first counts, and of several calls of one module the last.  The module
    itself stays as it is.

    What the network returns becomes its outputs, as far as it is floating point with the images as first axis: the
    tensors of a dictionary by key, of a tuple as ``output.0``, ``output.1``, a single one as ``output``; where a layer
    is called so, with ``output.`` in front.  Where they cannot be recorded, there are none.

    Args:
        module: a `torch.nn.Module` that takes one batch of images ``[b 3 h w]``.
        example: a `Preprocess`, the size at which the network is recorded and how photos become its input; or images
            ``[b 3 h w]`` of that size, and photos then enter as 0..1, not normalized.
        name: what to call it; the class's name if not given.
        out: a new folder to keep it in, for `load_converted`.
        after_inplace: whether a layer that PyTorch overwrites afterwards, e.g. by ``ReLU(inplace=True)``, holds the
            new numbers, as a forward hook sees them that does not copy; otherwise it holds what its module returned.
        classes: names of the classes that ``output`` or ``logits`` stand for; without them, those of
            ``module.config.id2label``.

    Raises:
        InputError: if the network takes no such images, cannot be recorded, or uses an operation unknown here.
    """
    name = name or type(module).__name__
    preprocess = example if isinstance(example, Preprocess) else Preprocess(_size(example))
    inside, returned = probe(module, preprocess.size)
    found = find_layers(inside, preprocess.size)
    if not found:
        raise InputError(
            f"`module` must hold modules that return feature maps, but none inside {name} does. "
            "Check that it is an image network, and wrap it if it is one module only."
        )
    classes = tuple(classes) or _classes(module)
    outputs = {key: Output(key, shape, _fitting(classes, key, shape)) for key, shape in returned.items()}
    try:
        graph, tensors = _record(module, name, preprocess, found, outputs, after_inplace)
        network = to_network(graph, tensors)
    except InputError as error:
        if not outputs:
            raise
        graph, tensors = _record(module, name, preprocess, found, {}, after_inplace)
        network = to_network(graph, tensors)
        log.warning("the outputs of %s are not among what is converted: %s", name, error)
    if out is not None:
        folder.write(out, graph, tensors)
    return network


def _record(
    module: Any,
    name: str,
    preprocess: Preprocess,
    found: Sequence[tuple[Layer, Arrangement]],
    outputs: Mapping[str, Output],
    after_inplace: bool,
) -> tuple[Graph, Tensors]:
    """The graph of these layers and of the outputs, which are by the names of `returned_tensors`; and its tensors."""
    layers = tuple(layer for layer, _ in found)
    with frozen(module):
        program, any_batch = export(
            module, preprocess.size, [layer.name for layer in layers], list(outputs), after_inplace
        )
        nodes, indices, tensors = translate(program)
    nodes, maps = _arrange(nodes, indices[: len(layers)], [how for _, how in found])
    named = name_outputs(outputs.values(), layers)
    taps = dict(zip((one.name for one in (*layers, *named)), (*maps, *indices[len(layers) :]), strict=True))
    return Graph(name, preprocess, any_batch, nodes, layers, taps, named), tensors


def _classes(module: Any) -> tuple[str, ...]:
    """The names in ``module.config.id2label``, by number; none where they only number the classes."""
    labels = getattr(getattr(module, "config", None), "id2label", None)
    if not isinstance(labels, Mapping) or set(labels) != set(range(len(labels))):
        return ()
    names = tuple(str(labels[index]) for index in range(len(labels)))
    return () if all(re.fullmatch(r"LABEL_\d+", name) for name in names) else names


def _fitting(classes: tuple[str, ...], key: str, shape: Sequence[int]) -> tuple[str, ...]:
    """The `classes`, if an output can stand for them: boxes and maps do not, even where an axis is as long."""
    is_for_classes = key == "output" or "logits" in key
    return classes if is_for_classes and 0 < len(shape) <= 2 and shape[-1] == len(classes) else ()


def _arrange(
    nodes: Sequence[Node], indices: Sequence[int], arrangements: Sequence[Arrangement]
) -> tuple[tuple[Node, ...], list[int]]:
    """The nodes, and behind them those that bring what lies at `indices` to ``[b gh gw c]``; and where that is."""
    longer, done = list(nodes), {}
    for index, how in zip(indices, arrangements, strict=True):
        if (index, how) not in done:
            last = index
            for op, args in _steps(how):
                longer.append(Node(op, (Ref(last), *args)))
                last = len(longer) - 1
            done[index, how] = last
    return tuple(longer), [done[key] for key in zip(indices, arrangements, strict=True)]


def _steps(how: Arrangement) -> list[tuple[str, tuple]]:
    if how.order == "bchw":
        return [("aten.permute.default", ((0, 2, 3, 1),))]
    if how.order == "bhwc":
        return []
    height, width = how.grid
    cells = ("aten.slice.Tensor", (1, how.skip, how.skip + height * width))
    return [cells, ("aten.unflatten.int", (1, (height, width)))]


def _size(images: Any) -> tuple[int, int]:
    shape = tuple(getattr(images, "shape", ()))
    if len(shape) != 4 or shape[1] != 3:
        raise InputError(
            f"`example` must be a `Preprocess` or images of shape [b 3 h w], but got {type(images).__name__} of shape "
            f"{shape}. `Preprocess(size=(224, 224), mean=..., std=...)` says how photos become input, too."
        )
    return int(shape[2]), int(shape[3])
