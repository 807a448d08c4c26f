"""The recorded lines of `bench_quality report` as pictures: IoU against precision at 10, readable at 900 pixels."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from quality_page import DISJOINT, PAPER, RIDGE, WHITENED, by_l2, by_setting, ordered, reported, value

from loce_jax.plots.palette import CONCEPT_COLORS

BLUE, ORANGE, _, MAGENTA, KHAKI, SKY, *_ = CONCEPT_COLORS
STYLES = {  # color, marker, and whether it is filled
    PAPER: (ORANGE, "s", True),
    WHITENED: (ORANGE, "s", False),
    "paper, alpha by mean": (KHAKI, "^", True),
    "mean difference": (MAGENTA, "v", True),
    "ridge, class weight power 1": (SKY, "D", True),
    RIDGE: (BLUE, "o", True),
}
TITLES = {"coco_report": "COCO", "camvid_report": "CamVid", "scenes": "built-in scenes"}
LAYERS = "efficientnet blocks.4", "efficientnet conv_head", "dinov2 layer.2", "dinov2 layer.11"  # early and last
COLUMNS, WIDTH, ROW = 4, 9.0, 1.85  # the last two in inches
SMALL, LARGE = 9, 11  # points


def draw(lines: Sequence[dict], path: Path) -> None:
    """A panel per data set in `DISJOINT` and layer, with a line along ridge's l2."""
    _draw(_settings(lines), STYLES, path)


def draw_short(lines: Sequence[dict], path: Path) -> None:
    """The two recipes only, on `LAYERS` and photographs: the picture of the README."""
    short = {(data, layer): _settings(lines)[data, layer] for data in DISJOINT[:2] for layer in LAYERS}
    _draw(short, (PAPER, RIDGE), path)


def _settings(lines):
    return by_setting([line for line in reported(ordered(lines)) if line["data"] in DISJOINT])


def _draw(settings: Mapping[tuple[str, str], dict[str, dict]], recipes, path):
    layers = {data: [layer for one, layer in settings if one == data] for data in DISJOINT}
    layers = {data: mine for data, mine in layers.items() if mine}
    heights = [-(-len(mine) // COLUMNS) for mine in layers.values()]
    figure = Figure(figsize=(WIDTH, ROW * sum(heights) + 0.45 * len(heights) + 0.5), layout="constrained")
    parts = figure.subfigures(len(layers), 1, height_ratios=[ROW * height + 0.45 for height in heights], squeeze=False)
    for (data, mine), part, height in zip(layers.items(), parts.flat, heights, strict=True):
        part.suptitle(TITLES[data], fontsize=LARGE + 1, fontweight="bold")
        grid = part.subplots(height, COLUMNS, squeeze=False)
        for number, axes in enumerate(grid.flat):
            if number >= len(mine):
                axes.axis("off")
                continue
            _panel(axes, settings[data, mine[number]], recipes)
            axes.set_title(mine[number], fontsize=LARGE)
            if number % COLUMNS == 0:
                axes.set_ylabel("precision@10", fontsize=SMALL + 1)
            if number + COLUMNS >= len(mine):
                axes.set_xlabel("mean IoU", fontsize=SMALL + 1)
    handles = [Line2D([], [], color=BLUE, label="ridge by l2"), *map(_handle, recipes)]
    figure.legend(handles=handles, loc="outside lower center", ncols=COLUMNS, frameon=False, fontsize=LARGE)
    figure.savefig(path, dpi=120)


def _panel(axes, found, recipes):
    curve = [line for _, line in sorted(by_l2(found).items())]
    axes.plot([value(line, "iou") for line in curve], [value(line, "p10") for line in curve], color=BLUE, linewidth=1.3)
    for recipe in recipes:
        axes.plot(value(found[recipe], "iou"), value(found[recipe], "p10"), **_style(recipe))
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=SMALL)
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.margins(0.12)


def _style(recipe):
    color, marker, filled = STYLES[recipe]
    face = color if filled else "none"
    return {"marker": marker, "color": color, "markerfacecolor": face, "markersize": 7, "linestyle": "none"}


def _handle(recipe):
    return Line2D([], [], label=recipe, **_style(recipe))
