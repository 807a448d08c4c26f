"""The list of names beside a picture."""

from matplotlib.axes import Axes

_ROWS = 26


def list_names(axes: Axes, beside: Axes | None = None) -> None:
    """Legend of `axes`, to its right, or on an empty Axes `beside`; artists without a label are not listed."""
    handles, names = axes.get_legend_handles_labels()
    if not names:
        return
    columns = 1 + (len(names) - 1) // (_ROWS // 2 if beside else _ROWS)
    anchor = (0, 0.5) if beside else (1, 0.5)
    style = {"frameon": False, "fontsize": 8, "labelspacing": 0.35}
    (beside or axes).legend(handles, names, loc="center left", bbox_to_anchor=anchor, ncols=columns, **style)
