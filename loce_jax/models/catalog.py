"""Find a network by its name: a built-in one, a folder, or a name on the Hugging Face hub.

The networks that are built here stand in `loce_jax.models.networks.table`, those of the LoCE paper in
`loce_jax.models.paper.table`.
"""

import pkgutil
import re
from dataclasses import replace
from pathlib import Path
from typing import Literal

from loce_jax.checks import InputError, check_arguments, short_repr, suggest
from loce_jax.models.base import Network
from loce_jax.models.checkpoints.hub import download
from loce_jax.models.checkpoints.hub_folder import read_json
from loce_jax.models.checkpoints.other_formats import explain_format
from loce_jax.models.networks.table import BUILT_IN, FAMILIES, find_family
from loce_jax.models.paper.table import NAMES as PAPERS
from loce_jax.models.paper.table import PREFIX
from loce_jax.models.preprocess.description import check_size
from loce_jax.models.preprocess.options import OWN, PreprocessOptions, read_options

NAMES = tuple(BUILT_IN)
Size = tuple[int, int]


@check_arguments
def load_network(
    name_or_dir: str,
    *,
    size: tuple[int, int] | None = None,
    preprocess: str = OWN,
    dtype: Literal["float32", "bfloat16"] = "float32",
    weights: str | Path | None = None,
    random_weights: bool = False,
) -> Network:
    """The network that `name_or_dir` means.

    Args:
        name_or_dir: one of `NAMES`; a folder with ``config.json`` and safetensors, or one that `loce convert` wrote; or
            ``org/name`` on the hub, which is downloaded once (``HF_HUB_OFFLINE=1`` uses what is there); an existing
            folder comes before the hub.  Or ``paper:NAME``, a network of the LoCE paper with its layers.
        size: ``(h, w)`` that photos are resized to; the network's own without it.
        preprocess: how photos become input: ``"own"`` as the checkpoint says; ``"paper"`` as the LoCE paper does it,
            640 x 480 pixels (unless `size` says otherwise), bicubic, 0..1, not normalized; another preset, key=value
            pairs or a JSON file, see `loce_jax.models.preprocess.options`; ``"unknown"`` to assume 0 to 1, red first.
            Either of the first two is the same for ``paper:NAME``, which takes no other.
        dtype: the precision of weights and activations, ``"float32"`` or ``"bfloat16"``.
        weights: for a ``paper:`` network, where its weights are: a safetensors file, for DETR a folder; without it,
            they are downloaded.
        random_weights: let a ``paper:`` network run on random weights.

    Raises:
        InputError: nothing is called so, or what is there cannot be used.

    >>> load_network("efficientnet-lite0", size=(96, 128)).resolve(["stage3"])[0].grid
    (12, 16)
    """
    if size is not None:
        check_size(size)
    options = read_options(preprocess)
    if name_or_dir.startswith(PREFIX):
        if preprocess not in (OWN, "paper"):
            raise InputError(
                f"`preprocess` must be left out for {name_or_dir!r}, whose input is the paper's, but is {preprocess!r}."
            )
        return _load_papers(name_or_dir, size, Path(weights) if weights else None, random_weights).astype(dtype)
    if weights or random_weights:
        raise InputError(f"`weights` and `random_weights` are for `paper:NAME`, not {name_or_dir!r}; leave them out.")
    return _load(name_or_dir, size, options).astype(dtype)


def _load_papers(name: str, size: Size | None, weights: Path | None, random_weights: bool) -> Network:
    from loce_jax.models.paper.loading import load_paper_network  # noqa: PLC0415 - imports Flax and the converter

    return load_paper_network(name, size=size, weights=weights, random_weights=random_weights)


def _load(name_or_dir: str, size: Size | None, options: PreprocessOptions) -> Network:
    if name_or_dir in BUILT_IN:
        size = size or options.given.get("size")
        network = pkgutil.resolve_name(BUILT_IN[name_or_dir])(**({"size": size} if size else {}))
        return _with_options(network, options)
    folder = Path(name_or_dir).expanduser()
    if folder.is_dir():
        return _load_folder(folder, size, options)
    if message := explain_format(name_or_dir):
        raise InputError(message)
    if re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", name_or_dir):
        return replace(_load_folder(download(name_or_dir), size, options), name=name_or_dir)
    raise InputError(
        f"unknown network {name_or_dir!r}. {suggest(name_or_dir, (*NAMES, *PAPERS))} A folder with `config.json` and "
        "`model.safetensors`, one that `loce convert` wrote, or a name like `facebook/dinov2-small` on the Hugging "
        "Face hub, works too."
    )


def _with_options(network: Network, options: PreprocessOptions) -> Network:
    """The network with what a person says of its preprocessing; its size stays."""
    own = network.preprocess
    return replace(network, preprocess=options.apply(own, size=own.size, what=f"network {network.name!r}"))


def _load_folder(folder: Path, size: Size | None, options: PreprocessOptions) -> Network:
    if (folder / "graph.json").is_file():
        return _load_converted(folder, size, options)
    model_type = read_json(folder / "config.json").get("model_type")
    if not isinstance(model_type, str) or model_type not in FAMILIES:
        raise InputError(
            f"`model_type` in {str(folder / 'config.json')!r} must be a network that is built here, but is "
            f"{short_repr(model_type)}. `loce convert {folder} --out NEW_FOLDER` makes any vision network of "
            f"transformers one that is read here; it needs PyTorch. {suggest(str(model_type), list(FAMILIES))}"
        )
    return find_family(model_type).load(folder, size, options)


def _load_converted(folder: Path, size: Size | None, options: PreprocessOptions) -> Network:
    from loce_jax.models.converter.network import load_converted  # noqa: PLC0415 - imports all operations

    network = load_converted(folder)
    recorded, size = network.preprocess.size, size or options.given.get("size")
    if size not in (None, recorded):
        raise InputError(
            f"`size` must be {recorded} for the network in {str(folder)!r}, which was converted for it, but got "
            f"{size}. Convert it again with `size` {size[0]} {size[1]}."
        )
    return _with_options(network, options)
