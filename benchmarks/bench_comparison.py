"""Compare global concept methods, and feature spaces: ``python benchmarks/bench_comparison.py run|page [--quick]``.

    run     on CamVid (held out by sequence) and `coco_open` (held out by image), five concepts each, and three
            networks: LoCEs of both recipes, their means ("generalized LoCE"), Net2Vec (raw, published, 16 filters),
            NetDissect, CAVs and ridge, found on one part of the images and tested on the other; then the layers and
            networks compared by the vectors of ridge and of Net2Vec; then raw Net2Vec for several splits of the images
    page    prints COMPARISON.md, from comparison.jsonl and concepts.jsonl beside this file

`run` prints JSON lines: the machine, then one per data set, network, layer and method, with set IoU, mean IoU of images
and average precision as ``[value, low, high]`` (95 % bootstrap over images; those of the two held-out sequences of
CamVid are not independent, so that its intervals are too narrow), means over concepts and by concept, and the seconds
that the cores spent on the fit; then the matrices of the spaces, and one line per reference level and claim.  "loce" is
no global method: it is the mean IoU of the LoCEs of the held-out images, each found with its own mask, which is what
can be had there.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from comparison_page import page
from machine import machine

from loce_jax import fit, load_network
from loce_jax.analysis.bootstrap import BootstrapOptions, Estimate
from loce_jax.concepts.evaluation.evaluate import evaluate
from loce_jax.data import open_camvid, open_coco
from loce_jax.data.samples import Dataset
from loce_jax.data.selection import DataOptions, select
from loce_jax.feature_spaces.comparing import study_spaces
from loce_jax.feature_spaces.gathering import gather
from loce_jax.feature_spaces.methods import METHODS, OF_LOCES, training_data
from loce_jax.feature_spaces.options import HeldOut, resampled
from loce_jax.feature_spaces.spaces import Side, make_spaces
from loce_jax.models.base import Network
from loce_jax.recipes import PaperRecipe, RidgeRecipe
from loce_jax.study.results.step_result import plain_values

COCO_CONCEPTS = ("person", "car", "cup", "dining table", "chair")
CAMVID_CONCEPTS = ("Road", "Building", "Tree", "Car", "Pedestrian")
NETWORKS = {  # five layers each: with fewer, no order of them is significant
    "efficientnet-lite0": ("blocks.2", "blocks.4", "blocks.7", "blocks.10", "blocks.13"),
    "weights/dinov2-small": tuple(f"encoder.layer.{i}" for i in (1, 3, 5, 8, 11)),
    "weights/yolox_nano.onnx": ("stride8", "Mul_140", "stride16", "Mul_177", "stride32"),
}
RECIPES = {"paper": PaperRecipe(), "ridge": RidgeRecipe()}
COMPARED = ("ridge", "net2vec")
SPLITS = {"weights/dinov2-small": "encoder.layer.8"}  # where an earlier trial gave numbers
SEEDS = 6
BOOTSTRAP = BootstrapOptions()
HERE = Path(__file__).parent
STARTED = os.times().elapsed


@dataclass(frozen=True)
class Trial:
    """A data set, and which of its images are held out."""

    name: str
    dataset: Dataset
    held_out: HeldOut


def trials(shared: Path, *, quick: bool) -> Iterator[Trial]:
    """Both data sets."""
    coco = open_coco(shared / "data/coco_open/instances.json", shared / "data/coco_open/images", concepts=COCO_CONCEPTS)
    yield Trial("coco_open", select(coco, DataOptions(max_images=12 if quick else None)), HeldOut())
    camvid = open_camvid(shared / "data/camvid", concepts=CAMVID_CONCEPTS)
    some = select(camvid, DataOptions(max_images=24 if quick else 64))
    yield Trial("camvid", some, HeldOut(test_groups=("0001TP", "Seq05VD")))


def load(name: str, shared: Path) -> Network:
    """A network by its name, or by its path below `shared`."""
    if not name.endswith(".onnx"):
        return load_network(str(shared / name) if "/" in name else name)
    from loce_jax.models.converter.onnx import convert_onnx  # noqa: PLC0415 - needs an extra

    return convert_onnx(shared / name)


def print_line(line: Mapping) -> None:
    """One line of JSON; what is undefined is null."""
    print(json.dumps(plain_values(line)), flush=True)


def as_list(estimate: Estimate) -> list:
    """Value and ends of the interval, by concept."""
    return np.round(np.stack([estimate.value, estimate.low, estimate.high], axis=-1), 4).tolist()


def mean_of(estimate: Estimate) -> list[float]:
    """The mean over concepts, with its interval over the same resamples."""
    means = np.nanmean(estimate.draws, axis=1)
    return [round(float(x), 4) for x in (np.nanmean(estimate.value), *np.nanpercentile(means, [2.5, 97.5]))]


def compare_methods(
    trial: Trial, network: Network, layers: Sequence[str], methods: Sequence[str], folder: str
) -> Iterator[dict]:
    """A line for each layer and method; at the end the network as a side of the comparison of spaces."""
    names = [layer.name for layer in network.resolve(layers)]
    runs = {
        kind: fit(network, trial.dataset, names, out=f"{folder}/{kind}", recipe=how) for kind, how in RECIPES.items()
    }
    gathered = gather(network, names, trial.dataset)
    parts = trial.held_out.split(gathered.groups)
    units = resampled([gathered.groups[row] for row in parts.held_out]).units
    tested, known = [gathered.images[row] for row in parts.held_out], {}
    for layer in names:
        for kind, run in runs.items():
            mine = np.isin(run.table["image"], tested) & (run.column("status", layer) == "ok")
            iou = run.column("iou", layer)[mine]
            yield {
                "layer": layer,
                "method": f"loce ({kind})",
                "image_iou": [round(float(iou.mean()), 4)],
                "loces": len(iou),
            }
        for method in methods:
            for kind in RECIPES if method in OF_LOCES else ("ridge",):
                samples = training_data(runs[kind], gathered, layer, parts.train)
                start = time.process_time()
                concepts = METHODS[method](samples)
                seconds, known[layer, method] = time.process_time() - start, concepts
                found = evaluate(concepts, gathered.blocks(layer, parts.held_out), units, BOOTSTRAP)
                yield {
                    "layer": layer,
                    "method": f"{method} ({kind} LoCEs)" if method in OF_LOCES else method,
                    "fit_cpu_s": round(seconds, 2),
                    "set_iou": mean_of(found.set_iou),
                    "image_iou": mean_of(found.image_iou),
                    "average_precision": mean_of(found.average_precision),
                    "by_concept": dict(zip(found.names, as_list(found.set_iou), strict=True)),
                    "status": [int(one) for one in concepts.status],
                }
    every = [layer.name for layer in network.layers()]
    depths = {layer: every.index(layer) / (len(every) - 1) for layer in names}
    yield {"side": Side(network.name.rpartition("/")[2], runs["ridge"], depths, gathered, known), "parts": parts}


def compare_spaces(trial: Trial, sides: Sequence[Side], parts, method: str) -> Iterator[dict]:
    """The reference levels and the claims."""
    rows = [np.arange(len(side.gathered.images)) for side in sides]
    spaces = make_spaces(sides, rows, parts, method, lambda line: None)
    groups = [sides[0].gathered.groups[row] for row in parts.held_out]
    found = study_spaces(spaces, sides[0].gathered.concepts, groups)
    if method == COMPARED[0]:
        found.figures["similarity"].savefig(HERE / f"comparison_{trial.name}_{method}.png", dpi=60, bbox_inches="tight")
    matrices = {name: np.round(matrix, 3).tolist() for name, matrix in found.metrics["matrices"].items()}
    yield {"vectors": method, "spaces": [(space.network, space.layer, round(space.depth, 3)) for space in spaces]}
    yield {"vectors": method, "matrices": matrices, "over": found.metrics["intervals over"]}
    for kind in ("levels", "claims"):
        for row in found.metrics[kind]:
            yield {"vectors": method, kind[:-1]: row}


def compare_splits(side: Side, layer: str) -> Iterator[dict]:
    """Raw Net2Vec with other images held out."""
    for seed in range(SEEDS):
        parts = HeldOut(seed=seed).split(side.gathered.groups)
        concepts = METHODS["net2vec"](training_data(side.run, side.gathered, layer, parts.train))
        found = evaluate(concepts, side.gathered.blocks(layer, parts.held_out), options=BOOTSTRAP)
        by_concept = dict(zip(found.names, np.round(found.set_iou.value, 4).tolist(), strict=True))
        yield {"layer": layer, "split": seed, "by_concept": by_concept}


def compare(trial: Trial, networks: Mapping[str, Network], methods: Sequence[str], quick: bool, folder: str) -> None:
    """Print all lines of a data set."""
    sides, parts = [], None
    for name, network in networks.items():
        layers, start = NETWORKS[name][2:4] if quick else NETWORKS[name], time.perf_counter()
        for line in compare_methods(trial, network, layers, methods, f"{folder}/{len(sides)}"):
            if "side" in line:
                sides, parts = [*sides, line["side"]], line["parts"]
            else:
                print_line({"data": trial.name, "network": name, **line})
        if name in SPLITS and trial.name == "coco_open":
            for line in compare_splits(sides[-1], SPLITS[name]):
                print_line({"data": trial.name, "network": name, **line})
        print_line({"data": trial.name, "network": name, "all_s": round(time.perf_counter() - start)})
    start = time.perf_counter()
    for method in COMPARED[:1] if quick else COMPARED:
        for line in compare_spaces(trial, sides, parts, method):
            print_line({"data": trial.name, **line})
    print_line({"data": trial.name, "network": "spaces", "all_s": round(time.perf_counter() - start)})


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "page"))
    parser.add_argument("--quick", action="store_true", help="few images, one network, few methods: as a test")
    parser.add_argument("--data", choices=("coco_open", "camvid"), help="one of the data sets; both if left out")
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("LOCE_SHARED", HERE.parents[1] / "shared")))
    options = parser.parse_args()
    if options.command == "page":
        print(page(HERE))
        return
    print_line({"bench": "comparison", "load": os.getloadavg()[0], **machine()})
    names = list(NETWORKS)[:1] if options.quick else list(NETWORKS)
    methods = ("ridge", "cav", "mean") if options.quick else tuple(METHODS)
    networks = {name: load(name, options.shared) for name in names}
    for trial in trials(options.shared, quick=options.quick):
        if options.data not in (None, trial.name):
            continue
        with tempfile.TemporaryDirectory() as folder:
            compare(trial, networks, methods, options.quick, folder)
    times = os.times()
    used = times.user + times.system + times.children_user + times.children_system
    print_line(
        {"bench": "comparison", "only": options.data, "wall_s": round(times.elapsed - STARTED), "cpu_s": round(used)}
    )


if __name__ == "__main__":
    main()
