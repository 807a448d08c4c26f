"""How photos become input, from ``preprocessor_config.json`` of a folder in the Hugging Face layout.

Followed are the numbers and the switches (``do_resize``, ``do_center_crop``, ``do_rescale``, ``do_normalize``,
``do_flip_channel_order``) as transformers' image processors follow them for a photograph of 0 to 255; the geometry is
ours: the whole photo is resized to the size that transformers would crop, or resize, it to.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from loce_jax.checks import InputError, short_repr
from loce_jax.foreign_text import logger
from loce_jax.framing import Size
from loce_jax.models.checkpoints.hub_folder import read_json
from loce_jax.models.preprocess.description import LARGEST_SIDE, Filter, Preprocess, Triple
from loce_jax.models.preprocess.options import NOTHING, PreprocessOptions, unknown

log = logger(__name__)
FILTERS: tuple[Filter, ...] = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")  # by Pillow's numbers
PREPROCESSOR, PROCESSOR = "preprocessor_config.json", "processor_config.json"  # newer folders nest the first in this
REFUSED = ("do_color_quantize", "do_grayscale", "do_binarize", "do_affine_transform")  # not pixels of a photo any more
LARGEST = 1e9  # of a mean, a standard deviation and their like
DEFAULTS = {"resample": 2, "rescale_factor": 1 / 255}


def read_preprocess(
    folder: Path,
    options: PreprocessOptions = NOTHING,
    *,
    size: Size | None = None,
    model_size: Size | None = None,
) -> Preprocess:
    """How photos become the input of the checkpoint in `folder`, as far as `options` do not say otherwise.

    Only what is needed is read: nothing where `options` and `size` say all.

    Args:
        folder: in the Hugging Face layout.
        options: what the user says.
        size: ``(h, w)`` of the network's input, the user's.
        model_size: the same as ``config.json`` has it, for folders whose preprocessing names none.

    Raises:
        UnknownPreprocess: there is no ``preprocessor_config.json``, and the options do not describe the input.
        InputError: the file cannot be followed, or nobody gives a size.
    """
    path, config = _find(folder)
    if config is not None and not options.complete:
        _check_switches(config, path)
    what = f"the network in {str(folder)!r} (without a `{PREPROCESSOR}`)" if config is None else repr(str(path))
    size = size or options.given.get("size") or (_input_size(config, path) if config else None) or model_size
    if options.complete:
        return options.apply(None, size=size, what=what)
    if config is None:
        raise unknown(what)
    if size is None:
        raise InputError(
            f"`size` must say how large the input is, since {str(path)!r} resizes nothing and `config.json` has no "
            "`image_size`. Try (224, 224)."
        )
    return options.apply(replace(_numbers(config, path), size=size), what=what)


def _find(folder: Path) -> tuple[Path, dict[str, Any] | None]:
    for name in (PREPROCESSOR, PROCESSOR):
        if (folder / name).exists():
            content = read_json(folder / name)
            nested = content.get("image_processor")
            if isinstance(nested, dict) or name == PREPROCESSOR:
                return folder / name, nested if isinstance(nested, dict) else content
    return folder / PREPROCESSOR, None


def _check_switches(config: Mapping[str, Any], path: Path) -> None:
    """Refuse switches that are neither true nor false, such as the text "false"; null is as if left out."""
    switches = [name for name in config if name.startswith("do_")] + ["include_top", "rescale_offset"]
    faults = [
        f"`{name}` must be true or false, not {short_repr(config[name])}"
        for name in switches
        if not isinstance(config.get(name), bool | None)
    ]
    if faults:
        raise _refusal(path, faults)


def _input_size(config: Mapping[str, Any], path: Path) -> Size | None:
    """The size that a photo has when it enters; None where it enters as it is.

    A shortest and a longest edge become 3:4, as of most photographs: 800 x 1066 for DETR.
    """
    crop_size, resized = config.get("crop_size"), config.get("size")
    crops = config.get("do_center_crop", True) and crop_size is not None
    if not crops and (not config.get("do_resize", True) or (resized is None and crop_size is None)):
        return None
    size = _pair(crop_size if crops or resized is None else resized)
    if not all(type(n) is int and 0 < n <= LARGEST_SIDE for n in size):
        raise _refusal(path, [f"`crop_size` or `size` must be a height and a width from 1 to {LARGEST_SIDE}"])
    return size


def _pair(size: Any) -> tuple[Any, Any]:
    if not isinstance(size, dict):
        return (*size,) if isinstance(size, list) and len(size) == 2 else (size, size)
    shortest, longest = size.get("shortest_edge"), size.get("longest_edge")
    if type(shortest) is not int:
        return size.get("height"), size.get("width")
    return (shortest, min(longest, shortest * 4 // 3)) if type(longest) is int else (shortest, shortest)


def _numbers(config: Mapping[str, Any], path: Path) -> Preprocess:
    """Everything but the size."""
    missing = [name for name in DEFAULTS if config.get(name) is None]
    config = {**config, **{name: DEFAULTS[name] for name in missing}}
    normalizes = bool(config.get("do_normalize", True))
    mean = _triple(config.get("image_mean")) if normalizes else (0.0, 0.0, 0.0)
    std = _triple(config.get("image_std")) if normalizes else (1.0, 1.0, 1.0)
    rescales = bool(config.get("do_rescale", True))
    factor, offset = config["rescale_factor"] if rescales else 1, rescales and bool(config.get("rescale_offset"))
    faults = {
        "`image_mean` must be three numbers": mean is None,
        "`image_std` must be three numbers above 0": std is None or min(std) <= 0,
        f"`resample` must be one of Pillow's numbers, 0 to {len(FILTERS) - 1}": type(config["resample"]) is not int
        or config["resample"] not in range(len(FILTERS)),
        "`rescale_factor` must be a number above 0": not _is_number(factor) or not 0 < factor <= 255,
        **{f"`{name}` must be false, as it is not done here": bool(config.get(name)) for name in REFUSED},
    }
    if any(faults.values()) or mean is None or std is None:
        raise _refusal(path, [fault for fault, is_so in faults.items() if is_so])
    if normalizes and _normalizes_twice(config):
        std = (std[0] ** 2, std[1] ** 2, std[2] ** 2)
    if offset or not math.isclose(factor, 1 / 255, rel_tol=1e-6):
        width = 255 * factor  # of the range that the rescaled numbers have
        mean = ((mean[0] + offset) / width, (mean[1] + offset) / width, (mean[2] + offset) / width)
        std = (std[0] / width, std[1] / width, std[2] / width)
    if normalizes and not rescales and 0 < max(mean) <= 1 / 255:  # by now in units of 0 to 255
        log.warning(
            "%s says do_rescale false and a mean of %s, so photographs enter as numbers from 0 to 255 minus that, as "
            "transformers does it. Where 0 to 1 is meant, give `preprocess` range=0..1 with this mean and std.",
            path,
            config["image_mean"],
        )
    source = path.name + (f", {' and '.join(missing)} by default" if missing else "")
    channels = "bgr" if config.get("do_flip_channel_order") else "rgb"
    return Preprocess((1, 1), mean, std, FILTERS[config["resample"]], channels=channels, source=source)


def _normalizes_twice(config: Mapping[str, Any]) -> bool:
    """Whether numbers are divided by the standard deviation again, as transformers does for EfficientNet."""
    kind = str(config.get("image_processor_type", ""))
    return bool(config.get("include_top", kind.startswith("EfficientNet")))


def _triple(values: Any) -> Triple | None:
    values = [values] * 3 if _is_number(values) else values
    if not isinstance(values, list) or len(values) != 3 or not all(map(_is_number, values)):
        return None
    return (float(values[0]), float(values[1]), float(values[2]))


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= LARGEST  # false for NaN


def _refusal(path: Path, faults: list[str]) -> InputError:
    return InputError(f"{str(path)!r} cannot be followed: {'; '.join(faults)}. Correct the file, or give `preprocess`.")
