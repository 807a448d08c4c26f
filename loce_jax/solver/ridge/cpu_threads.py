"""The ridge recipe on a CPU: a program for one row, called from one thread per core.

No row waits for others, and the same two programs serve any number of images and concepts; JAX releases Python's
global interpreter lock while they run.
Shapes: n images, k concepts per image, h x w grid cells of the layer, c channels, H x W the target's grid.
"""

import functools as ft
import os
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np

from loce_jax.solver.ridge.objective import Config, Features, image_features
from loce_jax.solver.ridge.row import RowSolver
from loce_jax.solver.rows import nans_allowed
from loce_jax.solver.solution import Convergence, Solution, Status
from loce_jax.solver.xla import Samples, resize_matrices


def solve_rows(samples: Samples, tolerance: float, config: Config) -> Solution:
    """Solve for every target that is real."""
    activations, targets, valid = (np.asarray(part) for part in samples[:3])
    (n, h, w, c), k = activations.shape, targets.shape[1]
    nothing = ft.partial(np.full, fill_value=np.nan, dtype=np.float32)
    convergence = Convergence(np.zeros((n, k), bool), np.zeros((n, k), np.int32), nothing((n, k)))
    found = Solution(
        nothing((n, k, c)),
        nothing((n, k, 1)),
        nothing((n, k, h, w)),
        nothing((n, k)),
        np.full((n, k), Status.PADDING, np.int8),
        nothing((n, k)),
        convergence,
    )

    def solve_image(image):
        with nans_allowed():  # in this thread, too
            features = prepare_image(activations[image], config)
            for j in np.flatnonzero(valid[image]):
                row = solve_row(features, targets[image, j], config, tolerance)
                for leaf, value in zip(jax.tree.leaves(found), jax.tree.leaves(row), strict=True):
                    leaf[image, j] = value

    counts = np.count_nonzero(valid, axis=1)
    longest_first = [image for image in np.argsort(-counts, kind="stable") if counts[image]]
    with ThreadPoolExecutor(min(max(n, 1), os.cpu_count() or 1)) as cores:
        for _ in cores.map(solve_image, longest_first):
            pass
    return jax.device_put(found)


@jax.jit
def prepare_image(cells, config: Config) -> Features:
    """What the concepts of an image share."""
    return image_features(config.whitening(cells))


@ft.partial(jax.jit, static_argnames="tolerance")
def solve_row(features: Features, target, config: Config, tolerance: float) -> Solution:
    """One concept of an image."""
    resize = resize_matrices(features.cells.shape[:2], target.shape)
    return RowSolver(config, resize, tolerance).solve(features, target, np.True_)
