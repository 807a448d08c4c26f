"""How a network is loaded, as plain values: what a command line gives, and what a process elsewhere needs."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from loce_jax.models.base import Network
from loce_jax.models.catalog import load_network


@dataclass(frozen=True)
class LoadOptions:
    """How a network is loaded."""

    size: tuple[int, int] | None = None
    """Height and width of the network's input; the checkpoint's own if left out."""
    preprocess: Literal["own", "paper"] = "own"
    """Preprocessing: the checkpoint's own, or the LoCE paper's (640 x 480, values 0 to 1, not normalized)."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Precision of weights and activations."""
    weights: Path | None = None
    """Weights for `paper:NAME`: a safetensors file, for DETR a folder; downloaded if left out."""
    random_weights: bool = False
    """Random weights for `paper:NAME`, to try something out."""

    def load(self, model: str) -> Network:
        """The network called `model`."""
        return load_network(model, **asdict(self))
