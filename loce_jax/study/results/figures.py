"""Figures of a step, drawn when they are asked for: a command that writes no files draws none."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any


class Figures(Mapping[str, Any]):
    """Figures of matplotlib by file name without ending; each access draws one anew, so that none stays in memory.

    Args:
        draw: functions without arguments, by the same names.

    >>> figures = Figures({"tree": lambda: "drawn"})
    >>> list(figures), figures["tree"]
    (['tree'], 'drawn')
    """

    def __init__(self, draw: Mapping[str, Callable[[], Any]] = {}) -> None:
        self._draw = dict(draw)

    def __getitem__(self, name: str) -> Any:
        return self._draw[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._draw)

    def __len__(self) -> int:
        return len(self._draw)
