"""The largest clusters on photographs: the mean of their projections, and their most central LoCEs."""

import numpy as np
from jaxtyping import Int
from matplotlib.figure import Figure
from scipy.special import expit

from loce_jax.analysis.clustering.cut import Clusters
from loce_jax.plots.combined import color_projection, combine_projections
from loce_jax.plots.figures import Strip, plot_strips
from loce_jax.plots.strips import Tile
from loce_jax.study.selection.layer_analysis import LayerAnalysis

_ROWS, _EXAMPLES = 6, 6


def plot_clusters(analysis: LayerAnalysis, positions: Int[np.ndarray, " n"], clusters: Clusters) -> Figure:
    """A row for each of the largest clusters of the LoCEs at `positions`.

    The first picture is the mean projection of all members (of joined layers the mean over the layers, too), from blue
    (0) over white (one half) to red (1); its range is never stretched, so that a cluster without evidence is blue.  The
    others are the members nearest to the cluster's mean, each with its own projection.
    """
    embeddings = analysis.embeddings
    responses = [analysis.run.responses(layer) for layer in embeddings.layers]
    largest = np.argsort(-np.bincount(clusters.labels), kind="stable")[:_ROWS]
    members = {int(cluster): positions[clusters.labels == cluster] for cluster in largest}
    central = {cluster: mine[_by_centrality(embeddings.vectors[mine])][:_EXAMPLES] for cluster, mine in members.items()}
    rows = [int(embeddings.rows[position]) for mine in central.values() for position in mine]
    tiles = analysis.photos.tiles(rows, projections={row: _mean_projection(responses, [row]) for row in rows})
    strips = []
    for cluster, mine in members.items():
        mean = color_projection(_mean_projection(responses, embeddings.rows[mine]))
        examples = [
            Tile(tiles.get(int(embeddings.rows[position])), str(embeddings.labels[position]))
            for position in central[cluster]
        ]
        strips.append(Strip(f"cluster {cluster + 1}", [Tile(mean, f"mean of {len(mine)}"), *examples]))
    chosen = f", {len(members)} of {len(clusters.nodes)}" if len(members) < len(clusters.nodes) else ""
    title = f"clusters{chosen}: mean projection, and the most central LoCEs with theirs"
    return plot_strips(strips, _EXAMPLES + 1, title=title)


def _by_centrality(vectors):
    return np.linalg.norm(vectors - vectors.mean(axis=0), axis=1).argsort(kind="stable")


def _mean_projection(responses, rows):
    """Mean projection of the LoCEs in `rows`; the layers in `responses` are combined to one picture."""
    return combine_projections([expit(mine[rows].astype(np.float64)).mean(axis=0) for mine in responses])
