"""A sparse autoencoder with TopK activations, trained on a layer's cells.

Shapes: k components, m cells, c channels, b cells of a batch.
"""

import functools as ft
from dataclasses import dataclass, replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float

from loce_jax.checks import InputError
from loce_jax.concepts.factors.cells import FactorOptions
from loce_jax.solver.precision import matmul

_AUXILIARY = 1 / 32  # weight of the loss of dead components (Gao et al. 2024, appendix A.2)
_MEDIAN_STEPS = 50
_BLOCK = 4096  # cells that are encoded at once


@dataclass(frozen=True)
class AutoencoderOptions(FactorOptions):
    """``code = TopK(ReLU(E (x - mean) + e))``, ``x = D code + d`` with columns of D of norm 1, by mean squared error.

    A component that has not been active for `dead_after` steps is dead: dead ones are trained to give back what the
    others have left (the auxiliary loss), and those that stay dead are reported.

    Attributes:
        components: how many; several times as many as concepts are expected.
        active: of a cell at most.
        steps: of Adam; the learning rate falls to 0 along a cosine.
        batch_size: cells of a step, drawn with replacement.
        learning_rate: the first, for cells scaled to a mean squared norm of 1.
        dead_after: steps.

    Source: Gao et al., "Scaling and evaluating sparse autoencoders", 2024 (arXiv 2406.04093), sections 2.1 to 2.3,
    appendix A.
    """

    components: int = 64
    active: int = 4
    steps: int = 2000
    batch_size: int = 512
    learning_rate: float = 1e-2
    dead_after: int = 100

    def __post_init__(self):
        super().__post_init__()
        if not 1 <= self.active <= self.components or min(self.steps, self.batch_size, self.dead_after) < 1:
            raise InputError(
                "`active` must be from 1 to `components`, and `steps`, `batch_size` and `dead_after` at least 1, but "
                f"got {self}. Leave them out for the defaults."
            )


class Weights(NamedTuple):
    """Weights of the encoder and the decoder, for scaled cells."""

    encoder: Float[Array, "c k"]
    encoder_bias: Float[Array, " k"]
    decoder: Float[Array, "k c"]
    decoder_bias: Float[Array, " c"]


@dataclass(frozen=True, eq=False)
class SparseCoder:
    """Trained weights, and the mean and scale of the cells."""

    weights: Weights
    mean: Float[np.ndarray, " c"]
    scale: float
    active: int
    method: str = "autoencoder"

    @property
    def atoms(self) -> Float[np.ndarray, "k c"]:
        """Directions of norm 1."""
        return np.asarray(self.weights.decoder)

    @property
    def offset(self) -> Float[np.ndarray, " c"]:
        """The mean of the cells plus the decoder's bias."""
        return self.mean + self.scale * np.asarray(self.weights.decoder_bias)

    def encode(self, cells: Float[np.ndarray, "m c"]) -> Float[np.ndarray, "m k"]:
        """At most `active` positive numbers a cell."""
        scaled = (cells - self.mean) / np.float32(self.scale)
        parts = [scaled[start : start + _BLOCK] for start in range(0, len(cells), _BLOCK)]
        return self.scale * np.concatenate([np.asarray(_encode(self.weights, part, self.active)) for part in parts])


def fit_autoencoder(
    cells: Float[np.ndarray, "m c"], options: AutoencoderOptions
) -> tuple[SparseCoder, tuple[str, ...]]:
    """Train on cells less their mean, over the root of their mean squared norm."""
    mean = cells.mean(axis=0, dtype=np.float64).astype(np.float32)
    centered = cells - mean
    scale = float(np.sqrt((centered.astype(np.float64) ** 2).sum(axis=1).mean()))
    seed, rest = jax.random.key(options.seed), replace(options, seed=0)  # one compilation for all seeds
    weights = _train(jnp.asarray(centered / np.float32(scale)), seed, rest)
    return SparseCoder(jax.tree.map(np.asarray, weights), mean, scale, options.active), ()


def _responses(weights, cell):
    return matmul(cell - weights.decoder_bias, weights.encoder) + weights.encoder_bias


def _top(responses, number):
    """The largest responses, where positive; 0 elsewhere."""
    smallest = jax.lax.top_k(jax.lax.stop_gradient(responses), number)[0][-1]
    return jnp.where(responses >= smallest, jax.nn.relu(responses), 0)


@ft.partial(jax.jit, static_argnames="active")
def _encode(weights, cells, active):
    return jax.vmap(lambda cell: _top(_responses(weights, cell), active))(cells)


def _loss_of_one(weights: Weights, cell: Float[Array, " c"], dead: Bool[Array, " k"], active: int):
    """Squared error, and that of what dead components make of the rest; and which components are active."""
    responses = _responses(weights, cell)
    code = _top(responses, active)
    rest = cell - weights.decoder_bias - matmul(code, weights.decoder)
    number = min(len(dead), max(1, len(cell) // 2))
    revived = _top(jnp.where(dead, responses, -jnp.inf), number)
    left = jax.lax.stop_gradient(rest) - matmul(revived, weights.decoder)
    auxiliary = jnp.where(dead.any(), left @ left, 0)
    return rest @ rest + _AUXILIARY * auxiliary, code > 0


@ft.partial(jax.jit, static_argnames="options")
def _train(cells: Float[Array, "m c"], key: Array, options: AutoencoderOptions) -> Weights:
    first, rest = jax.random.split(key)
    optimizer = optax.adam(optax.cosine_decay_schedule(options.learning_rate, options.steps))

    def loss(weights, batch, dead):
        losses, fired = jax.vmap(lambda cell: _loss_of_one(weights, cell, dead, options.active))(batch)
        return losses.mean(), fired.any(axis=0)

    def step(carry, rows):
        weights, state, silent = carry
        gradient, fired = jax.grad(loss, has_aux=True)(weights, cells[rows], silent >= options.dead_after)
        update, state = optimizer.update(_tangential(gradient, weights), state)
        weights = optax.apply_updates(weights, update)
        return (_with_unit_atoms(weights), state, jnp.where(fired, 0, silent + 1)), None

    weights = _start(cells, options.components, first)
    carry = weights, optimizer.init(weights), jnp.zeros(options.components, int)
    batches = jax.random.randint(rest, (options.steps, options.batch_size), 0, len(cells))
    return jax.lax.scan(step, carry, batches)[0][0]


def _start(cells, components, key):
    """Directions of random cells from the geometric median, the encoder the decoder's transpose (appendix A.1)."""
    place, noise = jax.random.split(key)
    median = _geometric_median(cells)
    drawn = cells[jax.random.randint(place, (components,), 0, len(cells))] - median
    drawn += 0.01 * jax.random.normal(noise, drawn.shape) / jnp.sqrt(drawn.shape[1])  # a cell may be the median itself
    atoms = drawn / jnp.linalg.norm(drawn, axis=1, keepdims=True)
    return Weights(atoms.T, jnp.zeros(components), atoms, median)


def _geometric_median(cells):
    """The point of least summed distance to cells of mean 0, by Weiszfeld's iteration (Tohoku Math. J. 43, 1937).

    Sparse cells lie around it: it is near the cell that has no concept, where their mean is not.
    """

    def step(_, point):
        weights = 1 / jnp.maximum(jnp.linalg.norm(cells - point, axis=1), 1e-6)
        return matmul(weights, cells) / weights.sum()

    return jax.lax.fori_loop(0, _MEDIAN_STEPS, step, jnp.zeros(cells.shape[1]))


def _tangential(gradient, weights):
    """The gradient less what would only change the norms of the atoms, which stay 1."""
    along = (gradient.decoder * weights.decoder).sum(axis=1, keepdims=True) * weights.decoder
    return gradient._replace(decoder=gradient.decoder - along)


def _with_unit_atoms(weights):
    return weights._replace(decoder=weights.decoder / jnp.linalg.norm(weights.decoder, axis=1, keepdims=True))
