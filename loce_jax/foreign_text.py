r"""Text of unknown origin (names of concepts, files and layers) made harmless for each output.

Such a text may hold anything: control characters and escape sequences of terminals, markup, formulas, halves of
surrogate pairs (from JSON, or from a file name that is no UTF-8).  Every output has one function here, and nothing else
in the package escapes text or writes JSON that is kept.
"""

import html
import json
import logging
import re
from collections.abc import Iterable
from hashlib import sha256
from typing import Any
from urllib.parse import quote

import numpy as np
from jaxtyping import Shaped

OVERALL = "all concepts"  # the label of a row over all concepts
_REPLACEMENT = "\ufffd"
_SURROGATE = re.compile("[\ud800-\udfff]")
# Control characters, marks that change the direction of writing, separators of lines, halves of surrogate pairs.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_FORMULA = re.compile(r"[\s\x00-\x1f\ufeff]*[=+\-@＝＋－＠]|[\t\r\n]")
_ASCII = {"–": "-", "…": "..."}  # characters of our own texts, where an encoding lacks them
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "[": "{[}",  # else an argument of the line break before it
    "*": "{*}",  # likewise
    "–": "--",
    **{letter: "\\" + letter for letter in "{}$&#_%"},
}
_MAX_FILE_NAME = 100  # characters


def for_terminal(text: object, encoding: str | None = None) -> str:
    r"""`text` on one line; control characters and what a terminal cannot show become backslash escapes.

    Rich must not read it as markup: give it to `rich.text.Text`.

    Args:
        text: anything that ``str`` takes.
        encoding: of the output stream, which need not have every character; UTF-8 if None.

    >>> print(for_terminal("red\x1b[31m\n"), for_terminal("caf\udce9"), for_terminal("猫 – π", "cp1252"))
    red\x1b[31m\x0a caf\udce9 \u732b – \u03c0
    """
    seen = _UNSEEN.sub(_escaped, str(text))
    if encoding is None:
        return seen
    try:
        return seen.encode(encoding).decode(encoding)
    except UnicodeEncodeError:
        for letter, plain in _ASCII.items():
            if letter.encode(encoding, "ignore") == b"":
                seen = seen.replace(letter, plain)
        return seen.encode(encoding, "backslashreplace").decode(encoding)
    except LookupError:  # a codec of the stream's own
        return seen.encode("ascii", "backslashreplace").decode()


def for_log(text: object) -> str:
    r"""`text` as one line of a log.

    >>> print(for_log("a\nWARNING b"))
    a\x0aWARNING b
    """
    return for_terminal(text)


def logger(name: str) -> logging.Logger:
    """The logger of the module called `name`; its messages, arguments included, pass `for_log`."""
    named = logging.getLogger(name)
    named.addFilter(_as_line)
    return named


def _as_line(record: logging.LogRecord) -> bool:
    record.msg, record.args = for_log(record.getMessage()), ()
    return True


def for_json(tree: Any, *, indent: int | None = 1, ascii_only: bool = False) -> bytes:
    r"""`tree` as JSON in UTF-8, which reads back equal: half of a surrogate pair is written as its escape.

    Args:
        tree: what JSON holds; keys and texts may be any.
        indent: spaces; None for a single line.
        ascii_only: write other characters as escapes, too.

    Raises:
        ValueError: a number that is not finite.

    >>> for_json({"caf\udce9": "\x00"}, indent=None)
    b'{"caf\\udce9": "\\u0000"}\n'
    """
    text = json.dumps(tree, indent=indent, ensure_ascii=ascii_only, allow_nan=False)
    return (text + "\n").encode("utf-8", "backslashreplace")  # a JSON escape is Python's, in a surrogate's case


def for_script(tree: Any) -> str:
    r"""`tree` as JSON inside a script element of HTML, which no text in it can end.

    >>> for_script(["</script>", "\ud83d"])
    '["\\u003c/script>","\\ud83d"]'
    """
    return json.dumps(tree, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def for_html(text: object) -> str:
    r"""`text` between tags or in a quoted attribute; characters that are not seen become backslash escapes.

    >>> for_html("<b>\x1b\udce9")
    '&lt;b&gt;\\x1b\\udce9'
    """
    return html.escape(_UNSEEN.sub(_escaped, str(text)))


def for_csv(text: str) -> str:
    r"""`text` as a quoted field of a CSV file.

    One that a spreadsheet could take for a formula (its first visible letter is one of ``= + - @``, also in their wide
    forms, or it begins with a tab or a line break) gets an apostrophe before it.  U+0000 and halves of surrogate pairs,
    which readers of CSV refuse, become U+FFFD.

    >>> print(for_csv("=cmd()"), for_csv('a "cat" here'))
    "'=cmd()" "a ""cat"" here"
    """
    sign = "'" if _FORMULA.match(text) else ""
    return '"' + sign + _SURROGATE.sub(_REPLACEMENT, text).replace("\0", _REPLACEMENT).replace('"', '""') + '"'


def for_markdown(text: str) -> str:
    r"""`text` in GitHub's Markdown: backslashes before whatever begins code, links, HTML, emphasis or cells; one line.

    >>> print(for_markdown("a|b*"))
    a\|b\*
    """
    return re.sub(r"([\\`*_\[\]<>|~&$])", r"\\\1", _one_line(text))


def for_latex(text: str) -> str:
    r"""`text` in LaTeX, on one line; letters beyond ASCII are left as they are, which LaTeX reads as UTF-8.

    >>> print(for_latex("50 % a_b"))
    50 \% a\_b
    """
    return "".join(_LATEX.get(letter, letter) for letter in _one_line(text))


def for_picture(text: object, *, max_length: int = 40) -> str:
    r"""`text` as literal text in Matplotlib: dollar signs escaped, one line, at most `max_length` characters.

    >>> print(for_picture("a $x$ b"))
    a \$x\$ b
    """
    words = _one_line(str(text))
    words = words if len(words) <= max_length else f"{words[: max_length - 1]}…"
    return f"{' ' * words.startswith('_')}{words}".replace("$", r"\$")


def for_file_name(name: str) -> str:
    """A file name that stays where it is put, whatever `name` holds; different names stay different.

    >>> for_file_name("../blocks.4 + head"), for_file_name("..")
    ('..%2Fblocks.4 + head', '%2E%2E')
    """
    quoted = percent_encoded(name, safe=" +=,")
    if quoted.strip(".") == "":
        quoted = quoted.replace(".", "%2E")
    if len(quoted) > _MAX_FILE_NAME:
        quoted = f"{quoted[:_MAX_FILE_NAME]}-{sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"
    return quoted


def percent_encoded(name: str, *, safe: str = "") -> str:
    r"""`name` with ``%XX`` for every byte but letters, digits, ``_.-~`` and those of `safe`.

    >>> percent_encoded("../up"), percent_encoded("\ud83d")
    ('..%2Fup', '%ED%A0%BD')
    """
    return quote(name.encode("utf-8", "surrogatepass"), safe=safe)


def label(concept: str | None) -> str:
    """The text for a concept in a table that also has a row over all concepts, None, which looks like no concept's.

    >>> label("all"), label(None), label("all concepts")
    ('all', 'all concepts', "'all concepts'")
    """
    if concept is None:
        return OVERALL
    return repr(concept) if " ".join(concept.split()).casefold() == OVERALL else concept


def text_array(values: Iterable[str]) -> Shaped[np.ndarray, " n"]:
    r"""An array of texts; of Python objects where one ends with U+0000, which NumPy's own arrays of text drop.

    >>> text_array(["a", "a\0"]).tolist()
    ['a', 'a\x00']
    """
    values = list(values)
    return np.array(values, object if any(value.endswith("\0") for value in values) else str)


def _escaped(match):
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def _one_line(text):
    """White space and control characters as single spaces; halves of surrogate pairs as U+FFFD."""
    return _SURROGATE.sub(_REPLACEMENT, re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", text)).strip()
