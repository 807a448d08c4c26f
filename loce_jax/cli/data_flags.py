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


@dataclass(frozen=True)
class DataLocation:
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
    concepts: tuple[str, ...] = ()
    """Names of the concepts; all if left out."""

    def source(self, options: DataOptions = DataOptions()) -> Source:  # noqa: B008 - frozen
        """The data set that the flags name; `InputError` where they name none, or two."""
        named = [*([self.data] if self.data else []), *([("coco", self.coco)] if self.coco else [])]
        named += [("scenes",)] if self.scenes else []
        if len(named) != 1:
            raise InputError(
                "give one data set: `--coco ANNOTATIONS.json --images FOLDER`, `--scenes`, or `--data KIND PATH` with "
                f"KIND one of {', '.join(sorted(KINDS))}."
            )
        kind, *path = named[0]
        if len(path) > 1:
            raise InputError(f"`data` must be a kind and one path, but got {' '.join(named[0])!r}.")
        if not path and kind not in KINDS:
            kind, path = guess_kind(kind), [kind]
        given = {"images": self.images, "labels": self.labels, "classes": self.classes, "split": self.split}
        given = {"path": path[0] if path else None, **given, "concepts": self.concepts}
        return Source(kind, {name: value for name, value in given.items() if value}, options)


DataFlags = Annotated[DataLocation, tyro.conf.OmitArgPrefixes]
DataOptionFlags = Annotated[DataOptions, tyro.conf.arg(name="data")]


@dataclass(frozen=True)
class RunData:
    """The data set of the run, if it has moved."""

    data: tuple[str, ...] = ()
    """Kind of the run's data set and its path, if it has moved."""
    coco: str | None = None
    """COCO annotation file of the run, if it has moved; short for `--data coco FILE`."""
    images: str | None = None
    """Folder of the run's images, if it has moved."""
    labels: str | None = None
    """Folder of the run's label maps or masks, if it has moved."""
    classes: str | None = None
    """Class table of the run's data set, if it has moved."""

    def open(self, run: Run) -> Dataset:
        """The run's data set; `InputError` where it cannot be found, or is another one."""
        kind, *path = self.data or (("coco", self.coco) if self.coco else ("",))
        if len(path) > 1 or (self.data and self.coco):
            raise InputError("give the run's data once: `--coco FILE --images FOLDER`, or `--data KIND PATH`.")
        given = {"path": path[0] if path else None, "images": self.images}
        given |= {"labels": self.labels, "classes": self.classes}
        return reopen(run, {name: value for name, value in given.items() if value}, kind)


RunDataFlags = Annotated[RunData, tyro.conf.OmitArgPrefixes]
