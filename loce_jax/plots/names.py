"""Names as text on a picture; they come from data sets and may hold any characters."""

from collections.abc import Iterable

_MAX_LENGTH = 40  # characters


def plain(name: object) -> str:
    r"""`name` as literal text in Matplotlib: dollar signs escaped, one line, at most 40 characters.

    >>> plain("a $x$ b")
    'a \\$x\\$ b'
    """
    words = " ".join(str(name).split())
    words = words if len(words) <= _MAX_LENGTH else f"{words[: _MAX_LENGTH - 1]}…"
    return f"{' ' * words.startswith('_')}{words}".replace("$", r"\$")


def count_others(labels: Iterable[object]) -> str:
    """A text for the concepts of `labels` that are not named one by one.

    >>> count_others(["cat", "dog", "cat"]), count_others(["cat"])
    ('2 other concepts', '1 other concept')
    """
    count = len(set(labels))
    return f"{count} other concept{'s' * (count != 1)}"
