"""PyTorch state dicts, from a safetensors file or published by torchvision; read as tensors, never as code."""

from pathlib import Path
from typing import Any

from loce_jax.checks import InputError, check_exists, one_line
from loce_jax.models.converter.torch.libraries import need


def load_into(module: Any, state_dict: Any, *, name: str) -> None:
    """Put `state_dict` into `module`; one `InputError` with every key and shape that does not fit."""
    try:
        module.load_state_dict(state_dict)
    except RuntimeError as error:  # lists the keys and shapes that do not fit
        raise InputError(
            f"`weights` must be the state dict of {name!r}, but do not fit: {one_line(error)} "
            "Check that they belong to this network."
        ) from error


def read_state_dict(path: Path) -> Any:
    """The state dict in the safetensors file at `path`."""
    from safetensors.torch import load_file  # noqa: PLC0415 - needs PyTorch

    check_exists("weights", path, kind="file", fix="Give a safetensors file with the network's state dict.")
    try:
        return load_file(path)
    except Exception as error:  # safetensors' own type
        raise InputError(
            f"`weights` must be a safetensors file with a state dict, but {str(path)!r} cannot be read: {error}. "
            "Write it with `safetensors.torch.save_file(model.state_dict(), path)`."
        ) from error


def published_state_dict(name: str, weights: Any) -> Any:
    """The `weights` that torchvision publishes for `name`, downloaded unless PyTorch's cache has them."""
    torch = need("torch")
    try:
        return torch.hub.load_state_dict_from_url(weights.url, check_hash=True, weights_only=True, progress=False)
    except Exception as error:  # no connection, a full disk, another file: many types
        raise InputError(
            f"the weights of {name!r} cannot be had: looked for {weights} in {torch.hub.get_dir()!r} and at "
            f"{weights.url}: {type(error).__name__}: {one_line(error)} Check the connection, give a "
            "safetensors file with the state dict as `weights`, or set `random_weights` to try something out."
        ) from error
