"""A planted concept: the half-space along a direction, in isotropic noise; and concepts that nothing can find."""

import numpy as np

C = 8
DIRECTION = np.random.default_rng(5).normal(size=C)
DIRECTION /= np.linalg.norm(DIRECTION)


def planted(n=24, grid=(6, 7), seed=0):
    """Activations, and masks on the layer's grid of three concepts: planted, shown by every other image, absent."""
    rng = np.random.default_rng(seed)
    activations = rng.normal(size=(n, *grid, C)).astype("f4")
    inside = activations @ DIRECTION > 0
    masks = np.stack([inside, inside & (np.arange(n) % 2 == 0)[:, None, None], np.zeros_like(inside)], axis=1)
    return activations, masks


def cosine(vector, other=DIRECTION):
    """Cosine similarity."""
    return float(vector @ other / np.linalg.norm(vector) / np.linalg.norm(other))
