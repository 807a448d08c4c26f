"""From any PyTorch vision network to one that runs in JAX, with every module's output as a layer."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loce_jax.checks import InputError
from loce_jax.models.base import Network, Preprocess
from loce_jax.models.converter import folder
from loce_jax.models.converter.graph import Graph, Node, Ref
from loce_jax.models.converter.grids import Arrangement, find_layers
from loce_jax.models.converter.network import to_network
from loce_jax.models.converter.torch.exporting import export
from loce_jax.models.converter.torch.probing import frozen, probe
from loce_jax.models.converter.torch.translating import translate


def convert(
    module: Any,
    example: Any,
    *,
    name: str | None = None,
    out: str | Path | None = None,
    after_inplace: bool = False,
) -> Network:
    """A PyTorch network as a `Network`: recorded once as it computes in evaluation, from then on without PyTorch.

    Every module inside whose output is a map of the image, or tokens that are cells of one, becomes a layer under
    its dotted path; of several tensors the first counts, and of several calls of one module the last.  The module
    itself stays as it is.

    Args:
        module: a `torch.nn.Module` that takes one batch of images ``[b 3 h w]``.
        example: a `Preprocess`, the size at which the network is recorded and how photos become its input; or images
            ``[b 3 h w]`` of that size, and photos then enter as 0..1, not normalized.
        name: what to call it; the class's name if not given.
        out: a new folder to keep it in, for `load_converted`.
        after_inplace: whether a layer that PyTorch overwrites afterwards, e.g. by ``ReLU(inplace=True)``, holds the
            new numbers, as a forward hook sees them that does not copy; otherwise it holds what its module returned.

    Raises:
        InputError: if the network takes no such images, cannot be recorded, or uses an operation unknown here.
    """
    name = name or type(module).__name__
    preprocess = example if isinstance(example, Preprocess) else Preprocess(_size(example))
    found = find_layers(probe(module, preprocess.size), preprocess.size)
    if not found:
        raise InputError(
            f"`module` must hold modules that return feature maps, but none inside {name} does. "
            "Check that it is an image network, and wrap it if it is one module only."
        )
    layers, arrangements = tuple(layer for layer, _ in found), [how for _, how in found]
    with frozen(module):
        program, any_batch = export(module, preprocess.size, [layer.name for layer in layers], after_inplace)
        nodes, indices, tensors = translate(program)
    nodes, indices = _arrange(nodes, indices, arrangements)
    taps = {layer.name: index for layer, index in zip(layers, indices, strict=True)}
    graph = Graph(name, preprocess, any_batch, nodes, layers, taps)
    network = to_network(graph, tensors)
    if out is not None:
        folder.write(out, graph, tensors)
    return network


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
