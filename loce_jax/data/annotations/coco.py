"""COCO's instances and stuff files, LVIS, and the COCO exports of other tools."""

from collections.abc import Sequence
from pathlib import Path

from loce_jax.checks import check_arguments, check_exists
from loce_jax.data.annotations.coco_file import Faulty, read_coco_file
from loce_jax.data.annotations.dataset import AnnotationDataset, Crowd, assemble
from loce_jax.data.samples import source_record


@check_arguments
def open_coco(
    path: str | Path,
    images: str | Path,
    *,
    concepts: Sequence[str] = (),
    crowd: Crowd = "include",
    faulty: Faulty = "refuse",
) -> AnnotationDataset:
    """Open a COCO annotation file: instances, stuff, or what another tool exports as COCO.

    Polygons and both forms of run lengths are read.  An image of LVIS, which has no ``file_name``, is looked for by
    the end of its ``coco_url``.  Parts without an area, such as a stray point or a box without an outline, are left
    out and counted in the data set's `problems`.

    Args:
        path: the JSON file.
        images: the folder that file names are relative to.
        concepts: names of the categories wanted; all if left out.
        crowd: "include" counts annotations of crowds among the others, "exclude" leaves them out, "own" makes a
            concept of its own of a category's crowds, called ``NAME (crowd)``.
        faulty: what is done about entries that contradict others, such as a second annotation of the same id or one of
            an unknown category: "refuse" raises an error for the first, "leave out" makes a problem of each.

    Raises:
        InputError: the file cannot be used, or would make us read outside `images`; an unknown concept.

    >>> import json, tempfile
    >>> square = [[1, 1, 9, 1, 9, 9, 1, 9]]
    >>> content = {
    ...     "images": [{"id": 1, "file_name": "a.png", "height": 20, "width": 30}],
    ...     "annotations": [{"id": 1, "image_id": "1", "category_id": 4, "segmentation": square}],
    ...     "categories": [{"id": 4, "name": "cat"}],
    ... }
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "instances.json")
    ...     _ = file.write_text(json.dumps(content))
    ...     dataset = open_coco(file, folder)
    >>> dataset.concepts, dataset.items[0].image, int(dataset.masks(dataset.items[0])[0].sum())
    (('cat',), 'a.png', 64)
    """
    file = check_exists("path", path, kind="file", fix="Give the path of a COCO JSON file.")
    root = check_exists("images", images, kind="folder", fix="Give the folder that holds the images.")
    source = source_record("coco", path=path, images=images, concepts=concepts, crowd=crowd)
    return assemble(read_coco_file(file, root, faulty=faulty), root, source, concepts=concepts, crowd=crowd)
