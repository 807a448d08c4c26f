"""`fit`: a run from Python, for any network and any data set."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from loce_jax.checks import check_arguments
from loce_jax.data.samples import Dataset
from loce_jax.models.base import Network
from loce_jax.pipeline.plan import make_plan
from loce_jax.pipeline.progress import Progress
from loce_jax.pipeline.resuming.retrying import MAX_FAILURES
from loce_jax.pipeline.run import RunOptions, run_plan
from loce_jax.recipes import PaperRecipe, Projection, Recipe
from loce_jax.store import Run


@check_arguments
def fit(  # noqa: PLR0913 - as many as `loce fit` has flags for them
    network: Network,
    dataset: Dataset,
    layers: Sequence[str],
    *,
    out: str | Path,
    recipe: Recipe = PaperRecipe(),  # noqa: B008 - frozen
    target: tuple[int, int] = (100, 100),
    iou: Literal["recipe"] | Projection = "recipe",
    strict: bool = False,
    memory: float | None = None,
    retry_failed: bool = True,
    max_failures: float = MAX_FAILURES,
    verify: bool = False,
    repair: bool = False,
    progress: Progress | None = None,
) -> Run:
    """Solve one LoCE for every (image, concept) of a data set at each layer, and store them: `loce fit` from Python.

    A call that was interrupted is continued by the same call.

    Args:
        network: see `loce_jax.load_network`, and `loce_jax.models.from_function` for your own.
        dataset: any object with ``items``, ``concepts``, ``fingerprint`` and ``read``; see
            `loce_jax.data.samples.Dataset`.
        layers: names of layers, as `Network.resolve` takes them: ``"stage3"``, ``"-1"`` or ``"blocks.*"``.
        out: a new folder, or one in which the same call was interrupted; or the URL of either, as text.
        recipe: `loce_jax.PaperRecipe` or `loce_jax.RidgeRecipe`.
        target: height and width of the grid that masks are resized to.
        iou: what the IoU with a mask at its own size is measured on; see `loce_jax.pipeline.plan.Plan`.
        strict: raise an error for the first image, mask or layer that cannot be used, instead of keeping it as a row
            with a status.
        memory: gigabytes (10**9 bytes) of main memory that the process may take; without it, images are worked on 32
            at a time.
        retry_failed: whether rows whose photo or mask could not be read in an earlier attempt are tried again.
        max_failures: share of the rows, 0 to 1, that may fail to be read; beyond it an error is raised at the end, and
            the run is kept.
        verify: compare all files of what is there with their checksums before the work, and refuse what is damaged;
            without it, the records are compared, and the lengths of all other files.
        repair: the same, but make anew exactly what is damaged.
        progress: called with the number of images done and of all images.

    Raises:
        InputError: an unknown layer, a data set or a folder that cannot be used, photos that have changed since the
            run was begun, no usable pair of image and concept.
        TooManyFailures: an `InputError`: more rows than `max_failures` could not be read.

    >>> import tempfile
    >>> import jax.numpy as jnp, numpy as np
    >>> from loce_jax import Preprocess
    >>> from loce_jax.data.samples import Item, Pair, Reading
    >>> from loce_jax.models import from_function
    >>> class Squares:
    ...     concepts, fingerprint = ("square",), "1"
    ...     items = tuple(Item(f"{i}.png", i, (32, 32), (Pair("square"),)) for i in range(3))
    ...     def read(self, item):
    ...         mask = np.zeros((32, 32), bool)
    ...         mask[8:24, 8 + item.image_id : 24] = True
    ...         return Reading(np.where(mask[..., None], 200, [40, 30, 20]).astype(np.uint8), (mask,))
    >>> def cells(params, images):
    ...     return {"cells": images.reshape(len(images), 8, 4, 8, 4, 3).mean((2, 4)) - params["mean"]}
    >>> network = from_function(cells, {"mean": jnp.float32(0.4)}, preprocess=Preprocess((32, 32)), name="cells")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = fit(network, Squares(), ["-1"], out=folder)
    ...     run.layers, run.vectors("cells").shape, bool(run.table["iou"].min() > 0.7)
    (('cells',), (3, 3), True)
    """
    plan = make_plan(network, layers, dataset, recipe, target=target, iou=iou)
    options = RunOptions(strict, memory, retry_failed, max_failures, verify, repair)
    return run_plan(plan, out, options, progress=progress)
