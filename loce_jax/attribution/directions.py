"""What directions of a layer do to a score: derivatives along them, and what changes without them or along them.

Shapes: n images, k directions, cells of any grid or none, c channels.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from loce_jax.arrays import as_array
from loce_jax.attribution.scores import Score, check_activations, over_images, value_of
from loce_jax.checks import InputError, check_shape
from loce_jax.solver.precision import matmul
from loce_jax.solver.solution import Status


@dataclass(frozen=True)
class Derivatives:
    """Derivatives of every image's score along every direction, NaN where `status` is not ``Status.OK``.

    Attributes:
        cells: as the direction is added in one cell, in the score's unit per length of the direction as given.
        sums: as it is added in all cells: the sum of `cells`.
        status: ``Status.NONFINITE`` where a gradient is not finite, ``Status.DEGENERATE`` where the direction is zero
            or not finite.
    """

    cells: Float[np.ndarray, "n k *cells"]
    sums: Float[np.ndarray, "n k"]
    status: Int[np.ndarray, "n k"]


@dataclass(frozen=True)
class Effects:
    """Scores before and after a change of the layer, NaN where `status` is not ``Status.OK``.

    Attributes:
        before: of the activations as they are.
        after: of those changed by each direction.
        status: ``Status.NONFINITE`` where a score is not finite, ``Status.DEGENERATE`` where the direction is zero or
            not finite.
    """

    before: Float[np.ndarray, " n"]
    after: Float[np.ndarray, "n k"]
    status: Int[np.ndarray, "n k"]

    @property
    def changes(self) -> Float[np.ndarray, "n k"]:
        """After minus before."""
        return self.after - self.before[:, None]

    @property
    def mean_changes(self) -> Float[np.ndarray, " k"]:
        """Mean over the images that could be computed; NaN without any."""
        return _mean_over_ok(self.changes, self.status)

    @property
    def shares_increased(self) -> Float[np.ndarray, " k"]:
        """Share of these images whose score grew; no change is not growth.  0 to 1; NaN without any."""
        return _mean_over_ok(self.changes > 0, self.status)


def directional_derivatives(score: Score, activations: Any, vectors: Any, context: Any = None) -> Derivatives:
    """Derivatives of scores along directions: ``d score / d A . v``, per cell and summed over cells.

    The conceptual sensitivity of Kim et al., "TCAV", ICML 2018, section 3.3, for a vector that is added in every cell.

    Args:
        score: a function of ONE image's activations; for a network, `class_score`.
        activations: of the layer, ``[n gh gw c]``, or ``[n c]`` of a layer without cells.
        vectors: directions ``[k c]``, of any length; twice the length is twice the derivative.
        context: what goes around the layer, n first; see `ClassScore.context`.

    Raises:
        InputError: shapes do not fit, or the score is not one number an image.

    >>> found = directional_derivatives(lambda a: (a**2).sum(), np.array([[[[1.0, 2.0]]]]), np.array([[1.0, 1.0]]))
    >>> found.cells.tolist(), found.sums.tolist()
    ([[[[6.0]]]], [[6.0]])
    """
    activations, vectors, usable = _checked(score, activations, vectors, context)
    cells = over_images(_derivatives_of_one, score, activations, context, vectors)
    flat = cells.reshape(*cells.shape[:2], -1)
    status = _status(usable, np.isfinite(flat).all(axis=2))
    cells = np.where((status == Status.OK).reshape(*status.shape, *[1] * (cells.ndim - 2)), cells, np.nan)
    return Derivatives(cells, cells.reshape(flat.shape).sum(axis=2), status)


def ablate(score: Score, activations: Any, vectors: Any, offsets: Any = None, context: Any = None) -> Effects:
    """What scores become without directions, each taken out of every cell by itself; see `without_direction`.

    Args:
        score: a function of ONE image's activations; for a network, `class_score`.
        activations: of the layer, ``[n gh gw c]``, or ``[n c]`` of a layer without cells.
        vectors: directions ``[k c]``, of any length.
        offsets: ``[k]``, as those of `ConceptVectors`; 0 if left out.
        context: what goes around the layer, n first; see `ClassScore.context`.

    Raises:
        InputError: shapes do not fit, or the score is not one number an image.

    >>> found = ablate(lambda a: a.sum(), np.array([[3.0, 4.0]]), np.array([[5.0, 0.0], [0.0, 0.0]]))
    >>> found.before.tolist(), found.after.tolist(), found.status.tolist()
    ([7.0], [[4.0, nan]], [[0, 5]])
    """
    activations, vectors, usable = _checked(score, activations, vectors, context)
    offsets = np.zeros(len(vectors), vectors.dtype) if offsets is None else np.asarray(as_array("offsets", offsets))
    check_shape("offsets", offsets, (len(vectors),), meaning="one a direction", fix="Leave it out for zeros.")
    return _effects(over_images(_ablated_of_one, score, activations, context, vectors, offsets), usable)


def perturb(score: Score, activations: Any, vectors: Any, step: float, context: Any = None) -> Effects:
    """What scores become as activations take a step along directions in every cell.

    A finite step sees what a derivative misses where a score bends.  After Pfau et al., "Robust Semantic
    Interpretability: Revisiting Concept Activation Vectors", 2021, whose concept gradient is v itself for a linear
    concept; `Effects.shares_increased` and `Effects.mean_changes` sum it up over a data set.

    Args:
        score: a function of ONE image's activations; for a network, `class_score`.
        activations: of the layer, ``[n gh gw c]``, or ``[n c]`` of a layer without cells.
        vectors: directions ``[k c]``; only where they point counts, not their length.
        step: length of the step in one cell, in the activations' unit; negative against the direction.
        context: what goes around the layer, n first; see `ClassScore.context`.

    Raises:
        InputError: shapes do not fit, the step is not finite, or the score is not one number an image.

    >>> found = perturb(lambda a: a.sum(), np.array([[3.0, 4.0]]), np.array([[5.0, 0.0]]), step=2.0)
    >>> found.changes.tolist(), found.shares_increased.tolist()
    ([[2.0]], [1.0])
    """
    if not np.isfinite(step):
        raise InputError(f"`step` must be a finite number, the length of the step, but got {step}. Try 1.0.")
    activations, vectors, usable = _checked(score, activations, vectors, context)
    return _effects(over_images(_moved_of_one, score, activations, context, vectors, step), usable)


def without_direction(activations: Array, vector: Array, offset: Any = 0.0) -> Array:
    """Activations moved along `vector` to where their response ``a @ vector + offset`` is 0, in every cell.

    Without an offset the direction is projected out; with a concept's, activations come to its decision boundary.

    >>> without_direction(jnp.array([3.0, 4.0]), jnp.array([2.0, 0.0]), -2.0).tolist()
    [1.0, 4.0]
    """
    length = jnp.linalg.norm(vector)
    unit = vector / length  # whose square neither overflows nor vanishes
    responses = matmul(activations, unit) + offset / length
    return (activations - responses[..., None] * unit).astype(activations.dtype)


def moved_along(activations: Array, vector: Array, step: Any) -> Array:
    """Activations a step of this length further along `vector`, in every cell.

    >>> moved_along(jnp.array([3.0, 4.0]), jnp.array([2.0, 0.0]), 0.5).tolist()
    [3.5, 4.0]
    """
    return (activations + step * vector / jnp.linalg.norm(vector)).astype(activations.dtype)


def _checked(score, activations, vectors, context):
    activations, vectors = check_activations(score, activations, context), np.asarray(as_array("vectors", vectors))
    if vectors.ndim != 2 or vectors.shape[1] != activations.shape[-1] or not len(vectors):
        raise InputError(
            f"`vectors` must have shape [k c] with c = {activations.shape[-1]} as in `activations`, but got "
            f"{vectors.shape}. One vector needs `vector[None]`."
        )
    vectors = vectors.astype(jnp.promote_types(jax.dtypes.canonicalize_dtype(activations.dtype), jnp.float32))
    return activations, vectors, np.isfinite(vectors).all(axis=1) & vectors.any(axis=1)


def _derivatives_of_one(score, activations, context, vectors):
    gradient = jax.grad(lambda changed: value_of(score, changed, context))(activations)
    return jnp.moveaxis(matmul(gradient, vectors.T), -1, 0)


def _ablated_of_one(score, activations, context, vectors, offsets):
    def after(direction):
        return value_of(score, without_direction(activations, *direction), context)

    return value_of(score, activations, context), jax.lax.map(after, (vectors, offsets))


def _moved_of_one(score, activations, context, vectors, step):
    def after(vector):
        return value_of(score, moved_along(activations, vector, step), context)

    return value_of(score, activations, context), jax.lax.map(after, vectors)


def _effects(found, usable):
    before, after = found
    status = _status(usable, np.isfinite(before)[:, None] & np.isfinite(after))
    before = np.where(np.isfinite(before), before, np.nan)
    return Effects(before, np.where(status == Status.OK, after, np.nan), status)


def _status(usable, finite):
    return np.where(usable, np.where(finite, Status.OK, Status.NONFINITE), Status.DEGENERATE)


def _mean_over_ok(values, status):
    ok = status == Status.OK
    counts = ok.sum(axis=0)
    sums = np.where(ok, values, 0).sum(axis=0)
    return np.divide(sums, counts, out=np.full(len(counts), np.nan), where=counts > 0)
