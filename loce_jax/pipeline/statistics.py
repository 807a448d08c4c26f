"""The first pass of a run whose recipe whitens: the statistics of every layer over the images that the run uses.

The images are divided into parts that the plan alone decides.  A part's statistics are one file of the run, and the
whole is the parts added in their order, so its bytes depend neither on who computed which part nor on interruptions.
Workers do not wait for each other: whoever finds a part missing computes it.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace

import jax
import numpy as np
from threadpoolctl import threadpool_limits

from loce_jax.activations import Extract
from loce_jax.batch_sizes import IMAGES_PER_FORWARD, MAX_PARTS
from loce_jax.data.samples import Fault
from loce_jax.image_energies import ImageEnergies
from loce_jax.pipeline.distributed.shards import Shard
from loce_jax.pipeline.measure_chunk import refuse_unread
from loce_jax.pipeline.memory import is_out_of_memory, out_of_memory
from loce_jax.pipeline.plan import Plan
from loce_jax.pipeline.progress import Progress, report_chunks
from loce_jax.pipeline.reading import PASSING, Read, ReadImage, Sample, SampleReader, read_in_threads, readable
from loce_jax.pipeline.resuming.photo_digests import refuse_changed
from loce_jax.statistics import Statistics
from loce_jax.store import statistics as files
from loce_jax.store.manifest import has_whole
from loce_jax.store.storage import Storage


@dataclass(frozen=True)
class FirstPass:
    """What the second pass takes of the first.

    Attributes:
        statistics: each layer's.
        digest: SHA-256 of their record, which chunks name.
        photos: by image, the digest of each photo that was counted.
    """

    statistics: Mapping[str, Statistics]
    digest: str
    photos: Mapping[str, str]


def parts_of(plan: Plan) -> dict[str, list[str]]:
    """The parts and their chunks, by name."""
    chunks = list(plan.chunks)
    count = min(len(chunks), MAX_PARTS)
    return {f"{number:02d}": chunks[number::count] for number in range(count)}


def compute_statistics(
    plan: Plan,
    storage: Storage,
    do: Callable[[Sequence[str]], Generator[str, None, None]],
    *,
    shard: Shard | None = None,
    progress: Progress | None = None,
) -> None:
    """Make sure that the statistics of all images are in the run: the shard's parts first, then any that are missing.

    Where all parts are there, and their sum, nothing is done.

    Args:
        plan: the work.
        storage: where the run is.
        do: what `compute_parts` does, of the parts that it is given the names of.
        shard: which parts to begin with, beside others in the same run.
        progress: called with the number of images whose part is done, by whomever, and of all images.
    """
    parts = parts_of(plan)
    if has_whole(storage) and not files.missing_parts(storage, parts):
        return
    mine, turn = (shard.select(list(parts)), shard.index) if shard else (list(parts), 0)
    while missing := files.missing_parts(storage, parts):
        # one of others' last: they do theirs in order
        names = [name for name in mine if name in missing] or [missing[-1 - turn % len(missing)]]
        left = [chunk for name in missing for chunk in parts[name]]
        report_chunks(plan, list(plan.chunks), left, do(names), progress)
    merge_parts(plan, storage)


def compute_parts(
    plan: Plan,
    storage: Storage,
    extract: Extract,
    names: Sequence[str],
    *,
    strict: bool = False,
    read: Read = read_in_threads,
) -> Generator[str, None, None]:
    """Compute and store the parts called `names`; yields the name of each of their chunks when it is counted.

    A part that is being computed when the caller stops asking for more is stored.

    Raises:
        InputError: `strict` found a fault.
    """
    parts = {name: parts_of(plan)[name] for name in names}
    chunks = plan.chunks
    wanted = {chunk: chunks[chunk] for mine in parts.values() for chunk in mine}
    ends = {mine[-1]: name for name, mine in parts.items()}
    with threadpool_limits(1, "blas"):  # sums in an order that does not depend on the number of cores
        found: dict[str, Statistics] = {}
        photos: dict[str, str] = {}
        failed: dict[str, str] = {}
        energies = dict.fromkeys(plan.layers, ImageEnergies())
        record, asked = plan.record(), True
        for chunk, read_images in read(SampleReader.for_plan(plan), wanted):
            if strict:
                refuse_unread(read_images)
            usable = [image for image in read_images if readable(image.samples)]
            photos |= {image.samples[0].item.image: image.photo[0] for image in usable if image.photo}
            failed |= dict(passing for image in read_images for passing in _passing(image.samples))
            found = _add(found, _count(plan, extract, usable, energies))
            if chunk in ends:
                sums = [found[layer] for layer in plan.layers]
                noted = files.PartImages(tuple(energies[layer] for layer in plan.layers), photos, failed)
                files.write_part(storage, record, ends[chunk], sums, noted)
                found, photos, failed, energies = {}, {}, {}, dict.fromkeys(plan.layers, ImageEnergies())
            if asked:
                try:
                    yield chunk
                except GeneratorExit:
                    asked = False
            if chunk in ends and not asked:
                return


def _passing(samples):
    """(image, status) of samples that may be readable another time."""
    faults = [(sample.item.image, sample.fault.status) for sample in samples if sample.fault]
    return [(image, status) for image, status in faults if status in PASSING]


def _count(
    plan: Plan, extract: Extract, images: Sequence[ReadImage], energies: dict[str, ImageEnergies]
) -> dict[str, Statistics]:
    """Each layer's statistics over `images`, in batches of one fixed size; they are added to `energies`."""
    size = IMAGES_PER_FORWARD * jax.local_device_count()
    found: dict[str, Statistics] = {}
    for start in range(0, max(len(images), 1), size):
        some = images[start : start + size]
        batch = np.zeros((size, *plan.network.preprocess.size, 3), np.uint8)
        batch[: len(some)] = [image.pixels for image in some]
        try:
            maps = {name: np.asarray(one)[: len(some)] for name, one in extract(batch).items()}
        except jax.errors.JaxRuntimeError as error:
            if is_out_of_memory(error):
                raise out_of_memory(f"{size} images on their way through the network", error) from error
            raise
        names = [image.samples[0].item.image for image in some]
        for layer in plan.layers:
            energies[layer] = energies[layer].merge(ImageEnergies.of(maps[layer], names))
        found = _add(found, {name: Statistics.of_part(maps[name]) for name in plan.layers})
    return found


def _add(found: Mapping[str, Statistics], more: Mapping[str, Statistics]) -> dict[str, Statistics]:
    """Both together; either may lack all layers."""
    return {layer: found[layer].merge(one) if layer in found else one for layer, one in (more or found).items()}


def merge_parts(plan: Plan, storage: Storage) -> None:
    """Add all parts in their order and store the whole.

    Raises:
        InputError: an image or a channel that leaves nothing of the others in a layer's statistics.
    """
    found: dict[str, Statistics] = {}
    energies = dict.fromkeys(plan.layers, ImageEnergies())
    record = plan.record()
    for part in parts_of(plan):
        sums = files.read_part(storage, record, part)
        found = _add(found, dict(zip(plan.layers, sums, strict=True)))
        noted = files.read_part_images(storage, record, part)
        for layer, more in zip(plan.layers, noted.energies, strict=True):
            energies[layer] = energies[layer].merge(more)
    for layer, one in found.items():
        energies[layer].check(f" at layer {layer!r}")
        if one.count:
            one.check(f" at layer {layer!r}")
    files.write_whole(storage, record, {layer: found[layer] for layer in plan.layers})


def read_first_pass(plan: Plan, storage: Storage) -> FirstPass:
    """What the first pass stored.

    A layer whose every pixel is non-finite is given statistics of zeros: all its rows will fail, whatever the
    coordinates.
    """
    record = plan.record()
    stored = [files.read_whole(storage, record, layer, index) for index, layer in enumerate(plan.layers)]
    photos: dict[str, str] = {}
    for part in parts_of(plan):
        photos |= files.read_part_images(storage, record, part).photos
    return FirstPass(
        {layer: replace(one, count=max(one.count, 1)) for layer, one in zip(plan.layers, stored, strict=True)},
        files.whole_digest(storage, record),
        photos,
    )


def hold_to_first_pass(first: FirstPass, images: Sequence[ReadImage]) -> list[ReadImage]:
    """The images of a chunk as the second pass may use them.

    A photo that the first pass could not read fails here too: it is not in the statistics.

    Raises:
        InputError: a photo is another one than in the first pass.
    """
    changed, held = [], []
    for image in images:
        name, counted = image.samples[0].item.image if image.samples else "", True
        if readable(image.samples) and image.photo:
            counted = name in first.photos
            if counted and first.photos[name] != image.photo[0]:
                changed.append(name)
        held.append(image if counted else _not_counted(image))
    refuse_changed(changed)
    return held


def _not_counted(image):
    reason = "the photo could not be read in the first pass, and could in the second. The same command tries it again."
    fault = Fault("image_missing", reason)
    samples = [sample if sample.fault else Sample(sample.item, sample.pair, fault) for sample in image.samples]
    return replace(image, samples=samples, photo=None)
