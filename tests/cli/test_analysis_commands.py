"""The commands that analyze a run: their steps, what they print, and the help of every option of every command."""

import ast
import inspect
import json
import re
import textwrap
import typing
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from loce_jax.checks import InputError
from loce_jax.cli import COMMANDS, main
from loce_jax.cli.flags import find_flags, say_flags
from loce_jax.study.analyze import ALL_STEPS, check_steps
from tests.support.planted_run import write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("commands") / "run")


def test_steps_can_be_chosen_and_print_their_headlines(run, tmp_path, capsys):
    flags = ["--steps", "stats", "separation", "--layers", "late", "--out", str(tmp_path)]
    assert main(["analyze", str(run.path), *flags]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "stats" and lines[1].startswith("  best_layer: mean_iou late")
    assert "late: separation" in lines
    assert [line for line in lines if line.startswith("  mean separation: 0.")]
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert set(found["steps"]["late"]) == {"separation"} and "compare" not in found


def test_an_unknown_step_is_refused_before_the_work(run, tmp_path, capsys):
    flags = ["--steps", "stats", "separatoin", "--out", str(tmp_path / "out")]
    assert main(["analyze", str(run.path), *flags]) == 2
    assert "unknown step 'separatoin'. Did you mean 'separation'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="unknown step 'suspects'"):
        check_steps(["suspects"])
    assert check_steps([]) == ALL_STEPS


def test_the_version_is_printed(capsys):
    assert main(["--version"]) == 0
    assert re.fullmatch(r"loce \d+\.\d+\S*\n", capsys.readouterr().out)


def option_classes():
    """Every dataclass whose fields are options of a command, once."""
    found, waiting = {}, list(COMMANDS.values())
    while waiting:
        cls = waiting.pop()
        if cls in found:
            continue
        found[cls] = True
        waiting += [kind for hint in typing.get_type_hints(cls).values() if is_dataclass(kind := hint)]
    return sorted(found, key=lambda cls: cls.__name__)


def helps(cls: Any):
    """By field the string under it, or its entry in the class docstring, in any base class."""
    found = {}
    for base in reversed(cls.__mro__):
        if not is_dataclass(base):
            continue
        source: Any = base
        tree: Any = ast.parse(textwrap.dedent(inspect.getsource(source))).body[0]
        for line, following in zip(tree.body, [*tree.body[1:], None], strict=True):
            if isinstance(line, ast.AnnAssign) and isinstance(following, ast.Expr):
                assert isinstance(line.target, ast.Name)
                found[line.target.id] = ast.literal_eval(following.value)
        entries = re.findall(r"^    (\w+): (.*(?:\n {6,}.*)*)", inspect.getdoc(base) or "", re.M)
        found |= {name: text[:1].upper() + text[1:] for name, text in entries if name not in found}
    return found


@pytest.mark.parametrize("cls", option_classes(), ids=lambda cls: cls.__name__)
def test_every_option_says_what_it_is(cls):
    texts, hints = helps(cls), typing.get_type_hints(cls)
    for option in fields(cls):
        kind = hints[option.name]
        text = texts.get(option.name) or (inspect.getdoc(kind) if is_dataclass(kind) else None)
        assert text, f"{cls.__name__}.{option.name} has no help"
        first = text.split("\n\n")[0].strip()
        assert first[0].isupper() or first[0] in "`'\"", f"{cls.__name__}.{option.name}: {first}"
        assert first.endswith("."), f"{cls.__name__}.{option.name}: {first}"
        assert not first.startswith("Of "), f"{cls.__name__}.{option.name}: {first}"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_the_flag_that_messages_say(name, capsys):
    """`say_flags` forms flags as tyro does."""
    with pytest.raises(SystemExit):
        main([name, "--help"])
    shown = re.sub(r"(--|\.)no-", r"\1", capsys.readouterr().out)
    for option, flag in find_flags(COMMANDS[name]):
        assert re.search(rf"(?m)^\W*{flag}\b", shown), (option, flag)
    headings = re.findall(r"(?m)^ ([\w -]+?) *\n -+ *$", shown)
    assert "options" in headings and "options options" not in headings


def test_a_message_names_the_flag_that_was_typed(run, capsys):
    for flags, said in (
        (["separation", "--min-iou", "3"], "loce: `--min-iou` must be from 0"),
        (["clusters", "--cut", "height", "--height", "-1"], "loce: `--height` must be"),
        (["subconcepts", "--n-clusters", "0"], "loce: `--n-clusters` must be at least 1"),
        (["analyze", "--clusters.repeats", "1", "--min-iou", "2", "--out", str(run.path / "out")], "`--min-iou`"),
    ):
        assert main([flags[0], str(run.path), *flags[1:]]) == 2
        assert said in capsys.readouterr().err
    nothing = str(run.path / "nothing")
    assert main(["show", nothing]) == 2
    assert capsys.readouterr().err.startswith("loce: `RUN` must be an existing folder, but got")


def test_a_name_of_several_options_becomes_all_their_flags():
    command = COMMANDS["analyze"]("run", Path("out"))
    said = say_flags("`k` must be at least 1; `vectors` stay.", command)
    assert said == "`--confusion.k` or `--label-errors.k` must be at least 1; `vectors` stay."
    assert say_flags("Set `steps=stats`, not `steps stats`.", command) == "Set `--steps stats`, not `steps stats`."
    assert say_flags("Set `paper=True`.", command) == "Set `--map.paper`.", "not that of the data"
    assert say_flags("`noise` is loud.", command) == "`--data.noise` is loud."


def test_a_step_shows_what_its_options_are_for(capsys):
    with pytest.raises(SystemExit):
        main(["separation", "--help"])
    assert "How far apart concepts lie: separation, overlap" in capsys.readouterr().out


@pytest.mark.parametrize("flags", [["--ray.cpus", "-1"], ["--solver.num-steps", "0"], ["--data.max-per-concept", "-1"]])
def test_an_option_out_of_its_range_is_refused_in_one_line(flags, tmp_path, capsys):
    assert main(["fit", "--scenes", "--layers", "-1", "--out", str(tmp_path / "run"), *flags]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("loce: `--") and f"got {flags[1]}" in line
