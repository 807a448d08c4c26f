"""What the largest clusters look at: the mean of their projections, and their most central LoCEs on photographs."""

import numpy as np
from jaxtyping import Int
from matplotlib.figure import Figure
from scipy.special import expit

from loce_jax.analysis.clustering.cut import Clusters
from loce_jax.plots.combined import color_projection, combine_projections
from loce_jax.plots.strips import Tile, draw_strip
from loce_jax.study.selection.layer_analysis import LayerAnalysis

_ROWS, _EXAMPLES = 6, 6


def draw_members(analysis: LayerAnalysis, places: Int[np.ndarray, " n"], clusters: Clusters) -> Figure:
    """A row for each of the largest clusters of the LoCEs at `places` of the embeddings.

    Left stands the mean projection of all members, of joined layers that of all layers, from blue (0) over white (one
    half) to red (1), never stretched: a cluster without evidence is blue.  Beside it stand the members nearest to the
    cluster's mean, each with its own projection.
    """
    embeddings = analysis.embeddings
    responses = [analysis.run.responses(layer) for layer in embeddings.layers]
    largest = np.argsort(-np.bincount(clusters.labels), kind="stable")[:_ROWS]
    members = {int(cluster): places[clusters.labels == cluster] for cluster in largest}
    central = {cluster: mine[_by_centrality(embeddings.vectors[mine])][:_EXAMPLES] for cluster, mine in members.items()}
    rows = [int(embeddings.rows[place]) for mine in central.values() for place in mine]
    tiles = analysis.photos.tiles(rows, projections={row: _mean_projection(responses, [row]) for row in rows})
    figure = Figure(figsize=(1.35 * (_EXAMPLES + 1) + 0.6, 1.6 * len(members) + 0.3), layout="constrained")
    grid = figure.subplots(len(members), _EXAMPLES + 1, squeeze=False)
    for axes, (cluster, mine) in zip(grid, members.items(), strict=True):
        mean = color_projection(_mean_projection(responses, embeddings.rows[mine]))
        examples = [
            Tile(tiles.get(int(embeddings.rows[place])), str(embeddings.labels[place])) for place in central[cluster]
        ]
        draw_strip(list(axes), [Tile(mean, f"mean of {len(mine)}"), *examples], title=f"cluster {cluster + 1}")
    chosen = f", {len(members)} of {len(clusters.nodes)}" if len(members) < len(clusters.nodes) else ""
    figure.suptitle(f"clusters{chosen}: mean projection, and the most central LoCEs with theirs", fontsize=10)
    return figure


def _by_centrality(vectors):
    return np.linalg.norm(vectors - vectors.mean(axis=0), axis=1).argsort(kind="stable")


def _mean_projection(responses, rows):
    """Of the LoCEs in some rows, over the layers that `responses` are of."""
    return combine_projections([expit(mine[rows].astype(np.float64)).mean(axis=0) for mine in responses])
