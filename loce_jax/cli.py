"""The command line: flags become frozen options, options go to the pipeline; no maths here."""

import json
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from loce_jax.checks import InputError
from loce_jax.solver.options import SolverOptions

DEMO_LAYERS = ("blocks.4", "blocks.10", "head")

Model = Annotated[str, tyro.conf.Positional]


@dataclass(frozen=True)
class Loading:
    """How a network is loaded."""

    size: tuple[int, int] | None = None
    """Height and width of the network's input; the checkpoint's own if left out."""
    preprocess: Literal["own", "paper"] = "own"
    """The checkpoint's own normalisation, or the LoCE paper's: 640 x 480, 0..1, none."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Precision of weights and activations."""
    weights: Path | None = None
    """For `paper:NAME`, where its weights are: a safetensors file, for DETR a folder; downloaded if left out."""
    random_weights: bool = False
    """For `paper:NAME`: use random weights, to try something out."""

    def load(self, model: str):
        """The network called `model`."""
        from loce_jax.models.catalogue import load_network  # noqa: PLC0415 - fast --help

        return load_network(model, **asdict(self))


LoadingFlags = Annotated[Loading, tyro.conf.OmitArgPrefixes]


@dataclass(frozen=True)
class Fit:
    """Solve one LoCE for every (image, concept) of a data set, and store them in a run folder.

    Killed and started again with the same flags, it continues.  The data are `--coco` with `--images`, or `--scenes`.
    """

    out: Path
    """The run folder: new, or one that the same command began."""
    layers: tuple[str, ...]
    """Layers to read, as `loce layers` lists them; globs such as 'blocks.*' work."""
    model: str = "efficientnet-lite0"
    """Name of an embedded network, a checkpoint folder, one that `loce convert` wrote, `paper:NAME`, or a hub's id."""
    coco: Path | None = None
    """COCO annotation file (instances, JSON)."""
    images: Path | None = None
    """Folder that the annotation file's file names are relative to."""
    concepts: tuple[str, ...] = ()
    """Category names to use; all of them if left out."""
    scenes: bool = False
    """Use the embedded scenes instead of a COCO file."""
    loading: LoadingFlags = field(default_factory=Loading)
    """How the network is loaded."""
    solver: SolverOptions = field(default_factory=SolverOptions)
    """The recipe; the paper's if left out."""
    strict: bool = False
    """Stop at the first image or mask that cannot be used, instead of keeping it as a row with a status."""

    def __call__(self) -> None:
        """Run it."""
        fit(
            self.loading.load(self.model),
            self.layers,
            self._source(),
            self.out,
            options=self.solver,
            strict=self.strict,
        )
        print(f"\n`loce report {self.out}` writes the page.")

    def _source(self):
        from loce_jax.pipeline.sources import CocoSource, ScenesSource  # noqa: PLC0415 - fast --help

        if self.scenes == (self.coco is not None):
            raise InputError("give one data set: `--coco ANNOTATIONS.json --images FOLDER`, or `--scenes`.")
        if self.scenes:
            if self.images or self.concepts:
                raise InputError(
                    "`--scenes` brings its own images and concepts; leave `--images` and `--concepts` out."
                )
            return ScenesSource()
        if self.images is None:
            raise InputError("`--coco` needs `--images`, the folder that its file names are relative to.")
        return CocoSource(str(self.coco), str(self.images), self.concepts)


@dataclass(frozen=True)
class Demo:
    """See it work: embedded photographs, an ImageNet network, three layers, and a page to look at."""

    out: Path = Path("loce_demo")
    """The run folder."""

    def __call__(self) -> None:
        """Run it."""
        from loce_jax.pipeline.sources import ScenesSource  # noqa: PLC0415 - fast --help

        fit(Loading().load("efficientnet-lite0"), DEMO_LAYERS, ScenesSource(), self.out)
        Report(self.out)()


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
        from loce_jax.models.paper_table import PREFIX, paper_layers  # noqa: PLC0415 - fast --help

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
            print(json.dumps(rows, indent=1))
            return
        from loce_jax.console import print_layers  # noqa: PLC0415 - fast --help

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
        from loce_jax.models.converter.sources import convert_source  # noqa: PLC0415 - needs PyTorch

        options = {"size": self.size, "weights": self.weights, "random_weights": self.random_weights}
        network = convert_source(self.source, self.out, **options)
        print(f"{len(network.layers())} layers in {self.out}. `loce layers {self.out}` lists them.")


@dataclass(frozen=True)
class Show:
    """Print a run's numbers: LoCEs, mean and median IoU and the share of failures per concept and layer."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run folder."""
    verify: bool = False
    """Also check every stored file against its checksum."""

    def __call__(self) -> None:
        """Run it."""
        from loce_jax.console import print_run  # noqa: PLC0415 - fast --help
        from loce_jax.store import open_run  # noqa: PLC0415 - fast --help

        run = open_run(self.run)
        if self.verify and (damaged := run.damaged()):
            raise InputError(
                f"{len(damaged)} stored files are damaged or missing: {', '.join(damaged[:8])}. Delete the files of "
                "the same number in `chunks`, and run the same `loce fit` again."
            )
        print_run(run)


@dataclass(frozen=True)
class Report:
    """Write a run's page: one self-contained HTML file."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run folder; the images must still be where they were."""
    out: Path | None = None
    """The file to write; `report.html` in the run folder if left out."""

    def __call__(self) -> None:
        """Run it."""
        from loce_jax.pipeline.sources import source_from  # noqa: PLC0415 - fast --help
        from loce_jax.report.page import write_report  # noqa: PLC0415 - fast --help
        from loce_jax.store import open_run  # noqa: PLC0415 - fast --help

        run = open_run(self.run)
        dataset = source_from(run.plan["data"]["source"]).open()
        page = write_report(run, dataset, self.out or self.run / "report.html")
        print(f"The page: {page}")


def fit(network, layers, source, out, *, options=SolverOptions(), strict=False):  # noqa: B008
    """Plan, run with a progress display, and print the numbers."""
    from loce_jax.console import print_run, progress  # noqa: PLC0415 - fast --help
    from loce_jax.pipeline.plan import make_plan  # noqa: PLC0415 - fast --help
    from loce_jax.pipeline.run import run_plan  # noqa: PLC0415 - fast --help

    plan = make_plan(network, layers, source, options)
    with progress("images") as tell:
        run = run_plan(plan, out, strict=strict, progress=tell)
    print_run(run)


COMMANDS = {"demo": Demo, "convert": Convert, "fit": Fit, "layers": Layers, "show": Show, "report": Report}


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the `loce` command; 0 if all went well, 2 if the input cannot be used, 1 for a failing disk."""
    command = tyro.extras.subcommand_cli_from_dict(
        COMMANDS,
        prog="loce",
        description="Local concept embeddings: where and how does a vision network hold a concept, picture by picture?",
        args=arguments,
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    _keep_compilations()
    try:
        command()
    except InputError as error:
        print(f"loce: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # a full disk, a vanished mount
        print(f"loce: {error}; what is finished is kept, and the same command continues.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("loce: interrupted; the same command continues.", file=sys.stderr)
        return 130
    return 0


def _keep_compilations() -> None:
    """Let a second start reuse the first one's compiled functions, from the user's cache folder."""
    import jax  # noqa: PLC0415 - fast --help

    from loce_jax.models.weights_cache import cache_folder  # noqa: PLC0415 - fast --help

    jax.config.update("jax_compilation_cache_dir", str(cache_folder() / "compiled"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


if __name__ == "__main__":
    sys.exit(main())
