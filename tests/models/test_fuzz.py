"""A short run of the fuzzed files of networks; `benchmarks/fuzz_targets/models.py` makes and runs them."""

import numpy as np
import pytest
from fuzz_targets.models import TARGETS, run_one


@pytest.mark.parametrize("kind", [kind for kind in TARGETS if kind != "config"])
def test_hostile_files_end_in_one_line(kind):
    for number in range(40):
        run_one(TARGETS[kind], TARGETS[kind].make_input(np.random.default_rng([0, number])))


@pytest.mark.slow
def test_hostile_configurations_end_in_one_line():
    """Slow, since a configuration that is fine is laid out as a network."""
    for number in range(60):
        run_one(TARGETS["config"], TARGETS["config"].make_input(np.random.default_rng([0, number])))
