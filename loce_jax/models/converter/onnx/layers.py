"""Which of an ONNX network's values are layers, what they are called, and how they lie."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from loce_jax.foreign_text import percent_encoded
from loce_jax.models import base
from loce_jax.models.base import Layer, Preprocess
from loce_jax.models.converter.graph import Graph, Node, Ref
from loce_jax.models.converter.grids import Arrangement, Change, Output, find_layers
from loce_jax.models.converter.interpret import evaluate
from loce_jax.models.converter.onnx.recording import Recorder, Shape, Value
from loce_jax.models.converter.torch.probing import CONSTANT_BELOW, PROBE_POSITIONS

LONGEST = 240  # bytes of a layer's name where it names a file


def name_layers(found: Mapping[str, tuple[Value, list[str]]]) -> dict[str, tuple[Value, tuple[str, ...]]]:
    """Each value under one name, with its other names: those of the node and of its output, as far as they are free.

    A node that does nothing gives its names to the value that it hands on.
    """
    names: dict[int, list[str]] = {}
    values: dict[int, Value] = {}
    taken: set[str] = set()
    for output, (value, others) in found.items():
        free = [name for name in (*others, output) if _is_usable(name) and name not in taken]
        taken.update(free)
        values[value.index] = value
        names.setdefault(value.index, []).extend(free)
    return {own[0]: (values[index], tuple(own[1:])) for index, own in names.items() if own}


def layers_of(recorder: Recorder, values: Mapping[str, Value]) -> list[tuple[Layer, Arrangement]]:
    """The layers among the values, and how each lies.

    Tokens, and square maps, are computed for a few images.  A map whose rows are the image's columns is left out:
    where it is square, its shape does not show that.
    """
    floats = {name: value for name, value in values.items() if value.is_float and value.shape[:1] == (1,)}
    unclear = {name: value.index for name, value in floats.items() if len(value.shape) == 3 or _is_square(value.shape)}
    noted = _compute(recorder, unclear)
    outputs = [
        _output(name, value, *noted.get(name, ())) for name, value in floats.items() if len(value.shape) in (3, 4)
    ]
    return [
        (layer, how)
        for layer, how in find_layers(outputs, recorder.size)
        if how.order == "btc" or layer.grid[0] != layer.grid[1] or _is_upright(noted[layer.name][1])
    ]


def arrange(recorder: Recorder, value: Value, how: Arrangement) -> Value:
    """The value as ``[1 h w c]``."""
    if how.order == "bhwc":
        return value
    if how.order == "bchw":
        return recorder.emit("", "aten.permute.default", (value, (0, 2, 3, 1)), {})
    height, width = how.grid
    cells = recorder.emit("", "aten.slice.Tensor", (value, 1, how.skip, how.skip + height * width), {})
    return recorder.emit("", "aten.reshape.default", (cells, (1, height, width, value.shape[2])), {})


def outputs_of(
    names: Sequence[str], found: Mapping[str, tuple[Value, list[str]]], layers: Collection[int]
) -> list[tuple[base.Output, int]]:
    """The network's outputs among the values `names`, without those at the nodes `layers`; and the node of each."""
    values = {name: found[name][0] for name in names if name in found and _is_usable(name)}
    return [
        (base.Output(name, value.shape[1:]), value.index)
        for name, value in values.items()
        if value.is_float and value.shape[:1] == (1,) and all(value.shape) and value.index not in layers
    ]


def prune(nodes: Sequence[Node], taps: Mapping[str, int]) -> tuple[tuple[Node, ...], dict[str, int]]:
    """The nodes that `taps` depend on, numbered anew."""
    needed: set[int] = set()
    for index in range(len(nodes) - 1, -1, -1):
        if index in needed or index in taps.values():
            needed |= {index, *nodes[index].sources()}
    new = {old: index for index, old in enumerate(sorted(needed))}

    def renumbered(value: Any) -> Any:
        return Ref(new[value.index]) if isinstance(value, Ref) else value

    kept = (nodes[old] for old in new)
    return (
        tuple(replace(node, **jax.tree.map(renumbered, {"args": node.args, "kwargs": node.kwargs})) for node in kept),
        {name: new[old] for name, old in taps.items()},
    )


def _is_usable(name: str) -> bool:
    """Whether it can be typed, is no number counted from the end, and fits in a file's name."""
    counted = name.startswith("-") and name[1:].isdigit()
    return name.isprintable() and not counted and 0 < len(percent_encoded(name)) <= LONGEST


def _output(name: str, value: Value, constant: Any = (False,), amounts: Any = ()) -> Output:
    """A value as `find_layers` needs it."""
    varies, shape = not np.all(constant), value.shape[1:]
    if len(shape) == 3:
        return Output(name, shape, varies)
    changes = tuple(Change(y, x, tuple(row.tolist())) for (y, x), row in zip(PROBE_POSITIONS, amounts, strict=True))
    return Output(name, shape, varies, tuple(constant.tolist()), changes)


def _is_square(shape: Shape) -> bool:
    """Whether ``[1 c h w]`` or ``[1 h w c]`` is as high as wide."""
    return len(shape) == 4 and (shape[2] == shape[3] or shape[1] == shape[2])


def _compute(recorder: Recorder, taps: Mapping[str, int]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """For each cell or token of some values: whether it is constant, and how much each spot changes it."""
    if not taps:
        return {}
    size = recorder.size
    graph = Graph("", Preprocess(size), False, tuple(recorder.nodes), (), taps)

    def run(weights: Mapping[str, jax.Array], images: jax.Array) -> dict[str, tuple[jax.Array, jax.Array]]:
        found = jax.vmap(lambda image: evaluate(graph, weights, image[None], tuple(taps)))(images)
        return {name: _note(array[:, 0]) for name, array in found.items()}

    run_once = jax.jit(run, compiler_options={"xla_backend_optimization_level": 0})  # compiling is what takes time
    return jax.device_get(run_once(recorder.weights, _images(size)))


def _images(size: tuple[int, int]) -> np.ndarray:
    """Two different images, and the first one with a spot changed, once for each of `PROBE_POSITIONS`."""
    noise = np.random.default_rng(0).normal(size=(2, *size, 3)).astype(np.float32)
    images = [*noise]
    for spot in PROBE_POSITIONS:
        rows, columns = (
            slice(int(n * (at - 1 / 16)), int(n * (at + 1 / 16)) + 1) for n, at in zip(size, spot, strict=True)
        )
        changed = noise[0].copy()
        changed[rows, columns] = 3 * noise[1, rows, columns]
        images.append(changed)
    return np.stack(images)


def _note(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Where the outputs of `_images` change, and how much; of shape [n t c], [n c h w] or [n h w c], see `Output`."""
    axis = 1 if x.ndim == 4 and x.shape[2] == x.shape[3] else -1
    differences = jnp.abs(x[1] - x[0]).max(axis if axis < 0 else 0)
    shares = jnp.linalg.norm(x[2:] - x[:1], axis=axis) / jnp.maximum(jnp.linalg.norm(x[:1], axis=axis), 1e-30)
    return differences <= CONSTANT_BELOW * differences.max(), shares


def _is_upright(amounts: np.ndarray) -> bool:
    """Whether changes ``[spot n n]`` are rather where the spots are than where they were if the map was turned."""
    upright = turned = 0.0
    for each, (y, x) in zip(amounts, PROBE_POSITIONS, strict=True):
        row, column = int(y * len(each)), int(x * len(each))
        upright += (each < each[row, column]).mean()
        turned += (each < each[column, row]).mean()
    return bool(upright >= turned)
