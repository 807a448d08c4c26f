"""A pytest plugin: ``--check-types`` checks at run time the types and array shapes that signatures name.

Tests that give other types on purpose, or stand-ins, carry the marker ``wrong_types``: they are left out then.
"""

from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))  # a whole number is a `float`, as type checkers have it


def pytest_addoption(parser):
    """One flag."""
    parser.addoption("--check-types", action="store_true", help="Check types and array shapes of loce_jax's functions.")


def pytest_configure(config):
    """Before the package is imported."""
    config.addinivalue_line("markers", "wrong_types: gives other types than signatures name; not for --check-types")
    if config.getoption("check_types"):
        install_import_hook("loce_jax", "tests.support.types.checked")


def pytest_collection_modifyitems(config, items):
    """Leave out what the checks would stop before the code that is tested."""
    if config.getoption("check_types"):
        wrong = [item for item in items if item.get_closest_marker("wrong_types")]
        config.hook.pytest_deselected(items=wrong)
        items[:] = [item for item in items if item not in wrong]
