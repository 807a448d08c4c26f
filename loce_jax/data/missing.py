"""Why a file that a data set names is not there: the commonest reasons, looked for on the disk."""

import os
from pathlib import Path
from unicodedata import normalize


def why_missing(path: Path) -> str:
    """What is probably wrong with a path under which there is no file, as the end of a sentence; empty if unknown.

    Looked for are URLs, backslashes, letters of another case, accents encoded otherwise, and
    folders that are one too many or one too few.

    >>> why_missing(Path("photos/https:/example.org/1.jpg"))
    ': its name is a URL, and nothing is downloaded'
    """
    text = str(path)
    if ":/" in text:
        return ": its name is a URL, and nothing is downloaded"
    if "\\" in path.name and Path(text.replace("\\", "/")).exists():
        return ": its name has backslashes, and with slashes there is one"
    try:
        return _elsewhere(path)
    except OSError:
        return ""


def _elsewhere(path):
    folder, name = path.parent, path.name.casefold()
    if not folder.is_dir():
        there = next((parent for parent in folder.parents if parent.is_dir()), None)
        if there is None:
            return ""
        if (there / path.name).is_file():
            return f": it lies in {str(there)!r}, so that its name has a folder too many"
        return f": the folder {str(folder)!r} is not there; is the disk mounted?"
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name != path.name and normalize("NFC", entry.name.casefold()) == normalize("NFC", name):
                how = (
                    "in another case" if entry.name.casefold() == name else "with accents encoded otherwise (NFC, NFD)"
                )
                return f": there is {entry.name!r}, {how}"
            if entry.is_dir() and (Path(entry.path) / path.name).is_file():
                return f": it lies in {entry.path!r}, so that its name lacks a folder"
    return ""
