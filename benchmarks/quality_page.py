"""The recorded lines of `bench_quality` as tables; `quality_pictures` draws them."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

PAPER, RIDGE, WHITENED = "paper", "ridge", "paper, whitened"
COMPARED = {"IoU": "iou", "P@1": "p1", "P@10": "p10", "P@1 other": "p_other1", "P@10 other": "p_other10"}
PRECISIONS = {key: head for head, key in COMPARED.items() if head != "IoU"}
DISJOINT = ("coco_report", "camvid_report", "scenes")  # data sets that share no photo and were not developed on
Numbers = Sequence[tuple[str, str, int]]  # heading, key, digits
MASK_COLUMNS: Numbers = (
    ("IoU", "iou", 3),
    ("median", "iou_median", 3),
    ("empty", "failures", 3),
    ("small", "iou_small", 3),
    ("large", "iou_large", 3),
    ("purity", "purity", 2),
    ("clusters", "clusters", 0),
    ("overlap", "overlap", 3),
    ("silhouette", "silhouette", 3),
)
NEIGHBOR_COLUMNS: Numbers = tuple(
    (f"P@{k}{who}", f"p{way}{k}", 3) for who, way in (("", ""), (" other", "_other")) for k in (1, 5, 10, 40)
)
WITH_INTERVAL = {head: key for head, key, _ in (*MASK_COLUMNS, *NEIGHBOR_COLUMNS) if key != "clusters"}
OTHER_MEASURES = {  # the other measures, in the order of their tables
    "masks": ("median", "empty", "small", "large"),
    "neighbors": ("P@5", "P@40", "P@5 other", "P@40 other"),
    "clusters and overlap": ("purity", "overlap", "silhouette"),
}
ANIMALS = {
    "capybaras nearer to an animal": "capybara_overlap",
    "animals nearer to a capybara": "animals_overlap",
    "silhouette": "capybara_silhouette",
}
SHOWN_L2S = (0.03, 0.1, 0.3, 1.0)  # of the tables; those that the report was measured at
RULES: Mapping[str, Callable[[int, int], float]] = {  # l2 from channels and cells
    "0.1": lambda channels, cells: 0.1,
    "0.1 sqrt(C / 320)": lambda channels, cells: 0.1 * (channels / 320) ** 0.5,
    "0.1 sqrt(C / (h w))": lambda channels, cells: 0.1 * (channels / cells) ** 0.5,
    "0.2 sqrt(C / (h w))": lambda channels, cells: 0.2 * (channels / cells) ** 0.5,
}


def tables(lines: Sequence[dict]) -> Iterator[str]:
    """All tables, as Markdown."""
    lines = ordered(lines)
    developed = [line for line in lines if line["stage"] == "develop"]
    measured = reported(lines)
    disjoint = [line for line in measured if line["data"] in DISJOINT]
    stability = [line for line in lines if "change" in line]
    plain = [line for line in measured if not is_curve(line)]
    yield "### Development: differences from the paper's recipe\n"
    yield from _grid(developed)
    yield "\n### Along l2\n"
    yield from _along([*developed, *disjoint])
    yield "\n### l2 by a rule\n"
    yield from _rules({"develop": developed, "report": disjoint})
    yield "\n### In how many settings ridge is above the paper's recipe, on the report photos\n"
    yield from _signs(disjoint)
    yield "\n### The paper's recipe, and ridge's difference from it\n"
    yield from _versus(measured, COMPARED)
    for title, heads in OTHER_MEASURES.items():
        yield f"\n### The paper's recipe, and ridge's difference from it: {title}\n"
        yield from _versus(measured, {head: WITH_INTERVAL[head] for head in heads})
    yield "\n### The paper's LoCEs in ridge's coordinates: settings where their precision is at least ridge's\n"
    yield from _whitened(disjoint)
    yield "\n### All recipes: IoU, clusters and overlap, means over the layers\n"
    yield from _numbers(plain, MASK_COLUMNS)
    yield "\n### All recipes: neighbors, means over the layers\n"
    yield from _numbers([line for line in plain if "p1" in line], NEIGHBOR_COLUMNS)
    yield "\n### Capybaras and COCO's animals\n"
    yield from _animals([line for line in measured if "animals" in line])
    yield "\n### Mean cosine of a LoCE with that of a changed mask or photo\n"
    yield from _stability(stability)
    yield "\n### In how many cases ridge's cosine is above the paper's\n"
    yield from _stability_counts([line for line in stability if line["recipe"] == RIDGE])


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    heads = list(heads)
    yield f"| {' | '.join(heads)} |"
    yield f"|{' --- |' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _grid(developed):
    settings = by_setting(developed)
    rows = []
    for recipe in _distinct(developed, "recipe"):
        if recipe != PAPER and float(recipe.split()[1]) in SHOWN_L2S:
            differences = np.array([_differences(found[recipe], found[PAPER]) for found in settings.values()])
            cells = (f"{one.mean():+.3f} ({one.min():+.3f}) {(one > 0).sum()}" for one in differences.T)
            rows.append((*recipe.split()[1:], *cells))
    yield f"Mean (minimum) difference over {len(settings)} settings, and the number of settings where it is above 0.\n"
    yield from _table(("l2", "whitening", "class weight power", *COMPARED), rows)


def _differences(line, base):
    """Differences of the measures that are compared."""
    return [value(line, key) - value(base, key) for key in COMPARED.values()]


def _rules(stages):
    rows = []
    for stage, lines in stages.items():
        settings = by_setting(lines)
        constant = None
        for rule, l2_of in RULES.items():
            chosen = [nearest(by_l2(found), l2_of(*sizes(found[PAPER]))) for found in settings.values()]
            pairs = zip(chosen, settings.values(), strict=True)
            differences = np.array([_differences(line, found[PAPER]) for line, found in pairs])
            constant = differences if constant is None else constant
            more = differences - constant
            chance = 2 * more.std(axis=0, ddof=1) / len(more) ** 0.5
            cells = (
                f"{mean:+.3f}" + (f" ({gain:+.3f} ± {wide:.3f})" if constant is not differences else "") + f" {wins}"
                for mean, gain, wide, wins in zip(
                    differences.mean(axis=0), more.mean(axis=0), chance, (differences > 0).sum(axis=0), strict=True
                )
            )
            rows.append((f"{stage}, {len(settings)}", rule, *cells))
    yield "Mean difference from the paper's recipe (from the first rule ± two standard errors); settings above 0.\n"
    yield from _table(("photos, settings", "l2", *COMPARED), rows)


def by_l2(found: Mapping[str, dict]) -> dict[float, dict]:
    """A setting's lines of ridge at its default whitening and class weight power, by their l2."""
    named = {float(name.split()[1]): line for name, line in found.items() if re.fullmatch(r"ridge \S+ 0.5 0.5", name)}
    return named | ({0.1: found[RIDGE]} if RIDGE in found else {})


def nearest(curve: Mapping[float, Any], l2: float) -> Any:
    """The line whose l2 is nearest, by its logarithm.

    >>> nearest({0.1: "low", 1.0: "high"}, 0.3), nearest({0.1: "low", 1.0: "high"}, 0.33)
    ('low', 'high')
    """
    return curve[min(curve, key=lambda known: abs(np.log(known / l2)))]


def sizes(line: dict) -> tuple[int, int]:
    """Channels and cells of a layer."""
    height, width, channels = line["shape"]
    return channels, height * width


def _along(lines):
    rows = []
    for data in _distinct(lines, "data"):
        curves = [by_l2(found) for (one, _), found in by_setting(lines).items() if one == data]
        for l2 in SHOWN_L2S:
            cells = []
            for key in COMPARED.values():
                here, default = (np.array([value(curve[at], key) for curve in curves]) for at in (l2, 0.1))
                counts = f" ({(here > default).sum()}, {(here < default).sum()})" if l2 != 0.1 else ""
                cells.append(f"{here.mean():.3f}{counts}")
            rows.append((f"{data}, {len(curves)}", str(l2), *cells))
    yield "Mean over the layers (number of layers where it is above, below that at 0.1).\n"
    yield from _table(("data, layers", "l2", *COMPARED), rows)


def _signs(lines):
    """Signs of the differences, and how many are significant: their intervals exclude 0."""
    settings = by_setting(lines).values()
    rows = []
    for head, key in WITH_INTERVAL.items():
        differences = np.array([value(found[RIDGE], key) - value(found[PAPER], key) for found in settings])
        _, low, high = np.array([found[RIDGE]["versus"][key] for found in settings]).T
        above, below = str((low > 0).sum()), str((high < 0).sum())
        counts = str((differences > 0).sum()), above, str((differences < 0).sum()), below
        rows.append(
            (head, *counts, f"{differences.mean():+.3f}", f"{differences.min():+.3f}", f"{differences.max():+.3f}")
        )
    heads = "above", "significantly", "below", "significantly", "mean difference", "minimum", "maximum"
    yield f"Of {len(settings)} settings; for *empty* and *overlap* lower is better.\n"
    yield from _table(("measure", *heads), rows)


def _versus(lines, measures: Mapping[str, str]):
    rows = []
    for where, found in by_setting(lines).items():
        cells = (_difference(value(found[PAPER], key), found[RIDGE]["versus"][key]) for key in measures.values())
        rows.append((*where, *cells))
    yield from _table(("data", "network and layer", *measures), rows)


def _difference(base, found):
    """The paper's number, and the difference from it: in bold where its interval excludes 0."""
    mean, low, high = found
    text = f"{mean:+.3f}"
    return f"{base:.3f} {f'**{text}**' if low * high > 0 else text} [{low:+.2f}, {high:+.2f}]"


def _whitened(lines):
    rows = []
    for where, found in by_setting(lines).items():
        three = {key: [value(found[recipe], key) for recipe in (PAPER, WHITENED, RIDGE)] for key in PRECISIONS}
        if any(whitened >= ridge for _, whitened, ridge in three.values()):
            cells = (
                f"{paper:.3f}, {f'**{whitened:.3f}**' if whitened >= ridge else f'{whitened:.3f}'}, {ridge:.3f}"
                for paper, whitened, ridge in three.values()
            )
            rows.append((*where, *cells))
    yield f"{len(rows)} of {len(by_setting(lines))} settings: paper; paper, whitened; ridge.\n"
    yield from _table(("data", "network and layer", *PRECISIONS.values()), rows)


def _numbers(lines, numbers: Numbers):
    rows = []
    for data in _distinct(lines, "data"):
        for recipe in _distinct(lines, "recipe"):
            layers = [line for line in lines if (line["data"], line["recipe"]) == (data, recipe)]
            cells = (f"{np.mean([value(line, key) for line in layers]):.{digits}f}" for _, key, digits in numbers)
            rows.append((data, recipe, *(cell if cell != "nan" else "–" for cell in cells)))
    yield from _table(("data", "recipe", *(head for head, _, _ in numbers)), rows)


def _animals(lines):
    rows = []
    for (_, where), found in by_setting(lines).items():
        paper, ridge = found[PAPER], found[RIDGE]
        separation = f"{paper['capybara_separation']:.3f}, {ridge['capybara_separation']:.3f}"
        cells = (_difference(value(paper, key), ridge["versus"][key]) for key in ANIMALS.values())
        rows.append((where, separation, *cells))
    yield from _table(("network and layer", "separation: paper, ridge", *ANIMALS), rows)


def _stability(stability):
    recipes = _distinct(stability, "recipe")
    rows = []
    for data in _distinct(stability, "data"):
        for change in _distinct(stability, "change"):
            cosines = [
                [line["cosine"][0] for line in stability if (line["data"], line["change"], line["recipe"]) == key]
                for key in ((data, change, recipe) for recipe in recipes)
            ]
            rows.append((data, change, *(f"{np.mean(one):.3f} ({min(one):.3f})" for one in cosines)))
    yield from _table(("data", "change", *(f"{recipe}: mean over layers (minimum)" for recipe in recipes)), rows)


def _stability_counts(stability):
    rows = []
    for data in _distinct(stability, "data"):
        mine = [line for line in stability if line["data"] == data]
        mean, low, high = np.array([line["versus"]["cosine"] for line in mine]).T
        counts = (mean > 0).sum(), (low > 0).sum(), (mean < 0).sum(), (high < 0).sum()
        lower = [f"{layer_label(line)} ({line['change']})" for line, top in zip(mine, high, strict=True) if top < 0]
        rows.append((f"{data}, {len(mine)}", *map(str, counts), "; ".join(lower) or "–"))
    yield from _table(
        ("data, cosines", "above", "significantly", "below", "significantly", "significantly below"), rows
    )


def ordered(lines: Sequence[dict]) -> list[dict]:
    """The lines of recipes: data sets and networks in order of appearance, layers from early to last."""
    lines = [line for line in lines if "recipe" in line]
    data, networks = _distinct(lines, "data"), _distinct(lines, "network")
    return sorted(
        lines, key=lambda line: (data.index(line["data"]), networks.index(line["network"]), depth(line["layer"]))
    )


def depth(layer: str) -> float:
    """The number that a layer's name ends with; infinity without one.

    >>> depth("_blocks.10"), depth("_conv_head")
    (10.0, inf)
    """
    found = re.search(r"\d+$", layer)
    return float(found[0]) if found else np.inf


def reported(lines: Sequence[dict]) -> list[dict]:
    """The lines of `report` that compare recipes."""
    return [line for line in lines if line["stage"] == "report" and "recipe" in line and "change" not in line]


def by_setting(lines: Sequence[dict]) -> dict[tuple[str, str], dict[str, dict]]:
    """The lines of each setting, which is a data set and a `layer_label`, by their recipe."""
    settings: dict[tuple[str, str], dict[str, dict]] = {}
    for line in lines:
        settings.setdefault((line["data"], layer_label(line)), {})[line["recipe"]] = line
    return settings


def value(line: dict, key: str) -> float:
    """A measure, given with its interval or without; NaN where a recipe has none."""
    found = line.get(key, np.nan)
    return found[0] if isinstance(found, list) else found


def is_curve(line: dict) -> bool:
    """Whether a line of ridge is of other options than the defaults."""
    return line["recipe"].startswith(f"{RIDGE} ")


def _distinct(lines, key):
    return list(dict.fromkeys(line[key] for line in lines))


def layer_label(line: dict) -> str:
    """Network and layer, short enough for a picture.

    >>> layer_label({"network": "dinov2-small", "layer": "encoder.layer.5"})
    'dinov2 layer.5'
    """
    return f"{line['network'].split('-')[0]} {'.'.join(line['layer'].split('.')[-2:]).lstrip('_')}"
