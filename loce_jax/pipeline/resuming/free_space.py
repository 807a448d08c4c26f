"""Whether the disk has room for what is left of a run, as far as the plan says it."""

import math
import shutil
from collections.abc import Sequence

from loce_jax.batch_sizes import MAX_PARTS
from loce_jax.checks import InputError
from loce_jax.pipeline.plan import Plan
from loce_jax.store.files import rows_file
from loce_jax.store.local_storage import LocalStorage
from loce_jax.store.storage import Storage

BYTES_PER_ROW, BYTES_PER_NUMBERS = 300, 32  # of a record's text; of IoU, loss, bias and the like at a layer


def bytes_needed(plan: Plan, names: Sequence[str]) -> int:
    """What the chunks called `names` take on disk, and the statistics of all images.

    Args:
        plan: the work.
        names: of chunks.
    """
    layers = plan.network.resolve(plan.layers)
    rows = sum(len(item.pairs) for name in names for item in plan.chunks[name])
    each = sum(4 * layer.channels + 2 * math.prod(layer.grid) + BYTES_PER_NUMBERS for layer in layers)
    squares = sum(8 * layer.channels**2 for layer in layers) if plan.recipe.needs_statistics else 0
    return rows * (BYTES_PER_ROW + each) + squares * (1 + min(len(plan.chunks), MAX_PARTS))


def check_space(plan: Plan, storage: Storage, names: Sequence[str]) -> None:
    """Raise `InputError` if the chunks called `names` that are not there do not fit the disk of a local run."""
    if not isinstance(storage, LocalStorage):
        return
    folder = storage.root.absolute()
    while not folder.exists():
        folder = folder.parent
    there = {name for name in names if (storage.root / rows_file(name)).exists()}
    needed = bytes_needed(plan, [name for name in names if name not in there])
    try:
        free = shutil.disk_usage(folder).free
    except OSError:  # a file system that does not say
        return
    if needed > free:
        raise InputError(
            f"`out` must lie on a disk with room for the run, about {needed / 1e9:.3g} gigabytes, but {str(folder)!r} "
            f"has {free / 1e9:.3g} free. Choose another folder, or fewer layers."
        )
