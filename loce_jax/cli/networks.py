"""Commands about networks: listing the layers of one, and converting one."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from loce_jax.cli.terminal import say, say_json
from loce_jax.models.loading import LoadOptions
from loce_jax.models.preprocess.options import OWN

Model = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
LoadFlags = Annotated[LoadOptions, tyro.conf.OmitArgPrefixes]


@dataclass(frozen=True)
class Layers:
    """List every layer of a network (name, shape, stride, kind), and how photos become its input.

    A layer from which nothing goes on to an output or to another layer cannot be resumed from; a note says so.
    """

    model: Model
    """Network: a built-in name, a checkpoint folder, a converted folder, `paper:NAME`, or a Hugging Face id."""
    loading: LoadFlags = field(default_factory=LoadOptions)
    """How the network is loaded."""
    json: bool = False
    """JSON instead of a table."""

    def __call__(self) -> None:
        """Run it."""
        from loce_jax.models.paper.table import PREFIX, paper_layers, paper_network  # noqa: PLC0415 - fast --help

        if self.model.startswith(PREFIX) and self.loading == LoadOptions():  # listing a preset loads nothing
            layers, preprocess, dead_ends = paper_layers(self.model), paper_network(self.model).preprocess, ()
        else:
            network = self.loading.load_for_listing(self.model)
            layers, preprocess, dead_ends = network.layers(), network.preprocess, network.dead_ends
        rows = [
            {
                "name": layer.name,
                "shape": [*layer.grid, layer.channels],
                "stride": layer.stride,
                "kind": layer.kind,
                "aliases": list(layer.aliases),
            }
            for layer in layers
        ]
        if self.json:
            say_json({"input": asdict(preprocess), "layers": rows, "dead_ends": list(dead_ends)})
            return
        from loce_jax.cli.console import print_layers  # noqa: PLC0415 - fast --help

        print_layers(rows, dead_ends)
        say()
        say(f"input: {preprocess.describe()}")


@dataclass(frozen=True)
class Convert:
    """Convert a PyTorch vision network or an ONNX file to one that runs in JAX without PyTorch.

    Needs `loce_jax[torch]`, or `loce_jax[onnx]` for an ONNX file.
    """

    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
    """Folder or Hugging Face id of transformers, `timm:NAME`, `torchvision:NAME`, or an `.onnx` file."""
    out: Path
    """Folder that is written to, new or empty."""
    size: tuple[int, int] | None = None
    """Height and width of the network's input; the checkpoint's own if left out."""
    preprocess: str = OWN
    """How photos become input: "own" as the source says, which ONNX files do not; presets such as imagenet or yolox,
    pairs such as range=0..255,channels=bgr, a JSON file, or "unknown" to assume numbers from 0 to 1, red first."""
    weights: Path | None = None
    """Safetensors file with the network's state dict, for `timm:` and `torchvision:`; downloaded if left out."""
    random_weights: bool = False
    """Random weights for `timm:` and `torchvision:`, to try something out."""

    def __call__(self) -> None:
        """Run it."""
        from loce_jax.models.converter.torch.sources import convert_source  # noqa: PLC0415 - needs PyTorch

        options = {"size": self.size, "weights": self.weights, "random_weights": self.random_weights}
        network = convert_source(self.source, self.out, preprocess=self.preprocess, **options)
        say(f"Input: {network.preprocess.describe()}.")
        say(f"{len(network.layers())} layers in {self.out}. `loce layers {self.out}` lists them.")
