"""The list of names beside a picture."""

from matplotlib.axes import Axes

_ROWS = 26


def list_names(axes: Axes, beside: Axes | None = None) -> None:
    """List what is drawn on `axes` right of it, or in the place of an empty Axes `beside`; what has no name is not."""
    handles, names = axes.get_legend_handles_labels()
    if not names:
        return
    columns = 1 + (len(names) - 1) // (_ROWS // 2 if beside else _ROWS)
    place = (0, 0.5) if beside else (1, 0.5)
    style = {"frameon": False, "fontsize": 8, "labelspacing": 0.35}
    (beside or axes).legend(handles, names, loc="center left", bbox_to_anchor=place, ncols=columns, **style)
