"""Lower bounds of the time per LoCE on this machine: bytes and operations by arithmetic, speeds by measurement.

``python benchmarks/limits.py`` prints the machine's speeds and each shape's limit; `bench_solver.py` uses both, and
LIMITS.md explains them.  Speeds are those of all cores together, the best of several tries.
Letters: c channels, h x w grid cells, H x W the target's grid.
"""

import json
import math
import os
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from machine import machine
from numba import njit

TARGET, STEPS = (100, 100), 50
SHAPES = ((256, 25, 34), (2048, 7, 7), (1024, 14, 14), (96, 56, 56))
CACHES = {"L2": 2**18, "L3": 2**22, "memory": 2**28}  # bytes that one core copies; as many again that it copies to
L2_BYTES = 2**20  # of one core; activations beyond it come from L3 in every step
SIGMOID = 20  # operations of an exponential and a division, see `loce_jax.solver.cpu.loss_and_grad.sigmoid`


@njit(nogil=True)
def copy(source, out, times):
    for _ in range(times):
        for i in range(source.size):
            out[i] = source[i]


def best(work, tries: int = 7) -> float:
    """Seconds of the fastest of several calls."""
    times = []
    for _ in range(tries):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return min(times)


def copy_speed(size: int) -> float:
    """Bytes read and written a second by all cores, each with `size` bytes of its own."""
    cores = os.cpu_count() or 1
    arrays = [(np.ones(size // 4, np.float32), np.zeros(size // 4, np.float32)) for _ in range(cores)]
    times = max(1, 2**28 // size)
    copy(*arrays[0], 1)
    with ThreadPoolExecutor(cores) as pool:
        seconds = best(lambda: list(pool.map(lambda pair: copy(pair[0], pair[1], times), arrays)))
    return 2 * size * times * cores / seconds


def multiply_speed(side: int = 2048) -> float:
    """Operations a second, two a fused multiply-add, of a product of large float32 matrices."""
    a = np.random.default_rng(0).random((side, side), dtype=np.float32)
    return 2 * side**3 / best(lambda: a @ a)


def speeds() -> dict[str, float]:
    return {f"{cache}_gb_s": copy_speed(size) / 1e9 for cache, size in CACHES.items()} | {
        "gflop_s": multiply_speed() / 1e9
    }


def cost(shape: tuple[int, int, int]) -> dict[str, float]:
    """Bytes and operations of one LoCE: activations read once per step, used twice; resizing; the sigmoid."""
    c, h, w = shape
    H, W = TARGET
    resize = 2 * 4 * (h * W + H * W)  # with its transpose: two products and two sums per number
    return {"bytes": STEPS * 4 * math.prod(shape), "operations": STEPS * (4 * c * h * w + resize + SIGMOID * H * W)}


def limit(shape: tuple[int, int, int], measured: dict[str, float]) -> dict[str, float | str]:
    """Lower bound of the milliseconds per LoCE on this machine, and its parts by bytes and by operations."""
    needs = cost(shape)
    cache = "L2" if 4 * math.prod(shape) <= L2_BYTES else "L3"
    by_bytes = needs["bytes"] / (1e6 * measured[f"{cache}_gb_s"])
    by_operations = needs["operations"] / (1e6 * measured["gflop_s"])
    parts = {"bytes_ms": by_bytes, "operations_ms": by_operations, "limit_ms": max(by_bytes, by_operations)}
    return {name: round(value, 3) for name, value in parts.items()} | {"from": cache}


def main():
    measured = speeds()
    print(json.dumps({name: round(value, 1) for name, value in measured.items()} | machine()))
    for shape in SHAPES:
        print(json.dumps({"shape": "x".join(map(str, shape))} | cost(shape) | limit(shape, measured)))


if __name__ == "__main__":
    main()
