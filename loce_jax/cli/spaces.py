"""Commands about global concepts, on the network and the data of a run."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from loce_jax.cli.data_flags import DataOptionFlags, RunData, RunDataFlags
from loce_jax.cli.output import check_out, emit
from loce_jax.cli.runs import RunFlag
from loce_jax.cli.terminal import complain, say
from loce_jax.data.selection import DataOptions
from loce_jax.feature_spaces.options import ClassOptions, HeldOut
from loce_jax.models.base import Network
from loce_jax.models.loading import LoadOptions
from loce_jax.store import Run, open_run
from loce_jax.study.options import Selection


@dataclass(frozen=True)
class RunNetwork:
    """The network of the run, if the run does not say where it is."""

    model: str | None = None
    """Name or folder of the run's network, if it is elsewhere now."""
    weights: Path | None = None
    """Weights for `paper:NAME`: a safetensors file, for DETR a folder; downloaded if left out."""
    random_weights: bool = False
    """Random weights for `paper:NAME`, as the run had them."""

    def open(self, run: Run) -> Network:
        """The run's network; `InputError` where it cannot be loaded, or is another one."""
        from loce_jax.feature_spaces.reopening import reopen_network  # noqa: PLC0415 - fast --help

        return reopen_network(run, self.model, LoadOptions(weights=self.weights, random_weights=self.random_weights))


RunNetworkFlags = Annotated[RunNetwork, tyro.conf.OmitArgPrefixes]
HeldOutFlags = Annotated[HeldOut, tyro.conf.OmitArgPrefixes]


@dataclass(frozen=True)
class Concepts:
    """Find one vector a concept in each layer of a run, and test it on held-out images.

    The vectors of `--method` are found on the network's activations of the run's photographs, those of `mean` and
    `medoid` from the run's LoCEs. Prints how well they segment the images that were held out, and writes tables,
    pictures and the vectors (.npz).
    """

    run: RunFlag
    """Folder or URL of the run."""
    method: tuple[str, ...] = ("net2vec", "ridge", "mean", "cav")
    """Names of the methods: net2vec, net2vec-16 (16 filters a concept), net2vec-paper, netdissect, mean, medoid, cav,
    ridge, ice."""
    layers: tuple[str, ...] = ()
    """Names of the layers; all if left out."""
    out: Path | None = None
    """Folder for tables, pictures and vectors; the tables are only printed if left out."""
    held_out: HeldOutFlags = field(default_factory=HeldOut)
    network: RunNetworkFlags = field(default_factory=RunNetwork)
    run_data: RunDataFlags = field(default_factory=RunData)
    data: DataOptionFlags = field(default_factory=DataOptions)
    """Which images and masks the run used, if it does not say so."""

    def __call__(self) -> None:
        """Run it."""
        from loce_jax.feature_spaces.common_images import ImageList  # noqa: PLC0415 - fast --help
        from loce_jax.feature_spaces.global_concepts import find_concepts, study_concepts  # noqa: PLC0415
        from loce_jax.feature_spaces.methods import check_methods  # noqa: PLC0415 - fast --help
        from loce_jax.study.results.provenance import describe_origin  # noqa: PLC0415 - fast --help

        check_out(self.out)
        run, methods = open_run(self.run), check_methods(self.method)
        layers, dataset = run.resolve(self.layers), self.run_data.open(run, self.data)
        self.held_out.split(ImageList.of(dataset).groups)  # unknown groups are told before the work
        gathered = _gather(self.network.open(run), run, layers, dataset)
        parts = self.held_out.split(gathered.groups)
        say(f"{len(parts.train)} images to find concepts on, {len(parts.held_out)} to test them on")
        found = find_concepts(run, gathered, parts, methods, seed=self.held_out.seed, report=say)
        origin = describe_origin([run], Selection(layers=self.layers), {"held_out": self.held_out})
        emit(study_concepts(gathered, parts, found), "concepts", self.out, "", {**origin, "methods": list(methods)})


@dataclass(frozen=True)
class Spaces:
    """Compare layers and networks by what their concept vectors say on the same held-out images.

    Every layer of every run gets one vector a concept; their maps of the images that were held out are compared, layer
    by layer. Prints how alike they are, what chance would give, and what becomes of two claims: similar concepts are at
    similar relative depth, and networks have similar concepts.
    """

    runs: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN [RUN ...]")]
    """Folders or URLs of the runs, on the same images and concepts."""
    method: str = "ridge"
    """Name of the method that finds the vectors; `loce concepts` lists them."""
    layers: tuple[str, ...] = ()
    """Names of the layers, each in at least one of the runs; all if left out."""
    out: Path | None = None
    """Folder for tables and pictures; the tables are only printed if left out."""
    draws: int = 100
    """Number of shuffles of the images for the level of chance."""
    models: tuple[str, ...] = ()
    """Names or folders of the runs' networks, in any order, of those that are not where the runs say."""
    held_out: HeldOutFlags = field(default_factory=HeldOut)
    run_data: RunDataFlags = field(default_factory=RunData)
    data: DataOptionFlags = field(default_factory=DataOptions)
    """Which images and masks the runs used, if they do not say so."""

    def __call__(self) -> None:
        """Run it."""
        from loce_jax.feature_spaces.common_images import ImageList, common_images  # noqa: PLC0415 - fast --help
        from loce_jax.feature_spaces.comparing import check_several, study_spaces  # noqa: PLC0415
        from loce_jax.feature_spaces.methods import check_methods  # noqa: PLC0415 - fast --help
        from loce_jax.feature_spaces.reference_levels import check_draws  # noqa: PLC0415 - fast --help
        from loce_jax.feature_spaces.spaces import make_spaces  # noqa: PLC0415 - fast --help
        from loce_jax.study.results.provenance import describe_origin  # noqa: PLC0415 - fast --help
        from loce_jax.study.selection.embeddings import find_layers_of_all  # noqa: PLC0415 - fast --help

        check_out(self.out)
        check_draws(self.draws)
        (method,) = check_methods([self.method])
        runs = {name: open_run(name) for name in self.runs}
        layers = {name: mine for name, mine in find_layers_of_all(runs, self.layers).items() if mine}
        check_several(sum(map(len, layers.values())))
        datasets = {name: self.run_data.open(runs[name], self.data) for name in layers}
        common_images({name: ImageList.of(data) for name, data in datasets.items()}, self.held_out)  # before the work
        sides = [self._side(name, runs[name], layers[name], data) for name, data in datasets.items()]
        common = common_images({side.name: ImageList.of_gathered(side.gathered) for side in sides}, self.held_out)
        parts = common.parts
        say(f"{len(parts.train)} images to find concepts on, {len(parts.held_out)} to compare them on")
        spaces = make_spaces(sides, common.rows, parts, method, say)
        concepts = sides[0].gathered.concepts
        found = study_spaces(spaces, concepts, common.compared, seed=self.held_out.seed, draws=self.draws)
        origin = describe_origin([*runs.values()], Selection(layers=self.layers), {"held_out": self.held_out})
        emit(found, "spaces", self.out, "", {**origin, "method": method})

    def _side(self, name, run, layers, dataset):
        """The network of a run, and what its layers say of the run's images."""
        from loce_jax.feature_spaces.reopening import relative_depths, reopen_one_of  # noqa: PLC0415 - fast --help
        from loce_jax.feature_spaces.spaces import Side  # noqa: PLC0415 - fast --help

        network = reopen_one_of(run, self.models)
        return Side(name, run, relative_depths(network, layers), _gather(network, run, list(layers), dataset))


def _gather(network, run, layers, dataset, *, photos=False):
    from loce_jax.cli.console import progress  # noqa: PLC0415 - fast --help
    from loce_jax.feature_spaces.gathering import gather  # noqa: PLC0415 - fast --help

    with progress("images") as show:
        gathered = gather(network, layers, dataset, photos=photos, progress=show)
    if gathered.unread:
        image, why = gathered.unread[0]
        complain(f"{len(gathered.unread)} images of {run.storage} are left out; the first is {image!r}: {why}")
    return gathered


@dataclass(frozen=True)
class Tcav:
    """Test whether a class of the run's network depends on the run's concepts, at each layer (TCAV).

    The score of a concept is the share of the class's images whose class score grows along the concept's vector; it is
    ranked among those of random images, with Holm's correction over all concepts and layers.
    """

    run: RunFlag
    """Folder or URL of the run."""
    target_class: Annotated[ClassOptions, tyro.conf.OmitArgPrefixes]
    layers: tuple[str, ...] = ()
    """Names of the layers; all if left out."""
    out: Path | None = None
    """Folder for tables and pictures; the tables are only printed if left out."""
    network: RunNetworkFlags = field(default_factory=RunNetwork)
    run_data: RunDataFlags = field(default_factory=RunData)
    data: DataOptionFlags = field(default_factory=DataOptions)
    """Which images and masks the run used, if it does not say so."""

    def __call__(self) -> None:
        """Run it."""
        from loce_jax.feature_spaces.class_dependence import score_of, study_tcav  # noqa: PLC0415 - fast --help
        from loce_jax.study.results.provenance import describe_origin  # noqa: PLC0415 - fast --help

        check_out(self.out)
        run = open_run(self.run)
        network, layers = self.network.open(run), list(run.resolve(self.layers))
        score_of(network, layers[0], self.target_class)  # an unknown class is told before the work
        gathered = _gather(network, run, layers, self.run_data.open(run, self.data), photos=True)
        found = study_tcav(network, gathered, self.target_class)
        emit(
            found,
            "tcav",
            self.out,
            "",
            describe_origin([run], Selection(layers=self.layers), {"class": self.target_class}),
        )
