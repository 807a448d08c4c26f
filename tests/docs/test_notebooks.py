"""The notebooks are stored without outputs, and run from an empty folder."""

from pathlib import Path

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


def read(path):
    return nbformat.read(path, as_version=4)


def this_interpreter():
    """A kernel of the Python that runs the tests, whatever kernels are installed."""
    return AsyncKernelManager(kernel_name="python3", kernel_spec_manager=KernelSpecManager(kernel_dirs=[]))


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_stored_without_outputs(path):
    cells = [cell for cell in read(path).cells if cell.cell_type == "code"]
    assert cells
    assert [cell.execution_count for cell in cells] == [None] * len(cells)
    assert [cell.outputs for cell in cells] == [[]] * len(cells)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_from_an_empty_folder(path, tmp_path):
    manager = this_interpreter()
    NotebookClient(read(path), km=manager, timeout=300, resources={"metadata": {"path": tmp_path}}).execute()
    assert list(tmp_path.iterdir()) == []
