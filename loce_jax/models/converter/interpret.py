"""Run a converted network's graph in JAX.  Pure: fit for `jit`, `vmap`, `grad`, sharding and threads.

Shapes: b images, h x w pixels, gh x gw grid cells, c channels.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from loce_jax.models.converter.graph import IMAGES, WEIGHT, DType, Graph, Ref
from loce_jax.models.converter.ops import OPS


def run(
    graph: Graph, params: Mapping[str, Array], images: Float[Array, "b h w 3"], names: tuple[str, ...]
) -> dict[str, Float[Array, "b gh gw c"]]:
    """Activations of normalized images at the layers `names`, in the precision of the weights."""
    images = images.astype(precision(params, images))
    if graph.any_batch:
        return evaluate(graph, params, images, names)
    one = jax.vmap(lambda image: evaluate(graph, params, image[None], names))(images)
    return {name: activations[:, 0] for name, activations in one.items()}


def evaluate(graph: Graph, params: Mapping[str, Array], images: Array, names: tuple[str, ...]) -> dict[str, Array]:
    """Evaluate the nodes that `names` need, and no others.

    Numbers that the graph makes itself, such as positions, are made in its own precision (float32) and rounded to that
    of the images where they meet the network's numbers; so a network in bfloat16 stays in bfloat16.
    """
    values: dict[int, Any] = {}

    def resolve(value: Any, keep: bool) -> Any:
        if isinstance(value, Ref):
            found = values[value.index]
            return found if keep or value.index not in graph.made else _rounded(found, images.dtype)
        if isinstance(value, tuple):
            return tuple(resolve(item, keep) for item in value)
        return jax.dtypes.canonicalize_dtype(value.name) if isinstance(value, DType) else value

    for index in graph.needed(names):
        node, keep = graph.nodes[index], index in graph.made
        if node.op == IMAGES:
            values[index] = images
        elif node.op == WEIGHT:
            values[index] = params[node.args[0]]
        else:
            kwargs = {key: resolve(value, keep) for key, value in node.kwargs.items()}
            values[index] = OPS[node.op](*(resolve(value, keep) for value in node.args), **kwargs)
    return {name: values[graph.taps[name]] for name in names}


def precision(params: Mapping[str, Array], images: Array) -> Any:
    """The floating type of the weights; without weights, that of the images."""
    return next((array.dtype for array in params.values() if _is_float(array)), images.dtype)


def _rounded(value: Any, dtype: Any) -> Any:
    return value.astype(dtype) if isinstance(value, jax.Array) and _is_float(value) else value


def _is_float(array: Array) -> bool:
    return jnp.issubdtype(array.dtype, jnp.floating)
