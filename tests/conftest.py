"""Fixtures of several test files: the shared folder, a browser, the demo."""

import importlib.util
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

# Not tests, but searched for examples, and of use only beside these libraries.
NEEDS = {
    "support/converted.py": "torch",
    "support/converter_cases.py": "torch",
    "support/onnx_models.py": "onnx",
}
collect_ignore = [file for file, library in NEEDS.items() if importlib.util.find_spec(library) is None]


def library(name):
    """The module, of PyTorch or built on it, or a skip that says what is missing."""
    from loce_jax.checks import InputError  # not before the shape checker is in place
    from loce_jax.models.converter.torch.libraries import need

    try:
        return need(name)  # it imports even a torchvision that does not fit the installed PyTorch
    except InputError as error:
        pytest.skip(f"{name} is not installed: {error}")


@pytest.fixture(scope="session")
def torch():
    """PyTorch; a test that uses it carries the marker of the same name, see `tests/support/selection.py`."""
    return library("torch")


@pytest.fixture(autouse=True)
def fitting_torchvision(request):
    """Before a test of PyTorch's networks: a torchvision that does not fit would stop even those of transformers."""
    if request.node.get_closest_marker("torch") and importlib.util.find_spec("torch"):
        request.getfixturevalue("torch")


@pytest.fixture(scope="session")
def timm(torch):
    return library("timm")


@pytest.fixture(scope="session")
def torchvision(torch):
    return library("torchvision")


@pytest.fixture(scope="session")
def datasets():
    return pytest.importorskip("datasets", reason="datasets is not installed")


@pytest.fixture(scope="session")
def grain():
    return pytest.importorskip("grain", reason="grain is not installed")


@pytest.fixture(scope="session")
def ray():
    return pytest.importorskip("ray", reason="ray is not installed")


@pytest.fixture(scope="session")
def shared():
    """``shared("weights", "dinov2-small")``: that path in the shared folder, or skip, saying what is missing."""
    root = Path(os.environ.get("LOCE_SHARED") or Path(__file__).parents[2] / "shared")

    def path_or_skip(*parts):
        path = root.joinpath(*parts)
        if not path.exists():
            pytest.skip(f"{path} is missing; point LOCE_SHARED at the folder that holds {'/'.join(parts)}")
        return path

    return path_or_skip


@pytest.fixture(scope="session")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    path = next(filter(None, found), None)
    if path is None:
        pytest.skip("no Chromium is installed to open the page with")
    with api.sync_playwright() as playwright:
        arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        opened = playwright.chromium.launch(executable_path=path, args=arguments)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def open_page(browser):
    """``with open_page(path) as tab``: the page in a browser; it must ask for nothing and complain of nothing."""

    @contextmanager
    def open_page(path, width=1200):
        viewport = {"width": width, "height": 900}
        tab = browser.new_page(viewport=viewport, reduced_motion="reduce")  # links jump
        requests, complaints = [], []
        tab.on("request", lambda request: requests.append(request.url))
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.goto(path.as_uri())
        tab.wait_for_function("[...document.images].every(image => image.complete)")
        yield tab
        tab.close()
        assert [url for url in requests if not url.startswith("data:")] == [path.as_uri()]
        assert complaints == []

    return open_page


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """``loce demo`` as a newcomer runs it: the finished process and its run."""
    from loce_jax import open_run  # not before the shape checker is in place

    out = tmp_path_factory.mktemp("demo") / "loce_demo"
    command = [sys.executable, "-m", "loce_jax.cli", "demo", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done, open_run(out)


class QuickUMAP:
    """In place of UMAP, which compiles for half a minute in each process: two directions seeded by its options."""

    def __init__(self, *, random_state, n_neighbors, **_):
        self.seed = random_state, n_neighbors

    def fit_transform(self, vectors):
        return vectors @ np.random.default_rng(self.seed).normal(size=(vectors.shape[1], 2))


def save_blank(figure, file, **_):
    """In place of `Figure.savefig`, which draws for a second or two: a blank PNG."""
    Image.new("L", (120, 120)).save(file, "png")


@pytest.fixture(scope="session", autouse=True)
def quick_pictures(request):
    """The fast set lays nothing out by UMAP and draws no figure to a file; a run with slow tests does both."""
    if any(item.get_closest_marker("slow") for item in request.session.items):
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=QuickUMAP))
        patch.setattr("matplotlib.figure.Figure.savefig", save_blank)
        yield
