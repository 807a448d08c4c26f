"""Sources of `loce convert`: a checkpoint of transformers, or a network of timm or torchvision by name.

All but ONNX files needs PyTorch; this is imported only when something is converted.
"""

import inspect
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from loce_jax.checks import InputError, one_line, suggest
from loce_jax.models.base import Network, Preprocess
from loce_jax.models.checkpoints.hub import FILES, download
from loce_jax.models.checkpoints.hub_folder import read_json, refuse_quantized
from loce_jax.models.checkpoints.other_formats import explain_format
from loce_jax.models.converter import convert
from loce_jax.models.converter.onnx import convert_onnx
from loce_jax.models.converter.torch.libraries import need
from loce_jax.models.converter.torch.state_dicts import load_into, published_state_dict, read_state_dict
from loce_jax.models.preprocess.hub_folder import read_preprocess
from loce_jax.models.preprocess.options import OWN, PreprocessOptions, read_options

Size = tuple[int, int]
PICKLES = ("pytorch_model*.bin", "pytorch_model.bin.index.json")  # PyTorch reads them restricted to tensors
TOWERS = {  # model types with more than the part that sees images, and the class of that part
    "clip": "CLIPVisionModel",
    "clip_vision_model": "CLIPVisionModel",
    "siglip": "SiglipVisionModel",
    "siglip_vision_model": "SiglipVisionModel",
    "siglip2": "Siglip2VisionModel",
    "sam": "SamVisionModel",
}


@dataclass(frozen=True)
class Source:
    """A network of PyTorch, ready to be converted."""

    name: str
    module: Any
    preprocess: Preprocess
    classes: tuple[str, ...] = ()


def convert_source(
    source: str,
    out: str | Path,
    *,
    size: Size | None = None,
    preprocess: str = OWN,
    weights: Path | None = None,
    random_weights: bool = False,
) -> Network:
    """Convert what `source` means and keep it in the folder `out`, which must be new or empty.

    Args:
        source: a folder or hub id of transformers, ``timm:NAME`` or ``torchvision:NAME``, or an ``.onnx`` file.
        out: where the converted network goes.
        size: ``(h, w)`` of the network's input; without it, the checkpoint's own.
        preprocess: how photos become input, as `loce_jax.models.preprocess.options` reads it; ``"own"`` is what the
            source says: ``preprocessor_config.json``, timm's ``pretrained_cfg``, the transforms of torchvision's
            weights.  An ONNX file says nothing; those of known families are recognized.
        weights: safetensors file with the state dict, for ``timm:`` and ``torchvision:``.
        random_weights: random weights for ``timm:`` and ``torchvision:``.

    Raises:
        InputError: PyTorch is missing, nothing is called so, nobody says how photos become input, or the network
            uses what cannot be converted.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"`out` must be a new or an empty folder, but {str(out)!r} is not. Choose another name.")
    if message := explain_format(source, converting=True):
        raise InputError(message)
    options = read_options(preprocess)
    is_onnx = source.endswith(".onnx")
    library, _, name = ("", "", source) if is_onnx else source.rpartition(":")
    if library and library not in LIBRARIES:
        raise InputError(f"unknown library {library!r} in {source!r}. {suggest(library, list(LIBRARIES))}")
    if not library and (weights or random_weights):
        raise InputError("`weights` and `random_weights` are for `timm:NAME` and `torchvision:NAME`; leave them out.")
    if is_onnx:
        return convert_onnx(source, preprocess=options, size=size, out=out)
    need("torch")
    if not library:
        found = _from_transformers(name, size, options)
    else:
        found = LIBRARIES[library](name, weights, random_weights)
        found = replace(found, preprocess=options.apply(found.preprocess, size=size, what=f"{library}:{name}"))
    return convert(found.module, found.preprocess, name=found.name, out=out, classes=found.classes)


def _from_transformers(name: str, size: Size | None, options: PreprocessOptions) -> Source:
    transformers = need("transformers")
    folder = Path(name).expanduser()
    if not folder.is_dir():
        folder = download(name, (*FILES, *PICKLES))
    config = read_json(folder / "config.json")
    refuse_quantized(config, folder / "config.json")
    preprocess = read_preprocess(folder, options, size=size, model_size=_image_size(config))
    kind = config.get("model_type")
    model_class = getattr(transformers, TOWERS.get(str(kind), "AutoModel"))
    try:
        model = model_class.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:  # its many types: an unknown model type, code of its own, damaged weights
        raise InputError(
            f"transformers cannot load {str(folder)!r}: {type(error).__name__}: {one_line(error)} "
            "Check the folder; networks that bring code of their own are not run."
        ) from error
    return Source(name=folder.name, module=model.float(), preprocess=preprocess)


def _image_size(config: dict[str, Any]) -> Size | None:
    """The input's height and width that ``config.json`` names."""
    size = config.get("image_size")
    size = [size, size] if isinstance(size, int) else size
    is_size = isinstance(size, list) and len(size) == 2 and all(type(n) is int for n in size)
    return (size[0], size[1]) if isinstance(size, list) and is_size else None


def _from_timm(name: str, weights: Path | None, random_weights: bool) -> Source:
    timm = need("timm")
    _check_name(name, timm.list_models(), timm.is_model(name))
    try:
        model = timm.create_model(name, pretrained=not (weights or random_weights))
    except Exception as error:  # no network, no such weights, a full disk: many types
        raise InputError(
            f"the weights of 'timm:{name}' cannot be had: {type(error).__name__}: {one_line(error)} "
            "Check the connection, give a safetensors file as `weights`, or set `random_weights` to try something out."
        ) from error
    if weights:
        load_into(model, read_state_dict(weights), name=name)
    given = timm.data.resolve_model_data_config(model)
    preprocess = Preprocess(
        size=tuple(given["input_size"][1:]),
        mean=tuple(given["mean"]),
        std=tuple(given["std"]),
        resample=given["interpolation"],
        source="timm's pretrained_cfg",
    )
    return Source(name, model, preprocess)


def _from_torchvision(name: str, weights: Path | None, random_weights: bool) -> Source:
    models = need("torchvision").models
    _check_name(name, models.list_models(), name in models.list_models())
    published = models.get_model_weights(name).DEFAULT
    takes = inspect.signature(models.get_model_builder(name)).parameters
    model = models.get_model(name, **dict.fromkeys({"weights", "weights_backbone"} & takes.keys()))
    if not random_weights:
        given = read_state_dict(weights) if weights else published_state_dict(f"torchvision:{name}", published)
        load_into(model, given, name=name)
    classes = () if random_weights else tuple(map(str, published.meta.get("categories", ())))
    return Source(name, model, _torchvision_preprocess(published.transforms()), classes)


def _torchvision_preprocess(given: Any) -> Preprocess:
    """What torchvision's `given` transforms say; detectors take 0..1, since they normalize inside."""
    size: Any = getattr(given, "crop_size", None) or getattr(given, "resize_size", None) or [224]
    mean: Any = getattr(given, "mean", (0.0, 0.0, 0.0))
    std: Any = getattr(given, "std", (1.0, 1.0, 1.0))
    resample: Any = getattr(getattr(given, "interpolation", None), "value", "bilinear")
    return Preprocess(
        size=(size[0], size[-1]),
        mean=tuple(mean),
        std=tuple(std),
        resample=resample,
        source="torchvision's transforms",
    )


LIBRARIES = {"timm": _from_timm, "torchvision": _from_torchvision}


def _check_name(name: str, known: list[str], is_known: bool) -> None:
    if not is_known:
        raise InputError(f"unknown network {name!r}. {suggest(name, known)}")
