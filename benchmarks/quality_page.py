"""The recorded lines of `bench_quality` as tables; `quality_pictures` draws them."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

PAPER, OURS, TURNED = "paper", "ridge", "paper, turned"
COMPARED = {"IoU": "iou", "P@1": "p1", "P@10": "p10", "P@1 other": "p_other1", "P@10 other": "p_other10"}
FOUND = {key: head for head, key in COMPARED.items() if head != "IoU"}
APART = ("coco_report", "camvid_report", "scenes")  # data that share no photo, and were not developed on
Numbers = Sequence[tuple[str, str, int]]  # heading, key, digits
OF_MASKS: Numbers = (
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
OF_NEIGHBORS: Numbers = tuple(
    (f"P@{k}{who}", f"p{way}{k}", 3) for who, way in (("", ""), (" other", "_other")) for k in (1, 5, 10, 40)
)
JUDGED = {head: key for head, key, _ in (*OF_MASKS, *OF_NEIGHBORS) if key != "clusters"}
MORE = {  # the other measures, in the order of their tables
    "masks": ("median", "empty", "small", "large"),
    "neighbors": ("P@5", "P@40", "P@5 other", "P@40 other"),
    "the cloud": ("purity", "overlap", "silhouette"),
}
ANIMALS = {
    "capybaras nearer to an animal": "capybara_overlap",
    "animals nearer to a capybara": "animals_overlap",
    "silhouette": "capybara_silhouette",
}
SHOWN = (0.03, 0.1, 0.3, 1.0)  # strengths that the tables show, and the report knows
RULES: Mapping[str, Callable[[int, int], float]] = {  # strength from channels and cells
    "0.1": lambda channels, cells: 0.1,
    "0.1 sqrt(C / 320)": lambda channels, cells: 0.1 * (channels / 320) ** 0.5,
    "0.1 sqrt(C / (h w))": lambda channels, cells: 0.1 * (channels / cells) ** 0.5,
    "0.2 sqrt(C / (h w))": lambda channels, cells: 0.2 * (channels / cells) ** 0.5,
}


def tables(lines: Sequence[dict]) -> Iterator[str]:
    """All tables, as Markdown."""
    lines = ordered(lines)
    developed = [line for line in lines if line["stage"] == "develop"]
    judged = reported(lines)
    apart = [line for line in judged if line["data"] in APART]
    shaken = [line for line in lines if "change" in line]
    plain = [line for line in judged if not is_curve(line)]
    yield "### Development: differences from the paper's recipe\n"
    yield from _grid(developed)
    yield "\n### Along the strength\n"
    yield from _along([*developed, *apart])
    yield "\n### Strength by a rule\n"
    yield from _rules({"develop": developed, "report": apart})
    yield "\n### How often ridge is above the paper's recipe, on photos of the report alone\n"
    yield from _verdict(apart)
    yield "\n### The paper's recipe, and what ridge adds to it\n"
    yield from _versus(judged, COMPARED)
    for title, heads in MORE.items():
        yield f"\n### The paper's recipe, and what ridge adds to it: {title}\n"
        yield from _versus(judged, {head: JUDGED[head] for head in heads})
    yield "\n### The paper's LoCEs turned into ridge's coordinates: where they find no less than ridge's\n"
    yield from _turned(apart)
    yield "\n### All recipes: masks, and the cloud of LoCEs, means over the layers\n"
    yield from _numbers(plain, OF_MASKS)
    yield "\n### All recipes: neighbors, means over the layers\n"
    yield from _numbers([line for line in plain if "p1" in line], OF_NEIGHBORS)
    yield "\n### Capybaras and COCO's animals\n"
    yield from _animals([line for line in judged if "animals" in line])
    yield "\n### Mean cosine of a LoCE with that of a changed mask or photo\n"
    yield from _stability(shaken)
    yield "\n### How often ridge's cosine is above the paper's\n"
    yield from _steadier([line for line in shaken if line["recipe"] == OURS])


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
        if recipe != PAPER and float(recipe.split()[1]) in SHOWN:
            apart = np.array([_apart(found[recipe], found[PAPER]) for found in settings.values()])
            cells = (f"{one.mean():+.3f} ({one.min():+.3f}) {(one > 0).sum()}" for one in apart.T)
            rows.append((*recipe.split()[1:], *cells))
    yield f"Mean (least) difference over {len(settings)} settings, and in how many it is above 0.\n"
    yield from _table(("strength", "whitening", "balance", *COMPARED), rows)


def _apart(line, base):
    """Differences of the measures that are compared."""
    return [value(line, key) - value(base, key) for key in COMPARED.values()]


def _rules(stages):
    rows = []
    for stage, lines in stages.items():
        settings = by_setting(lines)
        constant = None
        for rule, strength_of in RULES.items():
            chosen = [nearest(by_strength(found), strength_of(*sizes(found[PAPER]))) for found in settings.values()]
            pairs = zip(chosen, settings.values(), strict=True)
            apart = np.array([_apart(line, found[PAPER]) for line, found in pairs])
            constant = apart if constant is None else constant
            more = apart - constant
            chance = 2 * more.std(axis=0, ddof=1) / len(more) ** 0.5
            cells = (
                f"{mean:+.3f}" + (f" ({gain:+.3f} ± {wide:.3f})" if constant is not apart else "") + f" {wins}"
                for mean, gain, wide, wins in zip(
                    apart.mean(axis=0), more.mean(axis=0), chance, (apart > 0).sum(axis=0), strict=True
                )
            )
            rows.append((f"{stage}, {len(settings)}", rule, *cells))
    yield "Mean difference from the paper's recipe (from the first rule ± two standard errors), how often above 0.\n"
    yield from _table(("photos, settings", "strength", *COMPARED), rows)


def by_strength(found: Mapping[str, dict]) -> dict[float, dict]:
    """A setting's lines of ridge at its default whitening and balance, by their strength."""
    named = {float(name.split()[1]): line for name, line in found.items() if re.fullmatch(r"ridge \S+ 0.5 0.5", name)}
    return named | ({0.1: found[OURS]} if OURS in found else {})


def nearest(curve: Mapping[float, Any], strength: float) -> Any:
    """The line whose strength is nearest, by its logarithm.

    >>> nearest({0.1: "weak", 1.0: "strong"}, 0.3), nearest({0.1: "weak", 1.0: "strong"}, 0.33)
    ('weak', 'strong')
    """
    return curve[min(curve, key=lambda known: abs(np.log(known / strength)))]


def sizes(line: dict) -> tuple[int, int]:
    """Channels and cells of a layer."""
    height, width, channels = line["shape"]
    return channels, height * width


def _along(judged):
    rows = []
    for data in _distinct(judged, "data"):
        curves = [by_strength(found) for (one, _), found in by_setting(judged).items() if one == data]
        for strength in SHOWN:
            cells = []
            for key in COMPARED.values():
                here, default = (np.array([value(curve[at], key) for curve in curves]) for at in (strength, 0.1))
                counts = f" ({(here > default).sum()}, {(here < default).sum()})" if strength != 0.1 else ""
                cells.append(f"{here.mean():.3f}{counts}")
            rows.append((f"{data}, {len(curves)}", str(strength), *cells))
    yield "Mean over the layers (in how many it is above, below that at 0.1).\n"
    yield from _table(("data, layers", "strength", *COMPARED), rows)


def _verdict(judged):
    """Signs of the differences, and how many of them are surely so: their intervals leave out 0."""
    settings = by_setting(judged).values()
    rows = []
    for head, key in JUDGED.items():
        apart = np.array([value(found[OURS], key) - value(found[PAPER], key) for found in settings])
        _, low, high = np.array([found[OURS]["versus"][key] for found in settings]).T
        above, below = str((low > 0).sum()), str((high < 0).sum())
        counts = str((apart > 0).sum()), above, str((apart < 0).sum()), below
        rows.append((head, *counts, f"{apart.mean():+.3f}", f"{apart.min():+.3f}", f"{apart.max():+.3f}"))
    heads = "above", "surely", "below", "surely", "mean difference", "least", "greatest"
    yield f"Of {len(settings)} settings; of *empty* and *overlap* less is better.\n"
    yield from _table(("measure", *heads), rows)


def _versus(judged, measures: Mapping[str, str]):
    rows = []
    for where, found in by_setting(judged).items():
        cells = (_difference(value(found[PAPER], key), found[OURS]["versus"][key]) for key in measures.values())
        rows.append((*where, *cells))
    yield from _table(("data", "network and layer", *measures), rows)


def _difference(base, found):
    """The paper's number, and the difference from it: in bold where its interval leaves out 0."""
    mean, low, high = found
    text = f"{mean:+.3f}"
    return f"{base:.3f} {f'**{text}**' if low * high > 0 else text} [{low:+.2f}, {high:+.2f}]"


def _turned(judged):
    rows = []
    for where, found in by_setting(judged).items():
        three = {key: [value(found[recipe], key) for recipe in (PAPER, TURNED, OURS)] for key in FOUND}
        if any(turned >= ours for _, turned, ours in three.values()):
            cells = (
                f"{paper:.3f}, {f'**{turned:.3f}**' if turned >= ours else f'{turned:.3f}'}, {ours:.3f}"
                for paper, turned, ours in three.values()
            )
            rows.append((*where, *cells))
    yield f"{len(rows)} of {len(by_setting(judged))} settings: paper; paper, turned; ridge.\n"
    yield from _table(("data", "network and layer", *FOUND.values()), rows)


def _numbers(judged, numbers: Numbers):
    rows = []
    for data in _distinct(judged, "data"):
        for recipe in _distinct(judged, "recipe"):
            lines = [line for line in judged if (line["data"], line["recipe"]) == (data, recipe)]
            cells = (f"{np.mean([value(line, key) for line in lines]):.{digits}f}" for _, key, digits in numbers)
            rows.append((data, recipe, *(cell if cell != "nan" else "–" for cell in cells)))
    yield from _table(("data", "recipe", *(head for head, _, _ in numbers)), rows)


def _animals(judged):
    rows = []
    for (_, where), found in by_setting(judged).items():
        paper, ours = found[PAPER], found[OURS]
        separation = f"{paper['capybara_separation']:.3f}, {ours['capybara_separation']:.3f}"
        cells = (_difference(value(paper, key), ours["versus"][key]) for key in ANIMALS.values())
        rows.append((where, separation, *cells))
    yield from _table(("network and layer", "separation: paper, ridge", *ANIMALS), rows)


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


def _steadier(shaken):
    rows = []
    for data in _distinct(shaken, "data"):
        mine = [line for line in shaken if line["data"] == data]
        mean, low, high = np.array([line["versus"]["cosine"] for line in mine]).T
        counts = (mean > 0).sum(), (low > 0).sum(), (mean < 0).sum(), (high < 0).sum()
        lower = [f"{place(line)} ({line['change']})" for line, top in zip(mine, high, strict=True) if top < 0]
        rows.append((f"{data}, {len(mine)}", *map(str, counts), "; ".join(lower) or "–"))
    yield from _table(("data, cosines", "above", "surely", "below", "surely", "surely below"), rows)


def ordered(lines: Sequence[dict]) -> list[dict]:
    """The lines of recipes: data and networks as they first come, layers from early to last."""
    lines = [line for line in lines if "recipe" in line]
    data, networks = _distinct(lines, "data"), _distinct(lines, "network")
    return sorted(
        lines, key=lambda line: (data.index(line["data"]), networks.index(line["network"]), depth(line["layer"]))
    )


def depth(layer: str) -> float:
    """The number that a layer's name ends with; one without is the last.

    >>> depth("_blocks.10"), depth("_conv_head")
    (10.0, inf)
    """
    found = re.search(r"\d+$", layer)
    return float(found[0]) if found else np.inf


def reported(lines: Sequence[dict]) -> list[dict]:
    """The lines of `report` that compare recipes."""
    return [line for line in lines if line["stage"] == "report" and "recipe" in line and "change" not in line]


def by_setting(lines: Sequence[dict]) -> dict[tuple[str, str], dict[str, dict]]:
    """The lines of each data and `place`, by their recipe."""
    settings: dict[tuple[str, str], dict[str, dict]] = {}
    for line in lines:
        settings.setdefault((line["data"], place(line)), {})[line["recipe"]] = line
    return settings


def value(line: dict, key: str) -> float:
    """A measure, given with its interval or without; NaN where a recipe has none."""
    found = line.get(key, np.nan)
    return found[0] if isinstance(found, list) else found


def is_curve(line: dict) -> bool:
    """Whether a line of ridge is at other numbers than its default."""
    return line["recipe"].startswith(f"{OURS} ")


def _distinct(lines, key):
    return list(dict.fromkeys(line[key] for line in lines))


def place(line: dict) -> str:
    """Network and layer, short enough for a picture.

    >>> place({"network": "dinov2-small", "layer": "encoder.layer.5"})
    'dinov2 layer.5'
    """
    return f"{line['network'].split('-')[0]} {'.'.join(line['layer'].split('.')[-2:]).lstrip('_')}"
