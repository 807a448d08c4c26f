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
    """The network whose layers and outputs `graph` computes with `tensors`; raises `InputError` where it cannot."""
    _check_shapes(graph, tensors)
    params = {name: jnp.asarray(array) for name, array in tensors.items()}
    return Network(
        name=graph.name,
        fingerprint=folders.fingerprint(graph, tensors),
        preprocess=graph.preprocess,
        params=params,
        forward=ft.partial(run, graph),
        all_layers=graph.layers,
        outputs=graph.outputs,
        dead_ends=graph.dead_ends(),
        dtype=precision(params, jnp.zeros(())).name,
    )


def _check_shapes(graph: Graph, tensors: Mapping[str, np.ndarray]) -> None:
    """Evaluate the graph once, on shapes only: every layer and output must have the shape of its table."""
    params = {name: jax.ShapeDtypeStruct(array.shape, array.dtype) for name, array in tensors.items()}
    images = jax.ShapeDtypeStruct((2, *graph.preprocess.size, 3), jnp.float32)
    layers = {layer.name: (*layer.grid, layer.channels) for layer in graph.layers}
    outputs = {output.name: output.shape for output in graph.outputs}
    names = (*layers, *outputs)
    try:
        found = jax.eval_shape(lambda params, images: run(graph, params, images, names), params, images)
    except Exception as error:  # whatever JAX says to operations that do not fit together
        raise InputError(
            f"the graph of network {graph.name[:100]!r} cannot be computed: {one_line(error)}. Convert it again."
        ) from error
    for kind, table in (("layer", layers), ("output", outputs)):
        for name, one in table.items():
            expected, shape = (2, *one), found[name].shape
            if shape != expected:
                raise InputError(
                    f"{kind} {name!r} of network {graph.name!r} must have shape {expected}, as its table says, but "
                    f"has {shape}. Convert the network again."
                )
