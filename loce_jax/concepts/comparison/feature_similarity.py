"""How alike two layers are without any concept: known measures between all of their activations on the same images.

Shapes: n images, gh x gw and dh x dw grid cells of the layers, c and d channels, m cells drawn.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from loce_jax.analysis.comparison.cka import linear_cka
from loce_jax.analysis.comparison.distance_agreement import distance_agreement
from loce_jax.checks import InputError
from loce_jax.resampling import bilinear_matrix


@dataclass(frozen=True)
class FeatureSimilarity:
    """What `feature_similarity` found; neither changes when a layer's channels are rotated, scaled or moved.

    Attributes:
        cka: linear centered kernel alignment, 0 to 1, 1 for equal up to rotation, scale and shift; the unbiased
            estimator, which may be below 0 and does not grow with the number of channels (`linear_cka`).
        rsa: Spearman correlation of the Euclidean distances between cells, -1 to 1 (`distance_agreement`).
        cells: how many cells were compared.
    """

    cka: float
    rsa: float
    cells: int


def feature_similarity(
    first: Float[np.ndarray, "n gh gw c"], second: Float[np.ndarray, "n dh dw d"], *, cells: int = 1000, seed: int = 0
) -> FeatureSimilarity:
    """Linear CKA and representational similarity of two layers, cell by cell of the smaller of their grids.

    The larger grid is resized bilinearly to the height and the width of the smaller one, and of all cells of all images
    some are drawn without replacement.

    Args:
        first: a layer's activations, finite.
        second: of the same images in the same order, at any layer of any network.
        cells: how many are compared at most; 1000 have half a million distances.
        seed: random seed of the cells drawn.

    Sources: Kornblith et al., "Similarity of Neural Network Representations Revisited", ICML 2019; Kriegeskorte, Mur &
    Bandettini, "Representational similarity analysis", Front. Syst. Neurosci. 2, 2008.

    >>> layer = np.random.default_rng(0).normal(size=(4, 3, 3, 5))
    >>> found = feature_similarity(layer, 2 * layer[..., ::-1] + 1)
    >>> round(found.cka, 6), round(found.rsa, 6), found.cells
    (1.0, 1.0, 36)
    """
    rows = draw_cells(first, second, cells=cells, seed=seed)
    return FeatureSimilarity(
        linear_cka(*rows, unbiased=True), distance_agreement(*rows, metric="euclidean").spearman, len(rows[0])
    )


def draw_cells(
    first: Float[np.ndarray, "n gh gw c"], second: Float[np.ndarray, "n dh dw d"], *, cells: int = 1000, seed: int = 0
) -> tuple[Float[np.ndarray, "m c"], Float[np.ndarray, "m d"]]:
    """The cells that `feature_similarity` compares.

    Args:
        first: see `feature_similarity`, and so the others.
        second: see above.
        cells: see above.
        seed: see above.

    >>> draw_cells(np.ones((4, 3, 3, 5)), np.ones((4, 6, 6, 2)), cells=7)[1].shape
    (7, 2)
    """
    if first.ndim != 4 or second.ndim != 4 or len(first) != len(second):
        raise InputError(
            "`first` and `second` must be activations [n gh gw c] of the same images, but have shapes "
            f"{first.shape} and {second.shape}. Read both layers from one list of images."
        )
    height, width = (min(sizes) for sizes in zip(first.shape[1:3], second.shape[1:3], strict=True))
    rng = np.random.default_rng(seed)
    drawn = np.sort(rng.permutation(len(first) * height * width)[:cells])
    return _cells(first, (height, width), drawn), _cells(second, (height, width), drawn)


def _cells(layer, size, drawn):
    """The cells with these numbers [m c] of a layer resized to `size`, image by image."""
    rows, columns = (bilinear_matrix(*lengths) for lengths in zip(layer.shape[1:3], size, strict=True))
    parts, area = [], size[0] * size[1]
    for number, image in enumerate(layer):
        mine = drawn[drawn // area == number] % area
        y, x = np.divmod(mine, size[1])
        parts.append(np.einsum("my,yxc,mx->mc", rows[y], image.astype(np.float64), columns[x], optimize=True))
    return np.concatenate(parts)
