"""Published values of retrieval and separation, read from a JSON file, and to which layers of ours they belong.

The file holds one of two objects, or both in one (docs/analysis.md has an example):
``{"k": [1, 5], "mean_precision_at_k": {NETWORK: {LAYER: [0.6, null]}}}`` and
``{"categories": [...], "lower_triangle": {"NETWORK: LAYER": [[0, null], [0.2, 0]]}}``, with an optional ``"source"``.
Shapes: q cut-offs, k concepts.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from loce_jax.analysis.paper_forms import paper_short_name
from loce_jax.checks import InputError, check_exists, short_repr
from loce_jax.data.files import open_file

_MAX_BYTES, _MAX_NAMES = 2**22, 1000
_PAPER = {
    "yolo": ("YOLOv5", "6.cv3.conv", "14.conv", "20.cv3.conv"),
    "mobilenet": ("MobileNetV3", "features.9", "features.11", "features.14"),
    "efficientnet": ("EfficientNet", "features.5.2", "features.6.2", "features.7.0"),
    "detr": (
        *("DETR", "model.backbone.conv_encoder.model.layer3", "model.encoder.layers.1"),
        "model.encoder.layers.5",
    ),
    "vit": ("ViT", *(f"encoder.layers.encoder_layer_{number}" for number in (3, 7, 11))),
    "swin": ("SWIN", "features.3", "features.5", "features.7"),
}
"""The networks of Mikriukov et al., IJCV 2025: what its figures call them, and their layers "mid", "deep", "last"."""


@dataclass(frozen=True, eq=False)
class Published:
    """Published values by network and layer, as the file calls them.

    Attributes:
        source: where they are from, in words; empty if the file does not say.
        ks: cut-offs of `precision`.
        precision: mean precision at each cut-off; NaN where there is none.
        concepts: names of the rows of `separation`.
        separation: symmetric, NaN where there is no value, 0 on the diagonal.
    """

    source: str = ""
    ks: tuple[int, ...] = ()
    precision: Mapping[tuple[str, str], Float[np.ndarray, " q"]] = field(default_factory=dict)
    concepts: tuple[str, ...] = ()
    separation: Mapping[tuple[str, str], Float[np.ndarray, "k k"]] = field(default_factory=dict)

    def precision_of(self, model: str, layer: str) -> dict[int, float]:
        """By cut-off, what is published of a network's layer; empty if nothing is."""
        values = _find(self.precision, model, layer)
        found = {} if values is None else dict(zip(self.ks, values.tolist(), strict=True))
        return {k: value for k, value in found.items() if not np.isnan(value)}

    def separation_of(self, model: str, layer: str, concepts: Sequence[str]) -> Float[np.ndarray, "k k"] | None:
        """The published matrix of these concepts, NaN where one is unknown; None if there is no value of a pair."""
        matrix = _find(self.separation, model, layer)
        if matrix is None:
            return None
        rows = [self.concepts.index(concept) if concept in self.concepts else -1 for concept in concepts]
        padded = np.pad(matrix, (0, 1), constant_values=np.nan)
        found = padded[np.ix_(rows, rows)]
        return found if np.isfinite(found[~np.eye(len(rows), dtype=bool)]).any() else None


def _find(values, model, layer):
    networks, layers = {model, model.rpartition("/")[2]}, {layer, paper_short_name(layer)}
    name, *positions = _PAPER.get(model.removeprefix("paper:"), ("",)) if model.startswith("paper:") else ("",)
    if name:
        networks.add(name)
        layers |= {f"l_{where}" for where, one in zip(("mid", "deep", "last"), positions, strict=True) if one == layer}
    return next((found for (network, one), found in values.items() if network in networks and one in layers), None)


def read_published(path: str | Path) -> Published:
    """Read and check a file of published values; keys that are not listed above are ignored.

    Raises:
        InputError: the file is none, longer than 4 MiB or no JSON, or a part of it is not as described above: a number
            outside 0 to 1, a list of another length than its names, a repeated name.
    """
    path = check_exists("published", path, kind="file", fix="Give a JSON file of published values.")
    with open_file(path) as file:
        text = file.read(_MAX_BYTES + 1)
    _expect(len(text) <= _MAX_BYTES, path, f"at most {_MAX_BYTES} bytes", "more")
    try:
        content = json.loads(text, object_pairs_hook=lambda pairs: _once(pairs, path))
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise _unusable(path, "JSON", short_repr(str(error))) from error
    _expect(isinstance(content, dict), path, "an object", short_repr(content))
    _expect({"mean_precision_at_k", "lower_triangle"} & set(content), path, "an object with `mean_precision_at_k` or "
            "`lower_triangle`", f"the keys {short_repr(list(content))}")  # fmt: skip
    source = content.get("source", "")
    _expect(isinstance(source, str), path, "a text as `source`", short_repr(source))
    ks, precision = _read_precision(content, path) if "mean_precision_at_k" in content else ((), {})
    concepts, separation = _read_separation(content, path) if "lower_triangle" in content else ((), {})
    return Published(source, ks, precision, concepts, separation)


def _read_precision(content, path):
    ks = _list(content.get("k"), path, "`k`")
    fine = all(type(k) is int and 1 <= k <= 10**6 for k in ks) and len(set(ks)) == len(ks)
    _expect(fine, path, "different whole numbers from 1 as `k`", short_repr(ks))
    found = {}
    for network, layers in _object(content["mean_precision_at_k"], path, "`mean_precision_at_k`").items():
        for layer, values in _object(layers, path, f"the layers of {network!r}").items():
            found[network, layer] = _numbers(values, len(ks), path, f"{network!r}, {layer!r}")
    return tuple(ks), found


def _read_separation(content, path):
    concepts = _list(content.get("categories"), path, "`categories`")
    fine = all(isinstance(name, str) for name in concepts) and len(set(concepts)) == len(concepts)
    _expect(fine, path, "different names as `categories`", short_repr(concepts))
    found = {}
    for title, rows in _object(content["lower_triangle"], path, "`lower_triangle`").items():
        rows = _list(rows, path, f"the rows of {title!r}")
        _expect(len(rows) == len(concepts), path, f"{len(concepts)} rows in {title!r}", len(rows))
        every = np.array([_numbers(row, len(concepts), path, repr(title)) for row in rows]).reshape(len(rows), -1)
        lower = np.tril(every, -1)
        network, _, layer = title.partition(": ")
        found[network, layer] = lower + lower.T
    return tuple(concepts), found


def _numbers(values: Any, length: int, path: Path, what: str) -> Float[np.ndarray, " n"]:
    values = _list(values, path, f"the values of {what}")
    _expect(len(values) == length, path, f"{length} values in {what}", len(values))
    for value in values:
        fine = value is None or (isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1)
        _expect(fine, path, f"numbers from 0 to 1 or null in {what}", short_repr(value))
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _list(value, path, what):
    _expect(isinstance(value, list) and 0 < len(value) <= _MAX_NAMES, path, f"a list of 1 to {_MAX_NAMES} as {what}",
            short_repr(value))  # fmt: skip
    return value


def _object(value, path, what):
    _expect(isinstance(value, dict) and len(value) <= _MAX_NAMES, path, f"an object as {what}", short_repr(value))
    return value


def _once(pairs, path):
    names = [name for name, _ in pairs]
    _expect(len(set(names)) == len(names), path, "each name once in an object", short_repr(names))
    return dict(pairs)


def _expect(fine, path, wanted, got):
    if not fine:
        raise _unusable(path, wanted, got)


def _unusable(path, wanted, got):
    return InputError(
        f"`published` must hold {wanted}, but {str(path)!r} has {got}. docs/analysis.md says what such a file holds."
    )
