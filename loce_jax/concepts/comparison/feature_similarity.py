"""How alike layers are without any concept: known measures between all of their activations on the same images.

Shapes: l layers, n images, gh x gw and dh x dw grid cells of the layers, c and d channels, m cells drawn, p pairs of
cells.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from loce_jax.analysis.comparison.cka import linear_cka
from loce_jax.analysis.comparison.distance_agreement import unit_ranks
from loce_jax.checks import InputError
from loce_jax.resampling import bilinear_matrix

MOST_CELLS = 1000  # whose half a million distances are compared


@dataclass(frozen=True, eq=False)
class FeatureSimilarity:
    """What `feature_similarity` found; nothing changes when a layer's channels are rotated, scaled or moved.

    Attributes:
        cka: linear centered kernel alignment of every two layers, 0 to 1, 1 for equal up to rotation, scale and shift;
            the unbiased estimator, which may be below 0 and does not grow with the number of channels (`linear_cka`).
        rsa: Spearman correlation of the Euclidean distances between cells (representational similarity analysis),
            -1 to 1; NaN where all distances of a layer are equal.
    """

    cka: Float[np.ndarray, "l l"]
    rsa: Float[np.ndarray, "l l"]


def feature_similarity(
    layers: Sequence[Float[np.ndarray, "n _gh _gw _c"]], *, cells: int = MOST_CELLS, seed: int = 0
) -> FeatureSimilarity:
    """Linear CKA and representational similarity of every two layers, cell by cell of the smaller of their grids.

    Of two grids the larger one is resized bilinearly to the height and the width of the smaller one, and of all cells
    of all images some are drawn without replacement, the same ones in both layers.

    Args:
        layers: activations, finite, of the same images in the same order; of any network.
        cells: how many are compared at most; 1000 have half a million distances.
        seed: random seed of the cells drawn.

    Raises:
        InputError: the layers are not of the same number of images.

    Sources: Kornblith et al., "Similarity of Neural Network Representations Revisited", ICML 2019; Kriegeskorte, Mur &
    Bandettini, "Representational similarity analysis", Front. Syst. Neurosci. 2, 2008: correlation of the upper
    triangles of two matrices of dissimilarity, here Euclidean distances, and by ranks.

    >>> layer = np.random.default_rng(0).normal(size=(4, 3, 3, 5))
    >>> found = feature_similarity([layer, 2 * layer[..., ::-1] + 1])
    >>> round(float(found.cka[0, 1]), 6), round(float(found.rsa[0, 1]), 6)
    (1.0, 1.0)
    """
    if any(layer.ndim != 4 or len(layer) != len(layers[0]) for layer in layers):
        raise InputError(
            "`layers` must be activations [n gh gw c] of the same images, but have shapes "
            f"{', '.join(str(layer.shape) for layer in layers)}. Read all of them from one list of images."
        )
    from scipy.spatial.distance import pdist  # noqa: PLC0415 - slow to import

    cka, rsa = np.ones((2, len(layers), len(layers)))
    grids: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for i, j in itertools.combinations(range(len(layers)), 2):
        grid = min(layers[i].shape[1], layers[j].shape[1]), min(layers[i].shape[2], layers[j].shape[2])
        grids.setdefault(grid, []).append((i, j))
    for grid, pairs in grids.items():
        rows = {i: _draw_cells(layers[i], grid, cells, seed) for i in {number for pair in pairs for number in pair}}
        ranks = {i: unit_ranks(pdist(mine)) for i, mine in rows.items()}
        for i, j in pairs:
            cka[i, j] = cka[j, i] = linear_cka(rows[i], rows[j], unbiased=True)
            rsa[i, j] = rsa[j, i] = ranks[i] @ ranks[j]
    return FeatureSimilarity(cka, rsa)


def _draw_cells(layer: Float[np.ndarray, "n gh gw c"], grid, cells: int, seed: int) -> Float[np.ndarray, "m c"]:
    """Some cells of a layer resized to `grid`, image by image; the same ones for equal numbers and seeds."""
    area = grid[0] * grid[1]
    drawn = np.sort(np.random.default_rng(seed).permutation(len(layer) * area)[:cells])
    rows, columns = (bilinear_matrix(*lengths) for lengths in zip(layer.shape[1:3], grid, strict=True))
    parts = []
    for number, image in enumerate(layer):
        y, x = np.divmod(drawn[drawn // area == number] % area, grid[1])
        parts.append(np.einsum("my,yxc,mx->mc", rows[y], image.astype(np.float64), columns[x], optimize=True))
    return np.concatenate(parts)
