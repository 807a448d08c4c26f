"""Time the solver on a GPU, beside the limits of that GPU: ``python benchmarks/bench_gpu.py [--quick]``.

Needs jax, numpy and this package; where PyTorch with CUDA is there, it is timed too.  Prints one JSON line for the
limits, then one per shape, precision, number of LoCEs and contender:

    xla             `solve` as shipped
    resident        `solve_resident`, where `fits_on_chip` says that the samples in work stay on chip
    torch_compile   the same algebra in PyTorch, all samples' gradients compiled by torch.compile (not on a CPU)
    torch_vmap      one sample's gradient by torch.func.grad, mapped by torch.func.vmap

The limits are measured in the same run: bytes a second by a large copy (read and written bytes both count), fused
multiply-adds a second by a large matrix product in the activations' precision.  A LoCE of t steps must move
``t * h * w * c * itemsize`` bytes if each step reads the activations once, twice that if response and gradient each
read them, which is the minimum for a solver that does not keep them on chip: `hbm_two_reads` is the fraction of the
limit that follows, `hbm_one_read` of the stricter one.  Both exceed 1 where activations stay on chip.  `fma` counts
the two products with the activations, ``2 * t * h * w * c``.
`first_s` holds compilation, `runs_s` the calls after it; `final_loss` is the mean over the LoCEs, so that only equally
good results are compared.  Without a GPU there is only ``--quick``: it shows that every line runs, on few LoCEs, the
kernel interpreted, and its numbers say nothing about any GPU.
PyTorch multiplies bfloat16 activations by vectors rounded to bfloat16, and returns the response in bfloat16; loce_jax
computes in float32.
Letters: n samples, c channels, h x w grid cells, t steps.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from machine import machine

from loce_jax import PaperRecipe, solve
from loce_jax.solver.gpu.resident import chip_of, fits_on_chip, solve_resident

Shape = tuple[int, int, int]
Run = Callable[[], np.ndarray]

SHAPES: tuple[Shape, ...] = ((256, 25, 34), (2048, 7, 7), (1024, 14, 14), (768, 14, 14), (96, 56, 56))
TARGET = (100, 100)
OPTIONS = PaperRecipe()
CHUNK_BYTES = 4 * 2**30  # activations on the device at a time; a longer run solves the same chunk again
ON_GPU = jax.default_backend() == "gpu"


def make_samples(shape: Shape, n: int, dtype: str) -> tuple[jax.Array, jax.Array]:
    """Activations [n h w c] with a planted direction and masks [n 100 100], made on the device."""
    c, h, w = shape
    keys = jax.random.split(jax.random.key(0), 3)
    y, x = (jnp.linspace(0, 1, length) for length in TARGET)
    center = jax.random.uniform(keys[0], (2, n, 1, 1), minval=0.3, maxval=0.7)
    masks = jnp.clip((0.25 - jnp.hypot(y[:, None] - center[0], x - center[1])) / 0.04 + 0.5, 0, 1)
    planted = jnp.maximum(jax.random.normal(keys[1], (c,)), 0)
    seen = jax.image.resize(masks, (n, h, w), "linear")[..., None] * planted
    noise = jnp.maximum(jax.random.normal(keys[2], (n, h, w, c), dtype), 0)
    return (noise + seen).astype(dtype), masks


def xla(activations: jax.Array, masks: jax.Array) -> Run:
    return lambda: np.asarray(solve(activations, masks, OPTIONS).losses[:, -1])


def resident(activations: jax.Array, masks: jax.Array) -> Run:
    start = jnp.zeros((len(masks), 1, activations.shape[-1]))

    def run():
        _, losses = solve_resident(activations, masks[:, None], start, OPTIONS, interpret=not ON_GPU)
        return np.asarray(losses[:, 0, -1])

    return run


def in_torch(activations: jax.Array, masks: jax.Array, *, mapped: bool) -> Run:
    """Sum the channels, then upsample the one map; written from the recipe's description (LoCE, IJCV 2025)."""
    import torch  # noqa: PLC0415 - optional
    from torch.nn.functional import interpolate  # noqa: PLC0415

    device = "cuda" if ON_GPU else "cpu"
    # NumPy has no bfloat16; float32 holds every one
    acts = torch.from_numpy(np.array(activations, np.float32)).to(device, getattr(torch, str(activations.dtype)))
    target = torch.from_numpy(np.array(masks)).to(device)
    weights = (target <= 0).float().mean(dim=(1, 2))

    def losses_of(vectors, cells, goal, weight):
        response = torch.einsum("...hwc,...c->...hw", cells, vectors.to(cells.dtype)).float()
        p = torch.sigmoid(interpolate(response.reshape(-1, 1, *response.shape[-2:]), size=TARGET, mode="bilinear"))
        p, weight = p.reshape(goal.shape), weight[..., None, None]
        return -(weight * goal * p + (1 - weight) * (1 - goal) * (1 - p)).sum(dim=(-2, -1))

    def gradients_mapped(vectors):
        gradient, loss = torch.func.vmap(torch.func.grad_and_value(losses_of))(vectors, acts, target, weights)
        return gradient, loss

    def gradients_batched(vectors):
        vectors = vectors.detach().requires_grad_()
        loss = losses_of(vectors, acts, target, weights)
        return torch.autograd.grad(loss.sum(), vectors)[0], loss.detach()

    gradients = gradients_mapped if mapped else gradients_batched
    compiled = gradients if mapped or not ON_GPU else torch.compile(gradients)

    def run():
        vectors = torch.zeros(len(target), acts.shape[-1], device=device)
        first, second, loss = torch.zeros_like(vectors), torch.zeros_like(vectors), weights
        for t in range(1, OPTIONS.num_steps + 1):
            gradient, loss = compiled(vectors)
            first.lerp_(gradient, 0.1)
            second.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
            step = (first / (1 - 0.9**t)) / ((second / (1 - 0.999**t)).sqrt() + OPTIONS.epsilon)
            vectors = vectors * (1 - OPTIONS.learning_rate * OPTIONS.weight_decay) - OPTIONS.learning_rate * step
        return loss.cpu().numpy()

    return run


def contenders(shape: Shape, dtype: str) -> Iterator[tuple[str, Callable[[jax.Array, jax.Array], Run]]]:
    """Who can take part: name, and what makes a `Run` of samples."""
    c, h, w = shape
    yield "xla", xla
    if not ON_GPU or fits_on_chip(h, w, c, dtype, chip_of(jax.devices()[0]), TARGET):
        yield "resident", resident
    try:
        import torch  # noqa: PLC0415 - optional
    except ImportError:
        return
    if torch.cuda.is_available() or not ON_GPU:
        yield "torch_compile", lambda *samples: in_torch(*samples, mapped=False)
        yield "torch_vmap", lambda *samples: in_torch(*samples, mapped=True)


def seconds(run: Callable) -> tuple:
    start = time.perf_counter()
    result = jax.block_until_ready(run())
    return time.perf_counter() - start, result


def best(run: Callable) -> float:
    """A limit is what the device can do: the shortest of some calls, the first apart."""
    seconds(run)
    return min(seconds(run)[0] for _ in range(5))


def measure_limits() -> dict:
    """Bytes a second, and fused multiply-adds a second in each precision."""
    size, side = (2**30, 8192) if ON_GPU else (2**22, 256)
    values = jnp.ones(size, jnp.float32)
    copy = jax.jit(lambda a: a + 1)
    limits = {"bytes_per_s": 2 * values.nbytes / best(lambda: copy(values))}
    for dtype in ("float32", "bfloat16"):
        matrix = jnp.ones((side, side), dtype)
        product = jax.jit(lambda a: jnp.matmul(a, a, precision="highest"))
        limits[f"fma_per_s_{dtype}"] = side**3 / best(lambda product=product, matrix=matrix: product(matrix))
    return limits


def measure(make: Callable[[jax.Array, jax.Array], Run], shape: Shape, dtype: str, n: int, limits: dict) -> dict:
    """Time one contender; more LoCEs than fit are solved chunk by chunk."""
    work = shape[0] * shape[1] * shape[2]
    itemsize = jnp.dtype(dtype).itemsize
    chunks = 1
    while n // chunks * work * itemsize > CHUNK_BYTES:
        chunks *= 2
    chunk = make(*make_samples(shape, n // chunks, dtype))

    def run():
        return [chunk() for _ in range(chunks)][-1]

    first, losses = seconds(run)
    times = [seconds(run)[0] for _ in range(5 if ON_GPU else 1)]
    rate = n / float(np.median(times))
    return {
        "n": n,
        "chunks": chunks,
        "first_s": round(first, 4),
        "runs_s": [round(t, 5) for t in times],
        "loces_per_s": round(rate, 1),
        "hbm_two_reads": round(rate * 2 * OPTIONS.num_steps * work * itemsize / limits["bytes_per_s"], 4),
        "hbm_one_read": round(rate * OPTIONS.num_steps * work * itemsize / limits["bytes_per_s"], 4),
        "fma": round(rate * 2 * OPTIONS.num_steps * work / limits[f"fma_per_s_{dtype}"], 4),
        "final_loss": float(np.mean(losses)),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one small shape and few LoCEs, as a test")
    quick = parser.parse_args().quick
    if not (quick or ON_GPU):
        sys.exit(
            f"bench_gpu.py measures GPUs, but jax sees only {jax.devices()[0].device_kind!r}. "
            "Install jax[cuda13] on a machine with a GPU, or see with --quick that the script runs."
        )
    place = {"backend": jax.default_backend(), "device": jax.devices()[0].device_kind} | machine()
    limits = measure_limits()
    print(json.dumps(limits | place), flush=True)
    for shape in ((64, 7, 7),) if quick else SHAPES:
        for dtype in ("float32", "bfloat16"):
            for n in (2,) if quick else (1024, 8192):
                for name, make in contenders(shape, dtype):
                    row = {"shape": "x".join(map(str, shape)), "dtype": dtype, "contender": name}
                    print(json.dumps(row | measure(make, shape, dtype, n, limits) | place), flush=True)


if __name__ == "__main__":
    main()
