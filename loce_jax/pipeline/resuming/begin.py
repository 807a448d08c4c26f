"""What is left of a run when it is begun or continued: after its files, its photos and its failed rows were checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loce_jax.pipeline.plan import Plan
from loce_jax.pipeline.reading import SampleReader
from loce_jax.pipeline.resuming.data_location import location_record
from loce_jax.pipeline.resuming.photo_digests import changed_files, changed_pixels, refuse_changed
from loce_jax.pipeline.resuming.retrying import came_back, failed_images
from loce_jax.store import RunWriter
from loce_jax.store.files import PARTS, WHOLE, part_record_file
from loce_jax.store.manifest import Survey, has_whole


@dataclass(frozen=True)
class Remaining:
    """What is left to do.

    Attributes:
        names: of all chunks that are wanted.
        left: of those that must be computed.
        made_with: by name, the SHA-256 of the statistics that each finished chunk was solved with.
    """

    names: Sequence[str]
    left: Sequence[str]
    made_with: Mapping[str, str]

    def chunks(self, statistics: str = "") -> list[str]:
        """Those to compute; also those that were solved with other `statistics`."""
        stale = {name for name, digest in self.made_with.items() if digest != statistics}
        return [name for name in self.names if name in stale or name in self.left]


def begin(
    plan: Plan,
    writer: RunWriter,
    names: Sequence[str],
    *,
    retry_failed: bool = True,
    verify: bool = False,
    repair: bool = False,
) -> Remaining:
    """Check what is there, try failed rows again, and discard what must be made anew.

    Args:
        plan: the work.
        writer: of the run.
        names: of the chunks that are wanted.
        retry_failed: whether photos that could not be read are tried again.
        verify: whether all content of the run is compared with what was written; else the records are, and the lengths
            of the files that they name.
        repair: whether what is damaged is made anew, after all content was compared, instead of an error.

    Raises:
        InputError: files are damaged, or photos have changed since they were read.
    """
    if verify and not repair:
        writer.verify()
    found = writer.survey(names, repair=repair)
    photos = {image: photo for record in found.chunks.values() for image, photo in record["photos"].items()}
    refuse_changed(changed_files(plan.dataset, photos))
    discarded, redone = _damaged_records(writer, found) if repair else [], set()
    if retry_failed:
        failed = {chunk: failed_images(record) for chunk, record in found.chunks.items()}
        lacking = {part: set(record["failed"]) for part, record in found.parts.items()}
        every = set().union(*failed.values(), *lacking.values())
        back = came_back(SampleReader.for_plan(plan), plan.dataset.items, every)
        redone = {chunk for chunk, images in failed.items() if images & back}
        parts = [part_record_file(part) for part, images in lacking.items() if images & back]
        discarded += [*parts, WHOLE] if parts else []
    left = [name for name in names if name not in found.chunks or name in redone]
    if left or discarded:
        refuse_changed(changed_pixels(plan.dataset, photos))
    writer.discard(discarded)
    writer.note_source(location_record(plan.dataset, writer.storage))
    return Remaining(names, left, {name: record["statistics"] for name, record in found.chunks.items()})


def _damaged_records(writer: RunWriter, found: Survey) -> list[str]:
    """Records of damaged statistics; without them they are computed anew."""
    there = {name.removesuffix(".json") for name in writer.storage.names(PARTS) if name.endswith(".json")}
    whole = [WHOLE] if found.whole is None and has_whole(writer.storage) else []
    return [part_record_file(part) for part in sorted(there - found.parts.keys())] + whole
