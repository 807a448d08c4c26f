"""Passes over a data set: what is kept is what would be read."""

import itertools

import numpy as np

from loce_jax.concepts.segmentation import passes
from loce_jax.concepts.segmentation.net2vec import fit_net2vec
from loce_jax.concepts.segmentation.net2vec_options import Net2VecOptions
from loce_jax.concepts.segmentation.passes import Passes
from loce_jax.concepts.segmentation.ridge import fit_ridge
from tests.concepts.planted import planted


def test_parts_are_read_once_unless_they_are_too_large(monkeypatch):
    reads = []

    def read():
        reads.append(1)
        yield from (np.full(4, number, "f4") for number in range(3))

    for most, expected in ((48, 1), (47, 3)):
        monkeypatch.setattr(passes, "MOST_KEPT", most)
        reads.clear()
        parts = Passes(read)
        for _ in range(3):
            assert [float(part[0]) for part in parts] == [0, 1, 2]
        assert len(reads) == expected


def test_a_pass_that_was_given_up_keeps_nothing():
    parts = Passes(lambda: iter([np.zeros(1), np.ones(1)]))
    assert len(list(itertools.islice(parts, 1))) == 1
    assert len(list(parts)) == 2


def test_vectors_do_not_depend_on_what_is_kept(monkeypatch):
    data, options = planted(), Net2VecOptions(epochs=3)
    kept = fit_net2vec(*data, options=options).vectors, fit_ridge(*data).vectors
    monkeypatch.setattr(passes, "MOST_KEPT", 0)
    read = fit_net2vec(*data, options=options).vectors, fit_ridge(*data).vectors
    for one, other in zip(kept, read, strict=True):
        np.testing.assert_array_equal(one, other)
