"""One concept's objective and its gradient on a CPU core, from the response on the layer's grid and back to it.

Between two rows of the column-resized response, the target's rows are interpolated, passed through the sigmoid and
compared, and their gradients added to both rows, all in registers.
Shapes: h x w grid cells of the layer, H x W the target's grid.
"""

import math

import numpy as np

from loce_jax.solver.cpu.compiling import inline_njit, set_zero
from loce_jax.solver.cpu.resize_buffers import multiply_band
from loce_jax.solver.cpu.simd import (
    HALF,
    LANES,
    ONE,
    ZERO,
    broadcast,
    clip,
    fma,
    inline_simd,
    load,
    power_of_two,
    store,
    sum_lanes,
)
from loce_jax.solver.losses import OBJECTIVES

# 2**f is its Taylor series for |f| <= 1/2: six terms are within 1.2e-7
SERIES = tuple(np.float32(math.log(2) ** power / math.factorial(power)) for power in range(7))
LOG2_E, HIGHEST_POWER = np.float32(1 / math.log(2)), np.float32(126)
ROUNDER = np.float32(1.5 * 2**23)  # adding it rounds a float32 to an integer, which its lowest bits then hold

COMPILED_OBJECTIVES = ("bce", "mse", "mae")  # those of `loss_and_grad`; XLA solves for others
BCE, MSE, MAE = range(len(COMPILED_OBJECTIVES))
(bce_value, bce_derivative), (mse_value, mse_derivative), (mae_value, mae_derivative) = (
    (inline_simd(OBJECTIVES[name].value), inline_simd(OBJECTIVES[name].derivative)) for name in COMPILED_OBJECTIVES
)


@inline_simd
def forward_backward(response, target, background, buffers, objective, out):
    """The objective of one concept's response; its gradient with respect to the response goes to `out`."""
    multiply_band(response, buffers.columns, buffers.resized)
    set_zero(buffers.resized_grad[:1])
    total = loss_and_grad(target, background, buffers, objective)
    multiply_band(buffers.resized_grad[: len(response)], buffers.columns_transposed, out)
    return total


@inline_simd
def loss_and_grad(target, background, buffers, objective):
    """The objective, summed over the target's pixels; its gradient goes to ``buffers.resized_grad``."""
    if objective == BCE:
        return loss_and_grad_of(bce_value, bce_derivative, target, background, buffers)
    if objective == MSE:
        return loss_and_grad_of(mse_value, mse_derivative, target, background, buffers)
    return loss_and_grad_of(mae_value, mae_derivative, target, background, buffers)


@inline_simd
def loss_and_grad_of(value, derivative, target, background, buffers):
    """`loss_and_grad` by one objective's functions."""
    total = broadcast(ZERO)
    for i in range(buffers.row_starts.size - 1):
        for x in range(0, target.shape[1], LANES):
            upper, lower = load(buffers.resized[i], x), load(buffers.resized[i + 1], x)
            column_mask, subtotal = load(buffers.column_mask, x), broadcast(ZERO)
            upper_grad, lower_grad = load(buffers.resized_grad[i], x), broadcast(ZERO)
            for y in range(buffers.row_starts[i], buffers.row_starts[i + 1]):
                near, far, goal = buffers.rows.near[y], buffers.rows.far[y], load(target[y], x)
                p = sigmoid(fma(far * lower, near, upper))
                subtotal = subtotal + value(p, goal, background)
                grad = derivative(p, goal, background) * (p * (ONE - p))
                upper_grad, lower_grad = fma(upper_grad, near, grad), fma(lower_grad, far, grad)
            store(buffers.resized_grad[i], x, upper_grad)
            store(buffers.resized_grad[i + 1], x, lower_grad)
            total = fma(total, column_mask, subtotal)
    return sum_lanes(total)


@inline_simd
def response_iou(response, target, buffers, threshold):
    """IoU of the projection, 1 from `threshold` on, and the target, 1 above one half."""
    multiply_band(response, buffers.columns, buffers.resized)
    intersection, union = broadcast(ZERO), broadcast(ZERO)
    for i in range(buffers.row_starts.size - 1):
        for x in range(0, target.shape[1], LANES):
            upper, lower = load(buffers.resized[i], x), load(buffers.resized[i + 1], x)
            column_mask = load(buffers.column_mask, x)
            for y in range(buffers.row_starts[i], buffers.row_starts[i + 1]):
                p = sigmoid(fma(buffers.rows.far[y] * lower, buffers.rows.near[y], upper))
                predicted, foreground = p >= threshold, load(target[y], x) > HALF
                overlap = predicted * foreground * column_mask
                intersection = intersection + overlap
                union = union + (predicted + foreground) * column_mask - overlap
    return sum_lanes(intersection) / max(sum_lanes(union), ONE)


@inline_simd
def sigmoid(x):
    """``1 / (1 + exp(-x))``, relative error 3e-7 near 0 and below 1e-5 anywhere; a NaN stays one."""
    power = clip(x * -LOG2_E, -HIGHEST_POWER, HIGHEST_POWER)
    rounded = power + ROUNDER
    f = power - (rounded - ROUNDER)
    _, a, b, c, d, e, g = SERIES
    series = fma(c, f, fma(d, f, fma(e, f, g)))
    series = fma(ONE, f, fma(a, f, fma(b, f, series)))
    return ONE / fma(ONE, power_of_two(rounded), series)


@inline_njit
def copy_target(target, out, extremes):
    """Copy a target, its lowest and highest number to `extremes`; returns the share of its pixels that are 0."""
    count, lowest, highest = 0, target[0, 0], target[0, 0]
    for y in range(target.shape[0]):
        for x in range(target.shape[1]):
            out[y, x] = target[y, x]
            count += target[y, x] <= ZERO
            lowest, highest = min(lowest, target[y, x]), max(highest, target[y, x])
    extremes[0], extremes[1] = lowest, highest
    return np.float32(count) / np.float32(target.size)
