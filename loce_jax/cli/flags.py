"""Names of arguments in messages become the flags that a user of the command line types.

The packages below the command line raise `InputError` about their arguments, such as `min_iou`; `say_flags` is the one
function that translates them.
"""

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

import tyro


def say_flags(message: str, command: object) -> str:
    """`message` with the flags of `command` in place of its options, ``name`` or ``name=value``, in backquotes.

    A name that several flags end in becomes all of them; of a command on a run, the options of the run's data, which
    are rarely given, count only where no other flag has the name.

    Args:
        message: text of an `InputError`.
        command: the dataclass that tyro made of the command line.

    >>> from loce_jax.cli.runs import Fit
    >>> say_flags("`num_steps` must be at least 1, and `vectors` an array.", Fit("run", ("-1",)))
    '`--solver.num-steps` must be at least 1, and `vectors` an array.'
    """
    flags: dict[str, list[str]] = {}
    for name, flag in find_flags(type(command)):
        flags.setdefault(name, []).append(flag)
    if hasattr(command, "run_data"):
        flags = {
            name: [one for one in found if not one.startswith("--data.")] or found for name, found in flags.items()
        }
    return re.sub(r"`(\w+)(=?)(.*?)`", lambda found: _replacement(flags, *found.groups()) or found[0], message)


def _replacement(flags, name, equals, value):
    """What stands in place of ``name`` or ``name=value``; empty for what is no option."""
    if value and not equals:
        return ""
    value = "" if value == "True" else f" {value}" if value else ""  # flags of booleans have no value
    return " or ".join(f"`{flag}{value}`" for flag in flags.get(name, ()))


def find_flags(kind: type, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Name and flag of every option of a dataclass, and of the dataclasses in it, as tyro forms them."""
    hints = get_type_hints(kind, include_extras=True)
    for name in (field.name for field in fields(kind)):
        markers: tuple[Any, ...] = getattr(hints[name], "__metadata__", ())
        inner = getattr(hints[name], "__origin__", hints[name]) if markers else hints[name]
        names = [marker.name for marker in markers if getattr(marker, "name", None) is not None]
        dashed = (names[0] if names else name).replace("_", "-")
        if isinstance(inner, type) and is_dataclass(inner):
            unprefixed = tyro.conf.OmitArgPrefixes in markers or not dashed
            yield from find_flags(inner, prefix if unprefixed else f"{prefix}{dashed}.")
        elif tyro.conf.Positional in markers:
            yield name, next(marker.metavar for marker in markers if hasattr(marker, "metavar")).split()[0]
        else:
            yield name, f"--{prefix}{dashed}"
