"""What pytest loads before it collects anything, tests and docstrings alike."""

pytest_plugins = ("tests.support.caches", "tests.support.selection", "tests.support.skips", "tests.support.types")
