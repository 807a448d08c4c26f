"""Separation and retrieval of many networks over relative depth, with bands, and published values beside them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from loce_jax.analysis.bootstrap import BootstrapOptions, Estimate
from loce_jax.analysis.metrics.retrieval import precision_at
from loce_jax.analysis.metrics.retrieval_intervals import estimate_macro
from loce_jax.analysis.metrics.separation import pairwise_separation
from loce_jax.analysis.tables import Table
from loce_jax.study.options import RetrievalOptions
from loce_jax.study.published import Published
from loce_jax.study.results.step_result import StepResult
from loce_jax.study.selection.networks import NetworkLayer
from loce_jax.study.steps.depth_pictures import depth_figures


@dataclass(frozen=True, eq=False)
class LayerMeasures:
    """The measures of one layer, with what is published of it.

    Attributes:
        where: network, layer and depth.
        separation: of every two concepts; its mean, lower and upper quartile over pairs are `pairs`.
        precision: mean precision at each cut-off, with intervals over images.
        published_precision: at the same cut-offs, NaN where nothing is published.
        published_separation: of the same concepts; None where nothing is published.
    """

    where: NetworkLayer
    separation: Float[np.ndarray, "k k"]
    precision: Estimate
    published_precision: Float[np.ndarray, " q"]
    published_separation: Float[np.ndarray, "k k"] | None = None
    pairs: tuple[float, float, float] = field(init=False)

    def __post_init__(self):
        values = self.separation[np.triu_indices(len(self.separation), 1)]
        object.__setattr__(self, "pairs", (float(values.mean()), *np.percentile(values, [25, 75]).tolist()))

    @property
    def published_mean(self) -> float:
        """Mean of the published separation over the pairs that have a value; NaN if none has."""
        if self.published_separation is None:
            return np.nan
        return float(np.nanmean(self.published_separation[np.triu_indices(len(self.separation), 1)]))


def study_depth(
    layers: Sequence[NetworkLayer],
    retrieval: RetrievalOptions = RetrievalOptions(),  # noqa: B008 - frozen
    bootstrap: BootstrapOptions = BootstrapOptions(),  # noqa: B008 - frozen
    published: Published | None = None,
) -> StepResult:
    """Pairwise separation and mean precision@k of every layer, on the concepts that all of them have.

    The band of the separation holds the middle half of the pairs of concepts.  It is no interval: separation is made
    of the least and the greatest distance, which cannot be bootstrapped.  Bands of the precision are bootstrap
    intervals over images (`estimate_macro`).

    Args:
        layers: of one network or of many; see `load_networks`.
        retrieval: cut-offs, and whether LoCEs of the query's own image count.
        bootstrap: of the intervals.
        published: values that are drawn where network and layer are the same.
    """
    published = published or Published()
    measures = [_measure(layer, retrieval, bootstrap, published) for layer in layers]
    concepts = sorted(layers[0].embeddings.concepts)
    used = [_name(one) for one in measures if one.published_separation is not None]
    used_precision = [_name(one) for one in measures if np.isfinite(one.published_precision).any()]
    metrics = {
        "concepts": concepts,
        "ks": retrieval.ks,
        "layers": [_numbers(one) for one in measures],
        "published": {"source": published.source, "separation": used, "precision": used_precision},
    }
    headline = {}
    if published.precision or published.separation:
        found = dict.fromkeys([*used, *used_precision])
        headline["published values"] = ", ".join(found) or "none, no network and layer of the file is in the runs"
    tables = {"separation_depth": _separation_table(measures), "precision_depth": _precision_table(measures, retrieval)}
    data = {"precision_intervals": _intervals_table(measures, retrieval)}
    return StepResult(metrics, tables, depth_figures(measures, concepts, retrieval.ks), data, headline=headline)


def _measure(layer, retrieval, bootstrap, published):
    embeddings = layer.embeddings
    names = layer.model, layer.layer
    groups = embeddings.images if retrieval.other_images else None
    scores = precision_at(embeddings.vectors, embeddings.labels, retrieval.ks, groups=groups).precision
    separation = pairwise_separation(embeddings.vectors, embeddings.labels)
    theirs = published.precision_of(*names)
    return LayerMeasures(
        layer,
        separation.matrix,
        estimate_macro(scores, embeddings.labels, embeddings.images, bootstrap),
        np.array([theirs.get(k, np.nan) for k in retrieval.ks]),
        published.separation_of(*names, [str(concept) for concept in separation.concepts]),
    )


def _name(one):
    return f"{one.where.network}: {one.where.layer}"


def _numbers(one):
    mean, low, high = one.pairs
    return {
        "network": one.where.network,
        "layer": one.where.layer,
        "depth": one.where.depth,
        "loces": len(one.where.embeddings.rows),
        "separation": {"mean": mean, "quartiles": (low, high), "matrix": one.separation},
        "precision": {"mean": one.precision.value, "low": one.precision.low, "high": one.precision.high},
        "published": {"mean separation": one.published_mean, "precision": one.published_precision},
    }


def _separation_table(measures):
    columns = ("network", "layer", "depth", "LoCEs", "mean separation", "lower quartile", "upper quartile", "published")
    where = [(one.where.network, one.where.layer, one.where.depth, len(one.where.embeddings.rows)) for one in measures]
    rows = tuple((*each, *one.pairs, one.published_mean) for each, one in zip(where, measures, strict=True))
    return Table("Separation of every two concepts, over depth", columns, rows)


def _precision_table(measures, retrieval):
    columns = ("network", "layer", "depth", *(f"k = {k}" for k in retrieval.ks))
    rows = tuple(
        (one.where.network, one.where.layer, one.where.depth, *map(float, one.precision.value)) for one in measures
    )
    return Table("Mean precision of the k nearest, over depth", columns, rows)


def _intervals_table(measures, retrieval):
    columns = ("network", "layer", "depth", "k", "mean precision", "low", "high", "published")
    rows = tuple(
        (one.where.network, one.where.layer, one.where.depth, k, *map(float, values))
        for one in measures
        for k, *values in zip(
            retrieval.ks,
            one.precision.value,
            one.precision.low,
            one.precision.high,
            one.published_precision,
            strict=True,
        )
    )
    return Table("Mean precision of the k nearest, over depth, with bootstrap intervals over images", columns, rows)
