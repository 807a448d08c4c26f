"""Open a plan's items in other processes, by Grain (https://google-grain.readthedocs.io): the extra ``grain``.

Python runs one thread of a process at a time, except where libraries let go of its lock; an accelerator that is faster
than that waits for its photos.  What comes is the same, in the same order.
"""

import functools as ft
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from loce_jax.checks import InputError
from loce_jax.data.samples import Item
from loce_jax.pipeline.reading import Chunks, Read, ReadImage, SampleReader

MAX_PROCESSES = 256
READ_AHEAD = 32  # images that each process may be ahead, as many as a chunk has


def read_in_processes(count: int) -> Read:
    """A way to read with `count` processes, which start when reading does.

    Raises:
        InputError: `count` is below 1, or Grain is not installed.
    """
    if not 1 <= count <= MAX_PROCESSES:
        raise InputError(
            f"`readers` must be 1 to {MAX_PROCESSES} processes, each of which holds {READ_AHEAD} images, but got "
            f"{count}. Leave it out to read in threads."
        )
    if importlib.util.find_spec("grain") is None:
        raise InputError(
            '`readers` can be given where Grain is installed, but it is not. `pip install "loce_jax[grain]"` brings '
            "it; without `readers`, threads read."
        )
    return ft.partial(_read, count)


def _read(count: int, reader: SampleReader, chunks: Mapping[str, Sequence[Item]]) -> Chunks:
    images = _read_images(count, reader, list(chain.from_iterable(chunks.values())))
    for name, items in chunks.items():
        try:
            here = [next(images) for _ in items]
        except RuntimeError as error:
            why = str(error).partition("\n")[0]
            raise OSError(
                f"`readers` must stay alive, but one of these processes ended, perhaps for want of memory: {why} The "
                "same command continues the run; without `readers`, threads read."
            ) from error
        yield name, here


def _read_images(count: int, reader: SampleReader, items: Sequence[Item]) -> Iterator[ReadImage]:
    import grain  # noqa: PLC0415 - an extra
    from absl import flags  # noqa: PLC0415 - Grain's

    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["loce"])  # Grain reads flags of its own, which are at their defaults
    ways = grain.MultiprocessingOptions(num_workers=count, per_worker_buffer_size=READ_AHEAD)
    one_by_one = grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)
    return iter(grain.MapDataset.source(items).map(reader).to_iter_dataset(one_by_one).mp_prefetch(ways))
