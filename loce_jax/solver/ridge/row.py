"""The ridge recipe for ONE row, a target on the features of an image: prepare, init, step until finished, finalize.

Shapes: h x w grid cells of the layer, c channels, H x W the target's grid.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from loce_jax.solver.paper.sample import Resize, find_status, upsample
from loce_jax.solver.ridge.newton import State, initial_state, minimize, newton_step
from loce_jax.solver.ridge.objective import Config, Features, Objective, Parametrization, Params, class_weights
from loce_jax.solver.solution import Convergence, Solution, Status


class Row(NamedTuple):
    """A target and its pixels' weights, all finite, and the row's `Status` so far."""

    target: Float[Array, "H W"]
    weights: Float[Array, "H W"]
    status: Int[Array, ""]


class RowSolver(NamedTuple):
    """What all rows share, and the parts of solving one of them; all numbers float32, or all float64."""

    config: Config
    resize: Resize
    tolerance: float

    def prepare(self, features: Features, target: Float[Array, "H W"], valid: Bool[Array, ""] | np.bool_) -> Row:
        """The row of one target."""
        finite = jnp.all(jnp.isfinite(features.cells)) & jnp.all(jnp.isfinite(target))
        status = find_status(valid, finite, target.max(), target.min())
        target = jnp.where(jnp.isfinite(target), target, 0)
        return Row(target, class_weights(target, self.config.class_weight_power), status)

    def objective(self, features: Features, row: Row) -> Objective:
        """The objective of a row."""
        parametrization = Parametrization.of(features)
        return Objective(parametrization, row.target, row.weights, self.resize, self.config.l2, self.tolerance)

    def init(self, features: Features, row: Row) -> State:
        """The state at zero; a row that cannot be solved is finished there."""
        objective = self.objective(features, row)
        h, w, _ = features.cells.shape
        shapes = (objective.parametrization.size,), (h * w,), ()
        state = initial_state(objective, Params(*(jnp.zeros_like(features.cells, shape=shape) for shape in shapes)))
        converged = state.system.converged | (row.status != Status.OK)
        return state._replace(system=state.system._replace(converged=converged))

    def step(self, features: Features, row: Row, state: State) -> State:
        """One step of Newton's method."""
        return newton_step(self.objective(features, row), state)

    def finalize(self, features: Features, row: Row, state: State) -> Solution:
        """The solution of a finished row."""
        (params, loss, *_), system, steps = state
        response = params.response.reshape(features.cells.shape[:2]) + params.bias
        segmented, mask = upsample(response, self.resize) > 0, row.target > 0.5
        iou = jnp.sum(segmented & mask) / jnp.maximum(jnp.sum(segmented | mask), 1)
        vector = Parametrization.of(features).vector(params.unknowns)
        numbers = vector, loss[None], response, iou, params.bias, system.norm
        overflow = ~jnp.all(jnp.array([jnp.all(jnp.isfinite(leaf)) for leaf in numbers]))
        good = (row.status == Status.OK) & ~overflow
        status = jnp.where((row.status == Status.OK) & overflow, jnp.int8(Status.NONFINITE), row.status)
        vector, loss, response, iou, bias, norm = (jnp.where(good, leaf, jnp.nan) for leaf in numbers)
        return Solution(vector, loss, response, iou, status, bias, Convergence(system.converged & good, steps, norm))

    def solve(self, features: Features, target: Float[Array, "H W"], valid: Bool[Array, ""] | np.bool_) -> Solution:
        """One row, from its target to its solution."""
        row = self.prepare(features, target, valid)
        return self.finalize(features, row, minimize(self.objective(features, row), self.init(features, row)))
