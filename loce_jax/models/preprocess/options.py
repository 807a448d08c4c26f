"""``--preprocess``: how photos become input, as a person writes it: a preset, key=value pairs, JSON, or a file of it.

Nothing that is unknown is guessed: where neither the checkpoint nor the user says how photos become input, an
`InputError` lists what to write.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from reprlib import repr as shortened
from typing import Any

from loce_jax.checks import InputError, suggest
from loce_jax.framing import PLACEMENTS, Size
from loce_jax.models.preprocess.description import BYTES, CHANNELS, FILTERS, UNKNOWN, Preprocess, check_size

OWN = "own"
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
CLIP = {"mean": (0.48145466, 0.4578275, 0.40821073), "std": (0.26862954, 0.26130258, 0.27577711)}
CAFFE_MEAN = tuple(value / 255 for value in (123.68, 116.779, 103.939))
PRESETS: dict[str, dict[str, Any]] = {
    "imagenet": {**IMAGENET, "resample": "bilinear"},  # torchvision, timm and most others
    "unit": {},  # 0..1
    "signed": {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)},  # -1..1: ViT, BEiT, MobileNet of TensorFlow
    "bytes": {"std": BYTES},  # 0..255
    "clip": CLIP,
    "caffe": {"mean": CAFFE_MEAN, "std": BYTES, "channels": "bgr"},  # VGG and others of before 2016
    "yolox": {"std": BYTES, "channels": "bgr", "pad": 114, "resample": "bilinear"},  # Megvii's demo/ONNXRuntime
    "yolov5": {"pad": 114, "placement": "center", "resample": "bilinear"},  # Ultralytics' YOLOv5 and later
    "paper": {"size": (480, 640)},  # the LoCE paper's loader: bicubic, 0..1, no mean, no std
    UNKNOWN: {},
}
KEYS = ("range", "mean", "std", "channels", "letterbox", "placement", "resample", "size")
WAYS = (
    f"a preset ({', '.join(name for name in PRESETS if name != UNKNOWN)}); or key=value pairs such as "
    "`range=0..255,channels=bgr,letterbox=114` or `range=0..1,channels=rgb,mean=0.485/0.456/0.406,"
    "std=0.229/0.224/0.225`; or a JSON file with these keys; or `unknown`, to go on with 0..1, red first, without "
    "knowing"
)
LONGEST = 2**16  # bytes of a JSON file


class UnknownPreprocess(InputError):
    """Nobody says how photos become a network's input."""


@dataclass(frozen=True)
class PreprocessOptions:
    """What a person says of the preprocessing; what is left out comes from the checkpoint.

    Attributes:
        given: attributes of `Preprocess` by name.
        complete: whether this describes a preprocessing by itself, but for its size.
        source: what was written, for `Preprocess.source`.
    """

    given: Mapping[str, Any]
    complete: bool
    source: str

    def apply(self, base: Preprocess | None, *, size: Size | None = None, what: str) -> Preprocess:
        """The preprocessing that holds; `base` is the checkpoint's own, None if unknown.

        Raises:
            UnknownPreprocess: neither `base` nor the options say what enters `what`, the network.
        """
        if base is None and not self.complete:
            raise unknown(what)
        size = size or self.given.get("size") or (base.size if base else None)
        if size is None:
            raise InputError(
                f"`size` must say how large the input of {what} is, which nothing else does. Try (224, 224)."
            )
        rest = {name: value for name, value in self.given.items() if name != "size"}
        if self.complete or base is None:
            return Preprocess(size, **rest, source=self.source, declared=False)
        if not rest:
            return replace(base, size=size)
        return replace(base, size=size, **rest, source=f"{base.source}, {self.source}", declared=False)


NOTHING = PreprocessOptions({}, complete=False, source="")


def unknown(what: str) -> UnknownPreprocess:
    """The error for a network whose input nobody describes."""
    return UnknownPreprocess(
        f"`preprocess` must say how photographs become the input of {what}, which does not say it itself, and wrong "
        f"pixels give wrong embeddings without an error. Give `preprocess` {WAYS}."
    )


def read_options(text: str) -> PreprocessOptions:
    """The options that `text` writes: ``"own"``, a preset, key=value pairs (a preset may come first), JSON or a file.

    Raises:
        InputError: an unknown preset or key, a value that a key cannot have, a file that cannot be read.

    >>> read_options("range=0..255,channels=bgr").apply(None, size=(4, 4), what="it").range
    (0.0, 255.0)
    >>> read_options("imagenet,channels=bgr").given["channels"]
    'bgr'
    """
    text = text.strip()
    if text == OWN:
        return NOTHING
    if text.startswith("{"):
        return _from_json(text, "JSON")
    if text.endswith(".json"):
        return _from_file(text)
    preset, pairs = None, {}
    for number, part in enumerate(text.split(",")):
        key, equals, value = (word.strip() for word in part.partition("="))
        if equals:
            pairs[key] = value
        elif number == 0 and key in PRESETS:
            preset = key
        else:
            raise InputError(
                f"`preprocess` must be {OWN!r} or {WAYS}, but {part.strip()[:80]!r} is none of these. "
                f"{suggest(part.strip()[:80], [OWN, *PRESETS])}"
            )
    return _options(preset, pairs, text)


def inlined(text: str) -> str:
    """`text` with the content of a JSON file in the place of its name, for processes that do not see the file."""
    return json.dumps(_load(text)) if text.strip().endswith(".json") else text


def _from_file(path: str) -> PreprocessOptions:
    return _from_content(_load(path), Path(path).name)


def _load(path: str) -> Any:
    file = Path(path.strip()).expanduser()
    try:
        if file.stat().st_size > LONGEST or not file.is_file():
            raise ValueError(f"it is no file of at most {LONGEST} bytes")
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"`preprocess` must be a JSON file, but {shortened(path)} cannot be read: {error}.") from error


def _from_json(text: str, source: str) -> PreprocessOptions:
    try:
        return _from_content(json.loads(text), source)
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"`preprocess` must be valid JSON, but is not: {error}.") from error


def _from_content(content: Any, source: str) -> PreprocessOptions:
    if not isinstance(content, dict):
        raise InputError(f"`preprocess` must be a JSON object with the keys {', '.join(KEYS)}, but is another value.")
    pairs = dict(content)
    preset = pairs.pop("preset", None)
    if preset is not None and preset not in list(PRESETS):  # whatever JSON holds
        raise InputError(f"unknown preset {shortened(preset)}. {suggest(str(preset)[:80], list(PRESETS))}")
    return _options(preset, pairs, source)


def _options(preset: str | None, pairs: Mapping[str, Any], source: str) -> PreprocessOptions:
    given = dict(PRESETS[preset]) if preset else {}
    for key, value in pairs.items():
        if key not in KEYS:
            raise InputError(f"unknown key {shortened(key)} of `preprocess`. {suggest(key[:80], list(KEYS))}")
        if key not in ("range", "mean", "std"):
            name = {"letterbox": "pad"}.get(key, key)
            given[name] = READERS[key](key, value)
    numbers = {key: _triple(key, value) for key, value in pairs.items() if key in ("mean", "std")}
    if "range" in pairs:
        given |= _of_range(*_range(pairs["range"]), **numbers)
    else:
        given |= numbers
    complete = preset is not None or {"range", "channels"} <= pairs.keys()
    return PreprocessOptions(given, complete, source)


def _of_range(low: float, high: float, mean: Any = (0.0, 0.0, 0.0), std: Any = (1.0, 1.0, 1.0)) -> dict[str, Any]:
    """Mean and std on the 0..1 scale of a network that takes ``(low + photo / 255 * (high - low) - mean) / std``."""
    width = high - low
    return {
        "mean": tuple((value - low) / width for value in mean),
        "std": tuple(value / width for value in std),
    }


def _range(value: Any) -> tuple[float, float]:
    ends = value.split("..") if isinstance(value, str) else value
    try:
        low, high = (_number("range", end) for end in ends)
    except (TypeError, ValueError):
        low, high = 0.0, 0.0
    if not low < high:
        raise InputError(
            f"`range` of `preprocess` must be two numbers such as 0..1, 0..255 or -1..1, but is {shortened(value)}."
        )
    return low, high


def _triple(key: str, value: Any) -> tuple[float, ...]:
    parts = value.split("/") if isinstance(value, str) else value if isinstance(value, list) else [value]
    numbers = tuple(_number(key, part) for part in parts)
    if len(numbers) not in (1, 3) or (key == "std" and min(numbers) <= 0):
        more = ", above 0" if key == "std" else ""
        raise InputError(
            f"`{key}` of `preprocess` must be one number or three{more}, red first, such as 0.485/0.456/0.406, but is "
            f"{shortened(value)}."
        )
    return numbers if len(numbers) == 3 else numbers * 3


def _number(key: str, value: Any) -> float:
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not abs(number) <= 1e9:  # false for NaN
        raise InputError(f"`{key}` of `preprocess` must hold numbers, but has {shortened(value)}.")
    return number


def _word(key: str, value: Any) -> str:
    words = {"channels": CHANNELS, "resample": FILTERS, "placement": PLACEMENTS}[key]
    word = str(value).lower()
    if word not in words:
        raise InputError(f"`{key}` of `preprocess` must be one of {', '.join(words)}, but is {shortened(value)}.")
    return word


def _gray(key: str, value: Any) -> int | None:
    if value is None or str(value).lower() in ("none", "no", "false"):
        return None
    number = _number(key, value)
    if not 0 <= number <= 255 or number != int(number):
        raise InputError(
            f"`{key}` of `preprocess` must be the gray around the photo, a whole number from 0 to 255, or `none` for a "
            f"stretched photo, but is {shortened(value)}."
        )
    return int(number)


def _size(key: str, value: Any) -> Size:
    parts = value.lower().split("x") if isinstance(value, str) else value if isinstance(value, list) else [value]
    numbers = [_number(key, part) for part in parts]
    if len(numbers) not in (1, 2) or any(number != int(number) for number in numbers):
        raise InputError(
            f"`{key}` of `preprocess` must be a height and a width such as 416x416, but is {shortened(value)}."
        )
    return check_size((int(numbers[0]), int(numbers[-1])))


READERS = {"channels": _word, "resample": _word, "placement": _word, "letterbox": _gray, "size": _size}
