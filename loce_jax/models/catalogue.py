"""Find a network by what the user calls it: an embedded one, a folder, or a name on the Hugging Face hub.

A new network is one line in one of the two tables.
"""

import pkgutil
import re
from dataclasses import replace
from pathlib import Path

from loce_jax.checks import InputError, suggest
from loce_jax.models.base import Network
from loce_jax.models.hub_folder import read_json

EMBEDDED = {  # weights come with the installation
    "efficientnet-lite0": "loce_jax.models.efficientnet_lite0:load_efficientnet_lite0",
}
FOLDERS = {  # by `model_type` in config.json
    "dinov2": "loce_jax.models.dinov2:FAMILY",
}
NAMES = tuple(EMBEDDED)
FILES = ["config.json", "preprocessor_config.json", "model*.safetensors", "model.safetensors.index.json"]


def load_network(name_or_dir: str, *, size: tuple[int, int] | None = None) -> Network:
    """The network that `name_or_dir` means.

    Args:
        name_or_dir: one of `NAMES`; a folder with ``config.json`` and safetensors; or ``org/name`` on the hub, which is
            downloaded once (``HF_HUB_OFFLINE=1`` uses what is there).  An existing folder comes before the hub.
        size: ``(h, w)`` that photos are resized to; the network's own without it.

    Raises:
        InputError: nothing is called so, or what is there cannot be used.
    """
    if size is not None and min(size) < 1:
        raise InputError(f"`size` must be a height and a width of at least 1 pixel, but got {size}. Try (224, 224).")
    options = {} if size is None else {"size": size}
    if name_or_dir in EMBEDDED:
        return pkgutil.resolve_name(EMBEDDED[name_or_dir])(**options)
    folder = Path(name_or_dir).expanduser()
    if folder.is_dir():
        return _load_folder(folder, options)
    if re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", name_or_dir):
        return replace(_load_folder(_download(name_or_dir), options), name=name_or_dir)
    raise InputError(
        f"unknown network {name_or_dir!r}. {suggest(name_or_dir, NAMES)} A folder with `config.json` and "
        "`model.safetensors`, or a name like `facebook/dinov2-small` on the Hugging Face hub, works too."
    )


def _load_folder(folder: Path, options: dict) -> Network:
    model_type = read_json(folder / "config.json").get("model_type")
    if not isinstance(model_type, str) or model_type not in FOLDERS:
        raise InputError(
            f"`model_type` in {str(folder / 'config.json')!r} must be a network that is built here, but is "
            f"{model_type!r}. {suggest(str(model_type), list(FOLDERS))}"
        )
    return pkgutil.resolve_name(FOLDERS[model_type]).load(folder, **options)


def _download(name: str) -> Path:
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - only the hub needs it

    try:
        return Path(snapshot_download(name, allow_patterns=FILES))
    except Exception as error:  # its many types: no network, no such name, no access, offline and not cached
        raise InputError(
            f"no folder is called {name!r}, and it cannot be fetched from the Hugging Face hub: "
            f"{type(error).__name__}: {' '.join(str(error).split())} "
            "Check the name and the connection, or give a folder."
        ) from error
