"""COCO's panoptic format: a JSON file of segments, and a folder of PNGs whose colors are the segments' ids."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from loce_jax.checks import check_arguments, check_exists, check_known
from loce_jax.data.annotations.coco_file import CocoFile, check_content, is_below, load_json, unusable
from loce_jax.data.annotations.dataset import CROWDS, OWN, Crowd
from loce_jax.data.annotations.masks import whole_number
from loce_jax.data.label_maps.codes import LabelFile
from loce_jax.data.label_maps.dataset import Entry, LabelMapDataset, PhotoFile
from loce_jax.data.samples import Item, Pair, digest, source_record

LISTS = "images", "annotations", "categories"


@check_arguments
def open_panoptic(
    path: str | Path,
    images: str | Path,
    *,
    labels: str | Path | None = None,
    concepts: Sequence[str] = (),
    crowd: Crowd = "include",
) -> LabelMapDataset:
    """Open a COCO panoptic file: things and stuff, one segment each pixel.

    The attributes of a pair are ``instances``, the number of its segments, and ``crowd``.

    Args:
        path: the JSON file.
        images: folder of the photos.
        labels: folder of the PNGs; the one beside the file and called like it, if left out.
        concepts: names of the categories wanted; all if left out.
        crowd: as in `open_coco`.

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
    segments, flat = _flatten(content["annotations"], file, folder)
    checked = check_content({**content, "annotations": flat}, file, root)
    names = dict(sorted(checked.categories.items()))
    check_known("concept", concepts, [*names.values(), *map(OWN.format, names.values())])
    found = _group(checked, names, concepts, crowd)
    order = {name: place for place, name in enumerate([*names.values(), *map(OWN.format, names.values())])}
    items, entries, values = [], {}, {}
    for image_id in sorted(found, key=lambda number: checked.images[number][0]):
        image, size = checked.images[image_id]
        groups = {name: found[image_id][name] for name in sorted(found[image_id], key=order.__getitem__)}
        items.append(Item(image, image_id, size, tuple(_pair(name, group) for name, group in groups.items())))
        entries[image] = Entry(image, PhotoFile(root / image), LabelFile(folder / segments[image_id], by_color=True))
        values[image] = {name: tuple(one["segment"] for one in group) for name, group in groups.items()}
    if not items:
        raise unusable(file, f"no image has a segment of {', '.join(concepts) or 'any category'}")
    occurring = {pair.concept for item in items for pair in item.pairs}
    given = {"path": path, "images": images, "labels": labels, "concepts": tuple(concepts), "crowd": crowd}
    return LabelMapDataset(
        name=file.stem,
        items=tuple(items),
        concepts=tuple(name for name in order if name in occurring),
        fingerprint=digest([(i.image, i.size, values[i.image], [p.attributes for p in i.pairs]) for i in items]),
        source=source_record("panoptic", **given),
        problems=(),
        _entries=entries,
        _values=values,
    )


def _flatten(annotations: list, file: Path, folder: Path) -> tuple[dict[int, str], list[dict]]:
    """The PNG of each image, and its segments as entries of their own, numbered anew since ids may repeat."""
    files: dict[int, str] = {}
    flat: list[dict[str, Any]] = []
    inside = str(folder.resolve())
    for place, annotation in enumerate(annotations):
        entry = annotation if isinstance(annotation, dict) else {}
        image, name, parts = whole_number(entry.get("image_id")), entry.get("file_name"), entry.get("segments_info")
        if image is None or not isinstance(name, str) or not isinstance(parts, list) or image in files:
            raise unusable(
                file, f"entry {place} of annotations lacks image_id, file_name or segments_info, or repeats one"
            )
        if not is_below(name, inside):
            raise unusable(file, f"the file_name {name!r} of entry {place} leads out of the folder of maps")
        files[image] = PurePosixPath(name).as_posix()
        for part in parts:
            segment = whole_number(part.get("id")) if isinstance(part, dict) else None
            if segment is None or not 0 <= segment < 2**24:
                raise unusable(file, f"entry {place} of annotations has a segment without a whole number as its id")
            own = {"id": len(flat), "image_id": image, "segment": segment}
            flat.append({**own, "category_id": part.get("category_id"), "iscrowd": part.get("iscrowd")})
    return files, flat


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
