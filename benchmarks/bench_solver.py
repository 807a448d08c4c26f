"""Time `solve` against the reference's recipe in PyTorch.

``python benchmarks/bench_solver.py [--quick]`` prints one JSON line per shape and contender, then one per shape with
the ratios and the machine's own limit (limits.py).  Every contender gets the same samples and a process of its own:

    ours                  `solve`, the paper's recipe
    ours_4                the same, four concepts per image: the mask and its reflections
    half, half_4          the same on activations of 16 bits, float16
    ridge, ridge_4        `solve`, the ridge recipe, of the same
    rows, rows_4          the same on images that were whitened before: the time per concept
    whitening             the time per image: a product with a [c c] matrix, and the cells' inner products
    statistics            the first pass: mean and covariance of the images
    reference             every channel upsampled to 100 x 100 first, then autograd and torch's AdamW
    reference_tuned       the same, with glibc's malloc set to keep memory instead of returning it after every operation
    low_resolution        the algebra of loce_jax in PyTorch: sum the channels, then upsample the one map

`first_s` includes compilation, `runs_s` holds the calls after it; `final_loss` is the mean over the samples that
all contenders share, so that only equally good results are compared.
Letters: n samples, c channels, h x w grid cells.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from limits import limit, speeds
from machine import machine

TARGET = (100, 100)
BATCH = 64  # the reference's own batch
REFERENCE_BATCH = {  # its number of samples here: upsampled to 100 x 100, 64 take up to 17 GB and minutes
    (256, 25, 34): 8,
    (2048, 7, 7): 4,
    (1024, 14, 14): 8,
    (96, 56, 56): 32,  # fewer fit into malloc's own reserve, and do not show the cost of a batch of 64
}
KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40), "MALLOC_TOP_PAD_": str(256 << 20)}
OURS = ("ours", "ours_4", "half", "half_4", "ridge", "ridge_4", "rows", "rows_4", "whitening", "statistics")
RUNS = dict.fromkeys(OURS, 25) | {"reference": 2, "reference_tuned": 2, "low_resolution": 3}
STEPS, LEARNING_RATE = 50, 0.1

Shape = tuple[int, int, int]
Contender = Callable[[], np.ndarray]


def blob(center: np.ndarray, radii: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A soft ellipse, 1 inside and 0 outside, on a grid that covers the unit square."""
    y, x = ((np.arange(length) + 0.5) / length for length in size)
    distance = np.hypot((y[:, None] - center[0]) / radii[0], (x - center[1]) / radii[1])
    return np.clip((1 - distance) / 0.15 + 0.5, 0, 1).astype(np.float32)


def make_samples(shape: Shape, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Activations [n h w c] and masks [n 100 100]; the first samples are the same for every `n`."""
    c, *grid = shape
    activations, masks = np.empty((n, *grid, c), np.float32), np.empty((n, *TARGET), np.float32)
    direction = np.random.default_rng(0).normal(size=c).astype(np.float32)
    for i in range(n):
        rng = np.random.default_rng([1, i])
        ellipse = rng.uniform(0.3, 0.7, size=2), rng.uniform(0.15, 0.3, size=2)
        noise = rng.standard_normal((*grid, c), np.float32)
        activations[i] = np.maximum(noise, 0) + blob(*ellipse, (grid[0], grid[1]))[..., None] * np.maximum(direction, 0)
        masks[i] = blob(*ellipse, TARGET)
    return activations, masks


def ours(activations: np.ndarray, masks: np.ndarray) -> Contender:
    import jax  # noqa: PLC0415 - the contenders in PyTorch do without

    from loce_jax import PaperRecipe, solve  # noqa: PLC0415

    data = jax.device_put(activations), jax.device_put(masks)
    return lambda: np.asarray(jax.block_until_ready(solve(*data, PaperRecipe())).losses[..., -1])


def half(activations: np.ndarray, masks: np.ndarray) -> Contender:
    return ours(activations.astype(np.float16), masks)


def ridge(activations: np.ndarray, masks: np.ndarray) -> Contender:
    import jax  # noqa: PLC0415

    from loce_jax import RidgeRecipe, Statistics, solve  # noqa: PLC0415

    data, statistics = (jax.device_put(activations), jax.device_put(masks)), Statistics.of(activations)
    options = RidgeRecipe()
    return lambda: np.asarray(jax.block_until_ready(solve(*data, options, statistics=statistics)).losses[..., -1])


def four(contender: Callable[[np.ndarray, np.ndarray], Contender]) -> Callable[[np.ndarray, np.ndarray], Contender]:
    """The same for each mask and its reflections."""

    def make(activations, masks):
        reflected = np.stack([masks, masks[:, ::-1], masks[:, :, ::-1], masks[:, ::-1, ::-1]], axis=1)
        run = contender(activations, np.ascontiguousarray(reflected))
        return lambda: run()[:, 0]

    return make


def config_of(activations: np.ndarray):
    """The ridge recipe's configuration for these images, and its tolerance."""
    from loce_jax import RidgeRecipe, Statistics  # noqa: PLC0415
    from loce_jax.solver.ridge.objective import Config  # noqa: PLC0415

    options = RidgeRecipe()
    return Config.of(Statistics.of(activations), options), options.tolerance


def on_cores(work: Callable, count: int) -> list:
    """``work(i)`` for each i below `count`, one thread per core, as `solve_rows` does."""
    with ThreadPoolExecutor(os.cpu_count()) as cores:
        return list(cores.map(work, range(count)))


def rows(activations: np.ndarray, masks: np.ndarray) -> Contender:
    import jax  # noqa: PLC0415

    from loce_jax.solver.ridge.cpu_threads import prepare_image, solve_row  # noqa: PLC0415

    config, tolerance = config_of(activations)
    features = [prepare_image(cells, config) for cells in activations]
    concepts = masks if masks.ndim == 4 else masks[:, None]

    def solve_image(i):
        found = [solve_row(features[i], mask, config, tolerance).losses[-1] for mask in concepts[i]]
        return np.array(jax.block_until_ready(found))

    return lambda: np.stack(on_cores(solve_image, len(masks))).reshape(masks.shape[:-2])


def whitening(activations: np.ndarray, masks: np.ndarray) -> Contender:
    import jax  # noqa: PLC0415

    from loce_jax.solver.ridge.cpu_threads import prepare_image  # noqa: PLC0415

    config, _ = config_of(activations)

    def run():
        on_cores(lambda i: jax.block_until_ready(prepare_image(activations[i], config)), len(activations))
        return np.zeros(len(masks))

    return run


def statistics(activations: np.ndarray, masks: np.ndarray) -> Contender:
    import jax  # noqa: PLC0415

    from loce_jax import Statistics  # noqa: PLC0415

    data = jax.device_put(activations)

    def run():
        Statistics.of(data)
        return np.zeros(len(masks))

    return run


MAKERS = {
    "ours": ours,
    "ours_4": four(ours),
    "half": half,
    "half_4": four(half),
    "ridge": ridge,
    "ridge_4": four(ridge),
    "rows": rows,
    "rows_4": four(rows),
    "whitening": whitening,
    "statistics": statistics,
}


def in_torch(activations: np.ndarray, masks: np.ndarray, *, upsample_first: bool) -> Contender:
    """The recipe as published, from its description (Mikriukov et al., IJCV 2025); the two orders of its one sum."""
    import torch  # noqa: PLC0415 - optional
    from torch.nn.functional import interpolate  # noqa: PLC0415

    acts = torch.from_numpy(activations).permute(0, 3, 1, 2).contiguous()
    target = torch.from_numpy(masks)
    n, c = acts.shape[:2]
    weight = (target <= 0).float().mean(dim=(1, 2), keepdim=True)

    def upsample(maps):
        return interpolate(maps, size=TARGET, mode="bilinear", align_corners=False)

    def matvec_large(large, vectors):
        return (large * vectors[:, :, None, None]).sum(dim=1)

    def matvec_small(small, vectors):
        return upsample(torch.einsum("nchw,nc->nhw", small, vectors)[:, None])[:, 0]

    def run():
        maps, matvec = (upsample(acts), matvec_large) if upsample_first else (acts, matvec_small)
        vectors = torch.nn.Parameter(torch.zeros(n, c))
        optimizer = torch.optim.AdamW([vectors], lr=LEARNING_RATE)
        losses = torch.zeros(n)
        for _ in range(STEPS):
            p = torch.sigmoid(matvec(maps, vectors))
            losses = -(weight * target * p + (1 - weight) * (1 - target) * (1 - p)).sum(dim=(1, 2))
            optimizer.zero_grad()
            (losses / n).mean().backward()
            optimizer.step()
        return losses.detach().numpy()

    return run


def measure(contender: str, shape: Shape, n: int, common: int, runs: int) -> dict:
    """Time one contender, in this process."""
    samples = make_samples(shape, n)
    if contender in OURS:
        run = MAKERS[contender](*samples)
    else:
        run = in_torch(*samples, upsample_first=contender != "low_resolution")

    def seconds():
        start = time.perf_counter()
        losses = run()
        return time.perf_counter() - start, float(losses[:common].mean())

    first, loss = seconds()
    times = [seconds()[0] for _ in range(runs)]
    median = float(np.median(times))
    return {
        "shape": "x".join(map(str, shape)),
        "contender": contender,
        "n": n,
        "first_s": round(first, 4),
        "median_s": round(median, 4),
        "runs_s": [round(t, 4) for t in times],
        "ms_per_loce": round(1000 * median / n / (4 if contender.endswith("_4") else 1), 3),
        "final_loss": loss,
        "loss_over": common,
    }


def compare(shape: Shape, quick: bool, measured: dict[str, float]) -> Iterator[dict]:
    """Every contender in a process of its own: malloc reads its settings at the start only."""
    reference_batch = 2 if quick else REFERENCE_BATCH[shape]
    found = {}
    for contender, runs in RUNS.items():
        if contender not in OURS and not importlib.util.find_spec("torch"):
            continue
        n = reference_batch if contender.startswith("reference") else 4 if quick else BATCH
        job = {"contender": contender, "shape": shape, "n": n, "common": reference_batch, "runs": 1 if quick else runs}
        settings = KEEP_MEMORY if contender == "reference_tuned" else {}
        command = [sys.executable, __file__, "--job", json.dumps(job)]
        done = subprocess.run(command, env=os.environ | settings, stdout=subprocess.PIPE, check=True, text=True)
        found[contender] = json.loads(done.stdout)
        yield found[contender] | machine()
    ms = {name: row["ms_per_loce"] for name, row in found.items()}
    mine, four_ms = ms["ours"], ms["ours_4"]
    yield {
        "shape": found["ours"]["shape"],
        "ours_ms": mine,
        **{f"over_{name}": round(ms[name] / mine, 2) for name in ms if name not in OURS},
        "ours_4_ms": four_ms,
        "four_concepts_gain": round(mine / four_ms, 2),
        "half_ms": ms["half"],
        "half_4_ms": ms["half_4"],
        **{f"half_over_{name}": round(ms[name] / ms["half"], 2) for name in ms if name not in OURS},
        "ridge_ms": ms["ridge"],
        "ridge_4_ms": ms["ridge_4"],
        "whitening_ms": ms["whitening"],
        "statistics_ms": ms["statistics"],
        "rows_ms": ms["rows"],
        "rows_4_ms": ms["rows_4"],
        "rows_over_ours": round(ms["rows"] / mine, 2),
        "rows_4_over_ours_4": round(ms["rows_4"] / four_ms, 2),
        **limit(shape, measured),
        "limit_over_ours": round(float(limit(shape, measured)["limit_ms"]) / mine, 3),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one shape, few samples and one run, as a test")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.job:
        job = json.loads(flags.job)
        print(json.dumps(measure(**job | {"shape": tuple(job["shape"])})))
        return
    measured = speeds()
    print(json.dumps({name: round(value, 1) for name, value in measured.items()} | machine()), flush=True)
    for shape in list(REFERENCE_BATCH)[-1:] if flags.quick else REFERENCE_BATCH:
        for line in compare(shape, flags.quick, measured):
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
