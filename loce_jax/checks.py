"""Checks of arguments, on shapes, names and values the host can see; never inside `jit`.

Every message says four things: which argument, what was expected and why, what came, what to do now.
"""

import difflib
import functools as ft
import inspect
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from types import UnionType
from typing import Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

P = ParamSpec("P")
R = TypeVar("R")


class InputError(ValueError):
    """What the caller gave cannot be used.  The command line prints its one line and exits with code 2."""


def short_repr(value: Any, *, longest: int = 80) -> str:
    """``repr(value)``, cut after `longest` characters, for messages about values that a file may hold.

    >>> short_repr("a" * 100, longest=10)
    "'aaaaaa..."
    """
    text = repr(value)
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def one_line(error: BaseException, *, longest: int = 500) -> str:
    r"""What an error says, on one line and cut where it is long: others' messages may repeat a whole file.

    >>> one_line(ValueError("no\n  number"))
    'no number'
    """
    text = " ".join(str(error).split())
    return text if len(text) <= longest else f"{text[:longest]}..."


def listed(names: Sequence[str], *, most: int = 12) -> str:
    """Names one after the other, cut where they are long or many: those in a file may be anything.

    >>> listed(["cat", "dog", "cow"], most=2), len(listed(["a" * 10_000]))
    ('cat, dog ... (3 in all)', 80)
    """
    shown = ", ".join(name if len(name) <= 80 else f"{name[:77]}..." for name in names[:most])
    return f"{shown} ... ({len(names)} in all)" if len(names) > most else shown


def counted(number: int, noun: str) -> str:
    """A number and what it counts, in the plural unless it is 1.

    >>> counted(1, "image"), counted(0, "image")
    ('1 image', '0 images')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def check_shape(name: str, array, expected: Sequence[int], *, meaning: str, fix: str) -> None:
    """Raise `InputError` unless ``array.shape`` is `expected`.

    >>> import numpy as np
    >>> check_shape("masks", np.zeros((3, 8, 8)), (3, 4, 4), meaning="one per sample", fix="Resize first.")
    Traceback (most recent call last):
    ...
    loce_jax.checks.InputError: `masks` must have shape (3, 4, 4) (one per sample), but got (3, 8, 8). Resize first.
    """
    if tuple(array.shape) != tuple(expected):
        raise InputError(
            f"`{name}` must have shape {tuple(expected)} ({meaning}), but got {tuple(array.shape)}. {fix}".strip()
        )


def check_known(what: str, names: Iterable[str], known: Sequence[str]) -> None:
    """Raise `InputError` naming the nearest known names unless every one of `names` is known.

    >>> check_known("concept", ["kat"], ["cat", "car", "dog"])
    Traceback (most recent call last):
    ...
    loce_jax.checks.InputError: unknown concept 'kat'. Did you mean 'cat'? Known: car, cat, dog.
    """
    for name in names:
        if not isinstance(name, str) or name not in known:
            raise InputError(f"unknown {what} {short_repr(name, longest=200)}. {suggest(name, known)}")


def suggest(name: str, known: Sequence[str], *, most: int = 12) -> str:
    """Two short sentences: the nearest known names, then the known names, cut after `most`."""
    near = difflib.get_close_matches(str(name), known, n=3, cutoff=0.5)
    hint = f"Did you mean {', '.join(map(short_repr, near))}? " if near else ""
    return f"{hint}Known: {listed(sorted(known), most=most)}."


def check_exists(name: str, path: str | Path, *, kind: str, fix: str) -> Path:
    """Return `path` as a `Path` if it is an existing ``"file"`` or ``"folder"``, else raise `InputError`."""
    path = Path(path)
    if not (path.is_file() if kind == "file" else path.is_dir()):
        found = f"that is {kind_of_file(path)}" if path.exists() else "nothing is there"
        raise InputError(f"`{name}` must be an existing {kind}, but got {str(path)!r}: {found}. {fix}")
    return path


def check_regular(path: str | Path) -> None:
    """Raise `InputError` if `path` is a named pipe, a device or a socket, whose reading could wait without end.

    What is not there, and folders, are left to whoever opens them.

    >>> check_regular("/dev/null")
    Traceback (most recent call last):
    ...
    loce_jax.checks.InputError: '/dev/null' must be a regular file, but is a device. Copy what it holds into a file.
    """
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        raise InputError(
            f"{str(path)!r} must be a regular file, but is {kind_of_file(path)}. Copy what it holds into a file."
        )


def kind_of_file(path: str | Path) -> str:
    """What `path`, which exists, is, in words.

    >>> kind_of_file("/dev/null"), kind_of_file("/")
    ('a device', 'a folder')
    """
    mode = os.stat(path).st_mode
    kinds = {
        stat.S_ISREG: "a file",
        stat.S_ISDIR: "a folder",
        stat.S_ISFIFO: "a named pipe (FIFO)",
        stat.S_ISSOCK: "a socket",
        stat.S_ISCHR: "a device",
        stat.S_ISBLK: "a device",
    }
    return next((words for is_kind, words in kinds.items() if is_kind(mode)), "a special file")


class CheckedOptions:
    """A base of frozen dataclasses of options: `InputError` for values of other types, and for negative seeds."""

    def __post_init__(self):
        check_types(self)
        seed = getattr(self, "seed", 0)
        if isinstance(seed, int) and seed < 0:
            raise InputError(f"`seed` must be 0 or more, but got {seed}. Any such number will do.")


def check_types(options: Any) -> None:
    """Raise `InputError` unless every field of a dataclass has a value of its type.

    A whole number is also a fraction; numbers of NumPy become plain ones, lists become tuples.  Types beyond numbers,
    texts, flags, None, tuples, `Literal` and classes are not checked.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Options(CheckedOptions):
    ...     steps: int = 50
    >>> Options("9")
    Traceback (most recent call last):
    ...
    loce_jax.checks.InputError: `steps` must be int, but got '9'. Give it as that type.
    """
    for name, kind in _field_types(type(options)).items():
        given = getattr(options, name)
        value = _check_type(name, given, kind)
        if value is not given:
            object.__setattr__(options, name, value)


def check_arguments(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate `function` so that arguments of other types than its annotations' raise `InputError`.

    The rules are those of `check_types`; besides, sequences are checked, and paths may be of any library.  Arrays and
    protocols are left to the function.

    >>> @check_arguments
    ... def draw(layers: Sequence[str], *, size: tuple[int, int] | None = None) -> None: ...
    >>> draw("layer4")
    Traceback (most recent call last):
    ...
    loce_jax.checks.InputError: `layers` must be a sequence of str, but got 'layer4'. Give it as that type.
    """
    signature = inspect.signature(function)

    @ft.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        given = signature.bind(*args, **kwargs)
        hints = _argument_types(function)
        for name, value in given.arguments.items():
            given.arguments[name] = _check_type(name, value, hints.get(name, Any))
        return function(*given.args, **given.kwargs)

    return checked


def _check_type(name, value, kind):
    """The value, with NumPy's numbers as Python's, and a list as a tuple where the type is one."""
    plain = _with_plain_numbers(value)
    if not _fits(plain, kind) and isinstance(plain, list):
        plain = _with_plain_numbers(tuple(plain))
    if not _fits(plain, kind):
        words = _in_words(kind)
        fix = "Give one of these." if words.startswith("one of") else "Give it as that type."
        raise InputError(f"`{name}` must be {words}, but got {short_repr(value)}. {fix}")
    return plain


def _with_plain_numbers(value):
    if type(value) is tuple and any(isinstance(one, np.generic) for one in value):
        return tuple(map(_with_plain_numbers, value))
    return value.item() if isinstance(value, np.generic) else value


@ft.lru_cache(maxsize=128)
def _field_types(kind):
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


@ft.lru_cache(maxsize=128)
def _argument_types(function):
    return get_type_hints(function)


def _fits(value, kind):
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if origin is Literal:
        return any(type(value) is type(part) and value == part for part in parts)
    if origin is Sequence:
        return isinstance(value, Sequence) and not isinstance(value, str) and all(_fits(one, *parts) for one in value)
    if origin is tuple:
        kinds = parts[:1] * len(value) if isinstance(value, tuple) and parts[-1:] == (...,) else parts
        return isinstance(value, tuple) and len(value) == len(kinds) and all(map(_fits, value, kinds))
    return _is_one(value, origin or kind)


def _is_one(value, kind):
    """Whether a value is one of a class; True for annotations that are not checked: no class, arrays, protocols."""
    if kind in (int, float):
        return isinstance(value, (int, float) if kind is float else int) and not isinstance(value, bool)
    is_array = getattr(kind, "__module__", "") == "jaxtyping"
    if kind is Any or not isinstance(kind, type) or is_array or getattr(kind, "_is_protocol", False):
        return True
    return isinstance(value, os.PathLike if kind is Path else kind)


def _in_words(kind):
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(_in_words(part) for part in get_args(kind))
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(map(repr, get_args(kind)))
    if kind is type(None):
        return "None"
    if get_origin(kind) is Sequence:
        return f"a sequence of {' or '.join(map(_in_words, get_args(kind)))}"
    if get_origin(kind) is Callable:
        return "a function"
    return kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind)
