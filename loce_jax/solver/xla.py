"""The recipes for many samples by XLA: mapped over concepts and images, and sharded over the local devices.

Shapes: n images, k concepts per image, h x w grid cells of the layer, c channels, H x W the target's grid.
"""

import functools as ft

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from loce_jax.batch_sizes import IMAGES_PER_ITERATION
from loce_jax.mesh import image_sharding, shard_over_images
from loce_jax.recipes import Recipe, RidgeRecipe
from loce_jax.resampling import bilinear_matrix
from loce_jax.solver.paper.sample import Resize, solve_one
from loce_jax.solver.ridge.compaction import solve_compacted
from loce_jax.solver.ridge.objective import Config, image_features
from loce_jax.solver.ridge.row import RowSolver
from loce_jax.solver.solution import Solution

Samples = tuple[  # activations, targets, which of them are not padding, and start vectors, or one for all
    Float[Array | np.ndarray, "n h w c"],
    Float[Array | np.ndarray, "n k H W"],
    Bool[Array | np.ndarray, "n k"],
    Float[Array | np.ndarray, "*nk c"],
]


@ft.partial(jax.jit, static_argnames="recipe")
def solve_by_xla(samples: Samples, recipe: Recipe, config: Config | None = None) -> Solution:
    """All samples in one program on one device; only here is the function of one sample mapped over the batch."""
    if isinstance(recipe, RidgeRecipe):
        with jax.default_matmul_precision("highest"):  # on GPUs, TF32 would stop convergence at 1e-3
            return _solve_ridge(samples, recipe, config)
    activations, targets, valid, start = (jnp.asarray(part) for part in samples)
    n, k = targets.shape[:2]
    resize = resize_matrices(activations.shape[1:3], targets.shape[2:])
    one = ft.partial(solve_one, resize=resize, recipe=recipe)
    image = jax.vmap(one, in_axes=(None, 0, 0, 0), axis_name="concepts")
    mapped = activations, targets, valid, jnp.broadcast_to(start, (n, k, activations.shape[-1]))
    if recipe.couples_batch:
        return jax.vmap(image, axis_name="images")(*mapped)
    return jax.lax.map(lambda sample: image(*sample), mapped, batch_size=_images_per_iteration())


def _solve_ridge(samples, recipe, config):
    """`solve_by_xla` for the ridge recipe."""
    activations, targets, valid = (jnp.asarray(part) for part in samples[:3])
    solver = RowSolver(config, resize_matrices(activations.shape[1:3], targets.shape[2:]), recipe.tolerance)

    def solve_some(images):
        cells, *concepts = images
        return solve_compacted(solver, jax.vmap(lambda one: image_features(config.whitening(one)))(cells), *concepts)

    return map_in_batches(solve_some, (activations, targets, valid), _images_per_iteration())


def map_in_batches(function, arrays, size):
    """Apply `function` to batches of `size` rows of `arrays`, in a loop, then to the rows left; join the results.

    `jax.lax.map` maps a function of one row, but batched Newton with active-set compaction is a function of a batch.
    """
    n = len(jax.tree.leaves(arrays)[0])
    looped = n - n % size
    split = jax.tree.map(lambda array: array[:looped].reshape(-1, size, *array.shape[1:]), arrays)
    found = jax.tree.map(lambda leaf: leaf.reshape(looped, *leaf.shape[2:]), jax.lax.map(function, split))
    if looped == n:
        return found
    rest = function(jax.tree.map(lambda array: array[looped:], arrays))
    return jax.tree.map(lambda *parts: jnp.concatenate(parts), found, rest)


def resize_matrices(grid: tuple[int, ...], size: tuple[int, ...]) -> Resize:
    """The bilinear resize from `grid` to `size`, a matrix for each axis."""
    rows, columns = (bilinear_matrix(*lengths) for lengths in zip(grid, size, strict=True))
    return jnp.asarray(rows, jnp.float32), jnp.asarray(columns, jnp.float32)


def _images_per_iteration():
    """Images that one iteration of the loop solves; with 1, on a CPU, its activations stay in cache for all steps."""
    return 1 if jax.default_backend() == "cpu" else IMAGES_PER_ITERATION


def solve_on_all_devices(samples: Samples, recipe: Recipe, config: Config | None = None) -> Solution:
    """`solve_by_xla`, sharded over the images; the devices do not communicate.

    The last image is repeated until every device has equally many.
    """
    count = jax.local_device_count()
    if count == 1 or recipe.couples_batch:
        return solve_by_xla(samples, recipe, config)
    n, k = samples[1].shape[:2]
    index = np.minimum(np.arange(n + -n % count), n - 1)
    *parts, start = samples
    parts.append(np.broadcast_to(np.asarray(start), (n, k, start.shape[-1])))
    sharded = jax.device_put([part if len(index) == n else part[index] for part in parts], image_sharding())
    return jax.tree.map(lambda leaf: leaf[:n], sharded_solver(recipe)(config, *sharded))


@ft.cache
def sharded_solver(recipe: Recipe):
    """The program of all local devices, of a `Config` or None, and `Samples` whose images divide by the devices."""
    return shard_over_images(lambda config, *samples: solve_by_xla(samples, recipe, config), replicated=1)
