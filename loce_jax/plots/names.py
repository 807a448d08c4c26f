"""Names as text on a picture: they come from data sets and are not to be trusted."""

_MOST = 40


def plain(name: object) -> str:
    r"""`name` as Matplotlib shows it: no dollar sign begins mathematics, no underscore hides it, one line, not endless.

    >>> plain("a $x$ b")
    'a \\$x\\$ b'
    """
    words = " ".join(str(name).split())
    words = words if len(words) <= _MOST else f"{words[: _MOST - 1]}…"
    return f"{' ' * words.startswith('_')}{words}".replace("$", r"\$")
