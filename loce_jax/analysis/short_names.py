"""Short names of layers, for figures and tables."""

from collections.abc import Sequence
from os.path import commonprefix


def short_names(names: Sequence[str], *, length: int = 16) -> tuple[str, ...]:
    """Shorter names, different where the given ones are, in the same order.

    The leading parts (between dots) that all names share go first, but for the word before a number that would begin a
    name.  If one is still longer than `length` letters, the first part of every name becomes the initials of its words
    with its digits, then the second, until all fit; if that made two names equal, none is abbreviated.  A name may stay
    longer than `length`.

    >>> short_names(["model.encoder.layers.0", "model.encoder.layers.11"])
    ('layers.0', 'layers.11')
    >>> short_names(["model.backbone.conv_encoder.model.layer3", "model.encoder.layers.1"])
    ('b.ce.m.layer3', 'e.l.1')
    """
    paths = [name.split(".") for name in names]
    shared = len(commonprefix([path[:-1] for path in paths]))
    if shared and any(path[shared].isdecimal() for path in paths):
        shared -= 1
    spelled = [".".join(path[shared:]) for path in paths]
    short = spelled
    for count in range(max(map(len, paths), default=0) - shared + 1):
        short = [".".join([*map(_initials, path[shared:][:count]), *path[shared:][count:]]) for path in paths]
        if all(len(name) <= length for name in short):
            break
    return tuple(short if len(set(short)) == len(set(names)) else spelled)


def _initials(part):
    """First letters and digits of a part's words.

    >>> _initials("encoder_layer_11"), _initials("layer3"), _initials("7")
    ('el11', 'l3', '7')
    """
    return "".join(word[:1] + "".join(filter(str.isdigit, word[1:])) for word in part.split("_"))
