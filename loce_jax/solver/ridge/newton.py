"""The ridge recipe for ONE sample: logistic regression with a squared penalty, solved by Newton's method.

With whitened features x, an unpenalized bias b, U the resize to the target's grid, and weights w of its pixels that
help the smaller of concept and background and sum to 1::

    z = U(x @ v) + b,    L(v, b) = sum w (softplus(z) - t z) + strength / 2 |v|^2

L is strictly convex in v: there is one answer, whatever the start, and ``|gradient| <= tolerance * strength * |v|``
bounds the relative error of v by `tolerance`.  Newton's equations are solved by conjugate gradients, to which the
Hessian is two passes over the features and `loce_jax.solver.ridge.curvature` in between.  Where there are more channels
than cells, v is a sum of cells' features, ``v = X.T @ a``, and everything happens to `a` by way of the cells' inner
products `gram`.
Letters: h x w grid cells of the layer, p = h * w, c channels, H x W the target's grid, m = c or p unknowns.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from loce_jax.recipes import RidgeRecipe
from loce_jax.solver.paper.sample import Resize, enlarge, judge
from loce_jax.solver.ridge.curvature import Bands, apply_bands, couple
from loce_jax.solver.solution import Convergence, Solution, Status
from loce_jax.solver.whitening import DeviceWhitening, on_device
from loce_jax.statistics import Statistics

MOST_STEPS, MOST_INNER_STEPS = 50, 200  # of Newton and of conjugate gradients; about 6 and 3 are usual
INNER_TOLERANCE = 0.05  # of what is left of the gradient; less costs more passes than it saves steps
SHORTEST = 1e-3  # part of a Newton step that is still tried
LEAST_CURVATURE = 1e-4  # by the bias; far from the optimum, all pixels may be so sure that theirs is 0
ROUNDING = 1e-6  # by how much, relatively, a loss may seem to rise, or equal cells to differ


class Setting(NamedTuple):
    """What all samples share, as arrays: other numbers need no other program."""

    whitening: DeviceWhitening
    strength: Float[Array, ""]
    balance: Float[Array, ""]

    @classmethod
    def of(cls, statistics: Statistics, recipe: RidgeRecipe) -> "Setting":
        """The numbers of `recipe` in float32, with the whitening that `statistics` define."""
        whitening = on_device(statistics.whitening(recipe.whitening))
        return cls(whitening, jnp.float32(recipe.l2), jnp.float32(recipe.class_weight_power))


class Features(NamedTuple):
    """One image's whitened activations, and their cells' inner products if there are fewer cells than channels."""

    cells: Float[Array, "h w c"]
    gram: Float[Array, "p p"] | None


def prepare(cells: Float[Array, "h w c"]) -> Features:
    """What the concepts of an image share; of an image in which all cells are alike, rounding apart, nothing."""
    h, w, c = cells.shape
    flat = cells.reshape(h * w, c)
    alike = jnp.all(jnp.abs(flat - flat.mean(axis=0)) <= ROUNDING * jnp.max(jnp.abs(flat)))  # False if one is NaN
    flat = jnp.where(alike, 0, flat)
    return Features(flat.reshape(h, w, c), flat @ flat.T if h * w < c else None)


class Space(NamedTuple):
    """Where the unknowns live: in place of a vector v, v itself, or the `a` of ``v = X.T @ a``.

    Attributes:
        unknowns: how many there are, m.
        respond: from unknowns to ``X @ v``.
        pull: from what pulls at the responses to what pulls at v, as unknowns: ``X.T @ slopes``.
        inner: of unknowns, their response, and other unknowns: the inner product of their vectors.
        vector: from unknowns to v.
    """

    unknowns: int
    respond: Callable
    pull: Callable
    inner: Callable
    vector: Callable

    @classmethod
    def of(cls, features: Features) -> "Space":
        """Cells' shares `a` if there are fewer cells than channels, else v."""
        (h, w, c), gram = features.cells.shape, features.gram
        flat = features.cells.reshape(h * w, c)
        if gram is None:
            return cls(c, lambda v: flat @ v, lambda slopes: slopes @ flat, lambda v, _, other: v @ other, lambda v: v)
        return cls(h * w, lambda a: gram @ a, lambda slopes: slopes, lambda _, r, other: r @ other, lambda a: a @ flat)


class Point(NamedTuple):
    """Unknowns, their response and a bias; or a step of these."""

    unknowns: Float[Array, " m"]
    response: Float[Array, " p"]
    bias: Float[Array, ""]


class Place(NamedTuple):
    """A point, the objective there, and its first and second derivatives by the logits, on the target's grid."""

    point: Point
    loss: Float[Array, ""]
    slope: Float[Array, "H W"]
    curvature: Float[Array, "H W"]


class Descent(NamedTuple):
    """Newton's equations at a place, the bias eliminated from them.

    Attributes:
        bands: the curvature on the layer's grid.
        level: ``bands`` applied to ones, what the bias does.
        total: the sum of `level`, the curvature by the bias.
        gradient: of the objective by v at the best bias, as unknowns; with its response.
        norm: of the gradient.
        converged: whether v is within the tolerance, and the bias the best for it.
    """

    bands: Bands
    level: Float[Array, " p"]
    total: Float[Array, ""]
    gradient: Float[Array, " m"]
    response: Float[Array, " p"]
    norm: Float[Array, ""]
    converged: Bool[Array, ""]


class Problem(NamedTuple):
    """One sample's objective, and the parts of a Newton step on it."""

    space: Space
    target: Float[Array, "H W"]
    weights: Float[Array, "H W"]
    resize: Resize
    strength: Float[Array, ""]
    tolerance: float

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of the layer."""
        return self.resize[0].shape[1], self.resize[1].shape[1]

    def at(self, point: Point) -> Place:
        """The objective and its derivatives at a point."""
        logits = enlarge(point.response.reshape(self.grid), self.resize) + point.bias
        decay = jnp.exp(-jnp.abs(logits))
        share = jnp.where(logits < 0, decay, 1) / (1 + decay)
        softplus = jnp.maximum(logits, 0) + jnp.log1p(decay)
        size = self.space.inner(point.unknowns, point.response, point.unknowns)
        loss = jnp.sum(self.weights * (softplus - self.target * logits)) + self.strength / 2 * size
        return Place(point, loss, self.weights * (share - self.target), self.weights * share * (1 - share))

    def descent(self, place: Place) -> Descent:
        """Newton's equations at a place."""
        rows, columns = self.resize
        bands = couple(place.curvature, self.resize)
        level = apply_bands(bands, jnp.ones_like(place.slope, shape=self.grid)).ravel()
        total, excess = jnp.maximum(level.sum(), LEAST_CURVATURE), place.slope.sum()
        slopes = (rows.T @ place.slope @ columns).ravel() - level * (excess / total)
        unknowns, inner = place.point.unknowns, self.space.inner
        gradient = self.space.pull(slopes) + self.strength * unknowns
        response = self.space.respond(gradient)
        squares = jnp.maximum(inner(gradient, response, gradient), 0)
        size = inner(unknowns, place.point.response, unknowns)
        near = (squares <= (self.tolerance * self.strength) ** 2 * size) & (jnp.abs(excess) <= self.tolerance)
        return Descent(bands, level, total, gradient, response, jnp.sqrt(squares), near)

    def direction(self, place: Place, descent: Descent) -> Point:
        """Newton's step, by conjugate gradients on the unknowns; the bias follows from them."""
        inner, level, total = self.space.inner, descent.level, descent.total

        def hessian(change, response):
            slopes = apply_bands(descent.bands, response.reshape(self.grid)).ravel()
            return self.space.pull(slopes - level * (level @ response / total)) + self.strength * change

        def unfinished(state):
            *_, left, steps = state
            more = left > (INNER_TOLERANCE * descent.norm) ** 2
            return more & (steps < MOST_INNER_STEPS) & ~descent.converged  # rows beside may be waiting for this one

        def conjugate(state):
            found, rest, way, left, steps = state
            curved = hessian(*way)
            share = left / inner(*way, curved)
            found = found[0] + share * way[0], found[1] + share * way[1]
            rest = rest - share * curved
            response = self.space.respond(rest)
            now = inner(rest, response, rest)
            way = rest + now / left * way[0], response + now / left * way[1]
            return found, rest, way, now, steps + 1

        nothing = jnp.zeros_like(descent.gradient), jnp.zeros_like(descent.response)
        downhill = -descent.gradient, -descent.response
        state = nothing, downhill[0], downhill, descent.norm**2, 0
        (change, response), *_ = jax.lax.while_loop(unfinished, conjugate, state)
        return Point(change, response, -(place.slope.sum() + level @ response) / total)

    def move(self, place: Place, step: Point) -> Place:
        """As far along the step as the objective falls: the whole of it, or a half, or a quarter, ..."""

        def along(part):
            return self.at(jax.tree.map(lambda here, change: here + part * change, place.point, step))

        def higher(state):
            part, tried = state
            return ~(tried.loss <= place.loss + ROUNDING * jnp.abs(place.loss)) & (part > SHORTEST)

        def halve(state):
            part, _ = state
            return part / 2, along(part / 2)

        whole = jnp.ones_like(place.loss)
        return jax.lax.while_loop(higher, halve, (whole, along(whole)))[1]


class Row(NamedTuple):
    """What is asked of one row: a target and its pixels' weights, all finite, and the row's `Status` so far."""

    target: Float[Array, "H W"]
    weights: Float[Array, "H W"]
    status: Int[Array, ""]


class Progress(NamedTuple):
    """How far a row has come: where it is, how near that is to the optimum, and after how many of Newton's steps."""

    place: Place
    descent: Descent
    steps: Int[Array, ""]

    @property
    def unfinished(self) -> Bool[Array, "*rows"]:
        """Whether another step is due; not where numbers have overflowed."""
        return ~self.descent.converged & jnp.isfinite(self.descent.norm) & (self.steps < MOST_STEPS)


class Ridge(NamedTuple):
    """What all rows share, and how one of them is solved: `pose`, `begin`, `advance` until finished, `conclude`.

    All numbers may be float32 or float64, and so is the solution.
    """

    setting: Setting
    resize: Resize
    tolerance: float

    def pose(self, features: Features, target: Float[Array, "H W"], valid: Bool[Array, ""] | np.bool_) -> Row:
        """The row of one target."""
        finite = jnp.all(jnp.isfinite(features.cells)) & jnp.all(jnp.isfinite(target))
        status = judge(valid, finite, target.max(), target.min())
        target = jnp.where(jnp.isfinite(target), target, 0)
        return Row(target, weigh(target, self.setting.balance), status)

    def problem(self, features: Features, row: Row) -> Problem:
        """The objective of a row."""
        space = Space.of(features)
        return Problem(space, row.target, row.weights, self.resize, self.setting.strength, self.tolerance)

    def begin(self, features: Features, row: Row) -> Progress:
        """At nothing; a row that cannot be solved is finished there."""
        problem = self.problem(features, row)
        h, w, _ = features.cells.shape
        nothing = (jnp.zeros_like(features.cells, shape=shape) for shape in ((problem.space.unknowns,), (h * w,), ()))
        progress = start(problem, Point(*nothing))
        hopeless = row.status != Status.OK
        return progress._replace(descent=progress.descent._replace(converged=progress.descent.converged | hopeless))

    def advance(self, features: Features, row: Row, progress: Progress) -> Progress:
        """One of Newton's steps."""
        return step(self.problem(features, row), progress)

    def conclude(self, features: Features, row: Row, progress: Progress) -> Solution:
        """The solution of a finished row."""
        (point, loss, *_), descent, steps = progress
        response = point.response.reshape(features.cells.shape[:2]) + point.bias
        drawn, mask = enlarge(response, self.resize) > 0, row.target > 0.5
        iou = jnp.sum(drawn & mask) / jnp.maximum(jnp.sum(drawn | mask), 1)
        vector = Space.of(features).vector(point.unknowns)
        numbers = vector, loss[None], response, iou, point.bias, descent.norm
        overflow = ~jnp.all(jnp.array([jnp.all(jnp.isfinite(leaf)) for leaf in numbers]))
        good = (row.status == Status.OK) & ~overflow
        status = jnp.where((row.status == Status.OK) & overflow, jnp.int8(Status.NONFINITE), row.status)
        vector, loss, response, iou, bias, norm = (jnp.where(good, leaf, jnp.nan) for leaf in numbers)
        return Solution(vector, loss, response, iou, status, bias, Convergence(descent.converged & good, steps, norm))

    def solve(self, features: Features, target: Float[Array, "H W"], valid: Bool[Array, ""] | np.bool_) -> Solution:
        """One row."""
        row = self.pose(features, target, valid)
        done = descend(self.problem(features, row), self.begin(features, row))
        return self.conclude(features, row, done)


def start(problem: Problem, point: Point) -> Progress:
    """A descent's beginning."""
    place = problem.at(point)
    return Progress(place, problem.descent(place), jnp.zeros((), jnp.int32))


def step(problem: Problem, progress: Progress) -> Progress:
    """One of Newton's steps."""
    place = problem.move(progress.place, problem.direction(progress.place, progress.descent))
    return Progress(place, problem.descent(place), progress.steps + 1)


def descend(problem: Problem, progress: Progress) -> Progress:
    """To the optimum."""
    return jax.lax.while_loop(lambda now: now.unfinished, lambda now: step(problem, now), progress)


def weigh(target: Float[Array, "H W"], balance: Float[Array, ""] | float) -> Float[Array, "H W"]:
    """Weights of pixels, of sum 1.

    If the concept covers the share s, each of its pixels weighs ``((1 - s) / s)**balance`` times as much as another.

    >>> weights = weigh(jnp.array([[1.0, 0.0, 0.0, 0.0]]), 1.0)
    >>> float(weights.sum()), float(weights[0, 0] / weights[0, 1])
    (1.0, 3.0)
    """
    share = jnp.mean(target)
    weights = (1 - share) ** balance * target + share**balance * (1 - target)
    total = jnp.sum(weights)
    return weights / jnp.where(total > 0, total, 1)
