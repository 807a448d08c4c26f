"""Download a checkpoint from the Hugging Face hub."""

from pathlib import Path

from loce_jax.checks import InputError, one_line

FILES = (
    "config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
)


def download(name: str, files: tuple[str, ...] = FILES) -> Path:
    """The folder with the `files` of the checkpoint called `name` on the Hugging Face hub, downloaded if need be."""
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - only the hub needs it

    try:
        return Path(snapshot_download(name, allow_patterns=list(files)))
    except Exception as error:  # its many types: no network, no such name, no access, offline and not cached
        raise InputError(
            f"no folder is called {name!r}, and it cannot be fetched from the Hugging Face hub: "
            f"{type(error).__name__}: {one_line(error)} "
            "Check the name and the connection, or give a folder."
        ) from error
