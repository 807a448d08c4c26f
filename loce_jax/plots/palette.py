"""Colours and markers, the same in every picture and on the page.  No Matplotlib here.

Eight colours stay apart under each common kind of colour blindness; from the ninth concept on the marker changes.
"""

CONCEPT_COLOURS = ("#1845fb", "#ff5e02", "#c91f16", "#c849a9", "#adad7d", "#86c8dd", "#578dff", "#656364")
"""Petroff, "Accessible Color Sequences for Data Visualization", 2021 (arXiv 2107.02270), the sequence of eight."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""Matplotlib's letters; the page draws the same shapes."""

SEQUENTIAL = ("#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725")
"""Low to high at equal steps: viridis (Smith & van der Walt, 2015), even in lightness, safe for colour-blind eyes."""

PROJECTION = "#ff6a00"
"""What an embedding redraws."""


def concept_style(index: int) -> tuple[str, str]:
    """Colour and marker of the concept with this index in the data set; they repeat after 56 concepts.

    >>> concept_style(0), concept_style(8)
    (('#1845fb', 'o'), ('#1845fb', 's'))
    """
    turn, colour = divmod(index, len(CONCEPT_COLOURS))
    return CONCEPT_COLOURS[colour], MARKERS[turn % len(MARKERS)]


def rgb(colour: str) -> tuple[int, int, int]:
    """Red, green and blue, 0 to 255, of ``"#rrggbb"``.

    >>> rgb("#ff6a00")
    (255, 106, 0)
    """
    red, green, blue = bytes.fromhex(colour[1:])
    return red, green, blue
