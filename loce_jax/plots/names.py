"""Names as text on a picture: they come from data sets and are not to be trusted."""

from collections.abc import Iterable

_MOST = 40


def plain(name: object) -> str:
    r"""`name` as Matplotlib shows it: no dollar sign begins mathematics, no underscore hides it, one line, not endless.

    >>> plain("a $x$ b")
    'a \\$x\\$ b'
    """
    words = " ".join(str(name).split())
    words = words if len(words) <= _MOST else f"{words[: _MOST - 1]}…"
    return f"{' ' * words.startswith('_')}{words}".replace("$", r"\$")


def count_others(labels: Iterable[object]) -> str:
    """What to call the concepts that `labels` are of, where each by its name is too much.

    >>> count_others(["cat", "dog", "cat"]), count_others(["cat"])
    ('2 other concepts', '1 other concept')
    """
    count = len(set(labels))
    return f"{count} other concept{'s' * (count != 1)}"
