"""What the files of a run are called, relative to its root.

::

    plan.json                       what work there is and with which options; written first, never changed
    source.json                     where the data were when the run was last continued
    chunks/00003.json               rows of one chunk; written last, it says that the chunk is complete
    layers/00-blocks.4/00003.safetensors    numbers of the chunk's good rows at one layer
    statistics/parts/07.safetensors         of a recipe that whitens: sums over a part of the images, every layer's
    statistics/parts/07.json                which images these are; written last, it says that the part is complete
    statistics/00-blocks.4.safetensors      the same over all images, a layer's
    statistics/whole.json                   written last, it says that these are complete
    derived/map-blocks.4.safetensors        what an analysis keeps; may be deleted at any time
    derived/map-blocks.4.json               what it was made from
    manifest.json                   length and SHA-256 of every file of a complete run, but for `source` and `derived`

Every JSON file holds its own SHA-256, and length and SHA-256 of the other files that it completes.
"""

from loce_jax.foreign_text import percent_encoded

FORMAT = 5  # of a plan and the files beside it; raise it whenever their form changes
PLAN, SOURCE, MANIFEST, CHUNKS, LAYERS, DERIVED = (
    "plan.json",
    "source.json",
    "manifest.json",
    "chunks",
    "layers",
    "derived",
)
PARTS, WHOLE = "statistics/parts", "statistics/whole.json"


def rows_file(chunk: str) -> str:
    """The JSON file with one chunk's rows."""
    return f"{CHUNKS}/{chunk}.json"


def layer_file(layer: str, index: int, chunk: str) -> str:
    """The safetensors file of one chunk at the `index`-th layer; any layer name is safe in it.

    >>> layer_file("../up", 2, "00000")
    'layers/02-..%2Fup/00000.safetensors'
    """
    return f"{LAYERS}/{index:02d}-{percent_encoded(layer)}/{chunk}.safetensors"


def part_file(part: str) -> str:
    """The safetensors file with every layer's statistics over one part of the images."""
    return f"{PARTS}/{part}.safetensors"


def part_record_file(part: str) -> str:
    """The JSON file that says which images a part holds."""
    return f"{PARTS}/{part}.json"


def statistics_file(layer: str, index: int) -> str:
    """The safetensors file with the `index`-th layer's statistics over all images.

    >>> statistics_file("blocks.4", 2)
    'statistics/02-blocks.4.safetensors'
    """
    return f"statistics/{index:02d}-{percent_encoded(layer)}.safetensors"


def derived_files(name: str) -> tuple[str, str]:
    """The safetensors file and the JSON file of what is derived under `name`.

    >>> derived_files("a/b")
    ('derived/a%2Fb.safetensors', 'derived/a%2Fb.json')
    """
    stem = f"{DERIVED}/{percent_encoded(name)}"
    return f"{stem}.safetensors", f"{stem}.json"
