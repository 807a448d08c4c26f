"""A short run of the fuzzed files of networks; `benchmarks/fuzz_targets/models.py` makes and runs them."""

import numpy as np
import pytest
from fuzz_targets.models import TARGETS, run_one

# Inputs that ended in something else than one input error, by kind and seed.
FOUND = {
    "a dimension beyond NumPy's": ("safetensors", (0, 2649)),
    "a number beyond floats": ("preprocessor-config", (0, 162)),
    "a key of 5,000 characters": ("preprocess-option", (0, 31)),
    "a node's number of 5,000 characters": ("graph-folder", (1, 2035)),
}


@pytest.mark.parametrize("kind", [kind for kind in TARGETS if kind != "config"])
def test_hostile_files_end_in_one_line(kind):
    for number in range(40):
        run_one(TARGETS[kind], TARGETS[kind].make_input(np.random.default_rng([0, number])))


@pytest.mark.slow
def test_hostile_configurations_end_in_one_line():
    """Slow, since a configuration that is fine is laid out as a network."""
    for number in range(60):
        run_one(TARGETS["config"], TARGETS["config"].make_input(np.random.default_rng([0, number])))


@pytest.mark.parametrize("case", FOUND)
def test_what_fuzzing_found_is_put_right(case):
    kind, seed = FOUND[case]
    run_one(TARGETS[kind], TARGETS[kind].make_input(np.random.default_rng(seed)))
