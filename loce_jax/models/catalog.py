"""Find a network by what the user calls it: an embedded one, a folder, or a name on the Hugging Face hub.

The networks that are built here stand in `loce_jax.models.networks.table`, those of the LoCE paper in
`loce_jax.models.paper.table`.
"""

import pkgutil
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from loce_jax.checks import InputError, check_known, suggest
from loce_jax.models.base import Network, Preprocess
from loce_jax.models.checkpoints.hub import download
from loce_jax.models.checkpoints.hub_folder import read_json
from loce_jax.models.networks.table import EMBEDDED, FAMILIES, find_family
from loce_jax.models.paper.table import NAMES as PAPERS
from loce_jax.models.paper.table import PHOTO, PREFIX

NAMES = tuple(EMBEDDED)
PREPROCESS = ("own", "paper")
PAPER = Preprocess(PHOTO)  # the LoCE paper's loader: 640 x 480, bicubic, / 255, no mean, no std


def load_network(
    name_or_dir: str,
    *,
    size: tuple[int, int] | None = None,
    preprocess: Literal["own", "paper"] = "own",
    dtype: str = "float32",
    weights: Path | None = None,
    random_weights: bool = False,
) -> Network:
    """The network that `name_or_dir` means.

    Args:
        name_or_dir: one of `NAMES`; a folder with ``config.json`` and safetensors, or one that `loce convert` wrote; or
            ``org/name`` on the hub, which is downloaded once (``HF_HUB_OFFLINE=1`` uses what is there); an existing
            folder comes before the hub.  Or ``paper:NAME``, a network of the LoCE paper with its layers.
        size: ``(h, w)`` that photos are resized to; the network's own without it.
        preprocess: ``"own"`` for the checkpoint's mean, std and filter; ``"paper"`` as the LoCE paper does it:
            640 x 480 pixels (unless `size` says otherwise), bicubic, 0..1, not normalized.  Either is the same for
            ``paper:NAME``.
        dtype: the precision of weights and activations, ``"float32"`` or ``"bfloat16"``.
        weights: for a ``paper:`` network, where its weights are: a safetensors file, for DETR a folder; without it,
            they are downloaded.
        random_weights: let a ``paper:`` network run on random weights.

    Raises:
        InputError: nothing is called so, or what is there cannot be used.

    >>> load_network("efficientnet-lite0", size=(96, 128)).resolve(["stage3"])[0].grid
    (12, 16)
    """
    if size is not None and min(size) < 1:
        raise InputError(f"`size` must be a height and a width of at least 1 pixel, but got {size}. Try (224, 224).")
    check_known("preprocess", [preprocess], PREPROCESS)
    is_papers = name_or_dir.startswith(PREFIX)
    options: dict[str, Any] = {}
    if is_papers:
        options |= {"weights": weights, "random_weights": random_weights}
    elif weights or random_weights:
        raise InputError(f"`weights` and `random_weights` are for `paper:NAME`, not {name_or_dir!r}; leave them out.")
    elif preprocess == "paper":
        size = size or PAPER.size
    network = _load(name_or_dir, options if size is None else options | {"size": size})
    if preprocess == "paper" and not is_papers:
        network = replace(network, preprocess=replace(PAPER, size=network.preprocess.size))
    return network.astype(dtype)


def _load(name_or_dir: str, options: dict) -> Network:
    if name_or_dir.startswith(PREFIX):
        from loce_jax.models.paper.loading import load_paper_network  # noqa: PLC0415 - imports Flax and the converter

        return load_paper_network(name_or_dir, **options)
    if name_or_dir in EMBEDDED:
        return pkgutil.resolve_name(EMBEDDED[name_or_dir])(**options)
    folder = Path(name_or_dir).expanduser()
    if folder.is_dir():
        return _load_folder(folder, options)
    if re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", name_or_dir):
        return replace(_load_folder(download(name_or_dir), options), name=name_or_dir)
    raise InputError(
        f"unknown network {name_or_dir!r}. {suggest(name_or_dir, (*NAMES, *PAPERS))} A folder with `config.json` and "
        "`model.safetensors`, one that `loce convert` wrote, or a name like `facebook/dinov2-small` on the Hugging "
        "Face hub, works too."
    )


def _load_folder(folder: Path, options: dict) -> Network:
    if (folder / "graph.json").is_file():
        return _load_converted(folder, options)
    model_type = read_json(folder / "config.json").get("model_type")
    if not isinstance(model_type, str) or model_type not in FAMILIES:
        raise InputError(
            f"`model_type` in {str(folder / 'config.json')!r} must be a network that is built here, but is "
            f"{model_type!r}. `loce convert {folder} --out NEW_FOLDER` makes any vision network of transformers one "
            f"that is read here; it needs PyTorch. {suggest(str(model_type), list(FAMILIES))}"
        )
    return find_family(model_type).load(folder, **options)


def _load_converted(folder: Path, options: dict) -> Network:
    from loce_jax.models.converter.network import load_converted  # noqa: PLC0415 - imports all operations

    network = load_converted(folder)
    recorded = network.preprocess.size
    if options.get("size", recorded) != recorded:
        height, width = options["size"]
        raise InputError(
            f"`size` must be {recorded} for the network in {str(folder)!r}, which was converted for it, but got "
            f"{options['size']}. Convert it again with `size` {height} {width}."
        )
    return network
