"""What `loce_jax.analysis` exports: light to import, listed in its docstring, each with an example."""

import subprocess
import sys

import pytest

from loce_jax import analysis

CONSTANTS = {"RELAXED", "STRICT"}
OPTIONS = {"ClusteringOptions"}  # its example is that of `cluster`


def loaded_by(code, names):
    code = f"{code}; import sys; print([name for name in {names} if name in sys.modules])"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("name", analysis.__all__)
def test_every_public_name_has_a_row_in_the_table_and_an_example(name):
    found = getattr(analysis, name)
    assert f"`{name}`" in (analysis.__doc__ or "")
    if name not in CONSTANTS:
        assert found.__module__.startswith("loce_jax.analysis.") and found.__name__ == name
        assert name in OPTIONS or ">>> " in found.__doc__, name
        assert any(word in found.__doc__ for word in ("Args:", "Attributes:", "    >>> ")), name


def test_the_table_lists_nothing_else():
    listed = (analysis.__doc__ or "").split("| --- | --- |")[1].split("`")[1::2]
    assert sorted(listed) == analysis.__all__


def test_names_are_those_of_the_files_and_unknown_ones_are_refused():
    assert {"cluster", "precision_at"} <= set(dir(analysis))
    with pytest.raises(AttributeError, match="no attribute 'clutser'"):
        analysis.clutser  # noqa: B018


@pytest.mark.slow
def test_importing_it_is_light():
    assert loaded_by("import loce_jax", ["loce_jax.analysis"]) == "[]"
    heavy = ["sklearn", "scipy", "jax", "umap", "matplotlib"]
    assert (
        loaded_by(
            "import importlib.util, sys; sys.modules['loce_jax'] = importlib.util.module_from_spec("
            "importlib.util.find_spec('loce_jax')); import loce_jax.analysis",
            heavy,
        )
        == "[]"
    )
