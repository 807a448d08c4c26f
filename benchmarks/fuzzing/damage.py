"""What damages a valid input, and how it is told what became of it."""

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any, TypeVar

from loce_jax import InputError
from loce_jax.data.samples import Fault

HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**31, 10**9, 10**18, 10**400, -(10**9), 0.5, 1e308, float("nan"), float("inf")),
    *("", "x", "1", "../../etc/passwd", "\x00", "\ud800", "<script>", "a" * 10_000, "0" * 64),
    *([], {}, [[]], [None], {"": None}, [1, 2, 3], [[[[[[[[1]]]]]]]]),
)
LONGEST_MESSAGE = 4000  # characters
T = TypeVar("T")
Run = Callable[[Random], None]


class Refused(Exception):
    """The input was refused with one clear error."""


class WrongResult(Exception):
    """The input was accepted, with a result that is not right."""


def check(condition: Any, what: str) -> None:
    """Raise `WrongResult`, saying `what` is not right, unless `condition` holds."""
    if not condition:
        raise WrongResult(what)


def damage_bytes(rng: Random, content: bytes) -> bytes:
    """One to four changes: bits, bytes, pieces that are lost, doubled or foreign, an early end."""
    found = bytearray(content)
    for _ in range(rng.randrange(1, 5)):
        at, length = rng.randrange(len(found) + 1), rng.randrange(1, 40)
        way = rng.randrange(6)
        if way == 0 and at < len(found):
            found[at] ^= 1 << rng.randrange(8)
        elif way == 1:
            found[at : at + length] = rng.randbytes(length)
        elif way == 2:
            del found[at : at + length]
        elif way == 3:
            found[at:at] = found[at : at + length]
        elif way == 4:
            found[at:at] = rng.choice([b"\xff" * 8, b"\x00" * 8, b"[" * 2000, b'{"a":', b"1e999", b"\x80\x04"])
        elif rng.random() < 0.3:
            del found[at:]
    return bytes(found)


def damage_tree(rng: Random, tree: Any, hostile: Sequence[Any] = HOSTILE) -> Any:
    """One to three values of a JSON tree are one of `hostile`, missing, doubled or swapped."""
    tree = copy.deepcopy(tree)
    for _ in range(rng.randrange(1, 4)):
        places = list(places_in(tree))
        if not places:
            return rng.choice(hostile)
        parent, key = rng.choice(places)
        way = rng.randrange(4)
        if way == 0:
            del parent[key]
        elif way == 1 and isinstance(parent, list):
            parent.insert(key, copy.deepcopy(parent[key]))
        elif way == 2:
            other, name = rng.choice(places)
            try:
                parent[key] = copy.deepcopy(other[name])
            except (KeyError, IndexError):
                continue
        else:
            parent[key] = copy.deepcopy(rng.choice(hostile))
    return tree


def places_in(tree: Any) -> Iterator[tuple[Any, Any]]:
    """The parent and the key of every value in a JSON tree."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield tree, key
        yield from places_in(value)


def json_bytes(tree: Any) -> bytes:
    """The tree as JSON, lone surrogates and all."""
    return json.dumps(tree).encode("utf-8", "surrogatepass")


def refusing(call: Callable[[], T]) -> T:
    """What `call` returns; `Refused` where it raises one of the package's own errors, of one line that is not long."""
    try:
        return call()
    except (InputError, Fault) as error:
        message = str(error)
        check("\n" not in message, "an error of several lines")
        check(len(message) <= LONGEST_MESSAGE, f"an error of {len(message)} characters")
        raise Refused from None
