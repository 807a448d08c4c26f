"""A short run of the kinds of `benchmarks/fuzzing` that read files of networks, in this process."""

import numpy as np
import pytest
from fuzzing import KINDS, Refused


@pytest.mark.parametrize("kind", ["graphs", "preprocessors", "preprocess-options", "tensor-files", "pth"])
def test_hostile_files_end_in_a_network_or_one_line(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run, refused = KINDS[kind](), 0
    for number in range(40):
        try:
            run(np.random.default_rng([0, number]))
        except Refused:
            refused += 1
    assert 0 < refused < 40  # and so both ways are taken
