"""README and docs keep their word: their Python prints what they say, commands exist, links lead somewhere."""

import contextlib
import io
import re
from pathlib import Path

import pytest
import tyro

from loce_jax.cli import COMMANDS

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def text(page):
    return page.read_text(encoding="utf-8")


def all_pages(function):
    return pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)(function)


def test_the_two_lines_stand_near_the_top():
    lines = text(README).splitlines()
    assert len(lines) <= 200
    assert lines.index("pip install -e . && loce demo") < 40
    assert lines.index('pip install -e ".[test]" && pytest') < 40


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if "```python" in text(page)], ids=lambda page: page.name)
def test_python_prints_what_it_says(page, demo, tmp_path, monkeypatch):
    _, run = demo
    (tmp_path / "loce_demo").symlink_to(run.path)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```\s*```text\n(.*?)```", text(page), re.DOTALL)
    assert len(blocks) == text(page).count("```python")
    names = {}  # a reader goes on with what is there
    for code, expected in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, page.name, "exec"), names)
        assert printed.getvalue() == expected


COMMAND_LINES = sorted({line for page in PAGES for line in re.findall(r"^loce .*$", text(page), re.MULTILINE)})


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_command_lines_parse(line):
    _, *words = line.split()
    tyro.extras.subcommand_cli_from_dict(COMMANDS, args=words, config=(tyro.conf.FlagCreatePairsOff,))


@all_pages
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text(page))
    assert [target for target in targets if not (page.parent / target).exists()] == []


@all_pages
def test_files_named_exist(page):
    """A path in backticks that begins with a folder of ours names something that is there."""
    named = re.findall(r"`((?:loce_jax|tests|benchmarks|docs|notebooks)/[\w./]+)`", text(page))
    assert [name for name in named if not (ROOT / name).exists()] == []


@all_pages
def test_every_file_that_a_page_names_is_there(page):
    """Source files, pages and notebooks in backquotes, from the root, from the package or from `tests`."""
    for name in re.findall(r"`([\w/]+\.(?:py|md|ipynb))`", text(page)):
        assert any((folder / name).exists() for folder in (ROOT, ROOT / "loce_jax", ROOT / "tests")), name
