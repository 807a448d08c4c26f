"""Words for the concepts that a picture does not name one by one."""

from collections.abc import Iterable


def count_others(labels: Iterable[object]) -> str:
    """A text for the concepts of `labels` that are not named one by one.

    >>> count_others(["cat", "dog", "cat"]), count_others(["cat"])
    ('2 other concepts', '1 other concept')
    """
    count = len(set(labels))
    return f"{count} other concept{'s' * (count != 1)}"
