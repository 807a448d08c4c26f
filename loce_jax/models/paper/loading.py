"""Load a network of the LoCE paper, ``paper:NAME``, with the layers and the input that the paper gave it.

PyTorch is needed once for each network, input size and weights; what it makes is kept in the cache.
Shapes: b images, h x w pixels, gh x gw grid cells.
"""

import functools as ft
import hashlib
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from loce_jax.atomic import new_folder
from loce_jax.checks import InputError, check_exists
from loce_jax.foreign_text import logger
from loce_jax.models.base import Network, Preprocess
from loce_jax.models.checkpoints.cache import cache_folder
from loce_jax.models.checkpoints.hub import download
from loce_jax.models.converter import convert, load_converted
from loce_jax.models.converter.torch.paper_modules import build
from loce_jax.models.edits import NO_EDITS
from loce_jax.models.networks.table import find_family
from loce_jax.models.paper.table import PaperNetwork, Size, paper_network
from loce_jax.resampling import bilinear_matrix

CONVERSION = 3  # raise it when converted networks change for the same weights
log = logger(__name__)


@dataclass(frozen=True)
class WeightSource:
    """Where weights come from: a file or folder, or random numbers; with neither, the published weights."""

    path: Path | None
    random: bool


def load_paper_network(
    name: str, *, size: Size | None = None, weights: str | Path | None = None, random_weights: bool = False
) -> Network:
    """The network called `name`, one of `loce_jax.models.paper.table.NAMES`, with the paper's layers.

    Args:
        name: e.g. ``"paper:swin"``.
        size: ``(h, w)`` of its input; the paper's without it.
        weights: a safetensors file with the PyTorch state dict, or for DETR a folder in the Hugging Face layout.
            Without it: torchvision's weights, DETR's from the Hugging Face hub, downloaded once; YOLOv5s has none.
        random_weights: random weights, the same each time; nothing is downloaded.

    Raises:
        InputError: there is no such network, or its weights cannot be had.
    """
    row = paper_network(name)
    if weights and random_weights:
        raise InputError("`weights` and `random_weights` exclude each other, but got both. Leave one out.")
    source = WeightSource(Path(weights).expanduser() if weights else None, random_weights)
    preprocess = replace(row.preprocess, size=size or row.preprocess.size)
    load = _load_native if row.source.startswith("native:") else _load_converted
    network = replace(load(name, row, preprocess, source), preprocess=preprocess)
    return _as_in_the_paper(replace(network, name=f"{name} (random weights)" if random_weights else name), row)


def _as_in_the_paper(network: Network, row: PaperNetwork) -> Network:
    """The paper's layers only, behind the resize that belongs to the network itself."""
    height = network.preprocess.size[0]
    layers = tuple(replace(layer, stride=height / layer.grid[0]) for layer in network.resolve(list(row.layers)))
    size = row.resizes_to
    if size is None:
        return replace(network, all_layers=layers)
    forward = network.forward

    def resized(params, images, names, edits=NO_EDITS, /):
        return forward(params, _resize(images, size), names, edits)

    return replace(network, all_layers=layers, forward=resized)


def _resize(images: Float[Array, "b h w 3"], size: Size) -> Float[Array, "b gh gw 3"]:
    """Bilinear without smoothing, as PyTorch's ``interpolate``."""
    rows, columns = (
        jnp.asarray(bilinear_matrix(n_in, n_out), images.dtype)
        for n_in, n_out in zip(images.shape[1:3], size, strict=True)
    )
    return jnp.einsum("yh,bhwc,xw->byxc", rows, images, columns, precision="highest")


def _load_converted(name: str, row: PaperNetwork, preprocess: Preprocess, source: WeightSource) -> Network:
    """A network that PyTorch builds, converted and kept, the weights' origin in the folder's name."""
    inside = replace(preprocess, size=row.resizes_to or preprocess.size, first=None)
    origin = "random" if source.random else row.weights
    if source.path:
        check_exists("weights", source.path, kind="file", fix="It is a safetensors file with the state dict.")
        origin = hashlib.sha256(source.path.read_bytes()).hexdigest()[:24]
    height, width = inside.size
    entry = cache_folder() / "converted" / f"{name.replace(':', '-')}-v{CONVERSION}-{height}x{width}-{origin}"
    if entry.exists():
        try:
            return load_converted(entry)
        except InputError as error:
            log.warning("the converted network in %s is damaged (%s); converting it again", entry, error)
            shutil.rmtree(entry, ignore_errors=True)
    return _convert(entry, build(name, row, source.path, source.random), inside)


def _convert(entry: Path, module: Any, preprocess: Preprocess) -> Network:
    """`module` converted, and kept in the folder `entry` if that can be."""
    make = ft.partial(convert, module, preprocess, name=entry.name, after_inplace=True)
    try:
        with new_folder(entry, unless_there=True) as draft:  # where another process was faster, with the same network
            return make(out=draft)
    except OSError as error:
        log.warning("cannot keep the converted network in %s (%s); the next start converts again", entry, error)
        return make()


def _load_native(name: str, row: PaperNetwork, preprocess: Preprocess, source: WeightSource) -> Network:
    """A network that is built here, from a folder in the Hugging Face layout."""
    family = find_family(row.source.partition(":")[2])
    if source.random:
        return family.with_random_weights(preprocess)
    if source.path:
        folder = check_exists("weights", source.path, kind="folder", fix="It is one in the Hugging Face layout.")
    else:
        try:
            folder = download(row.weights)
        except InputError as error:
            raise InputError(
                f"the weights of {name!r} cannot be had: {error} Or give a folder as `weights`, or "
                "set `random_weights` to try something out."
            ) from error
    return family.load(folder, preprocess.size)
