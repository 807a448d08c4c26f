"""Data sets that can be opened by name: from flags, in another process, or again from a run's plan."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loce_jax.checks import InputError, check_known
from loce_jax.data.samples import Dataset


@dataclass(frozen=True)
class CocoSource:
    """A COCO annotation file and its images.

    Attributes:
        annotations: path of the JSON file.
        images: the image root.
        concepts: category names to use; empty for all.
    """

    annotations: str
    images: str
    concepts: tuple[str, ...] = ()

    def open(self) -> Dataset:
        """Read and check the annotations."""
        from loce_jax.data.coco import CocoDataset  # noqa: PLC0415 - pycocotools, only when needed

        return CocoDataset.open(self.annotations, self.images, list(self.concepts) or None)


@dataclass(frozen=True)
class ScenesSource:
    """The embedded scenes.

    Attributes:
        count: number of scenes.
        seed: of their composition.
    """

    count: int = 160
    seed: int = 0

    def open(self) -> Dataset:
        """Plan the scenes."""
        from loce_jax.data.scenes import Scenes  # noqa: PLC0415 - scikit-image, only when needed

        return Scenes(count=self.count, seed=self.seed)


SOURCES = {"coco": CocoSource, "scenes": ScenesSource}
Source = CocoSource | ScenesSource


def source_from(record: Mapping[str, Any] | None) -> Source:
    """The source that a plan describes, as the data set's own ``source`` did.

    Raises:
        InputError: there is none, because the run's data set was given from Python; an unknown one.

    >>> source_from({"kind": "scenes", "count": 5, "seed": 0})
    ScenesSource(count=5, seed=0)
    """
    if record is None:
        raise InputError(
            "`run` must name a data set that can be opened again, but its data set was given from Python. Pass it "
            "along there, as in `loce_jax.report.page.write_report(run, dataset, out)`."
        )
    fields = dict(record)
    kind = fields.pop("kind")
    check_known("kind of data", [kind], list(SOURCES))
    try:
        return SOURCES[kind](**{name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()})
    except TypeError as error:
        raise InputError(f"`plan` must describe its data, but {record!r} does not fit {kind!r}: {error}.") from error
