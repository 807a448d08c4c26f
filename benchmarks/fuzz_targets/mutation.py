"""Random damage to bytes and to JSON, for inputs that were right before."""

import copy
import json
from typing import Any

import numpy as np

WORDS = ("", "\0", "\ud800", "x" * 5000, "../../etc/passwd", "float32", "NaN", "1", "rgb", "{}", "aten.add.Tensor")
NUMBERS = (0, 1, -1, 2, 3, 7, 255, 256, 10**6, 2**31, 10**9, 2**63, 10**30, 10**400, 0.5, -0.0, 1e-300, 1e300)
ODD: tuple[Any, ...] = (None, True, False, [], {}, [[]], [0, 0], [1, 2, 3], {"a": 1}, *WORDS, *NUMBERS)
CONSTANTS = (float("nan"), float("inf"), float("-inf"))


def damage_bytes(rng: np.random.Generator, content: bytes) -> bytes:
    """`content` with up to four bits turned, pieces cut out, doubled, or replaced by noise."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        at, length = int(rng.integers(0, len(data) + 1)), int(rng.integers(1, 17))
        match rng.integers(0, 6):
            case 0 if data:
                data[min(at, len(data) - 1)] ^= 1 << int(rng.integers(0, 8))
            case 1:
                del data[at:]
            case 2:
                del data[at : at + length]
            case 3:
                data[at:at] = rng.bytes(length)
            case 4:
                data[at : at + length] = rng.bytes(length)
            case _:
                data[at:at] = data[at : at + length]
    return bytes(data)


def damage_json(rng: np.random.Generator, content: Any) -> str:
    """`content` as JSON with one to three values replaced, taken out, doubled or called otherwise."""
    tree = json.loads(json.dumps(content))
    for _ in range(rng.integers(1, 4)):
        tree = _damaged(rng, tree)
    return json.dumps(tree)


def _damaged(rng: np.random.Generator, tree: Any) -> Any:
    places = list(_places(tree)) if isinstance(tree, dict | list) else []
    if not places:
        return _odd(rng)
    parent, key = places[int(rng.integers(0, len(places)))]
    match rng.integers(0, 6):
        case 0:
            del parent[key]
        case 1 if isinstance(parent, dict):
            parent[str(_choose(rng, WORDS))] = parent.pop(key)
        case 2 if isinstance(parent, list):
            parent.insert(key, parent[key])
        case 3:
            other, name = places[int(rng.integers(0, len(places)))]
            parent[key] = json.loads(json.dumps(other[name])) if name in other or isinstance(other, list) else None
        case _:
            parent[key] = _odd(rng)
    return tree


def _places(tree: Any):
    """Every place in a tree that holds a value: its parent and its key."""
    for key, value in list(tree.items() if isinstance(tree, dict) else enumerate(tree)):
        yield tree, key
        if isinstance(value, dict | list):
            yield from _places(value)


def _odd(rng: np.random.Generator) -> Any:
    return copy.deepcopy(_choose(rng, (*ODD, *CONSTANTS)))


def _choose(rng: np.random.Generator, options: tuple[Any, ...]) -> Any:
    return options[int(rng.integers(0, len(options)))]
