"""Cells made of known parts, as each method should find them."""

import numpy as np


def sparse_parts(seed, cells=600, components=3, channels=12):
    """Non-negative parts on channels of their own, and sparse non-negative codes."""
    rng = np.random.default_rng(seed)
    parts = np.zeros((components, channels))
    width = channels // components
    for number in range(components):
        parts[number, width * number : width * (number + 1)] = rng.uniform(0.5, 1.5, size=width)
    codes = rng.gamma(1, size=(cells, components)) * (rng.random((cells, components)) < 0.5)
    return (codes @ parts).astype("f4"), parts, codes


def clusters(seed, cells=300, components=4, channels=8):
    """One concept a cell, in random directions, with a little noise."""
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(components, channels))
    labels = rng.integers(components, size=cells)
    return (directions[labels] + 0.02 * rng.normal(size=(cells, channels))).astype("f4"), directions, labels


def orthogonal(seed, cells=500, components=3, channels=10):
    """Orthogonal directions of distinct variances, skewed so that they have a side, and a mean."""
    rng = np.random.default_rng(seed)
    directions = np.linalg.qr(rng.normal(size=(channels, components)))[0].T
    codes = (rng.gamma(2, size=(cells, components)) - 2) * [9, 4, 2]
    noise = 0.02 * rng.normal(size=(cells, channels))
    return (codes @ directions + noise + 3).astype("f4"), directions


def sparse_codes(seed, cells=4000, components=16, channels=32):
    """Unit directions that are not orthogonal, few of them in a cell."""
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(components, channels))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    codes = (rng.random((cells, components)) < 0.1) * rng.uniform(0.5, 1.5, size=(cells, components))
    return (codes @ directions).astype("f4"), directions


def rotation(seed, channels):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(channels, channels)))[0]


def best_cosines(atoms, planted):
    """Of each planted direction, the cosine of the component nearest to it."""
    atoms = atoms / np.maximum(np.linalg.norm(atoms, axis=1, keepdims=True), 1e-30)
    return (planted / np.linalg.norm(planted, axis=1, keepdims=True) @ atoms.T).max(axis=1)
