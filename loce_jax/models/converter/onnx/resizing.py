"""ONNX's Resize and Upsample: along each axis a choice of cells (nearest), or a small constant matrix ``[new old]``."""

import string
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from loce_jax.models.converter.onnx.recording import Call


@dataclass(frozen=True)
class Axis:
    """One axis on its way from `old` to `new` cells; `scale` is about new / old."""

    old: int
    new: int
    scale: np.float32


def _half_pixel(axis: Axis, at: np.ndarray) -> np.ndarray:
    return (at + np.float32(0.5)) / axis.scale - np.float32(0.5)


def _pytorch_half_pixel(axis: Axis, at: np.ndarray) -> np.ndarray:
    return _half_pixel(axis, at) if axis.new > 1 else np.zeros_like(at)


def _half_pixel_symmetric(axis: Axis, at: np.ndarray) -> np.ndarray:
    lost = 1 - axis.new / (axis.scale * axis.old)
    return (_half_pixel(axis, at) + axis.old / 2 * lost).astype(np.float32)


def _align_corners(axis: Axis, at: np.ndarray) -> np.ndarray:
    return at * np.float32(axis.old - 1) / np.float32(axis.new - 1) if axis.new > 1 else np.zeros_like(at)


COORDINATES: dict[str, Callable[[Axis, np.ndarray], np.ndarray]] = {  # where a new cell lies among the old ones
    "half_pixel": _half_pixel,
    "pytorch_half_pixel": _pytorch_half_pixel,
    "half_pixel_symmetric": _half_pixel_symmetric,
    "align_corners": _align_corners,
    "asymmetric": lambda axis, at: at / axis.scale,
    "tf_half_pixel_for_nn": lambda axis, at: (at + np.float32(0.5)) / axis.scale,
}
ROUNDINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "round_prefer_floor": lambda positions: np.ceil(positions - np.float32(0.5)),
    "round_prefer_ceil": lambda positions: np.floor(positions + np.float32(0.5)),
    "floor": np.floor,
    "ceil": np.ceil,
}


def resize(call: Call) -> Any:
    """The input with its axes resampled."""
    mode = call.setting("mode", "nearest")
    x = call.first
    for axis, one in _axes(call).items():
        positions = _positions(call, one)
        if mode == "nearest":
            x = _choose(call, x, axis, _rounded(call, one, positions))
        else:
            x = _mix(call, x, axis, _matrix(call, one, positions, mode))
    return x


def _axes(call: Call) -> dict[int, Axis]:
    """The axes that change, and how."""
    shape = call.first.shape
    if call.setting("antialias", 0):
        raise call.error("it requires antialiasing")
    axes = [axis % len(shape) for axis in call.ints("axes", range(len(shape)))]
    scales = call.setting("scales", position=1 if call.version < 11 else 2)
    if scales:
        sizes = [int(np.float32(shape[axis]) * np.float32(scale)) for axis, scale in zip(axes, scales, strict=True)]
    else:
        sizes = call.ints("sizes", position=3)
        if sizes is None:
            raise call.error("it has neither scales nor sizes")
        scales = [size / shape[axis] for axis, size in zip(axes, sizes, strict=True)]
        policy = call.setting("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            scales = [min(scales) if policy == "not_larger" else max(scales)] * len(axes)
            sizes = [int(np.floor(shape[axis] * scale + 0.5)) for axis, scale in zip(axes, scales, strict=True)]
    found = {a: Axis(shape[a], n, np.float32(scale)) for a, n, scale in zip(axes, sizes, scales, strict=True)}
    if any(axis.new < 1 or axis.scale <= 0 for axis in found.values()):
        raise call.error(f"the sizes {sizes} must be at least 1")
    return {a: axis for a, axis in found.items() if axis.new != axis.old or axis.scale != 1}


def _positions(call: Call, axis: Axis) -> np.ndarray:
    default = "asymmetric" if call.version < 11 else "half_pixel"
    mode = call.setting("coordinate_transformation_mode", default)
    if mode not in COORDINATES:
        raise call.error(f"the coordinates {mode!r} are unknown here")
    return COORDINATES[mode](axis, np.arange(axis.new, dtype=np.float32)).astype(np.float32)


def _rounded(call: Call, axis: Axis, positions: np.ndarray) -> np.ndarray:
    """The old cell for each new one.  Resize 10 says nothing of rounding; onnxruntime rounds up where it shrinks."""
    if call.version < 11:
        default = "ceil" if call.op == "Resize" and axis.scale < 1 else "floor"
    else:
        default = "round_prefer_floor"
    rounded = ROUNDINGS[call.setting("nearest_mode", default)](positions)
    return np.clip(rounded, 0, axis.old - 1).astype(np.int32)


def _choose(call: Call, x: Any, axis: int, cells: np.ndarray) -> Any:
    times = len(cells) // x.shape[axis]
    if np.array_equal(cells, np.repeat(np.arange(x.shape[axis]), times)):
        return x if times == 1 else call.emit("aten.repeat_interleave.self_int", x, times, axis)
    return call.emit("aten.index_select.default", x, axis, call.const(f"cells{axis}", cells))


def _matrix(call: Call, axis: Axis, positions: np.ndarray, mode: str) -> np.ndarray:
    """Each new cell's share of the old ones ``[new old]``; beyond the edge lies the edge's value, or nothing."""
    sharpness = call.setting("cubic_coeff_a", -0.75)
    taps, first, matrix = (2, 1)[mode == "linear"], np.floor(positions), np.zeros((axis.new, axis.old))
    for tap in range(1 - taps, taps + 1):
        cells, away = (first + tap).astype(int), np.abs(positions - (first + tap))
        share = np.maximum(1 - away, 0) if mode == "linear" else _cubic_kernel(away, sharpness)
        if call.setting("exclude_outside", 0):
            share = np.where((cells >= 0) & (cells < axis.old), share, 0)
        np.add.at(matrix, (np.arange(axis.new), np.clip(cells, 0, axis.old - 1)), share)
    return (matrix / matrix.sum(1, keepdims=True)).astype(np.float32)


def _cubic_kernel(away: np.ndarray, a: float) -> np.ndarray:
    """The cubic convolution kernel of Keys, "Cubic convolution interpolation", 1981, up to distance 2."""
    near = ((a + 2) * away - (a + 3)) * away**2 + 1
    far = ((a * away - 5 * a) * away + 8 * a) * away - 4 * a
    return np.where(away <= 1, near, far)


def _mix(call: Call, x: Any, axis: int, matrix: np.ndarray) -> Any:
    letters = string.ascii_lowercase[: len(x.shape)]
    equation = f"{letters},z{letters[axis]}->{letters.replace(letters[axis], 'z')}"
    return call.emit("aten.einsum.default", equation, (x, call.const(f"shares{axis}", matrix)))


OPS = {"Resize": resize, "Upsample": resize}
