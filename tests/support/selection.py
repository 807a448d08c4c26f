"""A pytest plugin: which tests run by default, what is left for later, and how many workers there are.

By default the tests run that need neither a long time nor an optional library.  The others carry a marker of `LATER`;
``--all`` runs everything, ``-m torch`` what carries that marker, and a test called by its full name always runs.
"""

import os
from collections import Counter

import pytest

LATER = {
    "slow": "more than a few seconds, or beside a quick test of the same thing",
    "torch": "PyTorch, or what is built on it",
    "onnx": "onnx and onnxruntime",
    "ray": "Ray",
    "grain": "Grain",
    "datasets": "Hugging Face datasets",
}
SLOW_FIXTURES = {"demo", "browser"}
EXTRAS = [name for name in LATER if name != "slow"]
LEFT = pytest.StashKey[Counter]()


def further(*values):
    """Values of a parameter that are left for later: others of it are in the fast set."""
    return [pytest.param(*(one if isinstance(one, tuple) else (one,)), marks=pytest.mark.slow) for one in values]


def pytest_addoption(parser):
    """One flag."""
    parser.addoption("--all", action="store_true", help="Also run the tests that are left for later by default.")


def pytest_configure(config):
    """Declare the markers."""
    for name, needs in LATER.items():
        config.addinivalue_line("markers", f"{name}: left for later by default; it needs {needs}")
    config.stash[LEFT] = Counter()


def pytest_xdist_auto_num_workers(config):
    """One worker for each core, 8 at most; none for a few files, which end before a worker has started."""
    if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return None  # as the user says
    named = config.args_source == config.ArgsSource.ARGS and all(".py" in argument for argument in config.args)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 0 if named else min(8, cores)


def pytest_collection_modifyitems(config, items):
    """Leave out what is for later; fixtures of optional libraries, and slow ones, mark the tests that use them."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        for name in {*(fixtures & set(EXTRAS)), *(["slow"] if fixtures & SLOW_FIXTURES else [])}:
            item.add_marker(name)
    if config.getoption("all") or config.getoption("markexpr"):
        return
    called = [argument for argument in config.args if "::" in argument]
    later = {item: name for item in items for name in LATER if item.get_closest_marker(name)}
    later = {item: name for item, name in later.items() if not any(item.nodeid.startswith(name) for name in called)}
    config.stash[LEFT].update(later.values())
    config.hook.pytest_deselected(items=list(later))
    items[:] = [item for item in items if item not in later]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """The first process collects nothing itself when it has workers; each of these has collected everything."""
    node.config.stash[LEFT] = Counter(getattr(node, "workeroutput", {}).get("left", {}))


def pytest_sessionfinish(session):
    """A worker hands its count to the first process."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left"] = dict(session.config.stash[LEFT])


def pytest_terminal_summary(terminalreporter, config):
    """What was left for later, and the command that runs it."""
    left = config.stash[LEFT]
    files = sorted({report.nodeid for report in terminalreporter.stats.get("skipped", []) if report.when == "collect"})
    if not left and not files:
        return
    counts = ", ".join(f"{left[name]} {name}" for name in LATER if left[name])
    terminalreporter.section("left for later")
    terminalreporter.line(f"{left.total()} tests ({counts})" if left else "no test")
    if files:
        terminalreporter.line(f"and all tests of files whose libraries are not installed: {', '.join(files)}")
    terminalreporter.line(f'Run everything: pip install -e ".[test,{",".join(EXTRAS)}]" onnxruntime && pytest --all')
