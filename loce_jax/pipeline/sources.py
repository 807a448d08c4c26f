"""Data sets that can be opened by name: from flags, in another process, or again from a run's plan."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from loce_jax.checks import InputError
from loce_jax.data.opening import open_data
from loce_jax.data.samples import Dataset
from loce_jax.data.selection import DataOptions, options_from, select

NUMBERS = "count", "seed"  # among what functions that open data take; all else are texts


@dataclass(frozen=True)
class Source:
    """Where a data set is, and which part of it is wanted.

    Attributes:
        kind: one of `loce_jax.data.KINDS`, such as ``"coco"``.
        given: what the kind's function takes, by name, such as ``{"path": ..., "images": ...}``.
        options: the selection of its images and masks.
    """

    kind: str
    given: Mapping[str, Any] = field(default_factory=dict, hash=False)
    options: DataOptions = DataOptions()

    def open(self) -> Dataset:
        """Read and check it."""
        crowd = {"crowd": self.options.crowd} if self.options.crowd != "include" else {}
        return select(open_data(self.kind, {**self.given, **crowd}), self.options)


def coco_source(annotations: str, images: str, concepts: tuple[str, ...] = ()) -> Source:
    """A COCO annotation file and its images; all its concepts unless some are named."""
    given = {"path": annotations, "images": images}
    return Source("coco", given | {"concepts": concepts} if concepts else given)


def scenes_source(count: int = 160, seed: int = 0) -> Source:
    """The built-in scenes."""
    return Source("scenes", {"count": count, "seed": seed})


def source_from(record: Mapping[str, Any] | None) -> Source:
    """The source that a plan describes, as the data set's own ``source`` did.

    Raises:
        InputError: there is none, because the run's data set was given from Python; an unknown one.

    >>> source_from({"kind": "scenes", "count": 5, "seed": 0})
    Source(kind='scenes', given={'count': 5, 'seed': 0}, options=...)
    """
    if record is None:
        raise InputError(
            "`run` must name a data set that can be opened again, but its data set was given from Python. Pass it "
            "along there, as in `loce_jax.report.page.write_report(run, dataset, out)`."
        )
    fields: dict[str, Any] = {n: tuple(value) if isinstance(value, list) else value for n, value in record.items()}
    kind, options = str(fields.pop("kind", "")), fields.pop("options", None)
    for name, value in fields.items():
        texts = value if isinstance(value, tuple) and name == "concepts" else (value,)
        if not all(type(text) is (int if name in NUMBERS else str) for text in texts):
            raise InputError(f"`plan` must say where its data are, but {name!r} cannot be {value!r}.")
    return Source(kind, fields, options_from(options))
