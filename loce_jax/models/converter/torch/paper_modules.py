"""The PyTorch networks of the LoCE paper, with weights; their modules carry the names that the paper uses."""

import inspect
from collections import OrderedDict
from pathlib import Path
from typing import Any

from loce_jax.checks import InputError
from loce_jax.models.converter.torch.libraries import need
from loce_jax.models.converter.torch.state_dicts import load_into, published_state_dict, read_state_dict
from loce_jax.models.converter.torch.yolov5 import build_yolov5s
from loce_jax.models.paper.table import PaperNetwork


def build(name: str, row: PaperNetwork, weights: Path | None, random_weights: bool) -> Any:
    """The network called `name`, with the state dict in the safetensors file `weights`, or torchvision's, or random."""
    torch = need("torch")
    given = read_state_dict(weights) if weights else None
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if row.source == "yolov5s":
            return _yolov5(name, given, random_weights)
        return _torchvision(name, row, given, random_weights)


def _yolov5(name: str, given: Any, random_weights: bool) -> Any:
    if given is None and not random_weights:
        raise InputError(
            f"{name!r} needs a file with its weights: its authors publish YOLOv5s as a pickle, which can run code. "
            "Where you trust it, write safetensors: "
            "`safetensors.torch.save_file(model.float().state_dict(), 'yolov5s.safetensors')`, and give it as "
            "`weights`; or set `random_weights` to try something out."
        )
    return build_yolov5s(given)


def _torchvision(name: str, row: PaperNetwork, given: Any, random_weights: bool) -> Any:
    torch, models = need("torch"), need("torchvision").models
    model_name = row.source.partition(":")[2]
    takes = inspect.signature(models.get_model_builder(model_name)).parameters
    without = dict.fromkeys({"weights", "weights_backbone"} & takes.keys())
    model = models.get_model(model_name, **without)
    if not random_weights:
        given = given or published_state_dict(name, models.get_model_weights(model_name)[row.weights])
        load_into(model, given, name=name)
    # a detector computes boxes behind its backbone, where no map is left
    return torch.nn.Sequential(OrderedDict(backbone=model.backbone)) if hasattr(model, "backbone") else model
