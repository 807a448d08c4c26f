"""A converted network as a `Network`: from its graph and its weights, in memory or from a folder.

Neither needs PyTorch.
"""

import functools as ft
from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from loce_jax.checks import InputError, one_line
from loce_jax.models.base import Network
from loce_jax.models.converter import folder as folders
from loce_jax.models.converter.graph import Graph
from loce_jax.models.converter.interpret import precision, run


def load_converted(folder: str | Path) -> Network:
    """The network that `convert` wrote to `folder`."""
    return to_network(*folders.read(folder))


def to_network(graph: Graph, tensors: Mapping[str, np.ndarray]) -> Network:
    """The network whose layers `graph` computes with `tensors`; raises `InputError` where it cannot."""
    _check_layers(graph, tensors)
    params = {name: jnp.asarray(array) for name, array in tensors.items()}
    return Network(
        name=graph.name,
        fingerprint=folders.fingerprint(graph, tensors),
        preprocess=graph.preprocess,
        params=params,
        forward=ft.partial(run, graph),
        all_layers=graph.layers,
        dtype=precision(params, jnp.zeros(())).name,
    )


def _check_layers(graph: Graph, tensors: Mapping[str, np.ndarray]) -> None:
    """Evaluate the graph once, on shapes only: every layer must have the shape of the table."""
    params = {name: jax.ShapeDtypeStruct(array.shape, array.dtype) for name, array in tensors.items()}
    images = jax.ShapeDtypeStruct((2, *graph.preprocess.size, 3), jnp.float32)
    names = tuple(layer.name for layer in graph.layers)
    try:
        found = jax.eval_shape(lambda params, images: run(graph, params, images, names), params, images)
    except Exception as error:  # whatever JAX says to operations that do not fit together
        raise InputError(
            f"the graph of network {graph.name[:100]!r} cannot be computed: {one_line(error)}. Convert it again."
        ) from error
    for layer in graph.layers:
        expected, shape = (2, *layer.grid, layer.channels), found[layer.name].shape
        if shape != expected:
            raise InputError(
                f"layer {layer.name!r} of network {graph.name!r} must have shape {expected}, as its table says, but "
                f"has {shape}. Convert the network again."
            )
