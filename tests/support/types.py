"""A pytest plugin: ``--check-types`` checks at run time the types and array shapes that signatures name."""

from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))  # a whole number is a `float`, as type checkers have it


def pytest_addoption(parser):
    """One flag."""
    parser.addoption("--check-types", action="store_true", help="Check types and array shapes of loce_jax's functions.")


def pytest_configure(config):
    """Before the package is imported."""
    if config.getoption("check_types"):
        install_import_hook("loce_jax", "tests.support.types.checked")
