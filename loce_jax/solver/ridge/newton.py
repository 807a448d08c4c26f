"""Newton-CG for the ridge recipe's objective (`loce_jax.solver.ridge.objective`), with a backtracking line search.

The bias is eliminated from Newton's equations, which conjugate gradients solve; for them the Hessian is two passes over
the features, with `loce_jax.solver.ridge.curvature` in between.  ``|gradient| <= tolerance * l2 * |v|`` bounds the
relative error of v by `tolerance`.
Shapes: h x w grid cells of the layer, p = h * w, H x W the target's grid, m unknowns.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from loce_jax.solver.ridge.curvature import Bands, apply_bands, couple
from loce_jax.solver.ridge.objective import Iterate, Objective, Params

MAX_STEPS, MAX_CG_STEPS = 50, 200  # about 6 and 3 are usual
CG_TOLERANCE = 0.05  # relative residual; a smaller one costs more passes than it saves Newton steps
MIN_STEP_SIZE = 1e-3  # of the line search
MIN_CURVATURE = 1e-4  # by the bias; far from the optimum all pixels may be saturated, and theirs 0
ROUNDING = 1e-6  # by how much, relatively, a loss may seem to rise


class NewtonSystem(NamedTuple):
    """Newton's equations at an iterate, the bias eliminated from them.

    Attributes:
        bands: the curvature on the layer's grid.
        bias_column: ``bands`` applied to ones: the mixed derivatives by responses and bias.
        bias_curvature: the second derivative by the bias, the sum of `bias_column`.
        gradient: of the objective by v at the best bias, as unknowns; with its response.
        norm: norm of the gradient.
        converged: whether v is within the tolerance, and the bias the best for it.
    """

    bands: Bands
    bias_column: Float[Array, " p"]
    bias_curvature: Float[Array, ""]
    gradient: Float[Array, " m"]
    response: Float[Array, " p"]
    norm: Float[Array, ""]
    converged: Bool[Array, ""]


class State(NamedTuple):
    """The state of Newton's method: an iterate, the equations there, and the number of steps so far."""

    iterate: Iterate
    system: NewtonSystem
    steps: Int[Array, ""]

    @property
    def unfinished(self) -> Bool[Array, "*rows"]:
        """Whether another step is due; not where numbers have overflowed."""
        return ~self.system.converged & jnp.isfinite(self.system.norm) & (self.steps < MAX_STEPS)


def initial_state(objective: Objective, params: Params) -> State:
    """The state before the first step."""
    iterate = objective.evaluate(params)
    return State(iterate, newton_system(objective, iterate), jnp.zeros((), jnp.int32))


def newton_step(objective: Objective, state: State) -> State:
    """One step of Newton's method."""
    iterate = line_search(objective, state.iterate, newton_direction(objective, state.iterate, state.system))
    return State(iterate, newton_system(objective, iterate), state.steps + 1)


def minimize(objective: Objective, state: State) -> State:
    """Steps until the tolerance is met, or `MAX_STEPS`."""
    return jax.lax.while_loop(lambda now: now.unfinished, lambda now: newton_step(objective, now), state)


def newton_system(objective: Objective, iterate: Iterate) -> NewtonSystem:
    """Newton's equations at an iterate."""
    (rows, columns), grid = objective.resize, objective.grid
    bands = couple(iterate.curvature, objective.resize)
    bias_column = apply_bands(bands, jnp.ones_like(iterate.derivative, shape=grid)).ravel()
    bias_curvature, bias_derivative = jnp.maximum(bias_column.sum(), MIN_CURVATURE), iterate.derivative.sum()
    derivatives = (rows.T @ iterate.derivative @ columns).ravel() - bias_column * (bias_derivative / bias_curvature)
    unknowns, inner = iterate.params.unknowns, objective.parametrization.inner
    gradient = objective.parametrization.matvec_transpose(derivatives) + objective.l2 * unknowns
    response = objective.parametrization.matvec(gradient)
    squares = jnp.maximum(inner(gradient, response, gradient), 0)
    squared_norm = inner(unknowns, iterate.params.response, unknowns)
    near = squares <= (objective.tolerance * objective.l2) ** 2 * squared_norm
    converged = near & (jnp.abs(bias_derivative) <= objective.tolerance)
    return NewtonSystem(bands, bias_column, bias_curvature, gradient, response, jnp.sqrt(squares), converged)


def newton_direction(objective: Objective, iterate: Iterate, system: NewtonSystem) -> Params:
    """Newton's step, by conjugate gradients on the unknowns; the bias follows from them."""
    parametrization, inner = objective.parametrization, objective.parametrization.inner
    bias_column, bias_curvature = system.bias_column, system.bias_curvature

    def hessian(change, response):
        derivatives = apply_bands(system.bands, response.reshape(objective.grid)).ravel()
        derivatives = derivatives - bias_column * (bias_column @ response / bias_curvature)
        return parametrization.matvec_transpose(derivatives) + objective.l2 * change

    def unfinished(state):
        *_, squares, steps = state
        more = squares > (CG_TOLERANCE * system.norm) ** 2
        return more & (steps < MAX_CG_STEPS) & ~system.converged  # other rows of the batch may wait for this one

    def conjugate(state):
        found, residual, direction, squares, steps = state
        hessian_direction = hessian(*direction)
        size = squares / inner(*direction, hessian_direction)
        found = found[0] + size * direction[0], found[1] + size * direction[1]
        residual = residual - size * hessian_direction
        response = parametrization.matvec(residual)
        now = inner(residual, response, residual)
        direction = residual + now / squares * direction[0], response + now / squares * direction[1]
        return found, residual, direction, now, steps + 1

    zero = jnp.zeros_like(system.gradient), jnp.zeros_like(system.response)
    descent = -system.gradient, -system.response
    state = zero, descent[0], descent, system.norm**2, 0
    (change, response), *_ = jax.lax.while_loop(unfinished, conjugate, state)
    return Params(change, response, -(iterate.derivative.sum() + bias_column @ response) / bias_curvature)


def line_search(objective: Objective, iterate: Iterate, direction: Params) -> Iterate:
    """The iterate after the full step, or the largest of its halves, quarters, ... that does not raise the loss."""

    def along(size):
        return objective.evaluate(jax.tree.map(lambda here, change: here + size * change, iterate.params, direction))

    def too_high(state):
        size, tried = state
        return ~(tried.loss <= iterate.loss + ROUNDING * jnp.abs(iterate.loss)) & (size > MIN_STEP_SIZE)

    def halve(state):
        size, _ = state
        return size / 2, along(size / 2)

    full_step = jnp.ones_like(iterate.loss)
    return jax.lax.while_loop(too_high, halve, (full_step, along(full_step)))[1]
