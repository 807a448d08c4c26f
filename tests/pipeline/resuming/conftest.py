"""The fixture of the tests beside it."""

import pytest

from tests.pipeline.resuming.small import patch
from tests.support.small_coco import draw


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with ``coco.json`` and ``images``."""
    patch(monkeypatch)
    draw(tmp_path, images=6)
    return tmp_path
