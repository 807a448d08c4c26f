"""Short runs of ``benchmarks/fuzz.py`` and of its kinds: the long ones are in ``benchmarks/RELIABILITY.md``."""

import json
import signal
import subprocess
import sys
import time
from random import Random

import fuzz
import pytest
from fuzzing import KINDS, open_kind
from fuzzing.damage import Refused, WrongResult
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.selection import further
from tests.support.small_coco import ROOT

INPUTS = {"commands": 10, "configs": 60}  # which take longer
QUICK = ("graphs", "preprocessors", "preprocess-options", "tensor-files", "pth")


@pytest.mark.parametrize("kind", [*QUICK, *further(*(kind for kind in KINDS if kind not in QUICK))])
def test_damaged_inputs_are_refused_or_read_rightly(kind, tmp_path, monkeypatch):
    """Proves that no input of a kind ends in a traceback or a wrong result; Hypothesis shrinks what does."""
    monkeypatch.chdir(tmp_path)
    run, refused = open_kind(kind), []

    @settings(
        max_examples=INPUTS.get(kind, 100),
        deadline=None,  # the first inputs compile
        derandomize=True,  # a failure is the same for everybody
        database=None,
        suppress_health_check=(HealthCheck.too_slow, HealthCheck.function_scoped_fixture),
    )
    @given(st.randoms(use_true_random=False))
    def reads(rng):
        try:
            run(rng)
        except Refused:
            refused.append(rng)

    reads()
    assert refused  # and so there was damage


def _raise(error):
    raise error


@pytest.mark.parametrize(
    ("run", "outcome"),
    [
        (lambda rng: None, "accepted"),
        (lambda rng: _raise(Refused()), "refused"),
        (lambda rng: _raise(WrongResult("a mask")), "wrong a mask"),
        (lambda rng: {}["key"], "traceback KeyError: 'key'"),
        (lambda rng: time.sleep(5), "hang at"),
    ],
)
def test_outcomes_of_an_input(run, outcome, monkeypatch):
    monkeypatch.setattr(fuzz, "SECONDS_AN_INPUT", 0.05)
    handler = signal.signal(signal.SIGALRM, fuzz.too_long)
    try:
        assert fuzz.outcome_of(run, Random(0)).startswith(outcome)
    finally:
        signal.signal(signal.SIGALRM, handler)


def test_an_input_at_which_the_process_dies_is_a_crash(tmp_path, monkeypatch):
    child = tmp_path / "child"
    child.write_text('#!/bin/sh\necho ready\n[ "$6" = 0 ] && echo 0 refused\nexit 3\n')  # "$6": the first number
    child.chmod(0o700)
    monkeypatch.setattr(fuzz.sys, "executable", str(child))
    found = fuzz.fuzz("rle", inputs=3, seed=0, first=0, gigabytes=1, guided=False)
    assert (found["refused"], found["crash"]) == (1, 2)
    assert found["examples"] == [[1, "crash 3"], [2, "crash 3"]]


@pytest.mark.slow
def test_kinds_run_in_a_process_of_limited_memory():
    """Proves that the script gives a process its inputs, and takes its outcomes."""
    command = [sys.executable, str(ROOT / "benchmarks" / "fuzz.py"), "rle", "--inputs", "50"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert found["refused"] > 0 < found["accepted"]
    assert found["refused"] + found["accepted"] == 50
