"""Runs of many networks side by side: those of one network and recipe pooled, each layer at its relative depth."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from loce_jax.checks import InputError
from loce_jax.store import Run
from loce_jax.study.options import Selection
from loce_jax.study.selection.embeddings import Embeddings, find_layers_of_all, load_views
from loce_jax.study.selection.pool import PooledRun
from loce_jax.study.selection.poolable import space_of


@dataclass(frozen=True, eq=False)
class NetworkLayer:
    """The LoCEs of one layer of one network.

    Attributes:
        network: what the network is called here.
        model: what its runs call it, such as ``paper:vit``.
        depth: relative depth, 0 for the network's first layer to 1 for its last.
        embeddings: the LoCEs, of all of its runs.
    """

    network: str
    model: str
    depth: float
    embeddings: Embeddings

    @property
    def layer(self) -> str:
        """The layer's name."""
        return self.embeddings.name


def pool_by_network(runs: Mapping[str, Run], *, apart: bool = False) -> dict[str, PooledRun]:
    """Runs of one network and recipe as one run each, by the network's name.

    Where networks of one name differ, by recipe for instance, the labels of their runs are added.

    Args:
        runs: by label.
        apart: see `PooledRun`.
    """
    groups: dict[str, dict[str, Run]] = {}
    for label, run in runs.items():
        groups.setdefault(repr(space_of(run)), {})[label] = run
    pools = [PooledRun(group, apart) for group in groups.values()]
    names = [pool.plan["model"]["name"].rstrip("/").rpartition("/")[2] for pool in pools]
    names = [
        f"{name} ({' + '.join(pool.runs)})" if names.count(name) > 1 else name
        for name, pool in zip(names, pools, strict=True)
    ]
    return dict(zip(names, pools, strict=True))


def order_as_depth(layers: tuple[str, ...]) -> dict[str, float]:
    """Layers at equal steps from 0 to 1, where nothing is known but their order.

    >>> order_as_depth(("early", "middle", "late"))
    {'early': 0.0, 'middle': 0.5, 'late': 1.0}
    """
    steps = np.linspace(0, 1, len(layers)).tolist() if len(layers) > 1 else [1.0]
    return dict(zip(layers, steps, strict=True))


def load_networks(
    pools: Mapping[str, PooledRun], depths: Mapping[str, Mapping[str, float]], selection: Selection
) -> list[NetworkLayer]:
    """Every selected layer of every network, from the first to the last, with the concepts that all of them have.

    Args:
        pools: of `pool_by_network`.
        depths: relative depths of the layers, by network.
        selection: which layers (each in one network at least), concepts and LoCEs.

    Raises:
        InputError: layers are to be joined; fewer than two concepts are in all layers.
    """
    if selection.joined:
        raise InputError("`joined` has no relative depth, since it is of several layers at once. Leave it out.")
    chosen = find_layers_of_all(pools, selection.layers)
    every = [
        NetworkLayer(name, pool.plan["model"]["name"], depths[name][view.name], view)
        for name, pool in pools.items()
        for view in load_views(pool, sorted(chosen[name], key=depths[name].__getitem__), selection)
    ]
    common = [
        concept for concept in every[0].embeddings.concepts if all(concept in one.embeddings.concepts for one in every)
    ]
    if len(common) < 2:
        theirs = "; ".join(f"{one.network} {one.layer}: {', '.join(one.embeddings.concepts[:8])}" for one in every[:4])
        raise InputError(
            f"`runs` must have two concepts in common, which their networks are compared on, but got {theirs}. Fit "
            "every network on the same data, or choose others."
        )
    return [
        NetworkLayer(one.network, one.model, one.depth, one.embeddings.take(_positions(one.embeddings, common)))
        for one in every
    ]


def _positions(embeddings, concepts):
    return np.flatnonzero(np.isin(embeddings.labels, np.array(concepts)))
