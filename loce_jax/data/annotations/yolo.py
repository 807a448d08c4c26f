"""YOLO's segmentation format: a text file of outlines beside each image, and a data.yaml with the names."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from loce_jax.checks import InputError, check_arguments, check_exists, one_line, short_repr
from loce_jax.data.annotations.coco_file import Faulty, check_content
from loce_jax.data.annotations.dataset import AnnotationDataset, assemble
from loce_jax.data.annotations.masks import WHERE, whole_number
from loce_jax.data.files import read_bytes
from loce_jax.data.images import photo_size
from loce_jax.data.label_maps.class_table import read_class_table
from loce_jax.data.label_maps.pairing import pair_files
from loce_jax.data.samples import EmptyDataError, Fault, Problem, source_record, unreadable_file

SPLITS = "train", "valid", "val", "test"
MAX_BYTES = 2**24  # of one text file
SAFE_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's stops at 1000 levels, at once
FARTHEST = 0.5  # that an outline may leave the image by, in its sides; what is farther is pixels, or keypoints
BOX, SHORTEST_OUTLINE = 4, 6  # numbers after the class


@check_arguments
def open_yolo(
    path: str | Path,
    *,
    classes: str | Path | None = None,
    split: str | None = None,
    concepts: Sequence[str] = (),
    faulty: Faulty = "refuse",
) -> AnnotationDataset:
    """Open a YOLO data set: ``images/SPLIT`` and ``labels/SPLIT``, or ``SPLIT/images`` and ``SPLIT/labels``.

    A line of a label file is a class number and the outline's x and y, from 0 to 1; a line with a box instead has no
    outline, see the masks "rectangle" of `loce_jax.data.selection.DataOptions`.  Of ``data.yaml`` only the names are
    used; images without a label file are images without an object.

    Args:
        path: the folder, or its ``data.yaml``.
        classes: a class table instead of the names in ``data.yaml``.
        split: such as ``train`` or ``val``; all if left out.
        concepts: names of the classes wanted; all if left out.
        faulty: as in `open_coco`; such as two classes of one name.

    Raises:
        InputError: folders or names are missing or cannot be used; an unknown concept.

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("images", "labels"):
    ...         Path(folder, name).mkdir()
    ...     Image.new("RGB", (8, 6)).save(Path(folder, "images", "a.jpg"))
    ...     _ = Path(folder, "labels", "a.txt").write_text("0 0.25 0 0.75 0 0.75 1 0.25 1")
    ...     _ = Path(folder, "data.yaml").write_text("names: [car]")
    ...     dataset = open_yolo(folder)
    ...     dataset.concepts, int(dataset.masks(dataset.items[0])[0].sum())
    (('car',), 24)
    """
    given = Path(path)
    root = given.parent if given.is_file() else given
    root = check_exists("path", root, kind="folder", fix="Give the folder that holds images, labels and data.yaml.")
    names = _names(root, given if given.is_file() else None, classes)
    reader = _Reader(root, names)
    for photos, labels in _folders(root, split):
        reader.add(photos, labels)
    content = {
        "images": reader.images,
        "annotations": reader.annotations,
        "categories": [{"id": number, "name": name} for number, name in names.items()],
    }
    source = source_record("yolo", path=path, classes=classes, split=split, concepts=tuple(concepts))
    file = check_content(content, root, root, faulty=faulty)
    return assemble(file, root, source, concepts=concepts, problems=reader.problems)


class _Loader(SAFE_LOADER):  # pyright: ignore[reportGeneralTypeIssues] - one of two classes
    """Refuses a key that stands twice in a mapping, of which the last would count."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        """The mapping; `ValueError` for a key that stands twice."""
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"):
            if key.value in seen:
                raise ValueError(
                    f"the key {short_repr(key.value)} stands twice, in line {key.start_mark.line + 1} again"
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


class _Reader:
    """Takes the folders one by one."""

    def __init__(self, root: Path, names: dict[int, str]):
        self.root, self.names = root, names
        self.images: list[dict] = []
        self.annotations: list[dict] = []
        self.problems: list[Problem] = []

    def add(self, photos: str, labels: str) -> None:
        """A folder of images, and one of label files."""
        pairs, alone = pair_files(self.root / photos, self.root / labels, endings=(".txt",))
        self.problems += [one for one in alone if one.status != "no_label" and Path(one.file).stem != "classes"]
        for image, label in pairs:
            self._add_image(f"{photos}/{image}", f"{labels}/{label}")

    def _add_image(self, name: str, label: str) -> None:
        try:
            size = photo_size(self.root / name)
            lines = _lines(self.root / label)
        except Fault as fault:
            self.problems.append(Problem(name, "", "", fault.status, fault.reason))
            return
        number = len(self.images)
        self.images.append({"id": number, "file_name": name, "height": size[0], "width": size[1]})
        for place, line in enumerate(lines, start=1):
            where = f"{label}, line {place}"
            try:
                found = _read_line(line.split(), size, self.names) if line.strip() else {}
            except ValueError as error:
                self.problems.append(Problem(name, where, "", "mask_unreadable", str(error)))
                continue
            if found:
                own = {"id": len(self.annotations), "image_id": number, WHERE: where}
                self.annotations.append(own | found)


def _names(root: Path, file: Path | None, classes: str | Path | None) -> dict[int, str]:
    """Names by number, from a class table, the data.yaml, or ``classes.txt``."""
    if classes is not None:
        return {code: name for name, codes in read_class_table(classes).codes.items() for code in codes}
    found = [file] if file else sorted([*root.glob("*.yaml"), *root.glob("*.yml")])
    for one in found:
        names = _yaml_names(one)
        if names:
            return names
    if (root / "classes.txt").exists():
        return _names(root, None, root / "classes.txt")
    message = (
        f"`path` must hold a data.yaml with `names`, but {str(root)!r} has none. Add one, or give `classes`, a text "
        "file with a name per line."
    )
    raise unreadable_file(message, found[0], "it holds no `names`.") if found else InputError(message)


def _yaml_names(path: Path) -> dict[int, str]:
    """The names in a data.yaml; none where there are none."""
    if path.stat().st_size > MAX_BYTES:
        raise _no_names(path, f"has more than {MAX_BYTES} bytes")
    text = read_bytes(path)
    try:
        content = yaml.load(text.decode(), Loader=_Loader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)  # what libyaml says of the place is counted from 0
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise _no_names(path, f"is none: {one_line(error)}", place) from error
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(content, dict) and content.get("kpt_shape") is not None:
        raise _no_names(path, "has `kpt_shape`: its lines are boxes and keypoints, not outlines")
    if names is None:
        return {}
    entries = dict(enumerate(names)) if isinstance(names, list) else names
    if not isinstance(entries, dict):
        raise _no_names(path, "has others")
    numbers = {whole_number(number): name for number, name in entries.items()}
    if None in numbers or not all(isinstance(name, str | int) and str(name) for name in numbers.values()):
        raise _no_names(path, "has others")
    if len(numbers) < len(entries):
        given = Counter(whole_number(number) for number in entries)
        twice = next(number for number, count in given.items() if count > 1)
        raise _no_names(path, f"gives number {twice} two")
    return {number: str(name) for number, name in numbers.items() if number is not None}


def _no_names(path: Path, problem: str, place: str = "") -> EmptyDataError:
    message = (
        f"`path` must hold a data.yaml whose `names` are a list, or names by number, but {str(path)!r} {problem}. "
        "Repair the file."
    )
    return unreadable_file(message, path, f"as a data.yaml with names, it {problem}.", place)


def _folders(root: Path, split: str | None) -> Iterator[tuple[str, str]]:
    """The folders of images and labels, relative to `root`."""
    layouts = [("images", "labels")] if split is None else [(f"images/{split}", f"labels/{split}")]
    layouts += [(f"{one}/images", f"{one}/labels") for one in ([split] if split else SPLITS)]
    found = [pair for pair in layouts if all((root / folder).is_dir() for folder in pair)]
    if not found:
        raise InputError(
            f"`path` must hold images and labels, as {' or '.join(f'{a} and {b}' for a, b in layouts[:2])}, but "
            f"{str(root)!r} holds neither. Give the folder that holds data.yaml."
        )
    yield from found


def _lines(path: Path) -> list[str]:
    if path.stat().st_size > MAX_BYTES:
        raise Fault("mask_unreadable", f"{path.name} has more than {MAX_BYTES} bytes.")
    try:
        return read_bytes(path).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise Fault("mask_unreadable", f"{path.name} is no text: {error}.") from error
    except InputError as error:
        raise Fault("mask_unreadable", str(error)) from None


def _read_line(words: list[str], size: tuple[int, int], names: dict[int, str]) -> dict[str, Any]:
    """An object's class, and its outline or box in pixels; raises `ValueError` where the words are none."""
    category = whole_number(words[0])
    if category not in names:
        raise ValueError(f"its class {words[0][:20]!r} is not among the {len(names)} names.")
    numbers = [_finite(word) for word in words[1:]]
    height, width = size
    if len(numbers) == BOX:
        x, y, w, h = numbers
        box = [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height]
        return {"category_id": category, "segmentation": [], "bbox": box}
    if len(numbers) % 2 or len(numbers) < SHORTEST_OUTLINE:
        raise ValueError(f"it has {len(numbers)} numbers after the class, not 4 of a box or x, y of 3 or more points.")
    if strange := [number for number in numbers if not -FARTHEST <= number <= 1 + FARTHEST]:
        raise ValueError(
            f"its outline holds {strange[0]:g}, not a share of the image's side. Is it in pixels, or a pose?"
        )
    outline = [number * (height if place % 2 else width) for place, number in enumerate(numbers)]
    return {"category_id": category, "segmentation": [outline]}


def _finite(word: str) -> float:
    try:
        number = float(word)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"it holds {word[:20]!r} for a number.")
    return number
