"""PASCAL VOC's segmentation, straight from its folders: class and object maps, void left out."""

import os
import re
from collections.abc import Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from loce_jax.checks import check_arguments, check_exists, check_known
from loce_jax.data.files import read_bytes
from loce_jax.data.label_maps.class_table import read_class_table
from loce_jax.data.label_maps.codes import LabelFile
from loce_jax.data.label_maps.dataset import Codes, Entry, LabelMapDataset, PhotoFile, read_label_maps
from loce_jax.data.label_maps.pairing import pair_files
from loce_jax.data.samples import Fault, Problem, source_record, unreadable_file

VOID = 255
COLORED = (
    "VOC's maps hold numbers, in a palette or gray. Take the original PNGs, or open the folders as `labels` with a "
    "class table that has colors."
)
CLASSES, OBJECTS = "SegmentationClass", "SegmentationObject"
SPLITS = "Main", "Segmentation"  # folders of lists; of two lists of one name the last one's counts
MARKED = re.compile(r"^(.*\S)\s+([-+]?[01])$")  # a line of a class's list
ABSENT = "-1"


@dataclass(frozen=True)
class ObjectCodes:
    """The class map of one object: called, it reads both maps, and gives 0 outside the object."""

    classes: LabelFile
    objects: LabelFile
    number: int

    @property
    def files(self) -> tuple[Path, ...]:
        """The two files."""
        return self.classes.path, self.objects.path

    def __call__(self) -> Codes:
        """Read it; raises `Fault`."""
        classes, objects = _read_both(self.classes, self.objects)
        return np.where(objects == self.number, _class_of(classes, objects, self.number), 0).astype(np.uint8)


@check_arguments
def open_voc(
    path: str | Path, *, labels: str = CLASSES, split: str | None = None, concepts: Sequence[str] = ()
) -> LabelMapDataset:
    """Open the segmentation part of a PASCAL VOC tree, such as ``VOCdevkit/VOC2012``.

    A mask holds the pixels of one class, or of one object; those marked void (255), the outlines, are in no mask.

    Args:
        path: the folder that holds ``JPEGImages``, ``SegmentationClass`` and ``ImageSets``.
        labels: ``SegmentationClass``: a mask is all of a class in an image; ``SegmentationObject``: each object is an
            item of its own, called ``IMAGE#NUMBER``.
        split: name of a list below ``ImageSets/Segmentation``, such as ``train``, ``val`` or ``trainval``, or below
            ``ImageSets/Main``, such as ``cat_val``, of which images without a class map are left out; all images with a
            class map if left out.  The first column of a list names images; where there is a second one, as in the
            lists of a class, -1 means that the image does not show the class, and such are left out, 1 that it does,
            and 0 that it shows only objects marked as difficult, which are kept.  The list chooses images, not masks:
            `concepts` names the classes.
        concepts: names of the classes wanted; all 20 if left out.

    Raises:
        InputError: the folders are not there, or hold no pair of image and class map; an unknown split or class.

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("JPEGImages", "SegmentationClass"):
    ...         Path(folder, name).mkdir()
    ...     Image.new("RGB", (8, 6)).save(Path(folder, "JPEGImages", "a.jpg"))
    ...     Image.fromarray(7 * np.eye(6, 8, dtype=np.uint8)).save(Path(folder, "SegmentationClass", "a.png"))
    ...     open_voc(folder).concepts
    ('car',)
    """
    root = check_exists("path", path, kind="folder", fix="Give the folder that holds JPEGImages, such as VOC2012.")
    labels = Path(labels).name  # of a path that was noted as it is in the file system
    check_known("labels", [labels], [CLASSES, OBJECTS])
    for folder in {"JPEGImages", CLASSES, labels}:
        check_exists("path", root / folder, kind="folder", fix=f"A VOC tree holds JPEGImages and {labels}.")
    pairs, alone = pair_files(root / "JPEGImages", root / CLASSES)
    alone = [problem for problem in alone if problem.status != "no_label"]  # most images have boxes only
    if split:
        have = {Path(image).stem for image, _ in pairs}
        chosen, all_have_maps = _read_split(root, split, have)
        pairs = [(image, label) for image, label in pairs if Path(image).stem in chosen]
        alone = [
            Problem(stem, "", "", "image_missing", f"it is in {split}.txt, but has no image or no class map.")
            for stem in sorted(chosen - have if all_have_maps else ())
        ]
    photos = [PhotoFile(root / "JPEGImages" / image) for image, _ in pairs]
    maps = [LabelFile(root / CLASSES / label, colored=COLORED) for _, label in pairs]
    entries = [Entry(image, photo, codes) for (image, _), photo, codes in zip(pairs, photos, maps, strict=True)]
    if labels == OBJECTS:
        objects = [LabelFile(root / OBJECTS / label, colored=COLORED) for _, label in pairs]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            split_up = list(pool.map(_split_objects, entries, maps, objects))
        entries, alone = (
            [one for found, _ in split_up for one in found],
            alone + [p for _, met in split_up for p in met],
        )
    given = {"labels": labels if labels != CLASSES else None, "split": split, "concepts": tuple(concepts)}
    table = read_class_table("voc")
    name = f"{root.name} {split}" if split else root.name
    source = source_record("voc", path=path, **given)
    return read_label_maps(entries, table, concepts, name=name, source=source, problems=alone)


def _read_split(root: Path, split: str, have: Set[str]) -> tuple[set[str], bool]:
    """Names of a split's images without endings, and whether all of them should have a class map.

    `have` are the names of images that have one: such a name may hold spaces.
    """
    files = {file.stem: file for part in SPLITS for file in sorted((root / "ImageSets" / part).glob("*.txt"))}
    check_known("split", [split], sorted(files))
    file = files[split]
    lines = [line.strip() for line in read_bytes(file).decode("utf-8-sig", "replace").splitlines()]
    marked = {line: None if line in have else MARKED.match(line) for line in lines if line}
    stems = {found[1] if found else line for line, found in marked.items() if not found or found[2] != ABSENT}
    if not stems:
        none = "has -1 in every line: no image shows the class" if marked else "is empty"
        message = f"`split` must name some images, but {str(file)!r} {none}. Choose another."
        raise unreadable_file(message, file, f"it {none}.")
    return stems, file.parent.name == SPLITS[-1]


def _split_objects(entry: Entry, classes: LabelFile, objects: LabelFile) -> tuple[list[Entry], list[Problem]]:
    try:
        _, numbers = _read_both(classes, objects)
    except Fault as fault:
        return [], [Problem(entry.image, "object map", "", fault.status, fault.reason)]
    found = [int(number) for number in np.unique(numbers) if number not in (0, VOID)]
    own = [Entry(f"{entry.image}#{one}", entry.photo, ObjectCodes(classes, objects, one)) for one in found]
    return own, []


def _read_both(classes: LabelFile, objects: LabelFile) -> tuple[Codes, Codes]:
    read = classes(), objects()
    if read[0].shape != read[1].shape:
        raise Fault(
            "mask_unreadable", f"{objects.path.name} has {read[1].shape} pixels, its class map {read[0].shape} (H x W)."
        )
    return read


def _class_of(classes: Codes, objects: Codes, number: int) -> int:
    """The class of most of an object's pixels; 0 where there are none."""
    inside = classes[(objects == number) & (classes != 0) & (classes != VOID)]
    return int(np.bincount(inside.astype(np.int64)).argmax()) if len(inside) else 0
