"""COCO's panoptic format: a JSON file of segments, and a folder of PNGs whose colors are the segments' ids."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from loce_jax.checks import check_arguments, check_exists, check_known, counted, listed
from loce_jax.data.annotations.coco_file import CocoFile, Faults, Faulty, check_content, is_below, load_json, unusable
from loce_jax.data.annotations.dataset import CROWDS, OWN, Crowd
from loce_jax.data.annotations.masks import whole_number
from loce_jax.data.label_maps.codes import LabelFile
from loce_jax.data.label_maps.dataset import SHOWN, Entry, LabelMapDataset, PhotoFile
from loce_jax.data.samples import EmptyDataError, Fault, Item, Pair, Problem, digest, source_record
from loce_jax.foreign_text import logger

log = logger(__name__)

LISTS = "images", "annotations", "categories"
VOID = 0  # the id of pixels that are in no segment


@dataclass(frozen=True, eq=False)
class PanopticDataset(LabelMapDataset):
    """A data set of panoptic maps; build it with `open_panoptic`."""

    _listed: Mapping[str, frozenset[int]] = field(repr=False)  # by image the ids of all its segments

    def problems_of(self, item: Item) -> list[Problem]:
        """The segments of an item's map that the file does not list, whose pixels are in no mask."""
        try:
            found = np.unique(self._entries[item.image].codes())
        except Fault:  # which each mask says
            return []
        strange = [one for one in found.tolist() if one != VOID and one not in self._listed[item.image]]
        if not strange:
            return []
        shown = ", ".join(map(str, strange[:SHOWN])) + (", ..." if strange[SHOWN:] else "")
        reason = f"{counted(len(strange), 'segment')} of its map are not in segments_info, and so in no mask: {shown}."
        return [Problem(item.image, "label map", "", "entry_unusable", reason)]


@check_arguments
def open_panoptic(
    path: str | Path,
    images: str | Path,
    *,
    labels: str | Path | None = None,
    concepts: Sequence[str] = (),
    crowd: Crowd = "include",
    faulty: Faulty = "refuse",
) -> PanopticDataset:
    """Open a COCO panoptic file: things and stuff, one segment each pixel.

    The attributes of a pair are ``instances``, the number of its segments, and ``crowd``.

    Args:
        path: the JSON file.
        images: folder of the photos.
        labels: folder of the PNGs; the one beside the file and called like it, if left out.
        concepts: names of the categories wanted; all if left out.
        crowd: as in `open_coco`.
        faulty: as in `open_coco`; such as a segment whose id another of the image has, or 0, which means void.

    Raises:
        InputError: the file cannot be used, or would make us read outside the folders; an unknown concept.

    >>> import json, tempfile
    >>> segment = {"id": 7, "category_id": 1, "iscrowd": 0}
    >>> content = {
    ...     "images": [{"id": 1, "file_name": "a.jpg", "height": 6, "width": 8}],
    ...     "annotations": [{"image_id": 1, "file_name": "a.png", "segments_info": [segment]}],
    ...     "categories": [{"id": 1, "name": "cat"}],
    ... }
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "panoptic").mkdir()
    ...     _ = Path(folder, "panoptic.json").write_text(json.dumps(content))
    ...     open_panoptic(Path(folder, "panoptic.json"), folder).concepts
    ('cat',)
    """
    file = check_exists("path", path, kind="file", fix="Give the path of a COCO panoptic JSON file.")
    root = check_exists("images", images, kind="folder", fix="Give the folder that holds the photos.")
    folder = Path(labels) if labels else file.with_suffix("")
    folder = check_exists("labels", folder, kind="folder", fix="Give the folder that holds the panoptic PNGs.")
    check_known("crowd policy", [crowd], CROWDS)
    content = load_json(file, LISTS)
    segments = _Segments(content, Faults(file, leave_out=faulty == "leave out"), folder)
    checked = check_content({**content, "annotations": segments.flat}, file, root, faulty=faulty)
    problems = (*segments.faults.problems, *segments.lost, *checked.faulty)
    if segments.lost:
        log.warning("%s: left out %s of images that are not listed.", file, counted(len(segments.lost), "annotation"))
    names = dict(sorted(checked.categories.items()))
    check_known("concept", concepts, [*names.values(), *map(OWN.format, names.values())])
    found = _group(checked, names, concepts, crowd)
    order = {name: place for place, name in enumerate([*names.values(), *map(OWN.format, names.values())])}
    items, entries, values = [], {}, {}
    for image_id in sorted(found, key=lambda number: checked.images[number][0]):
        image, size = checked.images[image_id]
        groups = {name: found[image_id][name] for name in sorted(found[image_id], key=order.__getitem__)}
        items.append(Item(image, image_id, size, tuple(_pair(name, group) for name, group in groups.items())))
        entries[image] = Entry(
            image, PhotoFile(root / image), LabelFile(folder / segments.files[image_id], by_color=True)
        )
        values[image] = {name: tuple(one["segment"] for one in group) for name, group in groups.items()}
    if not items:
        missing = f"no image has a segment of {listed(concepts) or 'any category'}"
        raise EmptyDataError(str(unusable(file, missing)), problems)
    occurring = {pair.concept for item in items for pair in item.pairs}
    given = {"path": path, "images": images, "labels": labels, "concepts": tuple(concepts), "crowd": crowd}
    return PanopticDataset(
        name=file.stem,
        items=tuple(items),
        concepts=tuple(name for name in order if name in occurring),
        fingerprint=digest([(i.image, i.size, values[i.image], [p.attributes for p in i.pairs]) for i in items]),
        source=source_record("panoptic", **given),
        problems=problems,
        _entries=entries,
        _values=values,
        _listed={item.image: frozenset(segments.listed[item.image_id]) for item in items},
    )


class _Segments:
    """The segments of all images as entries of their own, numbered anew since ids may repeat among images.

    Attributes:
        files: by image id the name of the PNG.
        listed: by image id the ids of its segments.
        flat: an entry for each segment.
        faults: takes what cannot be used.
        lost: the entries of images that are not listed.
    """

    def __init__(self, content: dict[str, Any], faults: Faults, folder: Path):
        self.faults, self.inside = faults, str(folder.resolve())
        self.images, self.categories = (
            {whole_number(one.get("id")) for one in content[part] if isinstance(one, dict)}
            for part in ("images", "categories")
        )
        self.files: dict[int, str] = {}
        self.listed: dict[int, set[int]] = {}
        self.flat: list[dict[str, Any]] = []
        self.lost: list[Problem] = []
        for place, annotation in enumerate(content["annotations"]):
            self._add(f"entry {place} of annotations", annotation if isinstance(annotation, dict) else {})

    def _add(self, called: str, entry: dict) -> None:
        image, name, parts = whole_number(entry.get("image_id")), entry.get("file_name"), entry.get("segments_info")
        if image is None or not isinstance(name, str) or not isinstance(parts, list) or image in self.files:
            self.faults.add(called, "lacks image_id, file_name or segments_info, or repeats one")
        elif not is_below(name, self.inside):
            self.faults.add(called, f"has the file_name {name!r}, which leads out of the folder of maps")
        elif image not in self.images:
            reason = f"its image {image} is not in the file."
            self.lost.append(Problem(str(self.faults.path), called, "", "image_not_listed", reason))
        else:
            self.files[image] = PurePosixPath(name).as_posix()
            self.listed[image] = set()
            for part in parts:
                self._add_segment(called, image, part if isinstance(part, dict) else {})

    def _add_segment(self, called: str, image: int, part: dict) -> None:
        segment, category = whole_number(part.get("id")), whole_number(part.get("category_id"))
        if segment is None or not VOID < segment < 2**24:
            self.faults.add(called, "has a segment without a whole number from 1 to 16777215 as its id")
            return
        if segment in self.listed[image]:
            self.faults.add(called, f"has two segments of the id {segment}")
            return
        self.listed[image].add(segment)
        if category not in self.categories:
            self.faults.add(called, f"has the segment {segment} with a category_id that is not in categories")
        else:
            own = {"id": len(self.flat), "image_id": image, "segment": segment}
            self.flat.append({**own, "category_id": category, "iscrowd": part.get("iscrowd")})


def _group(
    file: CocoFile, names: dict[int, str], concepts: Sequence[str], crowd: str
) -> dict[int, dict[str, list[dict]]]:
    """The segments by image id and concept; those of other concepts are left out."""
    found: dict[int, dict[str, list[dict]]] = defaultdict(lambda: defaultdict(list))
    for one in file.annotations.values():
        is_crowd = one["iscrowd"] == 1
        name = names[one["category_id"]]
        name = OWN.format(name) if is_crowd and crowd == "own" else name
        if not (is_crowd and crowd == "exclude") and (not concepts or name in concepts):
            found[one["image_id"]][name].append(one)
    return found


def _pair(concept: str, segments: list[dict]) -> Pair:
    crowd = any(one["iscrowd"] == 1 for one in segments)
    return Pair(
        concept,
        annotation_ids=tuple(one["segment"] for one in segments),
        attributes=(("instances", float(len(segments))), ("crowd", float(crowd))),
    )
