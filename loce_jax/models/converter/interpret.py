"""Run a converted network's graph in JAX.  Pure: fit for `jit`, `vmap`, `grad`, sharding and threads.

Shapes: b images, h x w pixels, gh x gw grid cells, c channels.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from loce_jax.models.converter.graph import IMAGES, WEIGHT, DType, Graph, Ref
from loce_jax.models.converter.ops import OPS
from loce_jax.models.edits import NO_EDITS, Edits


def run(
    graph: Graph,
    params: Mapping[str, Array],
    images: Float[Array, "b h w 3"],
    names: tuple[str, ...],
    edits: Edits = NO_EDITS,
    /,
) -> dict[str, Array]:
    """What normalized images give at `names`, in the precision of the weights; `edits` change what layers hand on."""
    images = images.astype(precision(params, images))
    if graph.any_batch:
        return evaluate(graph, params, images, names, edits)
    edits = {name: _over_the_batch(edit) for name, edit in edits.items()}
    one = jax.vmap(lambda image: evaluate(graph, params, image[None], names, edits))(images)
    return {name: activations[:, 0] for name, activations in one.items()}


def evaluate(
    graph: Graph, params: Mapping[str, Array], images: Array, names: tuple[str, ...], edits: Edits = NO_EDITS
) -> dict[str, Array]:
    """Evaluate the nodes that `names` need, and no others.

    Numbers that the graph makes itself, such as positions, are made in its own precision (float32) and rounded to that
    of the images where they meet the network's numbers; so a network in bfloat16 stays in bfloat16.
    """
    values: dict[int, Any] = {}
    arrangements = [(graph.arrangement(name), edit) for name, edit in edits.items()]

    def compute(index: int) -> Any:
        node, keep = graph.nodes[index], index in graph.made
        if node.op == IMAGES:
            return images
        if node.op == WEIGHT:
            return params[node.args[0]]
        kwargs = {key: resolve(value, keep) for key, value in node.kwargs.items()}
        return OPS[node.op](*(resolve(value, keep) for value in node.args), **kwargs)

    def resolve(value: Any, keep: bool) -> Any:
        if isinstance(value, Ref):
            found = values[value.index]
            return found if keep or value.index not in graph.made else _rounded(found, images.dtype)
        if isinstance(value, tuple):
            return tuple(resolve(item, keep) for item in value)
        return jax.dtypes.canonicalize_dtype(value.name) if isinstance(value, DType) else value

    def arrange(value: Any, nodes: Sequence[int]) -> Any:
        for before, index in pairwise(nodes):
            values[before] = value
            value = compute(index)
        return value

    for index in graph.needed(names):
        values[index] = compute(index)
        for nodes, edit in arrangements:
            if nodes[0] == index:
                values[index] = _edited(values[index], lambda value, nodes=nodes: arrange(value, nodes), edit)
    return {name: values[graph.taps[name]] for name in names}


def _edited(value: Array, arrange: Callable[[Array], Array], edit: Callable[[Array], Array]) -> Array:
    """`value` with its map edited; `arrange` takes the map out of it, by moving and leaving out numbers."""
    changed = edit(arrange(value))
    put_back = jax.linear_transpose(arrange, value)
    (is_map,), (numbers,) = put_back(jnp.ones_like(changed)), put_back(changed)
    return jnp.where(is_map > 0, numbers, value)


def _over_the_batch(edit: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """`edit` for a single image's map inside `vmap`, which there sees the maps of all images at once."""

    @jax.custom_batching.custom_vmap
    def one(activations):
        return edit(activations)

    @one.def_vmap
    def all_at_once(size, batched, activations):
        maps = activations[:, 0] if batched[0] else jnp.repeat(activations, size, axis=0)
        return edit(maps)[:, None], True

    return one


def precision(params: Mapping[str, Array], images: Array) -> Any:
    """The floating type of the weights; without weights, that of the images."""
    return next((array.dtype for array in params.values() if _is_float(array)), images.dtype)


def _rounded(value: Any, dtype: Any) -> Any:
    return value.astype(dtype) if isinstance(value, jax.Array) and _is_float(value) else value


def _is_float(array: Array) -> bool:
    return jnp.issubdtype(array.dtype, jnp.floating)
