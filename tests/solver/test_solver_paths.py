"""One recipe, three ways to compute it: compiled for a CPU's cores, by XLA on one device, and shared among devices."""

import os
import re
import subprocess
import sys
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from loce_jax import PaperRecipe, Statistics, solve
from loce_jax.recipes import RECIPES, RidgeRecipe
from loce_jax.solver.cpu import loss_and_grad
from loce_jax.solver.cpu import matvec as cells
from loce_jax.solver.cpu import solve as cpu
from loce_jax.solver.cpu.compiling import cached_njit, widens_half
from loce_jax.solver.cpu.loss_and_grad import sigmoid
from loce_jax.solver.cpu.resize_buffers import make_resize_buffers
from loce_jax.solver.cpu.simd import LANES, load, padded_length, store
from loce_jax.solver.cpu.solve import solve_on_cpu
from loce_jax.solver.gpu import dispatch as gpu
from loce_jax.solver.gpu.dispatch import agrees_with_xla, solve_by_kernel
from loce_jax.solver.losses import OBJECTIVES
from loce_jax.solver.ridge.objective import Config
from loce_jax.solver.solution import Status
from loce_jax.solver.xla import solve_by_xla
from tests.support.selection import further

GRIDS = {"odd": (5, 7, 13), "one cell": (1, 1, 3), "one row": (1, 6, 4), "finer than the target": (23, 30, 2)}


def samples(grid, *, n=3, k=2, target=(19, 21)):
    """Activations, hard-edged and soft masks, all of them real, and start vectors."""
    rng = np.random.default_rng(0)
    h, w, c = grid
    y, x = np.mgrid[: target[0], : target[1]]
    center, radius = rng.uniform(6, 12, (n, k, 2, 1, 1)), rng.uniform(3, 5, (n, k, 1, 1))
    masks = np.clip(radius - np.hypot(y - center[:, :, 0], x - center[:, :, 1]) + 0.5, 0, 1).astype("float32")
    start = rng.normal(size=(n, k, c)).astype("float32") * 0.1
    return rng.normal(size=(n, h, w, c)).astype("float32"), masks, np.ones((n, k), bool), start


@pytest.mark.parametrize(
    ("objective", "grid"),
    [
        pytest.param(objective, grid, id=f"{objective}-{name}", marks=[] if quick else pytest.mark.slow)
        for objective in OBJECTIVES
        for name, grid in GRIDS.items()
        for quick in [name == ("odd" if objective == "bce" else "one cell")]
    ],
)
def test_compiled_code_is_the_twin_of_xlas(objective, grid):
    """Ten steps: afterwards the L1 penalty flips signs on rounding, see test_solve."""
    options = PaperRecipe(objective, num_steps=10, penalty="sample")
    given = samples(grid)
    one, other = solve_on_cpu(given, options), solve_by_xla(tuple(map(jnp.asarray, given)), options)
    np.testing.assert_array_equal(one.status, other.status)
    for name, tolerance in (("vectors", 1e-4), ("losses", 1e-5), ("responses", 1e-4)):  # float32, ten steps of AdamW
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(one.iou, other.iou, atol=2 / (19 * 21))  # a pixel on the threshold


@pytest.mark.slow
def test_fifty_steps_of_the_paper_agree():
    given = samples((12, 9, 64))
    one, other = (f(given, PaperRecipe()) for f in (solve_on_cpu, solve_by_xla))
    np.testing.assert_allclose(one.vectors, other.vectors, rtol=1e-3, atol=2e-4)
    np.testing.assert_allclose(one.losses, other.losses, rtol=1e-5)


@pytest.mark.parametrize("objective", list(OBJECTIVES))
def test_slopes_are_the_values_derivatives(objective):
    value, derivative = OBJECTIVES[objective][:2]
    p, target = np.random.default_rng(0).random((2, 50), dtype=np.float32)
    by_jax = jax.vmap(jax.grad(value), (0, 0, None))(p, target, np.float32(0.3))
    np.testing.assert_allclose(derivative(p, target, np.float32(0.3)), by_jax, rtol=1e-5, atol=1e-6)


@cached_njit
def fill_with_sigmoids(x, out):
    for i in range(0, x.size, LANES):
        store(out, i, sigmoid(load(x, i)))


def sigmoids(x):
    padded, out = np.zeros((2, padded_length(x.size)), np.float32)
    padded[: x.size] = x
    fill_with_sigmoids(padded, out)
    return out[: x.size]


@pytest.mark.slow
def test_code_read_from_disk_gives_the_same_bits_as_code_compiled_now(tmp_path):
    """Two processes and an empty cache: the first compiles, the second reads what the first has stored."""
    code = """
import hashlib
import numpy as np
from loce_jax import solve
from loce_jax.solver.cpu import kernel
rng = np.random.default_rng(0)
found = solve(rng.normal(size=(2, 13, 9, 37)).astype("float32"), rng.random((2, 50, 60), dtype=np.float32))
hits = sum(kernel.solve_images.stats.cache_hits.values())
print(hits, hashlib.sha256(np.asarray(found.vectors).tobytes() + np.asarray(found.iou).tobytes()).hexdigest())
"""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", code]
    runs = [subprocess.run(command, env=environment, capture_output=True, text=True, check=True) for _ in range(2)]
    (compiled, first), (read, second) = (run.stdout.split() for run in runs)
    assert (compiled, read) == ("0", "1")
    assert first == second


def test_sigmoid_is_exact_to_rounding_and_keeps_nan():
    x = np.concatenate([np.linspace(-87, 87, 20001), [-1e30, 1e30, -np.inf, np.inf]]).astype("float32")
    most = 126 * np.log(2)  # where 2**power ends in float32
    expected = 1 / (1 + np.exp(-x.astype("float64").clip(-most, most)))
    # four roundings of 6e-8, and up to 87 * 6e-8 where a large x is multiplied by log2(e)
    np.testing.assert_allclose(sigmoids(x), expected, rtol=1e-5)
    near = np.abs(x) < 1
    np.testing.assert_allclose(sigmoids(x[near]), expected[near], rtol=3e-7)
    assert np.isnan(sigmoids(np.array([np.nan], np.float32))).all()
    assert sigmoids(np.zeros(1, np.float32)) == 0.5


@pytest.mark.parametrize(("n_in", "n_out"), [(1, 4), (2, 4), (7, 100), (100, 100), (130, 100), (1000, 9)])
def test_buffers_resize_both_axes_and_know_which_rows_lie_where(n_in, n_out):
    values = np.random.default_rng(0).random(n_in + 1).astype("float32")
    buffers = make_resize_buffers((n_in, n_in), (n_out, n_out))
    position = np.clip((np.arange(n_out) + 0.5) * n_in / n_out - 0.5, 0, n_in - 1)
    expected = np.interp(position, np.arange(n_in), values[:n_in])
    first, near, far = buffers.rows
    np.testing.assert_allclose(near * values[first] + far * values[first + 1], expected, rtol=1e-6)
    np.testing.assert_array_equal(np.repeat(np.arange(n_in), np.diff(buffers.row_starts)), first)
    np.testing.assert_allclose((values[:n_in] @ buffers.columns.matrix)[:n_out], expected, rtol=1e-6)
    np.testing.assert_array_equal(buffers.columns_transposed.matrix[:, :n_in], buffers.columns.matrix[:, :n_out].T)
    for matrix, begin, end in (buffers.columns, buffers.columns_transposed):
        for register, columns in enumerate(np.split(matrix, len(begin), axis=1)):
            assert not columns[: begin[register]].any()
            assert not columns[end[register] :].any()
    np.testing.assert_array_equal(buffers.column_mask, np.arange(padded_length(n_out)) < n_out)


def test_an_objective_that_is_not_compiled_is_solved_by_xla(monkeypatch):
    activations, masks, *_ = samples((3, 4, 5), n=1, k=1)
    expected = solve(activations, masks, PaperRecipe("mse", penalty="sample", num_steps=5)).vectors
    monkeypatch.setattr(loss_and_grad, "COMPILED_OBJECTIVES", ("bce",))
    found = solve(activations, masks, PaperRecipe("mse", penalty="sample", num_steps=5)).vectors
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_padding_costs_nothing_and_changes_nothing():
    activations, masks, valid, start = samples((5, 7, 13), n=2, k=3)
    valid[0, 1] = valid[1, 0] = False
    found = solve_on_cpu((activations, masks, valid, start), PaperRecipe())
    alone = solve_on_cpu((activations, masks[:, 2:], valid[:, 2:], start[:, 2:]), PaperRecipe())
    np.testing.assert_array_equal(found.vectors[:, 2:], alone.vectors)
    assert np.isnan(found.vectors[0, 1]).all()


def test_padding_lanes_need_no_epsilon():
    """There AdamW would divide 0 by 0."""
    activations, masks, valid, start = samples((3, 4, 5), n=1, k=1)
    given, options = (activations, masks, valid, start + 1), PaperRecipe(num_steps=3, epsilon=0.0)
    one, other = solve_on_cpu(given, options), solve_by_xla(tuple(map(jnp.asarray, given)), options)
    np.testing.assert_allclose(one.vectors, other.vectors, rtol=1e-4)
    assert np.isfinite(one.vectors).all()


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("grid", [(5, 7, 13), (2, 3, 32)])
def test_a_loce_does_not_depend_on_how_many_others_its_image_has(grid, k):
    """To the last bit, although two concepts share registers."""
    activations, masks, valid, start = samples(grid, n=2, k=5)
    whole_set = solve_on_cpu((activations, masks, valid, start), PaperRecipe(num_steps=5))
    part = solve_on_cpu((activations, masks[:, :k], valid[:, :k], start[:, :k]), PaperRecipe(num_steps=5))
    for name in ("vectors", "losses", "responses", "iou"):
        np.testing.assert_array_equal(getattr(part, name), getattr(whole_set, name)[:, :k])


def test_an_interrupted_run_ends_with_the_images_at_hand(monkeypatch):
    """The cores share one queue; when one fails, the queue is empty for the others."""
    queues = []

    def fail(queue, *_):
        queues.append(queue)
        raise KeyboardInterrupt

    monkeypatch.setattr(cpu, "solve_images", fail)
    with pytest.raises(KeyboardInterrupt):
        solve_on_cpu(samples((5, 7, 13), n=7), PaperRecipe())
    assert queues[0][1].tolist() == [7]


def test_no_samples_give_no_rows():
    empty = solve(np.zeros((0, 3, 4, 5), "float32"), np.zeros((0, 9, 9), "float32"))
    assert empty.vectors.shape == (0, 5)
    assert empty.status.shape == (0,)


@pytest.mark.slow
@pytest.mark.parametrize("processor", ["this", "one that cannot widen float16"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_cores_read_half_precision_and_count_in_single(dtype, processor, monkeypatch):
    """To the last bit, from the smallest number that float16 has to infinity and NaN."""
    monkeypatch.setattr(cells, "widens_half", lambda: processor == "this")
    activations, masks, valid, start = samples((5, 7, 37), n=5)
    activations[0, 0, 0, :3], activations[1, 0, 0, 0], activations[2, 3, 1, 2] = (6e-8, -6e-8, 0), np.inf, np.nan
    half = np.asarray(jnp.asarray(activations).astype(dtype))
    one, other = (solve_on_cpu((a, masks, valid, start), PaperRecipe()) for a in (half, half.astype("float32")))
    assert other.status[:, 0].tolist() == [Status.OK, Status.NONFINITE, Status.NONFINITE, Status.OK, Status.OK]
    for name in ("vectors", "losses", "responses", "iou", "status"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("dtype", ["bfloat16", *further("float16")])
def test_xla_widens_half_precision_exactly(dtype):
    if dtype == "float16" and not widens_half():
        pytest.skip("this processor cannot widen float16, and XLA then compiles nothing")
    activations, *rest = samples((5, 7, 13))
    half = jnp.asarray(activations).astype(dtype)
    one, other = (solve_by_xla((a, *rest), PaperRecipe()) for a in (half, half.astype("float32")))
    np.testing.assert_allclose(one.vectors, other.vectors, rtol=1e-4, atol=1e-4)  # sums in another order


@pytest.mark.slow
def test_the_gpu_kernel_gives_whole_solutions(caplog):
    """In Pallas's interpreter; vectors to the 1e-3 that the kernel promises."""
    activations, masks, valid, start = samples((5, 7, 16), n=2)
    valid[0, 1], masks[1, 0], activations[1, 0, 0, 0] = False, 0, 1
    given, options = (activations, masks, valid, start), PaperRecipe(num_steps=6)
    one, other = solve_by_kernel(given, options, interpret=True), solve_by_xla(given, options)
    assert other.status.tolist() == [[0, 4], [2, 0]]
    for name in ("vectors", "losses", "responses", "iou", "status"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-3, atol=1e-3)
    assert agrees_with_xla(given, options, interpret=True)
    assert not agrees_with_xla(given, options)  # there is no GPU here
    assert "The GPU kernel does not run here, XLA solves instead" in caplog.text


def test_a_kernel_that_disagrees_is_not_used(caplog, monkeypatch):
    given, options = samples((3, 4, 16), n=1, k=1), PaperRecipe(num_steps=2)
    wrong = solve_by_xla(given, options)
    monkeypatch.setattr(gpu, "solve_by_kernel", lambda *_, **__: replace(wrong, vectors=wrong.vectors * 1.01))
    assert not agrees_with_xla(given, options)
    assert "disagrees with XLA" in caplog.text


EIGHT_DEVICES = """
import sys
import jax
jax.config.update("jax_num_cpu_devices", 8)
import jax.numpy as jnp
import numpy as np
from loce_jax import Statistics, solve
from loce_jax.mesh import image_sharding
from loce_jax.recipes import RECIPES, RidgeRecipe
from loce_jax.solver import xla as devices
from loce_jax.solver.ridge.objective import Config
given = dict(np.load(sys.argv[1]))
options = RECIPES[sys.argv[3]]()
statistics = Statistics.of(given["activations"]) if options.needs_statistics else None
config = Config.of(statistics, options) if statistics else None
found = solve(given["activations"], given["masks"], options, statistics=statistics)
assert len(jax.devices()) == 8
eleven = [np.asarray(part) for part in (given["activations"], given["masks"], given["valid"], given["start"])]
eight = [part[:8] for part in eleven]
program = devices.sharded_solver(options).lower(config, *eight).compile()
shards = devices.sharded_solver(options)(config, *jax.device_put(eight, image_sharding())).vectors.addressable_shards
print(sorted({shard.data.shape[0] for shard in shards}), len({shard.device for shard in shards}), file=sys.stderr)
print(program.as_text())
np.savez(sys.argv[2], vectors=found.vectors, losses=found.losses, iou=found.iou)
"""


@pytest.mark.slow
@pytest.mark.parametrize("recipe", list(RECIPES))
def test_eight_devices_give_the_vectors_of_one_and_do_not_talk(tmp_path, recipe):
    """Eleven images, so that shares are padded; in a process of its own, since devices are counted at its start."""
    activations, masks, valid, start = samples((6, 5, 16), n=11)
    np.savez(tmp_path / "in.npz", activations=activations, masks=masks, valid=valid, start=start)
    command = [sys.executable, "-c", EIGHT_DEVICES, str(tmp_path / "in.npz"), str(tmp_path / "out.npz"), recipe]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "[1] 8"
    assert not re.findall(r"all-reduce|all-gather|all-to-all|collective|reduce-scatter", done.stdout)
    there = np.load(tmp_path / "out.npz")
    still = np.zeros_like(start)
    options = RECIPES[recipe]()
    config = Config.of(Statistics.of(activations), options) if isinstance(options, RidgeRecipe) else None
    here = solve_by_xla((activations, masks, valid, still), options, config)
    # one program for a share of two images, one for eleven: the same arithmetic, fused differently
    np.testing.assert_allclose(there["vectors"], here.vectors, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(there["losses"], here.losses, rtol=1e-5)
