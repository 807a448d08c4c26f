"""Figures of a step, drawn when they are asked for: a command that writes no files draws none."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Figures(Mapping[str, "Figure"]):
    """Figures by file name without ending; each access draws one anew, so that none stays in memory.

    Args:
        draw: functions without arguments, by the same names.

    >>> figures = Figures({"tree": lambda: "drawn"})
    >>> list(figures), figures["tree"]
    (['tree'], 'drawn')
    """

    def __init__(self, draw: Mapping[str, Callable[[], "Figure"]] = {}) -> None:
        self._draw = dict(draw)

    def __getitem__(self, name: str) -> "Figure":
        return self._draw[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._draw)

    def __len__(self) -> int:
        return len(self._draw)
