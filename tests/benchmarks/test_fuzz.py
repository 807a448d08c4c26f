"""A short run of ``benchmarks/fuzz.py``: the long ones are in ``benchmarks/RELIABILITY.md``."""

import json
import subprocess
import sys

import pytest
from fuzzing import KINDS

from tests.support.small_coco import ROOT

INPUTS = {"commands": "10", "configs": "60"}  # which take longer


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_inputs_are_refused_or_read_rightly(kind):
    """Proves that no input of a kind ends in a traceback, a hang, a crash or a wrong result: a process a kind."""
    command = [
        sys.executable,
        str(ROOT / "benchmarks" / "fuzz.py"),
        kind,
        "--inputs",
        INPUTS.get(kind, "100"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["refused"] + found["accepted"] == found["inputs"], found
