"""What `solve` found: arrays with one row a mask, and a status for each."""

from dataclasses import dataclass
from enum import IntEnum

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from loce_jax.solver.project import enlarge


class Status(IntEnum):
    """What became of a row; every status but `OK` comes with NaN in place of numbers."""

    OK = 0
    NONFINITE = 1
    MASK_EMPTY = 2
    MASK_FULL = 3
    PADDING = 4


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Solution:
    """Local concept embeddings; the leading axes are those of the masks, ``[n]`` or ``[n, k]``.

    A pytree: ``jax.tree.map(np.asarray, solution)`` brings it to the host.

    Attributes:
        vectors: the embeddings, float32, not normalised; NaN where not `ok`.
        losses: the objective before each of the t steps, a sum over pixels for ``"bce"``.
        responses: ``activations @ vector`` of the final vector, at the layer's own resolution.
        iou: intersection over union of projection and target, both thresholded at one half, on the target's grid; in
            [0, 1], 1 is best.  The IoU at the photo's own size, as published, is `loce_jax.solver.iou.overlap`'s.
        status: a `Status` a row.
    """

    vectors: Float[Array | np.ndarray, "*rows c"]
    losses: Float[Array | np.ndarray, "*rows t"]
    responses: Float[Array | np.ndarray, "*rows h w"]
    iou: Float[Array | np.ndarray, "*rows"]
    status: Int[Array | np.ndarray, "*rows"]

    @property
    def ok(self) -> Bool[Array | np.ndarray, "*rows"]:
        """True where the row holds a usable vector."""
        return self.status == Status.OK

    def project(self, size: tuple[int, int] = (100, 100)) -> Float[Array, "*rows H W"]:
        """``sigmoid(response)`` resized to `size`, in [0, 1]: the mask as the vector redraws it; NaN where not `ok`."""
        return jax.nn.sigmoid(enlarge(self.responses, size))
