"""One interface to all methods: cells in, a dictionary out.

Shapes: k components, m cells, c channels.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from loce_jax.checks import InputError, counted
from loce_jax.concepts.factors.autoencoder import AutoencoderOptions, fit_autoencoder
from loce_jax.concepts.factors.cells import FactorOptions, gather_cells
from loce_jax.concepts.factors.dictionary import Dictionary, measure_reconstruction
from loce_jax.concepts.factors.kmeans import KMeansOptions, fit_kmeans
from loce_jax.concepts.factors.nmf import ICE, NMFOptions, fit_nmf
from loce_jax.concepts.factors.pca import PCAOptions, fit_pca

_FITS: dict[type[FactorOptions], Callable] = {
    NMFOptions: fit_nmf,
    PCAOptions: fit_pca,
    KMeansOptions: fit_kmeans,
    AutoencoderOptions: fit_autoencoder,
}
_SCALE = 99  # percentile of positive codes that a map shows as 1


def fit(activations: Any, options: FactorOptions = ICE) -> Dictionary:
    """Find concepts in a layer's activations without any label.

    Args:
        activations: of a layer, ``[n gh gw c]``, or cells ``[m c]``, finite; or blocks (`as_blocks`), which are read
            twice.  Of more cells than ``options.max_cells``, so many are drawn.
        options: of a method: `NMFOptions` (`ICE` has its defaults), `PCAOptions`, `KMeansOptions` or
            `AutoencoderOptions`.

    Raises:
        InputError: cells that are not finite or all the same, negative ones for NMF, or more components than they hold.

    >>> parts = np.array([[1.0, 0, 2, 0], [0, 3, 0, 1]])
    >>> codes = np.random.default_rng(0).gamma(0.5, size=(6, 4, 4, 2))
    >>> found = fit(codes @ parts, NMFOptions(components=2))
    >>> found.names, found.maps(codes @ parts, (8, 8)).shape, found.reconstruction.explained_variance > 0.999
    (('nmf 0', 'nmf 1'), (6, 2, 8, 8), True)
    """
    if type(options) not in _FITS:
        raise InputError(
            f"`options` must be those of a method, {', '.join(kind.__name__ for kind in _FITS)}, but got "
            f"{type(options).__name__}."
        )
    cells, available = gather_cells(activations, options)
    if (cells == cells[0]).all():
        raise InputError("`activations` must differ from cell to cell, but are all equal. Read another layer.")
    coder, notes = _FITS[type(options)](cells, options)
    codes = coder.encode(cells)
    activity = (codes > 0).mean(axis=0)
    scales = [np.percentile(of[of > 0], _SCALE) if (of > 0).any() else np.nan for of in codes.T]
    drawn = f"{len(cells)} of {available} cells, drawn with seed {options.seed}"
    dead = int((activity == 0).sum())
    return Dictionary(
        coder,
        np.array(scales, np.float32),
        activity,
        measure_reconstruction(coder, cells, codes),
        (
            *notes,
            *([drawn] if len(cells) < available else []),
            *([f"{counted(dead, 'component')} never active"] if dead else []),
        ),
    )
