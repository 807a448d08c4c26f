"""The table of families names every network that is compared with PyTorch; the comparisons read its figures."""

import pytest

from tests.support.families_table import (
    BOTH,
    CONVERTED,
    LIBRARIES,
    LITE0,
    LITE0_CASE,
    converter_limit,
    native_limit,
    short_names,
    stated,
)
from tests.support.native_cases import CASES


def test_the_table_has_a_row_for_every_family_and_library():
    families = [row.family for row in stated()]
    assert families[: -len(LIBRARIES)] == [*BOTH, LITE0, *CONVERTED]
    assert tuple(row.source for row in stated()[-len(LIBRARIES) :]) == LIBRARIES
    assert {row.family for row in stated() if row.native is not None} == {*BOTH, LITE0}
    assert set(BOTH) == {case.family for case in CASES.values()}


def test_a_row_is_written_as_it_is_read():
    for row in stated():
        assert f"{row.converter:.0e}" in row.line() and row.family in row.line()
    assert stated()[0].line() == "| ViT | yes | yes | transformers | native 5e-07, converter 3e-07 |\n"


def test_a_limit_is_the_stated_figure_with_some_slack():
    assert native_limit("ViT") == pytest.approx(3 * 5e-7)
    assert converter_limit("vit") == pytest.approx(3 * 3e-7)
    assert converter_limit(LITE0_CASE) == pytest.approx(3 * 1e-6)
    assert converter_limit("yolo") == float("inf")


@pytest.mark.usefixtures("torch")
def test_the_table_lists_every_network_of_the_converters_tests():
    from tests.support.converter_cases import CASES as EVERYTHING

    rows = {row.source: row.family for row in stated()}
    for library in LIBRARIES:
        assert rows[library] == short_names([case for case in EVERYTHING if case.startswith(f"{library} ")])
    alone = {case for case in EVERYTHING if " " not in case}
    assert alone == {*BOTH.values(), *CONVERTED.values(), "yolo"}
