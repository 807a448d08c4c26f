"""Slow twins of the global concept methods: float64, loops, written from the papers."""

import numpy as np

from loce_jax.resampling import bilinear_matrix


def enlarge(response, size):
    """A map resized bilinearly."""
    rows, columns = (bilinear_matrix(a, b) for a, b in zip(response.shape, size, strict=True))
    return rows @ response @ columns.T


def net2vec_loss(vector, inputs, masks, alpha):
    """Net2Vec's loss: the mean over images of a sum over pixels."""
    total = 0.0
    for cells, mask in zip(inputs, masks, strict=True):
        segmented = 1 / (1 + np.exp(-enlarge(cells @ vector, mask.shape)))
        total -= (alpha * segmented * mask + (1 - alpha) * (1 - segmented) * (1 - mask)).sum()
    return total / len(inputs)


def net2vec_gradient(vector, inputs, masks, alpha):
    """Its gradient, by hand: d sigmoid = M (1 - M), and the resize transposed."""
    gradient = np.zeros(len(vector))
    for cells, mask in zip(inputs, masks, strict=True):
        rows, columns = (bilinear_matrix(a, b) for a, b in zip(cells.shape[:2], mask.shape, strict=True))
        segmented = 1 / (1 + np.exp(-(rows @ (cells @ vector) @ columns.T)))
        by_logit = -(alpha * mask - (1 - alpha) * (1 - mask)) * segmented * (1 - segmented)
        by_response = rows.T @ by_logit @ columns
        for channel in range(len(vector)):
            gradient[channel] += (by_response * cells[..., channel]).sum()
    return gradient / len(inputs)


def alpha_of(masks):
    """One minus the mean share of foreground."""
    return 1 - np.mean([mask.mean() for mask in masks])
