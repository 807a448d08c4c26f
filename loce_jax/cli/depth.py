"""The command that sets networks side by side, over relative depth."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from loce_jax.checks import InputError
from loce_jax.cli.output import announce_selection, check_out, emit
from loce_jax.cli.terminal import complain, say
from loce_jax.store import open_run
from loce_jax.study.options import RetrievalOptions, Selection


@dataclass(frozen=True)
class Depth:
    """Measure separation and retrieval of many networks over relative depth, on the concepts that all have.

    Runs of one network and recipe, such as of two data sets, are pooled. Separation panels, mAP@k with bootstrap
    intervals for all k, and published values beside them.
    """

    runs: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN [RUN ...]")]
    """Folders or URLs of the runs, of one network or of several. Every layer named must be in at least one of them."""
    out: Path | None = None
    """Folder for tables and pictures; the tables are only printed if left out."""
    published: Path | None = None
    """JSON file of published values, drawn where network and layer are the same; see docs/analysis.md."""
    models: tuple[str, ...] = ()
    """Names or folders of the runs' networks, if they are not where the runs say; relative depth needs their layers."""
    resamples: int = 1000
    """Number of bootstrap resamples of the images."""
    selection: Annotated[Selection, tyro.conf.OmitArgPrefixes] = field(default_factory=Selection)
    retrieval: Annotated[RetrievalOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=RetrievalOptions)

    def __call__(self) -> None:
        """Run it."""
        from loce_jax.analysis.bootstrap import BootstrapOptions  # noqa: PLC0415 - fast --help
        from loce_jax.study.published import read_published  # noqa: PLC0415 - fast --help
        from loce_jax.study.results.provenance import describe_origin  # noqa: PLC0415 - fast --help
        from loce_jax.study.selection.networks import load_networks, pool_by_network  # noqa: PLC0415 - fast --help
        from loce_jax.study.steps.depth import study_depth  # noqa: PLC0415 - fast --help

        check_out(self.out)
        bootstrap = BootstrapOptions(resamples=self.resamples, seed=self.selection.seed)
        published = read_published(self.published) if self.published else None
        runs = open_runs(self.runs)
        pools = pool_by_network(runs)
        for name, pool in pools.items():
            say(f"{name}: {', '.join(pool.runs)}")
        depths = {name: _depths(name, pool, self.models) for name, pool in pools.items()}
        layers = load_networks(pools, depths, self.selection)
        for one in layers:
            announce_selection(f"{one.network}: {one.layer}", one.embeddings, self.selection)
        kept = layers[0].embeddings.concepts
        chosen = {concept for pool in pools.values() for concept in self.selection.concepts or pool.concepts}
        if left_out := sorted(chosen - set(kept)):
            say(f"{len(kept)} concepts; left out, since not every layer has LoCEs of them: {', '.join(left_out)}")
        found = study_depth(layers, self.retrieval, bootstrap, published)
        origin = describe_origin(
            [*runs.values()], self.selection, {"retrieval": self.retrieval, "bootstrap": bootstrap}
        )
        emit(found, "depth", self.out, "", origin)


def open_runs(paths: tuple[str, ...]) -> dict:
    """The runs at these paths, by label; `InputError` if one is named twice."""
    from loce_jax.study.selection.pool import label_by_end  # noqa: PLC0415 - fast --help

    labels = label_by_end(paths)
    if not paths or len(labels) < len(paths):
        raise InputError(f"`runs` must be different runs, at least one, but got {' '.join(paths) or 'none'}.")
    return {label: open_run(path) for path, label in labels.items()}


def _depths(name, pool, models):
    """Relative depths of the layers in their network, or among the run's alone, where it cannot be loaded."""
    from loce_jax.feature_spaces.reopening import relative_depths, reopen_one_of  # noqa: PLC0415 - fast --help
    from loce_jax.study.selection.networks import order_as_depth  # noqa: PLC0415 - fast --help

    try:
        return relative_depths(reopen_one_of(next(iter(pool.runs.values())), models), pool.layers)
    except (InputError, OSError, KeyError):  # elsewhere, or a plan that names none
        pass
    complain(
        f"the layers of {name} are set at equal steps from 0 to 1, since the network cannot be loaded to look them up. "
        "Say where it is: `--models NAME_OR_FOLDER`."
    )
    return order_as_depth(pool.layers)
