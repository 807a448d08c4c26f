"""Initial vectors of the paper's recipe."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from loce_jax.recipes import PaperRecipe


def initial_vector(recipe: PaperRecipe, channels: int) -> Float[Array, " channels"]:
    """The initial vector of every sample, float32.

    >>> initial_vector(PaperRecipe(init="ones"), 3).tolist()
    [1.0, 1.0, 1.0]
    """
    key = jax.random.key(recipe.seed)
    return {
        "zeros": lambda: jnp.zeros(channels),
        "ones": lambda: jnp.ones(channels),
        "uniform": lambda: jax.random.uniform(key, (channels,)),
        "normal": lambda: jax.random.normal(key, (channels,)),
    }[recipe.init]()
