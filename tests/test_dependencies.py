"""What the package imports is declared, what is declared is imported, and no module imports itself through others."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions

from tests.test_architecture import PACKAGE, imports, nodes

PROJECT = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
STANDARD = sys.stdlib_module_names
INSTALLED = packages_distributions()
FILES = sorted(PACKAGE.rglob("*.py"))


def distribution(requirement):
    """The name of a requirement as PyPI compares it."""
    return normalized(re.split(r"[^\w.-]", requirement)[0])


def normalized(name):
    return re.sub(r"[-_.]+", "-", name).lower()


EXTRAS = PROJECT["optional-dependencies"]
REQUIRED = {distribution(requirement) for requirement in PROJECT["dependencies"]}
OPTIONAL = {distribution(each) for name, extra in EXTRAS.items() if name != "test" for each in extra}


def needed(path):
    """Every module a file imports, those too that `need` imports by their names."""
    yield from imports(path)
    for node in nodes(path):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "need":
            yield from (
                argument.value
                for argument in node.args
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
            )


def third_party(path):
    """The top-level names of other projects."""
    return {module.split(".")[0] for module in needed(path)} - STANDARD - {"loce_jax", ""}


def providers(name):
    """The distributions that an importable name may come from; an optional one need not be installed."""
    return {normalized(found) for found in INSTALLED.get(name, [name])}


def test_every_import_is_declared():
    undeclared = [
        f"{path} imports {name}"
        for path in FILES
        for name in third_party(path)
        if not providers(name) & (REQUIRED | OPTIONAL)
    ]
    assert not undeclared, "these are in no list of pyproject.toml"


def test_every_dependency_is_imported():
    used = {found for path in FILES for name in third_party(path) for found in providers(name)}
    assert REQUIRED - used == set()


def graph():
    """Module -> the package's modules that it imports, at once or later, or names in a string to be imported later."""
    names = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in FILES}
    names = {name.removesuffix(".__init__"): path for name, path in names.items()}
    return {name: set(edges(name, path, names)) for name, path in names.items()}


def edges(name, path, names):
    for node in nodes(path):
        if isinstance(node, ast.ImportFrom) and node.module in names:
            children = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from (children & set(names)) or {node.module}  # a package that only holds what is asked for
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found = re.fullmatch(r"(loce_jax(?:\.\w+)+)(?::\w+)?", node.value)
            if found and found[1] in names and found[1] != name:
                yield found[1]


def test_no_module_imports_itself_through_others():
    waiting = graph()
    while leaves := {name for name, used in waiting.items() if not used & set(waiting)}:
        waiting = {name: used for name, used in waiting.items() if name not in leaves}
    assert not waiting, f"these modules, or those they import, form a circle: {sorted(waiting)}"
