"""Time a whole run against its network and its solver alone, and its growth with the number of images.

``python benchmarks/bench_pipeline.py compare --coco instances.json --images FOLDER [--model NAME_OR_FOLDER ...]``
prints one JSON line per network: seconds of the forward passes alone (photos read and resized before), of the
solves alone (targets computed before, the concepts of an image together, as in a run), of the whole run (decoding,
masks, network, solver, IoU at the photo's size, files; the network is compiled before), and its ratios to the sum and
to the forward passes.  All in one process, after one warm-up of each, alternating; medians.

``python benchmarks/bench_pipeline.py grow [--plot FILE.png]`` makes runs of more and more generated scenes, each in
a process of its own, and prints pairs, seconds, milliseconds per LoCE and peak memory; last, the exponent of a power
law through the seconds.  ``--quick`` for either: few images, as a test.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import machine

LAYERS = {
    "efficientnet-lite0": ("blocks.4", "blocks.10", "head"),
    "dinov2": ("encoder.layer.3", "encoder.layer.7", "encoder.layer.11"),
}
SCENES = (40, 200, 1000, 5000, 8000)
GROWTH_LAYER = "blocks.10"


def compare(model: str, source, runs: int) -> dict:
    import jax  # noqa: PLC0415 - one process a network, started by `main`

    from loce_jax import PaperRecipe, load_network, make_extractor, solve  # noqa: PLC0415
    from loce_jax.batch_sizes import IMAGES_PER_BATCH  # noqa: PLC0415
    from loce_jax.pipeline.plan import make_plan  # noqa: PLC0415
    from loce_jax.pipeline.reading import SampleReader  # noqa: PLC0415
    from loce_jax.pipeline.run import compute_chunks  # noqa: PLC0415
    from loce_jax.store import RunWriter, open_storage  # noqa: PLC0415

    layers = next((names for part, names in LAYERS.items() if part in model), LAYERS["efficientnet-lite0"])
    plan = make_plan(load_network(model), layers, source, PaperRecipe())
    opened = [SampleReader.for_plan(plan)(item) for item in plan.dataset.items]
    starts = range(0, len(opened), IMAGES_PER_BATCH)
    images = [np.stack([one.pixels for one in opened[i : i + IMAGES_PER_BATCH]]) for i in starts]
    most = max(len(one.samples) for one in opened)
    targets = np.zeros((len(opened), most, *plan.target), np.float32)
    valid = np.zeros((len(opened), most), bool)
    for number, one in enumerate(opened):
        for index, row in enumerate(row for row in one.samples if row.fault is None):
            targets[number, index], valid[number, index] = row.target, True
    extract = make_extractor(plan.network, plan.layers)
    activations = [jax.block_until_ready(extract(part)) for part in images]

    def forward():
        for part in images:
            jax.block_until_ready(extract(part))

    def solves():
        for number, start in enumerate(starts):
            rows = slice(start, start + IMAGES_PER_BATCH)
            for layer in plan.layers:
                solve(activations[number][layer], targets[rows], plan.recipe, valid=valid[rows])

    def run():
        with tempfile.TemporaryDirectory() as folder:
            with RunWriter(open_storage(Path(folder) / "run"), plan.record()) as writer:
                for _ in compute_chunks(plan, extract, list(plan.chunks), writer):
                    pass

    pieces = {"forward": forward, "solves": solves, "run": run}
    times = {name: [] for name in pieces}
    for repetition in range(runs + 1):
        for name, piece in pieces.items():
            begun = time.perf_counter()
            piece()
            if repetition:
                times[name].append(time.perf_counter() - begun)
    seconds = {name: float(np.median(values)) for name, values in times.items()}
    whole = seconds["forward"] + seconds["solves"]
    return {
        "model": plan.network.name,
        "layers": list(plan.layers),
        "images": len(opened),
        "pairs": int(valid.sum()),
        **{f"{name}_s": round(value, 3) for name, value in seconds.items()},
        "runs_s": {name: [round(value, 3) for value in values] for name, values in times.items()},
        "run_over_sum": round(seconds["run"] / whole, 3),
        "run_over_forward": round(seconds["run"] / seconds["forward"], 3),
    }


def grown(count: int) -> dict:
    """One run of `count` scenes, timed without start-up and compilation."""
    import resource  # noqa: PLC0415 - not on every system

    from loce_jax import PaperRecipe, load_network  # noqa: PLC0415
    from loce_jax.pipeline.plan import make_plan  # noqa: PLC0415
    from loce_jax.pipeline.run import run_plan  # noqa: PLC0415
    from loce_jax.pipeline.sources import scenes_source  # noqa: PLC0415

    network = load_network("efficientnet-lite0")
    with tempfile.TemporaryDirectory() as folder:
        run_plan(make_plan(network, (GROWTH_LAYER,), scenes_source(count=32), PaperRecipe()), Path(folder) / "warm")
        plan = make_plan(network, (GROWTH_LAYER,), scenes_source(count=count), PaperRecipe())
        begun = time.perf_counter()
        run = run_plan(plan, Path(folder) / "run")
        seconds = time.perf_counter() - begun
        good = int(np.sum(run.table["status"] == "ok"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    pairs = sum(len(item.pairs) for item in plan.dataset.items)
    return {
        "scenes": count,
        "pairs": pairs,
        "good": good,
        "seconds": round(seconds, 2),
        "ms_per_loce": round(1000 * seconds / pairs, 3),
        "peak_gb": round(peak, 3),
    }


def alone(*arguments: str) -> dict:
    """The output of this script in a process of its own."""
    done = subprocess.run([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def draw(rows: list[dict], exponent: float, path: Path) -> None:
    import matplotlib.pyplot as plt  # noqa: PLC0415 - only for the picture

    figure, left = plt.subplots(figsize=(6, 3.6), layout="constrained")
    pairs = [row["pairs"] for row in rows]
    left.loglog(pairs, [row["seconds"] for row in rows], "o-", color="tab:blue")
    left.set(xlabel="LoCEs", ylabel="seconds", title=f"seconds grow as LoCEs to the {exponent:.2f}")
    right = left.twinx()
    right.plot(pairs, [row["peak_gb"] for row in rows], "s--", color="tab:gray")
    right.set(ylabel="peak memory, GB", ylim=(0, None))
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("compare", "grow", "one"))
    parser.add_argument("--coco")
    parser.add_argument("--images")
    parser.add_argument("--model", action="append")
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--quick", action="store_true")
    flags = parser.parse_args()
    if flags.what == "one":
        print(json.dumps(grown(flags.count)))
        return
    if flags.what == "grow":
        rows = []
        for count in SCENES[:2] if flags.quick else SCENES:
            rows.append(alone("one", "--count", str(count)))
            print(json.dumps(rows[-1] | machine()), flush=True)
        pairs, seconds = np.log([[row["pairs"], row["seconds"]] for row in rows]).T
        exponent = float(np.polyfit(pairs, seconds, 1)[0])
        print(json.dumps({"exponent": round(exponent, 3)}))
        if flags.plot:
            draw(rows, exponent, flags.plot)
        return
    from loce_jax.pipeline.sources import coco_source, scenes_source  # noqa: PLC0415

    source = coco_source(flags.coco, flags.images) if flags.coco else scenes_source(count=32 if flags.quick else 160)
    for model in flags.model or ["efficientnet-lite0"]:
        print(json.dumps(compare(model, source, 1 if flags.quick else 3) | machine()), flush=True)


if __name__ == "__main__":
    main()
