"""Folders of images and label maps: any with a class table, CamVid, Cityscapes."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from loce_jax.checks import InputError, check_arguments, check_exists, check_known
from loce_jax.data.label_maps.class_table import ClassTable, read_class_table
from loce_jax.data.label_maps.codes import LabelFile
from loce_jax.data.label_maps.dataset import Entry, LabelMapDataset, PhotoFile, read_label_maps
from loce_jax.data.label_maps.known_classes import CITYSCAPES_19, CITYSCAPES_30, UNLABELED_CODES
from loce_jax.data.label_maps.pairing import pair_files
from loce_jax.data.samples import source_record

IMAGES = "images", "img", "image", "imgs", "JPEGImages", "leftImg8bit", "rgb"
LABELS = "labels", "label", "masks", "mask", "annotations", "SegmentationClass", "gt", "semantic"
TABLES = (
    *("classes.csv", "classes.json", "classes.txt", "class_dict.csv", "label_colors.txt", "config.json"),
    *("config_v1.2.json", "config_v2.0.json"),
)
COLORED_IDS = "Cityscapes' labelIds hold numbers. Take the original PNGs."
SEQUENCE = re.compile(r"^([^_]+)_")  # of a CamVid frame


@check_arguments
def open_labels(
    path: str | Path,
    *,
    images: str | Path | None = None,
    labels: str | Path | None = None,
    classes: str | Path | None = None,
    split: str | None = None,
    concepts: Sequence[str] = (),
) -> LabelMapDataset:
    r"""Open a folder of images and a folder of label maps of the same names, with a class table.

    Label maps are palette, gray or RGB images; see `read_class_table` for the tables.  Pixels whose number or color is
    not in the table, and classes called "void", "background" and the like, are left out unless asked for by name.

    Args:
        path: the folder that holds all of it.
        images: folder of the images; ``images``, ``JPEGImages`` and other usual names are found below `path`.
        labels: folder of the label maps; ``labels``, ``annotations``, ``masks`` and other usual names are found.
        classes: the class table, or the name of a known one, such as ``cityscapes19``; ``classes.csv``,
            ``label_colors.txt`` and other usual names are found in `path`.
        split: name of a folder below both, such as ``val``, or between `path` and both.
        concepts: names of the classes wanted; all if left out.

    Raises:
        InputError: a folder or table is missing or cannot be used; no image has a label map of its name.

    >>> import tempfile
    >>> import numpy as np
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("images", "labels"):
    ...         Path(folder, name).mkdir()
    ...     Image.new("RGB", (8, 6)).save(Path(folder, "images", "a.jpg"))
    ...     Image.fromarray(np.eye(6, 8, dtype=np.uint8)).save(Path(folder, "labels", "a.png"))
    ...     _ = Path(folder, "classes.txt").write_text("0 void\n1 road\n")
    ...     dataset = open_labels(folder)
    ...     int(dataset.masks(dataset.items[0])[0].sum())
    6
    """
    root = check_exists("path", path, kind="folder", fix="Give the folder that holds images and label maps.")
    table = read_class_table(classes or _find_table(root))
    photos, maps = (find_folder(root, *one, split) for one in (("images", images, IMAGES), ("labels", labels, LABELS)))
    pairs, alone = pair_files(photos, maps)
    entries = (
        Entry(image, PhotoFile(photos / image), LabelFile(maps / label, table.by_color)) for image, label in pairs
    )
    given = {"path": path, "images": images, "labels": labels, "classes": classes, "split": split}
    source = source_record("labels", **given, concepts=tuple(concepts))
    name = f"{root.name} {split}" if split else root.name
    return read_label_maps(entries, table, concepts, name=name, source=source, problems=alone)


@check_arguments
def open_camvid(
    path: str | Path,
    *,
    classes: str | Path | None = None,
    split: str | None = None,
    concepts: Sequence[str] = (),
) -> LabelMapDataset:
    """Open CamVid: ``train`` and ``trainannot``, and so on; the groups are its video sequences.

    Args:
        path: the folder that holds ``train``, ``trainannot``, ``val``, ``valannot``, ``test``, ``testannot``.
        classes: another class table than the 11 classes of the SegNet edition.
        split: ``train``, ``val`` or ``test``; all if left out.
        concepts: names of the classes wanted; all if left out.

    Raises:
        InputError: the folders are not there, or hold no pair of image and label map.

    >>> import tempfile
    >>> import numpy as np
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("train", "trainannot"):
    ...         Path(folder, name).mkdir()
    ...     Image.new("RGB", (8, 6)).save(Path(folder, "train", "0001TP_006690.jpg"))
    ...     Image.fromarray(3 * np.eye(6, 8, dtype=np.uint8)).save(Path(folder, "trainannot", "0001TP_006690.png"))
    ...     dataset = open_camvid(folder)
    ...     dataset.concepts, dataset.items[0].pairs[0].attributes
    (('Sky', 'Road'), (('group', '0001TP'),))
    """
    root = check_exists("path", path, kind="folder", fix="Give the folder that holds train, trainannot and so on.")
    splits = [one for one in ("train", "val", "test") if (root / one).is_dir() and (root / f"{one}annot").is_dir()]
    if not splits:
        raise InputError(
            f"`path` must hold CamVid's folders train and trainannot, val and valannot, or test and testannot, but "
            f"{str(root)!r} holds none of them. For other folders, open it as `labels` with its class table."
        )
    check_known("split", [split] if split else [], splits)
    table = read_class_table(classes or "camvid")
    entries, problems = [], []
    for one in [split] if split else splits:
        pairs, alone = pair_files(root / one, root / f"{one}annot")
        problems += alone
        for image, label in pairs:
            codes = LabelFile(root / f"{one}annot" / label, table.by_color)
            entries.append(Entry(f"{one}/{image}", PhotoFile(root / one / image), codes, _sequence(image)))
    source = source_record("camvid", path=path, classes=classes, split=split, concepts=tuple(concepts))
    return read_label_maps(entries, table, concepts, name="camvid", source=source, problems=problems)


@check_arguments
def open_cityscapes(
    path: str | Path,
    *,
    labels: str = "gtFine",
    classes: str = "19",
    split: str | None = None,
    concepts: Sequence[str] = (),
) -> LabelMapDataset:
    """Open Cityscapes: ``leftImg8bit/SPLIT/CITY`` and ``gtFine/SPLIT/CITY``; the groups are its cities.

    Args:
        path: the folder that holds both.
        labels: ``gtFine`` or ``gtCoarse``.
        classes: "19", those that count for its benchmark, or "30", all that are labeled.
        split: ``train`` or ``val``; all with labels if left out.
        concepts: names of the classes wanted; all if left out.

    Raises:
        InputError: the folders are not there, or hold no pair of image and label map.

    >>> import tempfile
    >>> import numpy as np
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for kind, name in (("leftImg8bit", "a_0_0_leftImg8bit.png"), ("gtFine", "a_0_0_gtFine_labelIds.png")):
    ...         file = Path(folder, kind, "val", "a", name)
    ...         file.parent.mkdir(parents=True)
    ...         Image.fromarray(26 * np.eye(6, 8, dtype=np.uint8)).save(file)
    ...     open_cityscapes(folder, split="val").concepts
    ('car',)
    """
    root = check_exists("path", path, kind="folder", fix="Give the folder that holds leftImg8bit and gtFine.")
    check_known("classes", [classes], ["19", "30"])
    labels = Path(labels).name  # of a path that was noted as it is in the file system
    photos, maps = find_folder(root, "path", "leftImg8bit", (), split), find_folder(root, "labels", labels, (), split)
    chosen = CITYSCAPES_30.values() if classes == "30" else CITYSCAPES_19.values()
    numbers = {name: number for number, name in CITYSCAPES_30.items()}
    others = *UNLABELED_CODES["cityscapes30"], *CITYSCAPES_30  # of the classes that do not count, too
    table = ClassTable({name: (numbers[name],) for name in chosen}, unlabeled=others)
    pairs, alone = pair_files(photos, maps, suffixes=("_leftImg8bit", f"_{labels}_labelIds"))
    entries = (
        Entry(
            image=f"{split}/{image}" if split else image,
            photo=PhotoFile(photos / image),
            codes=LabelFile(maps / label, colored=COLORED_IDS),
            group=Path(image).parent.name,
        )
        for image, label in pairs
    )
    given = {"labels": labels if labels != "gtFine" else None, "classes": classes if classes != "19" else None}
    source = source_record("cityscapes", path=path, **given, split=split, concepts=tuple(concepts))
    return read_label_maps(entries, table, concepts, name="cityscapes", source=source, problems=alone)


def _sequence(image: str) -> str:
    found = SEQUENCE.match(Path(image).name)
    return found[1] if found else ""


def find_folder(root: Path, what: str, given: str | Path | None, usual: Sequence[str], split: str | None) -> Path:
    """The folder `given`, from here or below `root`, or the first usual one below `root`, and in it the split's."""
    found = next((folder for folder in _candidates(root, given, usual, split) if folder.is_dir()), None)
    if found is None:
        wanted = str(given) if given else " or ".join(usual)
        raise InputError(
            f"`{what}` must be an existing folder, but there is no {wanted}{f' with {split!r}' if split else ''} below "
            f"{str(root)!r}. Give the path of the folder{'' if given else f' as `{what}`'}."
        )
    return found


def _candidates(root, given, usual, split) -> Iterator[Path]:
    for name in [given] if given else usual:
        for folder in ([Path(name)] if given else []) + [root / name]:
            yield folder / split if split else folder
        if split:
            yield root / split / name


def _find_table(root: Path) -> Path:
    found = next((root / name for name in TABLES if (root / name).exists()), None)
    if found is None:
        raise InputError(
            f"`classes` must be given, since {str(root)!r} holds none of {', '.join(TABLES)}. A text file with a line "
            "such as `7 road` for each class is enough."
        )
    return found
