"""ONNX operations that slide a window over a map: convolutions and pooling.

ATen pads both ends of an axis alike; where ONNX does not, the map is padded beforehand.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from loce_jax.models.converter.onnx.recording import Call
from loce_jax.models.converter.onnx.shapes import padded

Sizes = tuple[int, ...]
LARGEST = 4096  # more cells than any network's window, stride or padding has


@dataclass(frozen=True)
class Window:
    """How a window slides along each axis of a map.

    Attributes:
        sizes: of the map.
        kernel, stride, dilation: for each axis.
        before, after: padding.
        ceil: whether a last window may reach beyond the padding, if it starts before it.
    """

    sizes: Sizes
    kernel: Sizes
    stride: Sizes
    dilation: Sizes
    before: Sizes
    after: Sizes
    ceil: bool

    @property
    def even(self) -> bool:
        """Whether both ends of every axis are padded alike."""
        return self.before == self.after

    def axes(self) -> list[tuple[int, ...]]:
        """For each axis: its size, how far a window reaches, stride, padding before and after."""
        reach = [d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True)]
        return list(zip(self.sizes, reach, self.stride, self.before, self.after, strict=True))

    def counts(self) -> Sizes:
        """How many windows there are along each axis."""
        counts = []
        for size, reach, stride, before, after in self.axes():
            span = size + before + after - reach
            count = (-(-span // stride) if self.ceil else span // stride) + 1
            late = self.ceil and (count - 1) * stride >= size + before
            counts.append(count - late)
        return tuple(counts)

    def pads(self) -> list[tuple[int, int]]:
        """The padding along each axis, with what the last window needs."""
        ends = zip(self.axes(), self.counts(), strict=True)
        return [
            (before, max(after, (count - 1) * stride + reach - size - before))
            for (size, reach, stride, before, after), count in ends
        ]

    def shares(self, counts_padding: bool) -> np.ndarray:
        """Reciprocal of each window's number of cells, without those beyond the map, with padding if requested."""
        shares = np.ones((1,) * len(self.sizes))
        for axis, ((size, reach, stride, before, after), count) in enumerate(
            zip(self.axes(), self.counts(), strict=True)
        ):
            starts = np.arange(count) * stride - before
            low, high = (-before, size + after) if counts_padding else (0, size)
            cells = np.minimum(starts + reach, high) - np.maximum(starts, low)
            shares = shares / cells.reshape(-1, *(1,) * (len(self.sizes) - 1 - axis))
        return shares.astype(np.float32)


def window(call: Call, kernel: Sizes) -> Window:
    """The node's window over its first input ``[b c ...]``."""
    sizes = call.first.shape[2:]
    stride, dilation = (call.ints(name, [1] * len(kernel)) for name in ("strides", "dilations"))
    pads = call.ints("pads", [0] * 2 * len(kernel))
    before, after = pads[: len(kernel)], pads[len(kernel) :]
    auto = call.setting("auto_pad", "NOTSET")
    if auto == "VALID":
        before = after = (0,) * len(kernel)
    found = Window(sizes, kernel, stride, dilation, before, after, bool(call.setting("ceil_mode", 0)))
    if not len(sizes) == len(kernel) == len(stride) == len(dilation) == len(before) == len(after):
        raise call.error(f"its window does not fit a map of size {sizes}: {found}")
    if min(*kernel, *stride, *dilation) < 1 or min(*before, *after) < 0 or max(*kernel, *stride, *pads, 0) > LARGEST:
        raise call.error(f"its window must have sizes from 1 to {LARGEST}, and paddings from 0: {found}")
    if auto.startswith("SAME"):
        totals = [max((math.ceil(n / s) - 1) * s + reach - n, 0) for n, reach, s, *_ in found.axes()]
        before, after = halves(totals, larger_first=auto == "SAME_LOWER")
        found = Window(sizes, kernel, stride, dilation, before, after, ceil=False)
    return found


def halves(totals: list[int], *, larger_first: bool) -> tuple[Sizes, Sizes]:
    """Each number as the sum of two, as equal as can be."""
    smaller, larger = tuple(n // 2 for n in totals), tuple(n - n // 2 for n in totals)
    return (larger, smaller) if larger_first else (smaller, larger)


def convolve(call: Call) -> Any:
    """``[b c ...]`` by ``[o i k...]``."""
    weight = call.inputs[1]
    found, x = window(call, weight.shape[2:]), call.first
    before = found.before
    if not found.even:
        x, before = padded(call, x, found.pads()), (0,) * len(before)
    op, groups = f"aten.conv{len(before)}d.default", call.setting("group", 1)
    return call.emit(op, x, weight, call.input(2), found.stride, before, found.dilation, groups)


def convolve_transposed(call: Call) -> Any:
    """``[b c ...]`` by ``[c o k...]``."""
    weight = call.inputs[1]
    found = window(call, weight.shape[2:])
    extra = call.ints("output_padding", [0] * len(found.kernel))
    auto, wanted = call.setting("auto_pad", "NOTSET"), call.ints("output_shape")
    if auto.startswith("SAME") and wanted is None:
        wanted = tuple(n * s for n, s in zip(found.sizes, found.stride, strict=True))
    before, after = found.before, found.after
    if wanted is not None:
        full = [s * (n - 1) + reach for n, reach, s, *_ in found.axes()]
        totals = [max(n + e - w, 0) for n, e, w in zip(full, extra, wanted, strict=True)]
        before, after = halves(totals, larger_first=auto != "SAME_UPPER")
    even, none = before == after, (0,) * len(before)
    kind = "input" if len(before) > 1 else "default"
    op, groups = f"aten.conv_transpose{len(before)}d.{kind}", call.setting("group", 1)
    settings = (found.stride, before if even else none, extra, groups, found.dilation)
    y = call.emit(op, call.first, weight, call.input(2), *settings)
    return y if even else padded(call, y, [(-b, -a) for b, a in zip(before, after, strict=True)])


def max_pool(call: Call) -> Any:
    """Largest value of each window."""
    if call.outputs > 1:
        raise call.error("only its first output is known here")
    found, x = window(call, call.ints("kernel_shape")), call.first
    op, before, ceil = f"aten.max_pool{len(found.kernel)}d.default", found.before, found.ceil
    if not found.even:
        x, before, ceil = padded(call, x, found.pads(), -math.inf), (0,) * len(before), False
    return call.emit(op, x, found.kernel, found.stride, before, found.dilation, ceil)


def average_pool(call: Call) -> Any:
    """Mean of each window."""
    found, counts = window(call, call.ints("kernel_shape")), bool(call.setting("count_include_pad", 0))
    if set(found.dilation) != {1}:
        raise call.error("its window has gaps (dilations)")
    op, none = f"aten.avg_pool{len(found.kernel)}d.default", (0,) * len(found.kernel)
    if found.even:
        return call.emit(op, call.first, found.kernel, found.stride, found.before, found.ceil, counts)
    x = padded(call, call.first, found.pads())
    sums = call.emit(op, x, found.kernel, found.stride, none, False, True, 1)
    return call.emit("aten.mul.Tensor", sums, call.const("shares", found.shares(counts)))


OPS = {
    "AveragePool": average_pool,
    "Conv": convolve,
    "ConvTranspose": convolve_transposed,
    "MaxPool": max_pool,
}
