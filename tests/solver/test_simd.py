"""Arithmetic of several numbers at once, against NumPy, on this processor and as compiled for others."""

import os
import subprocess
import sys

import numpy as np
import pytest

from loce_jax import PaperRecipe, solve
from loce_jax.solver.cpu.compiling import cached_njit, has_feature
from loce_jax.solver.cpu.simd import (
    LANES,
    aligned_zeros,
    broadcast,
    clip,
    fma,
    load,
    padded_length,
    power_of_two,
    store,
    store_lane_sums,
    sum_lanes,
)

TWO = np.float32(2)


@cached_njit
def combine(a, b, out):
    one, other = load(a, 0), load(b, 0)
    store(out[0], 0, one + other)
    store(out[1], 0, one - other)
    store(out[2], 0, TWO * other)
    store(out[3], 0, one / other)
    store(out[4], 0, one > other)
    store(out[5], 0, one >= other)
    store(out[6], 0, one < TWO)
    store(out[7], 0, fma(one, other, TWO))
    store(out[8], 0, clip(one, -TWO, TWO))
    store(out[9], 0, broadcast(TWO))


@cached_njit
def sums(a, b, out):
    one, other = load(a, 0), load(b, 0)
    store_lane_sums(out, 1, (one, other, other - one, one))
    return sum_lanes(one)


@cached_njit
def widened(a, out):
    for i in range(0, a.size, LANES):
        store(out, i, load(a, i))


@cached_njit
def powers(a, out):
    store(out, 0, power_of_two(load(a, 0)))


def numbers():
    a, b = np.random.default_rng(0).normal(size=(2, LANES)).astype("float32")
    a[:4], b[:3] = (np.nan, np.inf, -np.inf, 0.5), (1, np.inf, np.nan)
    b[3] = a[3]
    return a, b


def test_operators_are_numpys():
    a, b = numbers()
    out = np.zeros((10, LANES), np.float32)
    combine(a, b, out)
    with np.errstate(invalid="ignore"):
        expected = [a + b, a - b, 2 * b, a / b, a > b, a >= b, a < 2, a + b * 2, np.clip(a, -2, 2), np.full(LANES, 2)]
    np.testing.assert_array_equal(out, np.array(expected, np.float32))  # a product by 2 is not rounded


def test_sums_are_of_all_lanes():
    a, b = (part[4:].repeat(2)[:LANES] for part in numbers())
    a, b = np.resize(a, LANES), np.resize(b, LANES)
    out = np.zeros(6, np.float32)
    total = sums(a, b, out)
    whole_sums = [part.astype("float64").sum() for part in (a, b, b - a, a)]
    np.testing.assert_allclose([total, *out], [whole_sums[0], 0, *whole_sums, 0], atol=1e-5)  # roundings of 6e-8


@pytest.mark.parametrize("dtype", [np.float16, "bfloat16"])
def test_sixteen_bits_are_read_exactly(dtype):
    """All of them: whole numbers are read as the bits of a float16, those without a sign as those of a bfloat16."""
    bits = np.arange(2**16, dtype=np.uint16)
    if dtype == "bfloat16":
        expected, given = (bits.astype(np.uint32) << 16).view(np.float32), bits
    else:
        if not has_feature("f16c"):
            pytest.skip("this processor cannot widen float16; the solver then does it before")
        expected, given = bits.view(np.float16).astype(np.float32), bits.view(np.int16)
    out = np.zeros(2**16, np.float32)
    widened(given, out)
    np.testing.assert_array_equal(out, expected)


def test_powers_of_two_come_from_the_lowest_bits():
    whole_numbers = np.resize(np.array([-126, -1, 0, 1, 127], np.int32), LANES)
    out = np.zeros(LANES, np.float32)
    powers((whole_numbers + 1000 * 2**9).view(np.float32), out)  # what lies above is shifted out
    np.testing.assert_array_equal(out, 2.0 ** whole_numbers.astype("float64"))


def test_buffers_begin_with_a_cache_line():
    assert [padded_length(count) for count in (0, 1, LANES, LANES + 1)] == [0, LANES, LANES, 2 * LANES]
    for size in (1, 17, 1000):
        buffer = aligned_zeros(3, size)
        assert (buffer.shape, buffer.ctypes.data % 64, buffer.any()) == ((3, size), 0, False)


ANYWHERE = """
import sys
import numpy as np
from loce_jax import PaperRecipe, solve
from loce_jax.solver.cpu.simd import LANES
given = np.load(sys.argv[1])
found = solve(given["activations"], given["masks"], PaperRecipe(num_steps=10))
np.savez(sys.argv[2], lanes=LANES, vectors=found.vectors, iou=found.iou)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("processor", "features"), [("haswell", "+avx,+avx2,+fma,+f16c"), ("x86-64", "+sse2")])
def test_other_processors_find_the_same(processor, features, tmp_path):
    """Eight lanes, in one register and in two; products and sums rounded together, and each by itself."""
    rng = np.random.default_rng(0)
    given = {"activations": rng.normal(size=(2, 5, 6, 24)).astype("float32"), "masks": rng.random((2, 3, 20, 20)) > 0.7}
    np.savez(tmp_path / "in.npz", **given)
    environment = os.environ | {"NUMBA_CPU_NAME": processor, "NUMBA_CPU_FEATURES": features}
    command = [sys.executable, "-c", ANYWHERE, str(tmp_path / "in.npz"), str(tmp_path / "out.npz")]
    subprocess.run(command, env=environment, check=True)
    there, here = (
        np.load(tmp_path / "out.npz"),
        solve(given["activations"], given["masks"], PaperRecipe(num_steps=10)),
    )
    assert there["lanes"] == 8
    np.testing.assert_allclose(there["vectors"], here.vectors, rtol=1e-4, atol=1e-5)  # sums in another order
    np.testing.assert_allclose(there["iou"], here.iou, atol=1 / 400)  # a pixel on the threshold
