"""The tables of `benchmarks/QUALITY.md`: those that `bench_quality page` prints, and what they count."""

import json
from pathlib import Path

import numpy as np
import pytest
from quality_page import WITH_INTERVAL, by_l2, by_setting, depth, nearest, ordered, tables

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
DIFFERENCES = {0.03: 0.5, 0.1: 0.25, 0.3: 0.125, 1.0: -0.125}  # of ridge from the paper's recipe, by l2


def line(data, layer, recipe, found, **more):
    measures = {key: [found, found, found] for key in WITH_INTERVAL.values()}
    low = found - 0.375 - (layer == "late.7")
    versus = {key: [found - 0.25, low, found - 0.125] for key in WITH_INTERVAL.values()}
    about = {"stage": "report", "network": "net-small", "layer": layer, "data": data, "recipe": recipe}
    return about | measures | {"clusters": 3, "versus": versus} | more


def planted(shape=(10, 10, 100)):
    """Two layers, the later first and not significant; the earlier one's whitened LoCEs retrieve as well as ridge's."""
    lines = []
    for layer, whitened in (("late.7", 0.25), ("early.2", 0.5)):
        for stage in ("develop", "report"):
            about = {"shape": list(shape), "stage": stage}
            lines.append(line("coco_report", layer, "paper", 0.25, **about))
            for l2, more in DIFFERENCES.items():
                name = "ridge" if (stage, l2) == ("report", 0.1) else f"ridge {l2} 0.5 0.5"
                lines.append(line("coco_report", layer, name, 0.25 + more, **about))
        lines.append(line("coco_report", layer, "paper, whitened", whitened))
        cosines = {"cosine": [0.5, 0.5, 0.5], "versus": {"cosine": [-0.25, -0.375, -0.125]}}
        lines += [line("coco_report", layer, recipe, 0, change="noise") | cosines for recipe in ("paper", "ridge")]
    return lines


def section(text, title):
    [found] = [part for part in text.split("### ") if part.startswith(title)]
    return [row.strip("| ").split(" | ") for row in found.splitlines() if row.startswith("|")][2:]


def test_the_page_holds_the_tables_of_the_lines():
    lines = [json.loads(text) for text in (BENCHMARKS / "quality.jsonl").read_text().splitlines()]
    page = (BENCHMARKS / "QUALITY.md").read_text()
    missing = [part.splitlines()[0] for part in "\n".join(tables(lines)).split("### ")[1:] if part.strip() not in page]
    assert missing == []


def test_verdict_counts_signs_and_intervals():
    rows = {row[0]: row[1:] for row in section("\n".join(tables(planted())), "In how many settings ridge is above")}
    assert rows["IoU"] == ["2", "1", "0", "0", "+0.250", "+0.250", "+0.250"]
    assert rows["empty"] == rows["P@40 other"] == rows["IoU"]


@pytest.mark.parametrize(("shape", "more"), [((10, 10, 100), 0), ((10, 10, 1000), -0.125), ((40, 40, 100), 0.25)])
def test_a_rule_takes_the_nearest_l2(shape, more):
    rows = {tuple(row[:2]): row[2] for row in section("\n".join(tables(planted(shape))), "l2 by a rule")}
    assert rows["report, 2", "0.1"] == rows["develop, 2", "0.1"] == "+0.250 2"
    assert rows["report, 2", "0.1 sqrt(C / (h w))"] == f"{0.25 + more:+.3f} ({more:+.3f} ± 0.000) 2"


def test_whitened_settings_are_those_whose_precision_is_at_least_ridges():
    rows = section("\n".join(tables(planted())), "The paper's LoCEs in ridge's coordinates")
    assert [row[:2] for row in rows] == [["coco_report", "net early.2"]]
    assert rows[0][2] == "0.250, **0.500**, 0.500"


def test_cosines_significantly_below_are_named():
    [row] = section("\n".join(tables(planted())), "In how many cases ridge's cosine")
    assert row == ["coco_report, 2", "0", "0", "2", "2", "net early.2 (noise); net late.7 (noise)"]


def test_layers_come_from_early_to_last():
    assert list(dict.fromkeys(line["layer"] for line in ordered(planted()))) == ["early.2", "late.7"]
    assert depth("_conv_head") == np.inf > depth("_blocks.15") > depth("_blocks.7")


def test_l2_of_other_powers_is_not_on_the_curve():
    more = planted() + [line("coco_report", "late.7", "ridge 0.1 0.0 0.5", 0.9, stage="develop")]
    [found] = [found for (_, where), found in by_setting(ordered(more)).items() if where == "net late.7"]
    assert sorted(by_l2(found)) == sorted(DIFFERENCES)
    assert nearest({0.03: "low", 0.1: "high"}, 0.06) == "high"
