"""How a network is loaded, as plain values: what a command line gives, and what a process elsewhere needs."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from loce_jax.checks import CheckedOptions
from loce_jax.models.base import Network
from loce_jax.models.catalog import load_network
from loce_jax.models.preprocess.description import UNKNOWN
from loce_jax.models.preprocess.options import OWN, UnknownPreprocess, inlined


@dataclass(frozen=True)
class LoadOptions(CheckedOptions):
    """How a network is loaded."""

    size: tuple[int, int] | None = None
    """Height and width of the network's input; the checkpoint's own if left out."""
    preprocess: str = OWN
    """How photos become input: "own" as the checkpoint says, "paper" as the LoCE paper does it (640 x 480, 0..1), other
    presets such as imagenet or yolox, pairs such as range=0..255,channels=bgr, a JSON file, or "unknown"."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Precision of weights and activations."""
    weights: Path | None = None
    """Weights for `paper:NAME`: a safetensors file, for DETR a folder; downloaded if left out."""
    random_weights: bool = False
    """Random weights for `paper:NAME`, to try something out."""

    def load(self, model: str) -> Network:
        """The network called `model`."""
        return load_network(model, **asdict(self))

    def load_for_listing(self, model: str) -> Network:
        """The same where no photo enters it: a preprocessing that nobody describes is then no error."""
        try:
            return self.load(model)
        except UnknownPreprocess:
            return replace(self, preprocess=UNKNOWN).load(model)

    def portable(self) -> "LoadOptions":
        """The same for a process that does not see the JSON file of `preprocess`."""
        return replace(self, preprocess=inlined(self.preprocess))
