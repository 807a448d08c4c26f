"""Families of published ONNX networks whose input is known, although the file does not say it.

A family is recognized by its file's name and by something that the file holds, or by what its exporter wrote into it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ZOO_NAMES = r"(resnet\d+-v[12]|mobilenetv2|squeezenet1\.[01]|vgg\d+(-bn)?|densenet-?\d*|shufflenet-v2)-\d+"
TOKENS = 6  # box, score and at least one class: numbers that a YOLOX returns for each cell


@dataclass(frozen=True)
class Published:
    """A family.

    Attributes:
        preset: of `loce_jax.models.preprocess.options.PRESETS`.
        fits: whether a model, saved under a name, is one of it.
        evidence: what `fits` looks at, for people.
    """

    preset: str
    fits: Callable[[Any, str], bool]
    evidence: str


def recognize(model: Any, path: str | Path) -> Published | None:
    """The family of the model in the file at `path`; None if it is none of those known."""
    return next((family for family in FAMILIES if family.fits(model, Path(path).stem.lower())), None)


def _is_yolox(model: Any, name: str) -> bool:
    """Megvii's YOLOX since version 0.1.1: its first operations cut the image into every second row and column."""
    image = model.graph.input[0].name
    first = {node.op_type for node in model.graph.node if image in node.input}
    returned = model.graph.output[0].type.tensor_type.shape.dim
    return name.startswith("yolox") and first == {"Slice"} and len(returned) == 3 and returned[2].dim_value >= TOKENS


def _is_ultralytics(model: Any, _name: str) -> bool:
    written = {entry.key: entry.value for entry in model.metadata_props}
    return written.get("author") == "Ultralytics" and written.get("task") in ("detect", "segment", "pose", "obb")


def _is_from_the_zoo(_model: Any, name: str) -> bool:
    """Classifiers of https://github.com/onnx/models, whose names end in the version of the operations."""
    return re.fullmatch(ZOO_NAMES, name) is not None


FAMILIES = (
    Published("yolox", _is_yolox, "its name and its first operations"),
    Published("yolov5", _is_ultralytics, "what Ultralytics' export wrote into it"),
    Published("imagenet", _is_from_the_zoo, "its name in ONNX's model zoo"),
)
