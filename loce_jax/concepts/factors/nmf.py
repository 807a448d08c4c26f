"""Non-negative matrix factorization, the dictionary of ICE: cells are non-negative sums of non-negative parts.

Shapes: k components, m cells, c channels.
"""

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from loce_jax.checks import InputError
from loce_jax.concepts.factors.cells import FactorOptions

_CODE_TOLERANCE, _CODE_ITERATIONS = 1e-6, 2000  # of codes with the dictionary fixed: a convex problem, solved exactly


@dataclass(frozen=True)
class NMFOptions(FactorOptions):
    """ICE's dictionary: ``X ~ S P`` with non-negative codes S and parts P, scikit-learn's coordinate descent.

    Attributes:
        negative: what becomes of negative activations.  The published method is for layers that end in a ReLU; for
            others, "refuse" raises, and "clip" sets negative numbers to 0, in the fit and in `encode`.
        init: "nndsvda", which depends on the data alone, or "random", by the seed.
        iterations: at most.
        tolerance: of scikit-learn's stopping rule.

    Source: Zhang et al., "Invertible Concept-based Explanations for CNN Models with Non-negative Concept Activation
    Vectors", AAAI 2021.
    """

    negative: Literal["refuse", "clip"] = "refuse"
    init: Literal["nndsvda", "random"] = "nndsvda"
    iterations: int = 500
    tolerance: float = 1e-4


ICE = NMFOptions()


@dataclass(frozen=True, eq=False)
class NMFCoder:
    """Parts, and codes by non-negative least squares with the parts fixed."""

    atoms: Float[np.ndarray, "k c"]
    negative: Literal["refuse", "clip"]
    method: str = "nmf"

    @property
    def offset(self) -> Float[np.ndarray, " c"]:
        """Zeros."""
        return np.zeros(self.atoms.shape[1], np.float32)

    def encode(self, cells: Float[np.ndarray, "m c"]) -> Float[np.ndarray, "m k"]:
        """The non-negative codes of least squared error."""
        from sklearn.decomposition import non_negative_factorization  # noqa: PLC0415 - a second

        codes, _, _ = _without_warnings(
            non_negative_factorization,
            _non_negative(cells, self.negative),
            H=self.atoms,
            n_components=len(self.atoms),
            update_H=False,
            tol=_CODE_TOLERANCE,
            max_iter=_CODE_ITERATIONS,
        )
        return codes


def fit_nmf(cells: Float[np.ndarray, "m c"], options: NMFOptions) -> tuple[NMFCoder, tuple[str, ...]]:
    """The parts, and notes on what was clipped and on convergence."""
    from sklearn.decomposition import NMF  # noqa: PLC0415 - a second

    if options.components > min(cells.shape):
        raise InputError(
            f"`components` must be at most {min(cells.shape)} for {cells.shape[0]} cells of {cells.shape[1]} channels, "
            f"but is {options.components}. Give fewer, or more cells."
        )
    inputs = _non_negative(cells, options.negative)
    if not inputs.any():
        raise InputError("`activations` must have positive numbers, but are all 0. Look for a layer that responds.")
    kind: Any = NMF  # annotated with texts alone
    model = kind(
        options.components,
        init=options.init,
        random_state=options.seed,
        tol=options.tolerance,
        max_iter=options.iterations,
    )
    _without_warnings(model.fit, inputs)
    notes = []
    clipped = float((cells < 0).mean())
    if clipped:
        notes.append(f"{clipped:.2%} of the activations were negative and set to 0")
    if model.n_iter_ >= options.iterations:
        notes.append(f"not converged after {options.iterations} iterations")
    return NMFCoder(model.components_.astype(np.float32), options.negative), tuple(notes)


def _non_negative(cells, negative):
    if negative == "refuse" and (cells < 0).any():
        raise InputError(
            f"`activations` must not be negative, as NMF is for layers that end in a ReLU, but go down to "
            f"{cells.min():.3g}. Choose such a layer, or `NMFOptions(negative='clip')`, or another method."
        )
    return np.maximum(cells, 0)


def _without_warnings(function, *args, **kwargs):
    """Call it without scikit-learn's warning that iterations have ended, which becomes a note."""
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return function(*args, **kwargs)
