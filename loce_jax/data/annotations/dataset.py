"""The data set of an annotation file: images below a folder, and for each a list of annotated objects.

A concept's mask in an image is the union of its annotations there; it is decoded when the image is read.
Shapes: H x W pixels of an image.
"""

from array import array
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool

from loce_jax.checks import InputError, check_known, counted, listed
from loce_jax.data.annotations.coco_file import CocoFile, unusable
from loce_jax.data.annotations.masks import WHERE, name_of_annotation, parts_without_area, union_mask
from loce_jax.data.images import read_photo
from loce_jax.data.samples import EmptyDataError, Fault, Item, Pair, Problem, Reading, check_mask, digest
from loce_jax.foreign_text import logger

log = logger(__name__)

Crowd = Literal["include", "exclude", "own"]
CROWDS = ("include", "exclude", "own")
OWN = "{} (crowd)"  # name of the concept that a category's crowds become


@dataclass(frozen=True, eq=False)
class AnnotationDataset:
    """A data set of annotations; build it with `loce_jax.data.open_coco` and the like.

    The attributes of a pair are ``instances``, the number of annotations in the mask, and ``crowd``, 1 if any of them
    stands for a crowd.

    Attributes:
        name: the annotation file's name without its ending.
        root: the folder of images.
        items: images with at least one requested concept, by path.
        concepts: names of the concepts that occur, by category id.
        fingerprint: sha256 of the items and their segmentations; the pixels of the images are not part of it.
        source: plain values that open the data set again.
        problems: what was left out: parts without an area, annotations of images that are not listed.
    """

    name: str
    root: Path
    items: tuple[Item, ...]
    concepts: tuple[str, ...]
    fingerprint: str
    source: dict[str, Any]
    problems: tuple[Problem, ...]
    _annotations: dict[int, dict] = field(repr=False)

    def read(self, item: Item) -> Reading:
        """Open one image and decode its masks; raises `Fault` where the image itself cannot be used."""
        photo = read_photo(self.root / item.image, item.size)
        return Reading(photo, self.masks(item))

    def files(self, item: Item) -> tuple[Path, ...]:
        """The files that `read` opens for an item."""
        return (self.root / item.image,)

    def masks(self, item: Item) -> tuple[Bool[np.ndarray, "H W"] | Fault, ...]:
        """The masks of one item, without opening its image."""
        return tuple(self._mask(item, pair) for pair in item.pairs)

    def annotations(self, pair: Pair) -> list[dict]:
        """The annotations of a pair, as in the file."""
        return [self._annotations[number] for number in pair.annotation_ids]

    def place_of(self, pair: Pair) -> str:
        """How messages call a pair's annotations: by their ids, or by where they were read."""
        annotations = self.annotations(pair)
        if any(WHERE in one for one in annotations):
            return ", ".join(map(name_of_annotation, annotations))
        return f"annotation {', '.join(str(one['id']) for one in annotations)}"

    def is_without_area(self, pair: Pair) -> bool:
        """Whether no annotation of a pair has an area; each of them is among the problems ``no_area``."""
        return all(_is_without_area(one, parts_without_area(one)) for one in self.annotations(pair))

    def _mask(self, item: Item, pair: Pair) -> Bool[np.ndarray, "H W"] | Fault:
        annotations = self.annotations(pair)
        try:
            mask = union_mask(annotations, item.size)
        except Fault as fault:
            return fault.with_traceback(None)
        if not mask.any() and self.is_without_area(pair) and any(one.get("bbox") for one in annotations):
            what = (
                "no polygon of 3 or more points"
                if any(one.get("segmentation") for one in annotations)
                else "only boxes"
            )
            return Fault(
                "mask_empty", f"{pair.concept} has {what} in {item.image}; the masks 'rectangle' are made of boxes."
            )
        return check_mask(mask, item, pair)


def assemble(
    file: CocoFile,
    root: Path,
    source: dict[str, Any],
    *,
    concepts: Sequence[str] = (),
    crowd: str = "include",
    problems: Sequence[Problem] = (),
) -> AnnotationDataset:
    """The data set of a checked annotation file.

    Args:
        file: its content.
        root: the folder of images.
        source: plain values that open the data set again.
        concepts: names of the categories wanted; all if left out.
        crowd: "include" counts annotations of crowds among the others, "exclude" leaves them out, "own" makes a
            concept of its own of a category's crowds, called ``NAME (crowd)``.
        problems: those met before.

    Raises:
        InputError: an unknown concept or crowd policy, no image with a requested concept.
    """
    check_known("crowd policy", [crowd], CROWDS)
    names = _concept_names(file, crowd)
    check_known("concept", concepts, list(names.values()))
    wanted = {key: name for key, name in names.items() if not concepts or name in concepts}
    groups, met = _group(file, wanted, crowd)
    items = tuple(
        Item(
            image=file.images[image_id][0],
            image_id=image_id,
            size=file.images[image_id][1],
            pairs=tuple(
                _pair(wanted[key], [file.annotations[number] for number in sorted(groups[image_id][key])])
                for key in wanted
                if key in groups[image_id]
            ),
        )
        for image_id in sorted(groups, key=lambda image_id: file.images[image_id][0])
    )
    if not items and not file.faulty:
        raise _nothing_left(file.path, [*wanted.values()], [*problems, *met])
    present = {pair.concept for item in items for pair in item.pairs}
    if missing := [name for name in wanted.values() if concepts and name not in present]:
        log.warning("%s: no image has an annotation of %s.", file.path, ", ".join(missing))
    if skipped := [problem for problem in met if problem.status == "no_area"]:
        log.warning("%s: left out %s of annotations without an area.", file.path, counted(len(skipped), "part"))
    used = {number: file.annotations[number] for item in items for pair in item.pairs for number in pair.annotation_ids}
    return AnnotationDataset(
        name=file.path.stem,
        root=root,
        items=items,
        concepts=tuple(name for name in wanted.values() if name in present),
        fingerprint=digest(_rows(items, used)),
        source=source,
        problems=(*problems, *file.faulty, *met),
        _annotations=used,
    )


def _nothing_left(path: Path, wanted: Sequence[str], problems: Sequence[Problem]) -> EmptyDataError:
    missing = f"no image has an annotation of {listed(wanted) or 'any category'}"
    if not problems:
        return EmptyDataError(str(unusable(path, missing)))
    first = problems[0]
    return EmptyDataError(
        f"the data must hold an annotation that can be used, but in {str(path)!r} {missing}. "
        f"{counted(len(problems), 'problem')} met, first {first.annotation or first.file}: {first.reason}",
        problems,
    )


Key = tuple[int, bool]  # id of a category, and whether these are its crowds


def _concept_names(file: CocoFile, crowd: str) -> dict[Key, str]:
    names = {(number, False): name for number, name in sorted(file.categories.items())}
    if crowd == "own":
        crowded = {one["category_id"] for one in file.annotations.values() if one["iscrowd"] == 1}
        names |= {(number, True): OWN.format(file.categories[number]) for number in sorted(crowded)}
        if len(set(names.values())) < len(names):
            raise InputError(
                f"`crowd` can be 'own' where no category is called as another's crowd, but in {str(file.path)!r} one "
                "is. Choose 'include' or 'exclude'."
            )
    return names


def _group(file, wanted, crowd):
    """Annotation ids by image id and key, and the problems met; annotations without an area are kept if alone."""
    groups: dict[int, dict[Key, list[int]]] = defaultdict(lambda: defaultdict(list))
    problems = [
        Problem(str(file.path), f"annotation {number}", "", "image_not_listed", "its image is not in the file.")
        for number in file.lost
    ]
    empty: dict[int, dict[Key, list[int]]] = defaultdict(lambda: defaultdict(list))
    for number, annotation in file.annotations.items():
        key = annotation["category_id"], crowd == "own" and annotation["iscrowd"] == 1
        if key not in wanted or (crowd == "exclude" and annotation["iscrowd"] == 1):
            continue
        parts = parts_without_area(annotation)
        image = file.images[annotation["image_id"]][0]
        problems += [
            Problem(image, name_of_annotation(annotation), wanted[key], "no_area", f"it has {part}.") for part in parts
        ]
        (empty if _is_without_area(annotation, parts) else groups)[annotation["image_id"]][key].append(number)
    for image_id, keys in empty.items():
        for key, numbers in keys.items():
            if key not in groups[image_id]:
                groups[image_id][key] = numbers
    return groups, problems


def _is_without_area(annotation: dict, parts: list[str]) -> bool:
    """Whether the `parts` of an annotation that have no area are all of it."""
    segmentation = annotation.get("segmentation")
    return bool(parts) and not (isinstance(segmentation, list) and len(segmentation) > len(parts))


def _pair(concept: str, annotations: list[dict]) -> Pair:
    crowd = any(annotation["iscrowd"] == 1 for annotation in annotations)
    return Pair(
        concept,
        annotation_ids=tuple(annotation["id"] for annotation in annotations),
        attributes=(("instances", float(len(annotations))), ("crowd", float(crowd))),
    )


def _rows(items, annotations):
    for item in items:
        pairs = [(pair.concept, pair.annotation_ids, pair.attributes) for pair in item.pairs]
        yield item.image, item.image_id, item.size, pairs
        for pair in item.pairs:
            for number in pair.annotation_ids:
                yield _plain(annotations[number].get("segmentation"))


def _plain(segmentation: Any) -> Any:
    """What the fingerprint is made of: of polygons their numbers as bytes, which takes a tenth of the time of text."""
    if isinstance(segmentation, list):
        try:
            return b"".join(b"%d " % len(polygon) + array("d", polygon).tobytes() for polygon in segmentation)
        except (TypeError, OverflowError):  # no polygons, as will be said when they are read
            return segmentation
    return asdict(segmentation) if is_dataclass(segmentation) and not isinstance(segmentation, type) else segmentation
