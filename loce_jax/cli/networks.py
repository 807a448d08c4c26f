"""Commands about networks: what layers one has, and making one that runs here."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from loce_jax.cli.terminal import say, say_json
from loce_jax.models.loading import Loading

Model = Annotated[str, tyro.conf.Positional]
LoadingFlags = Annotated[Loading, tyro.conf.OmitArgPrefixes]


@dataclass(frozen=True)
class Layers:
    """List every layer of a network: name, shape, stride, kind."""

    model: Model
    """Name of an embedded network, a checkpoint folder, one that `loce convert` wrote, `paper:NAME`, or a hub's id."""
    loading: LoadingFlags = field(default_factory=Loading)
    """How the network is loaded."""
    json: bool = False
    """Print JSON instead of a table."""

    def __call__(self) -> None:
        """Run it."""
        from loce_jax.models.paper.table import PREFIX, paper_layers  # noqa: PLC0415 - fast --help

        is_known = self.model.startswith(PREFIX) and self.loading == Loading()  # listing a preset loads nothing
        layers = paper_layers(self.model) if is_known else self.loading.load(self.model).layers()
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
            say_json(rows)
            return
        from loce_jax.cli.console import print_layers  # noqa: PLC0415 - fast --help

        print_layers(rows)


@dataclass(frozen=True)
class Convert:
    """Turn a PyTorch vision network into one that is read here without PyTorch, once; needs `loce_jax[torch]`.

    The source is a folder or hub id of transformers, `timm:NAME`, `torchvision:NAME`, or an `.onnx` file.
    """

    source: Annotated[str, tyro.conf.Positional]
    """Folder, hub id, `timm:NAME`, `torchvision:NAME`, or a file that ends in `.onnx`."""
    out: Path
    """The folder to write; new or empty."""
    size: tuple[int, int] | None = None
    """Height and width of the network's input; the checkpoint's own if left out."""
    weights: Path | None = None
    """Safetensors file with the network's state dict, for `timm:` and `torchvision:`; downloaded if left out."""
    random_weights: bool = False
    """Use random weights for `timm:` and `torchvision:`, to try something out."""

    def __call__(self) -> None:
        """Run it."""
        from loce_jax.models.converter.torch.sources import convert_source  # noqa: PLC0415 - needs PyTorch

        options = {"size": self.size, "weights": self.weights, "random_weights": self.random_weights}
        network = convert_source(self.source, self.out, **options)
        say(f"{len(network.layers())} layers in {self.out}. `loce layers {self.out}` lists them.")
