"""What `solve` found: arrays with one row per mask, and a status for each."""

from dataclasses import dataclass, field
from enum import IntEnum

import jax
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from loce_jax.checks import InputError
from loce_jax.solver.project import upsample
from loce_jax.statistics import Whitening


class Status(IntEnum):
    """What became of a row; every status but `OK` comes with NaN in place of numbers.

    `DEGENERATE` is an unusable vector: it is zero, or its responses vanish (below 6e-8, so that their sigmoid is one
    half in float32), overflow, or are equal at all cells up to rounding.  So it is where all cells of an image have
    equal activations, also where there is one cell only, and under the paper's recipe where activations are below
    about 1e-9 or above about 1e19.
    """

    OK = 0
    NONFINITE = 1
    MASK_EMPTY = 2
    MASK_FULL = 3
    PADDING = 4
    DEGENERATE = 5


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Convergence:
    """How a recipe with a stopping rule ended.

    Attributes:
        converged: whether the vector is as exact as `RidgeRecipe.tolerance` asks; False where not `ok`.
        steps: of Newton's method, 0 to 50.
        gradient_norm: of the objective by the vector, at the best bias; 0 is best.  Divided by ``l2 * |v|`` it
            bounds the relative error of v.
    """

    converged: Bool[Array | np.ndarray, "*rows"]
    steps: Int[Array | np.ndarray, "*rows"]
    gradient_norm: Float[Array | np.ndarray, "*rows"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Solution:
    """Local concept embeddings; the leading axes are those of the masks, ``[n]`` or ``[n, k]``.

    A pytree: ``jax.tree.map(np.asarray, solution)`` brings it to the host.

    Attributes:
        vectors: the embeddings, float32, not normalized; NaN where not `ok`.  Those of the ridge recipe weigh whitened
            activations; `raw_filters` gives the equivalent filters on raw ones.
        losses: the objective before each of the t steps, a sum over pixels for ``"bce"``; of the ridge recipe, t is 1
            and it is the objective at the end.
        responses: ``activations @ vector`` of the final vector, at the layer's own resolution; under the ridge recipe
            of whitened activations, plus the bias.
        iou: intersection over union of projection and target, both thresholded at one half, on the target's grid; in
            [0, 1], 1 is best.  The IoU at the photo's own size, as published, is `loce_jax.mask_iou`'s.  The paper's
            recipe, as published, truncates the projection to 8 bits first, so that no pixel is segmented where no
            response exceeds 0.0078; where all are smaller in magnitude, the row is degenerate.
        status: a `Status` a row.
        bias: added to the responses by the ridge recipe; None if the recipe has none.
        convergence: None for a recipe without a stopping rule.
        whitening: the coordinates of the vectors of the ridge recipe; None where vectors weigh raw activations.
    """

    vectors: Float[Array | np.ndarray, "*rows c"]
    losses: Float[Array | np.ndarray, "*rows t"]
    responses: Float[Array | np.ndarray, "*rows h w"]
    iou: Float[Array | np.ndarray, "*rows"]
    status: Int[Array | np.ndarray, "*rows"]
    bias: Float[Array | np.ndarray, "*rows"] | None = None
    convergence: Convergence | None = None
    whitening: Whitening | None = field(default=None, metadata={"static": True})

    @property
    def ok(self) -> Bool[Array | np.ndarray, "*rows"]:
        """True where the row holds a usable vector."""
        return self.status == Status.OK

    def raw_filters(self) -> tuple[Float[np.ndarray, "*rows c"], Float[np.ndarray, "*rows"]]:
        """Filters and offsets on raw activations: ``activations @ filter + offset`` is the response, for every recipe.

        For the paper's recipe these are the vectors and zeros.  float32 on the host; NaN where not `ok`.

        Raises:
            InputError: inside `jit`, where there are no numbers yet.

        >>> solution = Solution(*(np.ones((1, 1)),) * 2, np.ones((1, 1, 1)), np.ones(1), np.zeros(1, np.int8))
        >>> solution.raw_filters()
        (array([[1.]], dtype=float32), array([0.], dtype=float32))
        """
        if isinstance(self.vectors, Tracer):
            raise InputError("`raw_filters` needs numbers, but was called inside `jit`. Call it on what `jit` returns.")
        vectors = np.asarray(self.vectors, np.float32)
        if self.whitening is None or self.bias is None:
            return vectors, np.where(np.asarray(self.ok), np.float32(0), np.float32(np.nan))
        return self.whitening.raw_filters(vectors, np.asarray(self.bias))

    def project(self, size: tuple[int, int] = (100, 100)) -> Float[Array, "*rows H W"]:
        """``sigmoid(response)`` resized to `size`, in [0, 1]: the mask that the vector segments; NaN where not `ok`."""
        with jax.debug_nans(False):  # rows that are not `ok`
            return jax.nn.sigmoid(upsample(self.responses, size))
