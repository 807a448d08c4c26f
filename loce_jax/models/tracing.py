"""Find the layers of a function that is not ours by tracing it once; nothing is computed.

A layer is an output of floating point numbers ``[b gh gw c]``, or of tokens ``[b t c]``, whose grid has the image's
proportions.  What is ``[b]`` or ``[b c]`` is an output of the network, e.g. its logits.
Shapes: b images, h x w pixels, gh x gw grid cells, t tokens, c channels.
"""

import functools as ft
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core
from jaxtyping import Array, Float

from loce_jax.checks import InputError, one_line
from loce_jax.models.base import Layer, Output
from loce_jax.models.programs import find_dead_ends, flattened, to_program

Call = Callable[[Any, jax.Array], Mapping[str, jax.Array]]
Size = tuple[int, int]
ROOT = "__call__"  # the name of a whole module's own output
MOST_PREFIX_TOKENS = 16  # tried for the hint in a message


@dataclass(frozen=True)
class Tokens:
    """How tokens lie: `prefix` of them, then those of the `grid` ``(gh, gw)``, row by row.

    Without a grid, it is the one that fits the number of tokens and the image's size.  Tokens without a prefix, as
    patch embeddings often are, fit too.
    """

    prefix: int = 0
    grid: Size | None = None

    def find_grid(self, count: int, size: Size) -> Size | None:
        """The grid of `count` tokens for images of `size`; None if there is none, or more than one."""
        for cells in dict.fromkeys((count - self.prefix, count)):
            grids = {self.grid} if self.grid else _grids_of(cells, size)
            fitting = [grid for grid in grids if grid[0] * grid[1] == cells]
            if len(fitting) == 1:
                return fitting[0]
        return None


@dataclass(frozen=True)
class Traced:
    """What a trace shows.

    Attributes:
        layers: in the order they are computed.
        outputs: numbers or vectors of floating point for each image, in the same order.
        dead_ends: names of layers from which nothing goes on to an output or to another layer.
        unusable: for each array that is neither, its name and why.
        hints: those of them that another number of prefix tokens would make layers.
        constants: arrays that the function holds itself.
    """

    layers: tuple[Layer, ...]
    outputs: tuple[Output, ...]
    dead_ends: tuple[str, ...]
    unusable: tuple[str, ...]
    hints: tuple[str, ...]
    constants: tuple[Any, ...]


def trace(call: Call, params: Any, size: Size, tokens: Tokens) -> Traced:
    """The layers and outputs of `call` for normalized images of `size` ``(h, w)``."""
    closed, shapes = abstractly(call, params, size, batch=2)
    _, others = abstractly(call, params, size, batch=3)
    made = _computation_order(closed.jaxpr)
    order = {name: made.get(id(var), (-1,)) for name, var in zip(sorted(shapes), closed.jaxpr.outvars, strict=True)}
    layers, outputs, unusable, hints = [], [], [], []
    for name in sorted(shapes, key=lambda name: (order[name], name == ROOT, -name.count("."))):  # inner ones first
        array = shapes[name]
        if not jnp.issubdtype(array.dtype, jnp.floating):
            unusable.append(f"{name!r} holds {array.dtype} numbers")
        elif name not in others or (3, *array.shape[1:]) != others[name].shape or array.shape[:1] != (2,):
            unusable.append(f"the first axis of {name!r} is not the images': its shape is {array.shape} for 2 of them")
        elif grid := _grid(array.shape, size, tokens):
            kind = "tokens" if array.ndim == 3 else "grid"
            layers.append(Layer(name, array.shape[-1], grid, size[0] / grid[0], kind))
        elif array.ndim <= 2:
            outputs.append(Output(name, array.shape[1:]))
        else:
            hint = _hint(array.shape, size)
            hints += [f"{name!r}{hint}"] if hint else []
            unusable.append(f"{name!r} has shape {words_of(array.shape)}{hint}")
    program, names = flattened(closed), {one.name for one in (*layers, *outputs)}
    numbers = {name: one for name, one in zip(sorted(shapes), program.outputs, strict=True) if name in names}
    links = [(step.outputs, step.reads()) for step in program.steps]
    dead_ends = find_dead_ends({layer.name: numbers[layer.name] for layer in layers}, numbers, links)
    return Traced(tuple(layers), tuple(outputs), dead_ends, tuple(unusable), tuple(hints), tuple(_constants(closed)))


def abstractly(call: Callable, params: Any, size: Size, batch: int) -> tuple[core.ClosedJaxpr, Any]:
    """What `call` does with `batch` images and the shapes it returns; `InputError` if it fails."""
    images = jax.ShapeDtypeStruct((batch, *size, 3), jnp.float32)
    try:
        return jax.make_jaxpr(call, return_shape=True)(params, images)
    except Exception as error:  # whatever the network raises
        raise InputError(
            f"the network must be callable with `params` and images of shape {images.shape}, under `jax.jit`, but it "
            f"raises {type(error).__name__}: {one_line(error)} Check the size of `preprocess` and that "
            "the network is in evaluation mode."
        ) from error


def on_grid(output: Float[Array, "b ..."], layer: Layer) -> Float[Array, "b gh gw c"]:
    """A layer's output on its grid, without prefix tokens."""
    rows, columns = layer.grid
    if layer.kind == "tokens":
        return output[:, output.shape[1] - rows * columns :].reshape(len(output), rows, columns, -1)
    return output


def edited(
    call: Call, params: Any, images: Float[Array, "b h w 3"], edits: Mapping[Layer, Callable[[Array], Array]]
) -> Mapping[str, Array]:
    """What `call` returns when maps of layers go on as `edits` make them."""
    if not edits:
        return call(params, images)
    program, structure = to_program(call, params, images)
    numbers = jax.tree.unflatten(structure, program.outputs)
    changes = {numbers[layer.name]: ft.partial(_edited, layer, edit) for layer, edit in edits.items()}
    return jax.tree.unflatten(structure, program.run_edited((*jax.tree.leaves(params), images), changes))


def _edited(layer: Layer, edit: Callable[[Array], Array], output: Float[Array, "b ..."]) -> Float[Array, "b ..."]:
    changed, cells = edit(on_grid(output, layer)), layer.grid[0] * layer.grid[1]
    if layer.kind == "grid":
        return changed.astype(output.dtype)
    return output.at[:, output.shape[1] - cells :].set(changed.reshape(len(output), cells, -1).astype(output.dtype))


def _grid(shape: tuple[int, ...], size: Size, tokens: Tokens) -> Size | None:
    """The grid of an output, if it has one of more than one cell."""
    grid = None
    if len(shape) == 3:
        grid = tokens.find_grid(shape[1], size)
    elif len(shape) == 4 and _is_proportional(shape[1:3], size):
        grid = shape[1:3]
    return grid if grid and grid[0] * grid[1] > 1 else None


def _is_proportional(grid: Size, size: Size) -> bool:
    """Whether `grid` is the image's `size` divided by one stride, give or take two cells of padding."""
    return abs(grid[0] * size[1] - grid[1] * size[0]) <= 2 * max(size)


def _grids_of(cells: int, size: Size) -> set[Size]:
    """The grids of `cells` square patches that cover an image, with or without what is left at the border."""
    patches = range(1, max(size) + 1)
    whole = {(size[0] // patch, size[1] // patch) for patch in patches}
    ragged = {(-(-size[0] // patch), -(-size[1] // patch)) for patch in patches}
    return {grid for grid in whole | ragged if grid[0] * grid[1] == cells}


def _hint(shape: tuple[int, ...], size: Size) -> str:
    if len(shape) == 4 and _is_proportional(shape[2:], size):
        return ", as if channels came before the grid: move them to the end"
    if len(shape) == 3:
        for prefix in range(1, MOST_PREFIX_TOKENS + 1):
            grid = Tokens(prefix).find_grid(shape[1], size)
            if grid and grid[0] * grid[1] == shape[1] - prefix > 1:
                return f", which is a grid of {grid[0]} x {grid[1]} with `prefix_tokens={prefix}`"
    return ""


def words_of(shape: tuple[int, ...]) -> str:
    """A shape as in messages, e.g. ``[b 3]``; the first axis is the images'."""
    return f"[{' '.join(map(str, ('b', *shape[1:])))}]"


def _computation_order(jaxpr: core.Jaxpr) -> dict[int, tuple[int, ...]]:
    """When each variable is computed, by the variable's identity; inside a jitted part, when within that part."""
    order = {}
    for number, equation in enumerate(jaxpr.eqns):
        inner = equation.params.get("jaxpr")
        if isinstance(inner, core.ClosedJaxpr) and len(inner.jaxpr.outvars) == len(equation.outvars):
            within = _computation_order(inner.jaxpr)
            deeper = [within.get(id(var), ()) for var in inner.jaxpr.outvars]
        else:
            deeper = [()] * len(equation.outvars)
        order |= {id(var): (number, *rest) for var, rest in zip(equation.outvars, deeper, strict=True)}
    return order


def _constants(closed: core.ClosedJaxpr) -> Iterator[Any]:
    yield from closed.consts
    for equation in closed.jaxpr.eqns:
        for inner in equation.params.values():
            if isinstance(inner, core.ClosedJaxpr):
                yield from _constants(inner)
