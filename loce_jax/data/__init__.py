"""Images and masks come in: data sets that list items and open them (NumPy only).

The functions below open a data set each and are imported from here (``from loce_jax.data import open_coco``); their
files are loaded at first use.  `KINDS` names them as the command line does: ``loce fit --data KIND PATH``.
"""

from importlib import import_module
from typing import Any

KINDS = {
    "coco": "annotations.coco:open_coco",
    "lvis": "annotations.coco:open_coco",
    "panoptic": "label_maps.panoptic:open_panoptic",
    "voc": "label_maps.voc:open_voc",
    "cityscapes": "label_maps.streets:open_cityscapes",
    "camvid": "label_maps.streets:open_camvid",
    "labels": "label_maps.streets:open_labels",
    "folder": "label_maps.masks:open_folder",
    "yolo": "annotations.yolo:open_yolo",
    "cvat": "annotations.cvat:open_cvat",
    "labelstudio": "annotations.labelstudio:open_labelstudio",
    "datasets": "label_maps.hub:open_datasets",
    "npz": "label_maps.arrays:open_npz",
    "scenes": "scenes:open_scenes",
}
_FILES = {target.partition(":")[2]: target.partition(":")[0] for target in KINDS.values()}
_FILES |= {"open_arrays": "label_maps.arrays", "select": "selection", "DataOptions": "selection"}

__all__ = ["KINDS", *sorted(_FILES)]  # pyright: ignore[reportUnsupportedDunderAll] - found by `__getattr__`


def __getattr__(name: str) -> Any:
    if name not in _FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_FILES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_FILES})
