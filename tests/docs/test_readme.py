"""The README keeps its word: its Python runs and prints what it says, its commands exist, its links lead somewhere."""

import contextlib
import io
import re
from pathlib import Path

import pytest
import tyro

from loce_jax.cli import COMMANDS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_two_lines_stand_near_the_top():
    lines = README.splitlines()
    assert lines.index("pip install -e . && loce demo") < 40
    assert lines.index('pip install -e ".[test]" && pytest') < 40


def test_python_prints_what_it_says(demo, tmp_path, monkeypatch):
    _, run = demo
    (tmp_path / "loce_demo").symlink_to(run.path)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```\s*```text\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == README.count("```python")
    names = {}  # a reader goes on with what is there
    for code, expected in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "README.md", "exec"), names)
        assert printed.getvalue() == expected


COMMAND_LINES = re.findall(r"^loce .*$", README, re.MULTILINE)


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_command_lines_parse(line):
    _, *words = line.split()
    tyro.extras.subcommand_cli_from_dict(COMMANDS, args=words, config=(tyro.conf.FlagCreatePairsOff,))


def test_links_lead_somewhere():
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert targets and all((ROOT / target).exists() for target in targets)


def test_names_of_the_map_exist():
    rooms = re.findall(r"^\| `(loce_jax[^`]*)`", README, re.MULTILINE)
    assert rooms and all((ROOT / room).exists() for room in rooms)
