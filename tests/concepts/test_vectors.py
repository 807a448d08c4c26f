"""What concept vectors say on activations, against loops in float64."""

import numpy as np
import pytest

from loce_jax import InputError
from loce_jax.concepts.vectors import ConceptVectors
from loce_jax.resampling import resize_bilinear

RNG = np.random.default_rng(0)
ACTIVATIONS = RNG.normal(size=(2, 3, 4, 5)).astype("f4")
VECTORS, OFFSETS = RNG.normal(size=(3, 5)).astype("f4"), RNG.normal(size=3).astype("f4")


def concepts(**fields):
    return ConceptVectors(("a", "b", "c"), VECTORS, OFFSETS, np.zeros(3, int), "mean", **fields)


@pytest.mark.parametrize("thresholds", [None, np.array([0, 0.5, -1, 2, 0], "f4")])
def test_maps_are_resized_responses(thresholds):
    found = concepts(thresholds=thresholds).maps(ACTIVATIONS, (7, 9))
    assert found.shape == (2, 3, 7, 9)
    for n in range(2):
        for k in range(3):
            response = np.zeros((3, 4))
            for y in range(3):
                for x in range(4):
                    cell = ACTIVATIONS[n, y, x].astype(float)
                    inputs = (
                        cell if thresholds is None else [float(a > t) for a, t in zip(cell, thresholds, strict=True)]
                    )
                    response[y, x] = sum(a * w for a, w in zip(inputs, VECTORS[k], strict=True)) + OFFSETS[k]
            expected = 1 / (1 + np.exp(-resize_bilinear(response, (7, 9))))
            np.testing.assert_allclose(found[n, k], expected, atol=1e-6)  # float32 sums of 5 products


def test_activations_of_another_layer_are_refused():
    with pytest.raises(InputError, match="must have 5 channels last"):
        concepts().logits(ACTIVATIONS[..., :4])
