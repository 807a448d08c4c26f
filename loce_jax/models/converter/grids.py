"""Which outputs of a network's modules are feature maps or patch tokens, and in which layout.

A module returns ``[b c h w]``, ``[b h w c]`` or ``[b t c]``, and nothing says which.  The layout follows from its shape
for this size and for images twice as tall and twice as wide, and from what changes in it when a spot of the image does.
Shapes: b images, h x w cells, t tokens, c channels.
"""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from loce_jax.models.base import Layer

Shape = tuple[int, ...]
Size = tuple[int, int]
MIN_TOKENS = 16  # with fewer tokens, their order is not checked
OUTLIER_RATIO = 4.0  # a token that changes this many times as much as the median token covers the changed spot


@dataclass(frozen=True)
class Change:
    """How much each token changed, as a share of its length, with the image at `y` and `x`, both from 0 to 1."""

    y: float
    x: float
    amounts: tuple[float, ...]


@dataclass(frozen=True)
class Output:
    """What one module returned.

    Attributes:
        name: the module's dotted path.
        shape: without the batch, for images of the network's size.
        varies: whether different images give different outputs.
        constant: for each token, whether it is the same for different images; empty if there are no tokens.
        changes: one for each spot that was changed; empty if there are no tokens.
        tall, wide: the shape for images twice as tall, twice as wide; None where the network takes none.
    """

    name: str
    shape: Shape
    varies: bool
    constant: tuple[bool, ...] = ()
    changes: tuple[Change, ...] = ()
    tall: Shape | None = None
    wide: Shape | None = None


@dataclass(frozen=True)
class Arrangement:
    """How a module's output holds a map ``[b h w c]``.

    Attributes:
        order: its axes; ``t`` stands for tokens in row-major order.
        grid: height and width.
        skip: how many tokens stand before the first cell.
    """

    order: Literal["bchw", "bhwc", "btc"]
    grid: Size
    skip: int = 0


def find_layers(outputs: Sequence[Output], size: Size) -> list[tuple[Layer, Arrangement]]:
    """The layers among a network's outputs, in order, and the layout of each; `size` is that of the image.

    >>> patches = Output("patches", (32, 4, 6), varies=True)
    >>> block = Output("block", (25, 32), varies=True, constant=(True,) + 24 * (False,))
    >>> [(layer.name, how.order, how.grid, how.skip) for layer, how in find_layers([patches, block], (64, 96))]
    [('patches', 'bchw', (4, 6), 0), ('block', 'btc', (4, 6), 1)]
    """
    seeing = [output for output in outputs if output.varies]
    resizable = any(output.shape != output.tall and output.tall and output.wide for output in seeing)
    counts = {output.shape[0] for output in seeing if len(output.shape) == 2}
    maps = {
        output.name: found
        for output in seeing
        if len(output.shape) == 3
        and (found := _resized_map(output) if resizable else _fitting_map(output.shape, size, counts))
    }
    grids = set(_with_halves(found.grid for found in maps.values()))
    tokens = _tokens([output for output in seeing if len(output.shape) == 2], grids, size, resizable)
    found = maps | tokens
    return [_layer(output, found[output.name], size) for output in seeing if output.name in found]


def _layer(output: Output, how: Arrangement, size: Size) -> tuple[Layer, Arrangement]:
    channels = output.shape[0 if how.order == "bchw" else -1]
    kind = "tokens" if how.order == "btc" else "grid"
    return Layer(output.name, channels, how.grid, size[0] / how.grid[0], kind), how


def _resized_map(output: Output) -> Arrangement | None:
    """A map has one axis that grows with the image's height alone, and next to it one that grows with its width."""
    taller, wider = _changed(output.shape, output.tall), _changed(output.shape, output.wide)
    if taller == [1] and wider == [2]:
        return Arrangement("bchw", (output.shape[1], output.shape[2]))
    if taller == [0] and wider == [1]:
        return Arrangement("bhwc", (output.shape[0], output.shape[1]))
    return None


def _changed(shape: Shape, other: Shape | None) -> list[int]:
    same_rank = other is not None and len(other) == len(shape)
    return [axis for axis, n in enumerate(shape) if other[axis] != n] if same_rank and other else []


def _fitting_map(shape: Shape, size: Size, counts: set[int]) -> Arrangement | None:
    """For networks of one size: a map has two axes in the image's proportion, and is not tokens by tokens."""
    first, second, third = shape
    for how in (Arrangement("bchw", (second, third)), Arrangement("bhwc", (first, second))):
        attends = how.grid[0] == how.grid[1] and how.grid[0] in counts
        if _fits(how.grid, size) and how.grid != (1, 1) and not attends:
            return how
    return None


def _fits(grid: Size, size: Size) -> bool:
    """Whether the grid has the image's proportion, to within one cell."""
    return abs(grid[0] * size[1] / size[0] - grid[1]) < 1 and abs(grid[1] * size[0] / size[1] - grid[0]) < 1


def _with_halves(grids: Iterator[Size]) -> Iterator[Size]:
    """The grids, and what halving leaves of them: later stages of a network may be seen as tokens only."""
    for height, width in grids:
        while height * width > 1:
            yield height, width
            height, width = -(-height // 2), -(-width // 2)


def _tokens(outputs: Sequence[Output], grids: set[Size], size: Size, resizable: bool) -> dict[str, Arrangement]:
    """Those of the outputs ``[b t c]`` whose tokens are cells.

    Where a number of tokens first occurs, those that do not depend on the image yet are class tokens, registers and the
    like: they stand before or behind the cells, here and in later layers.
    """
    extras: dict[int, tuple[int, int]] = {}
    found = {}
    for output in outputs:
        count = output.shape[0]
        ends = extras.setdefault(count, _constant_ends(output.constant))
        grows = not resizable or _changed(output.shape, output.tall) == _changed(output.shape, output.wide) == [0]
        for skip, behind in (ends, (0, 0)):  # cells may be constant too, where a ReLU is dead
            grid = _grid_of(count - skip - behind, grids, size, guess=resizable or not grids)
            if grows and grid and _is_row_major(output.changes, grid, skip):
                found[output.name] = Arrangement("btc", grid, skip)
                break
    return found


def _constant_ends(constant: Sequence[bool]) -> tuple[int, int]:
    """How many tokens at the front and at the back do not depend on the image."""
    if False not in constant:
        return 0, 0
    return constant.index(False), constant[::-1].index(False)


def _grid_of(area: int, grids: set[Size], size: Size, *, guess: bool) -> Size | None:
    """The known grid with so many cells; else, if we may `guess`, one in the image's proportion."""
    known = [grid for grid in grids if grid[0] * grid[1] == area and _fits(grid, size)]
    if not known and guess and area > 1:
        height = round((area * size[0] / size[1]) ** 0.5)
        known = [(height, area // height)] if area % height == 0 and _fits((height, area // height), size) else []
    return known[0] if known else None


def _is_row_major(changes: Sequence[Change], grid: Size, skip: int) -> bool:
    """Whether tokens are in row-major order; some networks reorder them.

    They are not if every changed spot changes most a token far from the spot.
    """
    return (
        grid[0] * grid[1] < MIN_TOKENS
        or not changes
        or not all(_is_displaced(change, grid, skip) for change in changes)
    )


def _is_displaced(change: Change, grid: Size, skip: int) -> bool:
    height, width = grid
    amounts = change.amounts[skip : skip + height * width]
    row, column = divmod(amounts.index(max(amounts)), width)
    away = max(abs(row - int(change.y * height)), abs(column - int(change.x * width)))
    return away > 1 and max(amounts) > OUTLIER_RATIO * statistics.median(amounts)
