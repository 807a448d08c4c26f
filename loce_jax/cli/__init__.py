"""The command line: flags become frozen options of the packages that do the work; no computation here."""

import logging
import os
import re
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version

import tyro

from loce_jax.checks import InputError, check_known, short_repr
from loce_jax.cli import analysis
from loce_jax.cli.data import DataCheck
from loce_jax.cli.depth import Depth
from loce_jax.cli.flags import say_flags
from loce_jax.cli.networks import Convert, Layers
from loce_jax.cli.runs import Demo, Fit, Report, Show
from loce_jax.cli.spaces import Concepts, Spaces, Tcav
from loce_jax.cli.stopping import Stopped
from loce_jax.cli.terminal import OutputLost, complain, discard_output, keep_printing, say
from loce_jax.pipeline.resuming.retrying import TooManyFailures

_HOME = re.compile(r"^(--[\w.-]+=)?(~|~[\w.-]*/.*)$", re.S)  # and no concept such as "~cat"
_PATHS = "--out", "--coco", "--images", "--labels", "--classes", "--weights"  # flags of nothing but a path
_USER = re.compile(r"^(--[\w.-]+=)?(~[\w.-]+)$")
BROKEN_PIPE = 141  # 128 and the number of SIGPIPE, as shells say it

COMMANDS = {
    "demo": Demo,
    "convert": Convert,
    "data": DataCheck,
    "fit": Fit,
    "layers": Layers,
    "show": Show,
    "report": Report,
    "analyze": analysis.Analyze,
    "stats": analysis.Stats,
    "clusters": analysis.Clusters,
    "map": analysis.Map,
    "separation": analysis.Separation,
    "confusion": analysis.Confusion,
    "retrieval": analysis.Retrieval,
    "outliers": analysis.Outliers,
    "subconcepts": analysis.Subconcepts,
    "label-errors": analysis.LabelErrors,
    "quality": analysis.Quality,
    "compare": analysis.Compare,
    "depth": Depth,
    "concepts": Concepts,
    "spaces": Spaces,
    "tcav": Tcav,
}


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the `loce` command.

    Exit codes: 0 if all went well; 2 if the input cannot be used; 3 if `loce data check` found problems; 4 if more rows
    than allowed could not be read; 1 for a failing disk, or memory that does not suffice; 128 and the signal's number
    where a signal ended a run, or where whoever reads standard output has ended (141, in silence).
    """
    keep_printing()
    logging.basicConfig(format="%(message)s")  # before libraries, some of which set prefixes when they are imported
    command = None
    try:
        arguments = expand_homes(sys.argv[1:] if arguments is None else arguments)
        if arguments == ["--version"]:
            say(f"loce {version('loce_jax')}")
            return 0
        _check_text(arguments)
        command = _parse(arguments)
        _keep_compilations()
        return command() or 0
    except OutputLost as error:
        discard_output()
        if error.has_no_reader:
            return BROKEN_PIPE
        complain(f"standard output cannot be written: {error.reason}.")
        return 1
    except (InputError, Stopped, OSError, MemoryError, KeyboardInterrupt) as error:
        code, text = _explain(error, command)
        complain(text)
        return code


def _check_text(arguments: Sequence[str]) -> None:
    """Raise `InputError` for what no file can be called: a shell cannot pass it on, a program that calls `main` can."""
    for number, argument in enumerate(arguments, start=1):
        try:
            bad = b"\0" in os.fsencode(argument)
        except UnicodeEncodeError:  # half a surrogate pair
            bad = True
        if bad:
            raise InputError(
                f"argument {number} must be text that the system can pass on, but got {short_repr(argument)}. Give "
                "it without NUL and without lone surrogates."
            )


def _parse(arguments: list[str]) -> Callable[[], int | None]:
    """The command with its options; exits as parsers do, with a message, where they do not fit.

    Raises:
        OutputLost: the help cannot be printed.
    """
    try:
        return _parse_any(arguments)
    except OSError as error:
        raise OutputLost(error) from error


def _parse_any(arguments):
    config = (tyro.conf.FlagCreatePairsOff,)
    if arguments and arguments[0] not in ("-h", "--help"):  # the parsers of the other commands need not be built
        name = arguments[0]
        check_known("command", [name], list(COMMANDS))
        return tyro.cli(COMMANDS[name], prog=f"loce {name}", args=arguments[1:], config=config)
    return tyro.extras.subcommand_cli_from_dict(
        COMMANDS,
        prog="loce",
        description="Local concept embeddings: how a vision network represents a concept, image by image. "
        "`loce --version` prints the version.",
        args=arguments,
        config=config,
    )


def _explain(error: BaseException, command: object) -> tuple[int, str]:
    """The exit code and the line for what ended a command."""
    continues = getattr(command, "continues", False)
    kept = "; what is finished is kept, and the same command continues." if continues else "."
    if isinstance(error, InputError):
        text = say_flags(str(error), command) if command else str(error)  # none: its name is not known
        return 4 if isinstance(error, TooManyFailures) else 2, text
    if isinstance(error, Stopped):
        return 128 + error.number, f"stopped after the work in hand{kept}"
    if isinstance(error, MemoryError):
        limit = "`--memory` limits what is worked on together." if hasattr(command, "memory") else "Choose less of it."
        return 1, f"the machine's memory does not suffice for the data{kept} {limit}"
    if isinstance(error, KeyboardInterrupt):
        return 130, "interrupted; the same command continues." if continues else "interrupted."
    return 1, f"{_where(error, command)}{kept}"


def _where(error, command):
    """What the system says, such as of a full disk, with the flag that names where it happened, if one does."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return f"the current folder has been deleted ({error}); change to another one"
    out, file = getattr(command, "out", None), getattr(error, "filename", None)
    if out is None or (file is not None and not str(file).startswith(str(out))):
        return str(error)
    return f"`--out {out}`: {error}"


def expand_homes(arguments: Sequence[str]) -> list[str]:
    """Arguments with a home folder in place of ``~``, which shells leave alone in ``--out=~/run``, or in quotes.

    Raises:
        InputError: the home folder of a user that is unknown.

    >>> expand_homes(["--out=~/run", "~cat"]) == ["--out=" + os.path.expanduser("~/run"), "~cat"]
    True
    """
    before = ["", *arguments]
    return [_expand_home(argument, flag in _PATHS) for flag, argument in zip(before, arguments, strict=False)]


def _expand_home(argument, follows_flag):
    found = _HOME.match(argument) or _USER.match(argument)
    if not found or (_USER.match(argument) and not follows_flag and (found[1] or "")[:-1] not in _PATHS):
        return argument
    path = os.path.expanduser(found[2])
    user = found[2].partition("/")[0]
    if user != "~" and path == found[2]:
        raise InputError(
            f"{argument!r} names the home folder of the user {user[1:]!r}, who is unknown. Give the whole path, or "
            f"'./{found[2]}' for a folder that is called so."
        )
    return (found[1] or "") + path


def _keep_compilations() -> None:
    """Let a second start reuse the first one's compiled functions, from the user's cache folder."""
    import jax  # noqa: PLC0415 - fast --help

    from loce_jax.models.checkpoints.cache import cache_folder  # noqa: PLC0415 - fast --help

    compiled = str(cache_folder() / "compiled")
    os.environ.setdefault("NUMBA_CACHE_DIR", compiled)  # Numba reads it when it is imported
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        jax.config.update("jax_compilation_cache_dir", compiled)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
