"""Compare recipes for LoCEs: ``python benchmarks/bench_quality.py develop|report|page [--quick]``.

    develop     the paper's recipe, and ridge over grids of l2 x whitening and l2 x class weight power, on the
                development photos: a half of `coco_open` and two sequences of `camvid`; the defaults were chosen by it
    report      all recipes at the defaults on the other photos, and the stability of their LoCEs
    page        draws quality.jsonl beside this file as quality.png and quality_short.png, and prints its tables

The first two print JSON lines: the machine, then one per network, layer, data set and recipe.  A measure is ``[mean,
low, high]`` with a 95 % bootstrap interval over photos, in `develop` the mean only; "versus" holds a recipe's paired
difference from the paper's.  The mean of IoU is over rows, the mean of precision over the means of concepts with enough
rows: "p10" is precision at 10 under cosine, "p_other10" the same without neighbors of the same photo or video sequence.
Counts and "capybara_separation", a ratio of two extremes, have no interval.  Activations are kept in ``--cache``, so
that another run only solves.
"""

import argparse
import functools as ft
import itertools
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from machine import machine
from quality_data import CHANGED_MASKS, CHANGED_PHOTOS, PARTS, Part, activations_of, open_part, read_rows
from quality_measures import compare_cosine, differ, draws_of, interval, measure, summarize
from quality_recipes import Recipe, Task, mean_difference, one_per_concept, paper, paper_by_mean, paper_whitened, ridge

from loce_jax import load_network
from loce_jax.models.base import Network
from loce_jax.recipes import RidgeRecipe
from loce_jax.statistics import Statistics

DEFAULT = RidgeRecipe()
L2S, CURVE_L2S = (0.03, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0), (0.03, 0.3, 1.0)
POWERS = (0.0, 0.25, 0.5, 0.75, 1.0)  # of whitening, and of class weights
DATA = {
    "develop": ("coco_develop", "camvid_develop"),
    "report": ("coco_report", "camvid_report", "scenes", "capybara", "coco_all"),
}
STABILITY_DATA = ("coco_report", "camvid_report")  # data that stability is measured on
MIN_ROWS = {
    "camvid_develop": 11,
    "camvid_report": 11,
    "scenes": 11,
    "coco_all": 11,
}  # of a concept that has queries
MIN_ROWS_OTHERS = 6  # the same in half of coco_open, where few concepts have 11
COMPARED = ("iou", "p1", "p10", "p_other1", "p_other10")
PAPER = "paper"
Activations = Callable[[str], np.ndarray]


@dataclass(frozen=True)
class NetworkSpec:
    """A network, its input size, and the layers that are measured."""

    name: str
    size: tuple[int, int]
    layers: tuple[str, ...]

    def load(self, shared: Path) -> Network:
        """The network; a name with a slash is a path below `shared`."""
        name = str(shared / self.name) if "/" in self.name and not Path(self.name).exists() else self.name
        return load_network(name, size=self.size)


DEVELOPMENT_NETWORKS = (
    NetworkSpec("efficientnet-lite0", (384, 384), ("blocks.7", "blocks.10", "blocks.15", "head")),
    NetworkSpec("weights/dinov2-small", (336, 336), ("encoder.layer.5", "encoder.layer.8", "encoder.layer.11")),
)
EARLY_LAYERS = {
    "efficientnet-lite0": "blocks.4",
    "weights/dinov2-small": "encoder.layer.2",
}  # not developed on
NETWORKS = {
    "develop": DEVELOPMENT_NETWORKS,
    "report": tuple(replace(spec, layers=(EARLY_LAYERS[spec.name], *spec.layers)) for spec in DEVELOPMENT_NETWORKS),
}
QUICK_NETWORKS = (NetworkSpec("efficientnet-lite0", (128, 128), ("blocks.7",)),)

REPORTED = {
    PAPER: paper,
    "paper, alpha by mean": paper_by_mean,
    "ridge": ridge(DEFAULT),
    "mean difference": mean_difference,
}
WITHOUT_STABILITY = {  # recipes whose stability is not measured
    "paper, whitened": paper_whitened(DEFAULT),
    "ridge, class weight power 1": ridge(replace(DEFAULT, class_weight_power=1.0)),
    "one vector per concept": one_per_concept(DEFAULT),
}


def recipes_of(stage: str, *, quick: bool) -> dict[str, Recipe]:
    """The recipes of a stage, the paper's first."""
    grid = [replace(DEFAULT, l2=l2) for l2 in (CURVE_L2S if stage == "report" else L2S)]
    if stage == "develop":
        across = [{"whitening": power} for power in POWERS] + [{"class_weight_power": power} for power in POWERS]
        grid = list(dict.fromkeys(replace(options, **change) for change in across for options in grid))
    names = {
        f"ridge {each.l2} {each.whitening} {each.class_weight_power}": ridge(each)
        for each in grid[: 1 if quick else None]
    }
    return ({PAPER: paper} if stage == "develop" else REPORTED | WITHOUT_STABILITY) | names


@dataclass(frozen=True)
class Inputs:
    """Folders of the photos and of the stored activations, and whether only a few photos are used."""

    shared: Path
    cache: Path
    quick: bool

    @ft.cached_property
    def parts(self) -> dict[str, Part]:
        """Every part, opened."""
        names = {name for names in PARTS.values() for name in names}
        return {name: open_part(name, self.shared, quick=self.quick) for name in names}

    def activations(self, network: Network, layers: Sequence[str], data: str, change: str = "") -> Activations:
        """A function from one of the layers to its activations on all photos of a data set, float32."""
        found = [activations_of(network, layers, self.parts[part], self.cache, change) for part in PARTS[data]]
        return lambda layer: np.concatenate([np.asarray(one[layer], np.float32) for one in found])


def study(stage: str, specs: Iterable[NetworkSpec], inputs: Inputs) -> Iterator[dict]:
    """All lines of a stage."""
    recipes = recipes_of(stage, quick=inputs.quick)
    for data in DATA[stage][: 1 if inputs.quick else None]:
        rows = read_rows([inputs.parts[part] for part in PARTS[data]])
        for spec in specs:
            network = spec.load(inputs.shared)
            all_layers = ft.partial(inputs.activations, network, spec.layers, data)
            for layer in network.resolve(spec.layers):
                activations = all_layers()(layer.name)
                about = {
                    "stage": stage,
                    "network": Path(spec.name).name,
                    "layer": layer.name,
                    "shape": list(activations.shape[1:]),
                    "data": data,
                    "photos": len(activations),
                    "rows": len(rows.photos),
                }
                task = Task(activations, rows, Statistics.of(activations))
                found = compare_recipes(
                    task, recipes, min_rows=2 if inputs.quick else MIN_ROWS.get(data, MIN_ROWS_OTHERS)
                )
                if stage == "develop":
                    found = map(means_only, found)
                elif data in STABILITY_DATA:
                    parts = [inputs.parts[part] for part in PARTS[data]]
                    photos = {change: all_layers(change)(layer.name) for change in CHANGED_PHOTOS}
                    found = itertools.chain(found, measure_stability(task, parts, photos))
                yield from (about | line for line in found)


def compare_recipes(task: Task, recipes: Mapping[str, Recipe], *, min_rows: int) -> Iterator[dict]:
    """A line for each recipe."""
    drawn, base = draws_of(task.rows), None
    for name, recipe in recipes.items():
        found = recipe(task)
        measured = measure(found.vectors, found.responses, task.rows, min_rows=min_rows)
        base = base or measured
        means = {key: _rounded(summarize(key, values, task.rows, drawn)) for key, values in measured.rows.items()}
        differences = {
            key: _rounded(differ(key, values, base.rows[key], task.rows, drawn))
            for key, values in measured.rows.items()
        }
        whole = {key: _short(value) for key, value in measured.whole.items()}
        yield {"recipe": name, **means, **whole, "versus": differences}


def means_only(line: dict) -> dict:
    """The means of the measures that are compared."""
    return {"recipe": line["recipe"]} | {key: line[key][0] for key in COMPARED}


def _rounded(draws):
    return [_short(number) for number in interval(draws)]


def _short(number):
    """JSON has no NaN: None."""
    return round(number, 4) if np.isfinite(number) else None


def measure_stability(task: Task, parts: Sequence[Part], photos: Mapping[str, np.ndarray]) -> Iterator[dict]:
    """Stability: cosine of every LoCE with that of the same pair after its mask, or its photo, is changed.

    `photos` are the changed photos' activations.
    """
    drawn = draws_of(task.rows)
    plain = {name: recipe(task).vectors for name, recipe in REPORTED.items()}
    changes = {name: replace(task, rows=read_rows(parts, change)) for name, change in CHANGED_MASKS.items()}
    changes |= {name: replace(task, activations=activations) for name, activations in photos.items()}
    for change, changed in changes.items():
        base = None
        for name, recipe in REPORTED.items():
            cosines = compare_cosine(plain[name], recipe(changed).vectors)
            base = cosines if base is None else base
            versus = {"cosine": _rounded(differ("cosine", cosines, base, task.rows, drawn))}
            cosine = _rounded(summarize("cosine", cosines, task.rows, drawn))
            yield {"recipe": name, "change": change, "cosine": cosine, "versus": versus}


def network_spec(text: str) -> NetworkSpec:
    """A network given as ``NAME,HEIGHT,WIDTH,LAYER,...``.

    >>> network_spec("weights/yolox,416,416,a,b")
    NetworkSpec(name='weights/yolox', size=(416, 416), layers=('a', 'b'))
    """
    name, height, width, *layers = text.split(",")
    return NetworkSpec(name, (int(height), int(width)), tuple(layers))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=["develop", "report", "page"])
    parser.add_argument("--quick", action="store_true", help="a few photos and one layer, as a test")
    parser.add_argument("--network", action="append", type=network_spec, help="NAME,HEIGHT,WIDTH,LAYER,...; repeatable")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "loce_quality")
    here = Path(__file__).parent
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("LOCE_SHARED", here.parent / "../shared")))
    flags = parser.parse_args()
    if flags.stage == "page":
        from quality_page import tables  # noqa: PLC0415 - nothing else needs these
        from quality_pictures import draw, draw_short  # noqa: PLC0415

        rows = [json.loads(line) for line in (here / "quality.jsonl").read_text().splitlines()]
        draw(rows, here / "quality.png")
        draw_short(rows, here / "quality_short.png")
        sys.stdout.write("\n".join(tables(rows)) + "\n")
        return
    specs = flags.network or (QUICK_NETWORKS if flags.quick else NETWORKS[flags.stage])
    print(json.dumps({"stage": flags.stage, "machine": machine()}))
    for line in study(flags.stage, specs, Inputs(flags.shared, flags.cache, flags.quick)):
        print(json.dumps(line, separators=(",", ":")), flush=True)


if __name__ == "__main__":
    main()
