"""COMPARISON.md, from the lines of bench_comparison.py and bench_concepts.py: tables, and in words what they say."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

EXPECTED = {"person": 0.54, "dining table": 0.44}  # raw Net2Vec in an earlier trial: DINOv2, block 8
START = """# Global concept vectors compared

`python benchmarks/bench_comparison.py run > benchmarks/comparison.jsonl` finds global concept vectors on one part of a
data set, tests them on the other, and compares layers and networks by what these vectors say. `comparison.jsonl` holds
every layer, concept, interval and matrix; this page is what `python benchmarks/bench_comparison.py page` prints of it.
"""
CELLS = """
Each cell is of the layer with the highest set IoU, which was chosen on the same held-out images and flatters all
methods alike: set IoU, mean over the five concepts (95 % bootstrap interval), average precision, seconds that the
cores spent on the fit of all five, layer. `loce` is no rival: each held-out LoCE is found with the mask of its own
image. Intervals are over {over}.
"""
SETS = {
    "coco_open": "photographs with a person, car, cup, chair or dining table, a third of them held out by image",
    "camvid": "frames of four driving sequences (road, building, tree, car, pedestrian), two sequences held out",
}
MEASURE = "set IoU of the maps"


def page(folder: Path) -> str:
    """The whole page."""
    lines = [json.loads(line) for line in (folder / "comparison.jsonl").read_text().splitlines()]
    text = [START, *_machine(lines)]
    rows = [line for line in lines if "data" in line]
    for data in dict.fromkeys(row["data"] for row in rows):
        mine = [row for row in rows if row["data"] == data]
        text += [
            f"## {data}",
            "",
            f"{SETS[data].capitalize()}.",
            *_methods(mine),
            *_splits(mine),
            *_spaces(folder, data, mine),
        ]
    concepts = folder / "concepts.jsonl"
    return "\n".join([*text, *_many_concepts([json.loads(line) for line in concepts.read_text().splitlines()])])


def _machine(lines: Sequence[dict]) -> Iterator[str]:
    first = lines[0]
    yield f"On {first['cores']} cores of an {first['cpu']} (Python {first['python']}, JAX {first['jax']})."
    ends = [line for line in lines if "cpu_s" in line]
    if ends:
        cpu, wall = (sum(line[key] for line in ends) / 60 for key in ("cpu_s", "wall_s"))
        loads = " and ".join(f"{line['load']:.1f}" for line in lines if "load" in line)
        yield (
            f"The whole took {cpu:.0f} minutes of CPU time and {wall:.0f} minutes of the clock, in {len(ends)} "
            f"process{'es at once, added' if len(ends) > 1 else ''}; the load was {loads} when it was begun. On two "
            f"cores with nothing else to do, {cpu:.0f} minutes of CPU time are {cpu / 2:.0f} to {cpu:.0f} of the clock."
        )
    yield from (line["note"] for line in lines if "note" in line)
    yield ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return ["", *(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)), ""]


def _methods(rows: Sequence[dict]) -> Iterator[str]:
    """The table of methods, and what it says."""
    measured = [row for row in rows if "method" in row]
    networks = list(dict.fromkeys(row["network"] for row in measured))
    best = {
        (row["network"], row["method"]): max(
            (one for one in measured if (one["network"], one["method"]) == (row["network"], row["method"])),
            key=lambda one: _value(one),
        )
        for row in measured
    }
    methods = list(dict.fromkeys(row["method"] for row in measured))
    over = next((row["over"] for row in rows if "over" in row), "images")
    yield CELLS.format(over=over)
    yield from _table(
        ["method", *networks],
        [[method, *(_cell(best.get((network, method))) for network in networks)] for method in methods],
    )
    yield "In words:"
    yield ""
    for network in networks:
        own = {method: row for (name, method), row in best.items() if name == network and "set_iou" in row}
        yield from _in_words(network, own)
    yield ""


def _value(row: dict) -> float:
    found = row.get("set_iou", row["image_iou"])[0]
    return -1.0 if found is None else found


def _cell(row: dict | None) -> str:
    if row is None or _value(row) < 0:
        return "–"
    if "set_iou" not in row:
        return f"image IoU {row['image_iou'][0]:.2f} at {row['layer']}"
    value, low, high = row["set_iou"]
    return (
        f"{value:.2f} ({low:.2f} to {high:.2f}), AP {row['average_precision'][0]:.2f}, "
        f"{row['fit_cpu_s']:.1f} s, {row['layer']}"
    )


def _in_words(network: str, best: dict[str, dict]) -> Iterator[str]:
    first = max(best, key=lambda method: _value(best[method]))
    value, low, high = best[first]["set_iou"]
    near = [method for method, row in best.items() if method != first and row["set_iou"][2] >= low]
    ratio = _value(best["net2vec-paper"]) / _value(best["net2vec"])
    means = max(_value(row) for method, row in best.items() if method.startswith("mean"))
    yield (
        f"- {network}: `{first}` is highest, {value:.2f} ({low:.2f} to {high:.2f}). "
        + (
            f"The intervals of {', '.join(f'`{method}`' for method in near)} overlap its own."
            if near
            else "No other method's interval overlaps its own."
        )
        + f" Net2Vec as published reaches {ratio:.0%} of raw Net2Vec's set IoU, the mean of LoCEs (the better recipe) "
        f"{means / value:.0%} of the best method's."
    )


def _splits(rows: Sequence[dict]) -> Iterator[str]:
    """Raw Net2Vec with several images held out, beside the earlier trial."""
    mine = [row for row in rows if "split" in row]
    if not mine:
        return
    yield f"Raw Net2Vec at {mine[0]['layer']} of {mine[0]['network']}, set IoU with {len(mine)} random splits:"
    found = {name: np.array([row["by_concept"][name] for row in mine], float) for name in mine[0]["by_concept"]}
    yield from _table(
        ["concept", "first split", "mean of splits", "lowest", "highest", "earlier trial"],
        [
            [
                name,
                *(f"{x:.2f}" for x in (of[0], np.nanmean(of), np.nanmin(of), np.nanmax(of))),
                f"{EXPECTED[name]:.2f}" if name in EXPECTED else "–",
            ]
            for name, of in found.items()
        ],
    )
    own = next(row for row in rows if row.get("method") == "net2vec" and row["layer"] == mine[0]["layer"])["by_concept"]
    inside = {name: found[name].min() <= value <= found[name].max() for name, value in EXPECTED.items()}
    says = [f"{name} is {'inside' if there else 'outside'} of what the splits span" for name, there in inside.items()]
    near = [f"{own[name][1]:.2f} to {own[name][2]:.2f} for the {name}" for name in EXPECTED]
    both = all(own[name][1] <= value <= own[name][2] for name, value in EXPECTED.items())
    yield (
        "The earlier trial (another program) had 115 COCO photographs and another split, a third held out; its "
        f"{' and its '.join(says)}. The bootstrap intervals of the first split are {' and '.join(near)}: "
        f"{'they hold both' if both else 'they do not hold both'}. Why the two differ beyond that was not looked for."
    )
    yield ""


def _spaces(folder: Path, data: str, rows: Sequence[dict]) -> Iterator[str]:
    """Similarity within and between networks, reference levels, claims."""
    for vectors in dict.fromkeys(row["vectors"] for row in rows if "vectors" in row):
        mine = [row for row in rows if row.get("vectors") == vectors]
        spaces = next(row["spaces"] for row in mine if "spaces" in row)
        matrix = np.array(next(row["matrices"] for row in mine if "matrices" in row)[MEASURE], float)
        yield f"### Spaces of {data}, by the vectors of `{vectors}`"
        yield ""
        if (folder / f"comparison_{data}_{vectors}.png").exists():
            yield f"![Matrices of similarity of all layers](comparison_{data}_{vectors}.png)"
            yield ""
        yield "Mean set IoU of the maps of different layers, within a network and between two:"
        yield from _blocks(spaces, matrix)
        yield "Reference levels, at each network's best layer:"
        yield from _table(
            ["level", "of", "set IoU"],
            [
                [row["level"]["what"], row["level"]["of"], f"{row['level']['set IoU']:.2f}".replace("nan", "–")]
                for row in mine
                if "level" in row
            ],
        )
        claims = [row["claim"] for row in mine if "claim" in row]
        for claim in dict.fromkeys(claim["claim"] for claim in claims):
            yield f'The claim "{claim}":'
            yield ""
            yield from (f"- {one['of']}: {_verdict(one)}" for one in claims if one["claim"] == claim)
            yield ""


def _blocks(spaces: Sequence, matrix: np.ndarray) -> list[str]:
    networks = list(dict.fromkeys(network for network, _, _ in spaces))
    of = np.array([networks.index(network) for network, _, _ in spaces])
    rows = []
    for i, name in enumerate(networks):
        parts = [matrix[np.ix_(of == i, of == j)] for j in range(len(networks))]
        parts[i] = parts[i][~np.eye(len(parts[i]), dtype=bool)]
        rows.append([name, *(f"{np.nanmean(part):.2f}" for part in parts)])
    return _table(["", *networks], rows)


def _verdict(claim: dict) -> str:
    if claim["p"] is None:
        return claim["verdict"]
    numbers = "{difference:.3f} ({low:.3f} to {high:.3f}), p = {p:.2g}".format(**claim)
    return f"**{claim['verdict']}**; {claim['there']:.2f} against {claim['elsewhere']:.2f}, difference {numbers}"


def _many_concepts(lines: Sequence[dict]) -> Iterator[str]:
    """All concepts of a layer at once, against a loop."""
    rows, ratios = [line for line in lines if "contender" in line], lines[-1]
    first = rows[0]
    yield "## All concepts of a layer at once"
    yield ""
    yield (
        "`python benchmarks/bench_concepts.py --photos ../shared/data/coco_open > benchmarks/concepts.jsonl`: Net2Vec "
        f"of {first['concepts']} COCO concepts (of the 77 here, those that the two thirds of the photographs to learn "
        f"from show) at a layer of EfficientNet-Lite0 ({first['grid']}), {first['photos']} photographs, "
        f"{first['pairs']} pairs of a photograph and a concept, {first['epochs']} epochs, {first['cores']} cores, a "
        f"load of {first['load']:.1f}. `torch` is Net2Vec's published form, one concept after the other, in PyTorch."
    )
    yield from _table(
        ["", "seconds with compilation", "seconds after it", "held-out set IoU"],
        [
            [
                row["contender"],
                f"{row['first_s']:.1f}",
                ", ".join(f"{one:.1f}" for one in row["runs_s"]) or "–",
                f"{row['held_out_iou']:.4f}",
            ]
            for row in rows
        ],
    )
    yield (
        f"The published form of `fit_net2vec` is {ratios['torch_over_paper']:.0f} times as fast as the loop (bar: 20), "
        f"at the same held-out IoU, {ratios['iou_paper']} and {ratios['iou_torch']}: it makes the same steps (least "
        f"cosine {ratios['cosine']:.7f}). Raw Net2Vec is {ratios['torch_over_raw']:.0f} times as fast, and reaches "
        f"{ratios['iou_raw']}. Ratios are of the median after compilation; with it, the first call of the published "
        f"form is {rows[-1]['first_s'] / first['first_s']:.0f} times as fast."
    )
