"""The ridge recipe against scikit-learn's solver, against symmetries it must obey, and on rows it cannot solve."""

import functools as ft

import numpy as np
import pytest
from scipy.linalg import fractional_matrix_power
from sklearn.linear_model import LogisticRegression

from loce_jax import SolverOptions, Statistics, solve

FEW = (6, 5), (13, 11), 4  # layer's grid, target's grid, channels: fewer than cells
MANY = (3, 4), (10, 9), 40  # more than cells
SHAPES = pytest.mark.parametrize("shape", [FEW, MANY], ids=["few_channels", "many_channels"])


def make_batch(shape, n=4, seed=0):
    """Anisotropic activations that know a little of soft blob masks."""
    grid, target, channels = shape
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: target[0], : target[1]]
    centre, radius = rng.uniform(3, 8, (n, 2, 1, 1)), rng.uniform(2, 3, (n, 1, 1))
    masks = np.clip(radius - np.hypot(y - centre[:, 0], x - centre[:, 1]) + 0.5, 0, 1)
    coarse = np.stack([enlarge_slowly(mask[..., None], grid)[..., 0] for mask in masks])
    mixing = rng.normal(size=(channels, channels)) * np.geomspace(3, 0.3, channels)
    activations = rng.normal(size=(n, *grid, channels)) @ mixing + coarse[..., None] * rng.normal(size=channels)
    return activations.astype("float32"), masks.astype("float32")


def enlarge_slowly(image, size):
    """Every channel, pixel by pixel; beyond the outermost centres the border's value holds."""
    return np.einsum("YXyx,yxc->YXc", taps_slowly(image.shape[:2], size), image)


@ft.cache
def taps_slowly(grid, size):
    """What each pixel of `size` takes of each cell of `grid`."""
    (h, w), (H, W) = grid, size
    out = np.zeros((H, W, h, w))
    for Y in range(H):
        for X in range(W):
            y = min(max((Y + 0.5) * h / H - 0.5, 0), h - 1)
            x = min(max((X + 0.5) * w / W - 0.5, 0), w - 1)
            for j in range(h):
                for i in range(w):
                    out[Y, X, j, i] = max(0, 1 - abs(y - j)) * max(0, 1 - abs(x - i))
    return out


def whiten_slowly(activations, power):
    """The recipe's words: mean and covariance over all pixels, a hundredth of the mean variance, a matrix power."""
    pixels = activations.reshape(-1, activations.shape[-1]).astype(float)
    covariance = np.cov(pixels, rowvar=False, bias=True).reshape(activations.shape[-1], -1)
    covariance += 0.01 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    scale = np.trace(covariance) / len(covariance)
    matrix = np.real(fractional_matrix_power(covariance / scale, -power / 2)) / np.sqrt(scale)
    return (activations - pixels.mean(axis=0)) @ matrix


def fit_slowly(features, mask, strength):
    """scikit-learn on the enlarged design matrix: a soft pixel is a sample of the concept and one of the background."""
    design = enlarge_slowly(features, mask.shape).reshape(-1, features.shape[-1])
    t, share = mask.ravel().astype(float), float(mask.mean())
    weights = (1 - share) * t + share * (1 - t)
    weights /= weights.sum()
    twin = LogisticRegression(C=1 / strength, tol=1e-10, max_iter=10_000)
    samples = np.concatenate([design, design]), np.repeat([1, 0], len(design))
    twin.fit(*samples, sample_weight=np.concatenate([weights * t, weights * (1 - t)]))
    return twin.coef_[0], np.ravel(twin.intercept_)[0]


@SHAPES
@pytest.mark.parametrize(("strength", "power"), [(1.0, 0.5), (0.1, 0.5), (0.3, 0.0), (0.01, 1.0)])
def test_agrees_with_scikit_learn(shape, strength, power):
    activations, masks = make_batch(shape)
    found = solve(activations, masks, SolverOptions.ridge(strength, power), statistics=Statistics.of(activations))
    features = whiten_slowly(activations, power)
    assert found.convergence is not None and np.all(found.convergence.converged)
    biases = np.asarray(found.bias)
    for row, (feature, mask) in enumerate(zip(features, masks, strict=True)):
        vector, bias = fit_slowly(feature, mask, strength)
        size = np.linalg.norm(vector)
        assert np.linalg.norm(found.vectors[row] - vector) < 1e-4 * size
        assert abs(biases[row] - bias) < 1e-4 * max(size, 1)
