"""The flags that name a data set, the same for every command that takes one."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from loce_jax.checks import InputError
from loce_jax.data import KINDS
from loce_jax.data.opening import guess_kind
from loce_jax.data.samples import Dataset
from loce_jax.data.selection import DataOptions
from loce_jax.pipeline.resuming.data_location import reopen
from loce_jax.pipeline.sources import Source
from loce_jax.store import Run

ONE_DATA_SET = (
    "give one data set: `--coco ANNOTATIONS.json --images FOLDER`, `--scenes`, or `--data KIND PATH` with KIND one of "
    f"{', '.join(sorted(KINDS))}."
)


@dataclass(frozen=True)
class DataPath:
    """The data set and its location."""

    data: tuple[str, ...] = ()
    """Kind of the data set and its path, such as `voc VOCdevkit/VOC2012`; the documentation lists the kinds."""
    coco: str | None = None
    """COCO annotation file (JSON); short for `--data coco FILE`."""
    scenes: bool = False
    """The built-in scenes; short for `--data scenes`."""
    images: str | None = None
    """Folder of the images; found from the path if left out."""
    labels: str | None = None
    """Folder of the label maps or masks; found from the path if left out."""
    classes: str | None = None
    """Class table: a CSV, JSON or text file, or the name of a built-in table."""
    split: str | None = None
    """Split of the data set, such as `val`; all if left out."""

    def named(self) -> tuple[str, dict[str, str]]:
        """The kind, empty if no data set is named, and what its opening function takes; `InputError` for several."""
        given = [*([self.data] if self.data else []), *([("coco", self.coco)] if self.coco else [])]
        given += [("scenes",)] if self.scenes else []
        if len(given) > 1:
            raise InputError(f"{ONE_DATA_SET} Got {' and '.join(map(' '.join, given))}.")
        kind, *path = given[0] if given else ("",)
        if len(path) > 1:
            raise InputError(f"`data` must be a kind and one path, but got {' '.join(self.data)!r}.")
        if kind and not path and kind not in KINDS:
            kind, path = guess_kind(kind), [kind]
        parts = {"images": self.images, "labels": self.labels, "classes": self.classes, "split": self.split}
        parts = {"path": path[0] if path else None, **parts}
        return kind, {name: value for name, value in parts.items() if value}


@dataclass(frozen=True)
class DataLocation(DataPath):
    """The data set and its location."""

    concepts: tuple[str, ...] = ()
    """Names of the concepts; all if left out."""

    def source(self, options: DataOptions = DataOptions()) -> Source:  # noqa: B008 - frozen
        """The data set that the flags name; `InputError` where they name none, or two."""
        kind, given = self.named()
        if not kind:
            raise InputError(ONE_DATA_SET)
        return Source(kind, {**given, "concepts": self.concepts} if self.concepts else given, options)


@dataclass(frozen=True)
class RunData(DataPath):
    """The data set of the run, if it has moved, or if the run does not say where it is."""

    def open(self, run: Run, options: DataOptions = DataOptions()) -> Dataset:  # noqa: B008 - frozen
        """The run's data set; `InputError` where it cannot be found, or is another one."""
        kind, given = self.named()
        return reopen(run, given, kind=kind, options=options)


DataFlags = Annotated[DataLocation, tyro.conf.OmitArgPrefixes]
DataOptionFlags = Annotated[DataOptions, tyro.conf.arg(name="data")]
RunDataFlags = Annotated[RunData, tyro.conf.OmitArgPrefixes]
