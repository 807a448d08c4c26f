"""What several test files need: the shared folder, and a cache that is not the user's."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared():
    """``shared("weights", "dinov2-small")``: that path in the shared folder; skips the test where it is missing."""
    root = Path(os.environ.get("LOCE_SHARED") or Path(__file__).parents[2] / "shared")

    def path_or_skip(*parts):
        path = root.joinpath(*parts)
        if not path.exists():
            pytest.skip(f"{path} is missing; point LOCE_SHARED at the folder that holds {'/'.join(parts)}")
        return path

    return path_or_skip


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
