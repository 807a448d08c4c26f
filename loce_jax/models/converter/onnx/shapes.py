"""ONNX operations that move numbers without changing them.  Every shape is known, so most are one `reshape`."""

import itertools
import math
from typing import Any

import numpy as np

from loce_jax.models.converter.onnx.recording import Call, Const, Value

Shape = tuple[int, ...]
PAD_MODES = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}


def reshaped(call: Call, x: Any, shape: Shape) -> Any:
    """The same numbers in row-major order."""
    return x if x.shape == tuple(shape) else call.emit("aten.reshape.default", x, tuple(shape))


def permuted(call: Call, x: Any, order: Shape) -> Any:
    """The axes in another order."""
    return call.emit("aten.permute.default", x, tuple(order))


def reshape(call: Call) -> Any:
    """To a new shape; 0 keeps an axis, -1 takes what is left."""
    x, sizes = call.first, call.ints("shape", position=1)
    if not call.setting("allowzero", 0):
        sizes = tuple(x.shape[i] if size == 0 else size for i, size in enumerate(sizes))
    known = math.prod(size for size in sizes if size != -1)
    return reshaped(call, x, tuple(math.prod(x.shape) // known if size == -1 else size for size in sizes))


def flatten(call: Call) -> Any:
    """A matrix: the axes before `axis`, and the others."""
    shape, axis = call.first.shape, call.setting("axis", 1)
    axis += len(shape) if axis < 0 else 0
    return reshaped(call, call.first, (math.prod(shape[:axis]), math.prod(shape[axis:])))


def squeeze(call: Call) -> Any:
    """Without the given axes of length 1, or without any."""
    shape, axes = call.first.shape, call.ints("axes", position=1)
    dropped = {i for i, n in enumerate(shape) if n == 1} if axes is None else {axis % len(shape) for axis in axes}
    if any(shape[axis] != 1 for axis in dropped):
        raise call.error(f"the axes {sorted(dropped)} of {shape} must have length 1")
    return reshaped(call, call.first, tuple(n for i, n in enumerate(shape) if i not in dropped))


def unsqueeze(call: Call) -> Any:
    """With new axes of length 1."""
    axes = call.ints("axes", position=1)
    rank = len(call.first.shape) + len(axes)
    new, old = {axis % rank for axis in axes}, iter(call.first.shape)
    return reshaped(call, call.first, tuple(1 if i in new else next(old) for i in range(rank)))


def expand(call: Call) -> Any:
    """Repeated as far as broadcasting with a shape repeats."""
    shape = np.broadcast_shapes(call.first.shape, call.ints("shape", position=1))
    return call.emit("aten.expand.default", call.first, shape)


def transpose(call: Call) -> Any:
    """The axes in another order; the opposite one if none is given."""
    return permuted(call, call.first, call.ints("perm", range(len(call.first.shape))[::-1]))


def concat(call: Call) -> Any:
    """Joined along one axis."""
    return call.emit("aten.cat.default", call.inputs, call.setting("axis", 1))


def split(call: Call) -> Any:
    """Cut into pieces along one axis: of the given sizes, or equal ones, the last one shorter."""
    axis, length = call.setting("axis", 0), call.first.shape[call.setting("axis", 0)]
    piece = math.ceil(length / call.outputs)
    equal = [max(min(piece, length - start), 0) for start in range(0, piece * call.outputs, piece)]
    sizes = call.ints("split", equal, position=1)
    if sum(sizes) != length or len(sizes) != call.outputs or min(sizes) < 0:
        raise call.error(f"{call.outputs} pieces of the sizes {sizes} do not make {length}")
    return call.emit("aten.split_with_sizes.default", call.first, sizes, axis)


def cut(call: Call) -> Any:
    """``x[start:end:step]`` along some axes; bounds beyond the ends mean the ends."""
    x = call.first
    starts, ends = (call.ints(name, position=i) for i, name in enumerate(("starts", "ends"), 1))
    axes = call.ints("axes", range(len(starts)), position=3)
    steps = call.ints("steps", [1] * len(starts), position=4)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        dim = axis % len(x.shape)
        bounds = range(x.shape[dim])[slice(start, _past_end(end, x.shape[dim], step), step)]
        if bounds != range(x.shape[dim]):
            stop = None if bounds.stop < 0 else bounds.stop
            x = call.emit("aten.slice.Tensor", x, dim, bounds.start, stop, step)
    return x


def _past_end(end: int, length: int, step: int) -> int | None:
    """ONNX goes down to the first entry where the end is before it; Python says None."""
    return None if step < 0 and end < -length else end


def gather(call: Call) -> Any:
    """The entries at `indices` along one axis, in the shape of `indices`."""
    x, indices = call.inputs
    axis = call.setting("axis", 0) % len(x.shape)
    if isinstance(indices, Value):
        return call.emit("aten.index.Tensor", x, (*(None,) * axis, indices))
    found = np.where(indices.array < 0, indices.array + x.shape[axis], indices.array)
    if found.size and not 0 <= found.min() <= found.max() < x.shape[axis]:
        raise call.error(f"its indices go from {found.min()} to {found.max()} in an axis of length {x.shape[axis]}")
    if found.ndim == 0:
        return call.emit("aten.select.int", x, axis, found.item())
    taken = call.emit("aten.index_select.default", x, axis, call.const("indices", found.reshape(-1).astype(np.int32)))
    return reshaped(call, taken, (*x.shape[:axis], *found.shape, *x.shape[axis + 1 :]))


def pad(call: Call) -> Any:
    """Padded, or cut where negative; all starts come before all ends."""
    rank = len(call.first.shape)
    widths = call.ints("pads", position=1)
    axes = [axis % rank for axis in call.ints("axes", range(rank), position=3)]
    pairs = dict(zip(axes, zip(widths[: len(axes)], widths[len(axes) :], strict=True), strict=True))
    value = float(np.asarray(call.setting("value", 0.0, position=2)).item())
    mode = PAD_MODES[call.setting("mode", "constant")]
    return padded(call, call.first, [pairs.get(axis, (0, 0)) for axis in range(rank)], value, mode)


def padded(call: Call, x: Any, pairs: Any, value: float = 0.0, mode: str = "constant") -> Any:
    """`x` with so many cells before and behind each of its last axes."""
    backwards = tuple(itertools.chain.from_iterable(reversed([tuple(pair) for pair in pairs])))
    return call.emit("aten.pad.default", x, backwards, mode, value) if any(backwards) else x


def depth_to_space(call: Call) -> Any:
    """``[b f*f*c h w] -> [b c h*f w*f]``; in mode CRD, ``[b c*f*f h w]``."""
    (b, c, h, w), f = call.first.shape, call.setting("blocksize")
    if call.setting("mode", "DCR") == "CRD":
        return call.emit("aten.pixel_shuffle.default", call.first, f)
    parts = reshaped(call, call.first, (b, f, f, c // f**2, h, w))
    return reshaped(call, permuted(call, parts, (0, 3, 4, 1, 5, 2)), (b, c // f**2, h * f, w * f))


def space_to_depth(call: Call) -> Any:
    """``[b c h*f w*f] -> [b f*f*c h w]``."""
    (b, c, h, w), f = call.first.shape, call.setting("blocksize")
    parts = reshaped(call, call.first, (b, c, h // f, f, w // f, f))
    return reshaped(call, permuted(call, parts, (0, 3, 5, 1, 2, 4)), (b, c * f**2, h // f, w // f))


def shape_of(call: Call) -> Const:
    """The shape, known here."""
    bounds = slice(call.setting("start", 0), call.setting("end"))
    return call.const("shape", np.asarray(call.first.shape[bounds], np.int64))


def size_of(call: Call) -> Const:
    """How many numbers there are."""
    return call.const("size", np.asarray(math.prod(call.first.shape), np.int64))


OPS = {
    "Concat": concat,
    "DepthToSpace": depth_to_space,
    "Expand": expand,
    "Flatten": flatten,
    "Gather": gather,
    "Pad": pad,
    "Reshape": reshape,
    "Shape": shape_of,
    "Size": size_of,
    "Slice": cut,
    "SpaceToDepth": space_to_depth,
    "Split": split,
    "Squeeze": squeeze,
    "Tile": lambda call: call.emit("aten.tile.default", call.first, call.ints("repeats", position=1)),
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
