"""Tables on the command line: no word of a heading is split while there is room for all of them."""

import pytest

from loce_jax.analysis.tables import Table
from loce_jax.cli.console import PLAIN_WIDTH, print_table

METHODS = "net2vec", "net2vec-16", "net2vec-paper", "netdissect", "mean", "medoid", "cav", "ridge", "ice"


@pytest.mark.parametrize("cell", ["0.25 (0.14 to 0.36)", "0.123456 (0.123456 to 0.123456)", "x" * 30])
def test_words_of_headings_are_whole(cell, capsys):
    table = Table("t", ("concept", *METHODS, "two words"), (("motorcycle", *[cell] * 10),))
    print_table(table)
    _, *lines = capsys.readouterr().out.splitlines()
    words = [word for line in lines for word in line.split()]
    assert {*METHODS, "two", "words"} <= set(words)
    assert max(map(len, lines)) <= PLAIN_WIDTH


def test_headings_without_room_are_folded(capsys):
    names = tuple(f"concept-of-a-long-name-{i}" for i in range(20))
    print_table(Table("t", names, ((0.5,) * 20,)))
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= PLAIN_WIDTH and shown.count("0.5") >= 20
