"""COMPARISON.md is what its script prints of the measured lines, and verdicts follow them."""

from pathlib import Path

import comparison_page

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def row(method, value, low, high):
    return {"layer": "l", "method": method, "set_iou": [value, low, high], "image_iou": [value, low, high]}


def test_the_page_is_what_the_lines_say():
    assert (BENCHMARKS / "COMPARISON.md").read_text() == comparison_page.page(BENCHMARKS) + "\n"


def test_words_name_the_highest_method_and_those_whose_intervals_overlap():
    found = {
        "net2vec": (0.5, 0.4, 0.6),
        "net2vec-paper": (0.25, 0.2, 0.3),
        "cav": (0.45, 0.3, 0.55),
        "mean": (0.1, 0, 0),
    }
    (words,) = comparison_page._in_words("net", {name: row(name, *values) for name, values in found.items()})
    assert words.startswith("- net: `net2vec` is highest, 0.50 (0.40 to 0.60). The intervals of `cav` overlap its own.")
    assert "Net2Vec as published reaches 50% of raw" in words and "20% of the best" in words


def test_blocks_leave_out_a_layer_with_itself():
    spaces = [("a", "1", 0), ("a", "2", 1), ("b", "1", 0), ("b", "2", 1)]
    matrix = comparison_page.np.array([[1, 0.5, 0.1, 0.2], [0.5, 1, 0.3, 0.4], [0.1, 0.3, 1, 0.7], [0.2, 0.4, 0.7, 1]])
    assert "| a | 0.50 | 0.25 |" in comparison_page._blocks(spaces, matrix)


def test_a_claim_that_cannot_be_tested_says_why():
    assert comparison_page._verdict({"p": None, "verdict": "cannot be told: no"}) == "cannot be told: no"
