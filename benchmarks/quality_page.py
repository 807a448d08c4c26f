"""The recorded lines of `bench_quality report` as tables and as a picture."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from loce_jax.plots.palette import concept_style

PAPER, OURS = "paper", "ridge"
POINTS = ("paper, alpha by mean", "mean difference", "ridge, balance 1", PAPER, OURS)
NUMBERS = (  # heading, key, digits
    ("IoU", "iou", 3),
    ("median", "iou_median", 3),
    ("empty", "failures", 3),
    ("small", "iou_small", 3),
    ("large", "iou_large", 3),
    ("P@1", "p1", 3),
    ("P@5", "p5", 3),
    ("P@10", "p10", 3),
    ("P@40", "p40", 3),
    ("P@1 other", "p_other1", 3),
    ("P@10 other", "p_other10", 3),
    ("purity", "purity", 2),
    ("clusters", "clusters", 0),
    ("overlap", "overlap", 3),
    ("silhouette", "silhouette", 3),
)
COMPARED = {"IoU": "iou", "P@1": "p1", "P@10": "p10", "P@1 other": "p_other1", "P@10 other": "p_other10"}
APART = ("coco_report", "camvid_report", "scenes")  # data that share no photo, and were not developed on
LAYERS = "efficientnet blocks.10", "efficientnet conv_head", "dinov2 layer.8", "dinov2 layer.11"
SHORT = [  # title of a row, and its panels: data and layer
    ("COCO", [("coco_report", layer) for layer in LAYERS]),
    ("CamVid", [("camvid_report", layer) for layer in LAYERS]),
]
ANIMALS = {
    "separation": "capybara_separation",
    "capybaras nearer to an animal": "capybara_overlap",
    "animals nearer to a capybara": "animals_overlap",
    "silhouette": "capybara_silhouette",
}


def tables(lines: Sequence[dict]) -> Iterator[str]:
    """All tables, as Markdown."""
    developed = [line for line in lines if line["stage"] == "develop" and "recipe" in line]
    judged = _reported(lines)
    shaken = [line for line in lines if "change" in line]
    yield "### Development: differences from the paper's recipe\n"
    yield from _grid(developed)
    yield "\n### How often ridge is above the paper's recipe, on photos of the report alone\n"
    yield from _verdict([line for line in judged if line["data"] in APART])
    yield "\n### The paper's recipe, and what ridge adds to it\n"
    yield from _versus(judged)
    yield "\n### All recipes, means over the layers\n"
    yield from _numbers([line for line in judged if not _is_curve(line)])
    yield "\n### Capybaras and COCO's animals\n"
    yield from _animals([line for line in judged if "animals" in line and line["recipe"] in (PAPER, OURS)])
    yield "\n### Mean cosine of a LoCE with that of a changed mask or photo\n"
    yield from _stability(shaken)


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    heads = list(heads)
    yield f"| {' | '.join(heads)} |"
    yield f"|{' --- |' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _grid(developed):
    base = {(line["data"], place(line)): line for line in developed if line["recipe"] == PAPER}
    rows = []
    for recipe in _distinct(developed, "recipe"):
        if recipe == PAPER:
            continue
        mine = [line for line in developed if line["recipe"] == recipe]
        cells = []
        for key in COMPARED.values():
            apart = np.array([line[key] - base[line["data"], place(line)][key] for line in mine])
            cells.append(f"{apart.mean():+.3f} ({apart.min():+.3f}) {(apart > 0).sum()}")
        rows.append((*recipe.split()[1:], *cells))
    yield f"Mean (least) difference over {len(base)} settings, and in how many it is above 0.\n"
    yield from _table(("strength", "whitening", "balance", *COMPARED), rows)


def _verdict(judged):
    """Signs of the differences, and how many of them are surely so: their intervals leave out 0."""
    rows = []
    for head, key in COMPARED.items():
        mean, low, high = np.array([line["versus"][key] for line in judged if line["recipe"] == OURS]).T
        counts = (mean > 0).sum(), (low > 0).sum(), (mean < 0).sum(), (high < 0).sum()
        rows.append((head, *map(str, counts), f"{mean.mean():+.3f}", f"{mean.min():+.3f}"))
    yield from _table(("measure", "above", "surely", "below", "surely", "mean difference", "least difference"), rows)


def _versus(judged):
    base = {(line["data"], place(line)): line for line in judged if line["recipe"] == PAPER}
    rows = []
    for line in judged:
        if line["recipe"] == OURS:
            where = line["data"], place(line)
            cells = (_difference(base[where][key][0], line["versus"][key]) for key in COMPARED.values())
            rows.append((*where, *cells))
    yield from _table(("data", "network and layer", *COMPARED), rows)


def _difference(base, found):
    """The paper's number, and the difference from it: in bold where its interval leaves out 0."""
    mean, low, high = found
    text = f"{mean:+.3f}"
    return f"{base:.3f} {f'**{text}**' if low * high > 0 else text} [{low:+.2f}, {high:+.2f}]"


def _numbers(judged):
    rows = []
    for data in _distinct(judged, "data"):
        for recipe in _distinct(judged, "recipe"):
            lines = [line for line in judged if (line["data"], line["recipe"]) == (data, recipe)]
            numbers = (_mean([line.get(key) for line in lines], digits) for _, key, digits in NUMBERS)
            rows.append((data, recipe, *numbers))
    yield from _table(("data", "recipe", *(head for head, _, _ in NUMBERS)), rows)


def _mean(values, digits):
    """The mean of a measure, given with its intervals or without; a dash where a recipe has none."""
    if None in values:
        return "–"
    return f"{np.mean([value[0] if isinstance(value, list) else value for value in values]):.{digits}f}"


def _animals(judged):
    rows = [(place(line), line["recipe"], *(f"{line[key]:.3f}" for key in ANIMALS.values())) for line in judged]
    yield from _table(("network and layer", "recipe", *ANIMALS), rows)


def _stability(shaken):
    recipes = _distinct(shaken, "recipe")
    rows = []
    for data in _distinct(shaken, "data"):
        for change in _distinct(shaken, "change"):
            cosines = [
                [line["cosine"][0] for line in shaken if (line["data"], line["change"], line["recipe"]) == key]
                for key in ((data, change, recipe) for recipe in recipes)
            ]
            rows.append((data, change, *(f"{np.mean(one):.3f} ({min(one):.3f})" for one in cosines)))
    yield from _table(("data", "change", *(f"{recipe}: mean over layers (least)" for recipe in recipes)), rows)


def draw(lines: Sequence[dict], path: Path) -> None:
    """IoU against precision at 10: a row for each data, a column for each layer, a line along ridge's strength."""
    judged = [line for line in _reported(lines) if "p10" in line]
    data, layers = _distinct(judged, "data"), list(dict.fromkeys(place(line) for line in judged))
    figure = Figure(figsize=(2.1 * len(layers), 1.9 * len(data) + 0.6), layout="constrained")
    grid = figure.subplots(len(data), len(layers), squeeze=False)
    for (one, layer), axes in zip(itertools.product(data, layers), grid.flat, strict=True):
        _panel(axes, [line for line in judged if line["data"] == one and place(line) == layer], POINTS)
    for layer, axes in zip(layers, grid[0], strict=True):
        axes.set_title(layer, fontsize=8)
    for one, axes in zip(data, grid[:, 0], strict=True):
        axes.set_ylabel(f"{one}\nprecision@10", fontsize=8)
    _finish(figure, grid, path)


def draw_short(lines: Sequence[dict], path: Path) -> None:
    """The same for `SHORT`, the two recipes alone: what the README has room for."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    grid = figure.subplots(len(SHORT), len(SHORT[0][1]), squeeze=False)
    for (title, panels), row in zip(SHORT, grid, strict=True):
        for (data, layer), axes in zip(panels, row, strict=True):
            mine = [line for line in _reported(lines) if (line["data"], place(line)) == (data, layer)]
            _panel(axes, mine, (PAPER, OURS))
            axes.set_title(layer, fontsize=8)
        row[0].set_ylabel(f"{title}\nprecision@10", fontsize=8)
    _finish(figure, grid, path)


def _finish(figure, grid, path):
    for axes in grid[-1]:
        axes.set_xlabel("mean IoU", fontsize=8)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=8)
    figure.savefig(path, dpi=90)


def _panel(axes, lines, recipes):
    if not lines:
        axes.axis("off")
    curve = sorted((line["iou"][0], line["p10"][0]) for line in lines if _is_curve(line) or line["recipe"] == OURS)
    if len(curve) > 1:
        axes.plot(*zip(*curve, strict=True), color=concept_style(0)[0], linewidth=1, label="ridge by strength")
    for line in lines:
        if line["recipe"] in recipes:
            colour, marker = concept_style(len(POINTS) - 1 - POINTS.index(line["recipe"]))
            axes.plot(line["iou"][0], line["p10"][0], marker, color=colour, markersize=5, label=line["recipe"])
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=7)


def _reported(lines):
    return [line for line in lines if line["stage"] == "report" and "recipe" in line and "change" not in line]


def _is_curve(line):
    return line["recipe"].startswith(f"{OURS} ")


def _distinct(lines, key):
    return list(dict.fromkeys(line[key] for line in lines))


def place(line: dict) -> str:
    """Network and layer, short enough for a picture.

    >>> place({"network": "dinov2-small", "layer": "encoder.layer.5"})
    'dinov2 layer.5'
    """
    return f"{line['network'].split('-')[0]} {'.'.join(line['layer'].split('.')[-2:]).lstrip('_')}"
