"""Cut a tree of embeddings into clusters.

A cut visits the nodes of the tree from the root down, left before right; below a node that is a cluster it visits none.
Clusters are numbered in the order of the visits.
Shapes: n embeddings (leaves), c channels, m = n - 1 merges, k clusters, p concepts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from loce_jax.analysis.clustering.linkage import check_height, check_link, link
from loce_jax.analysis.clustering.precluster import precluster
from loce_jax.checks import InputError, check_known, check_shape, check_types

CUTS = ("adaptive", "size", "height")


def _check_share(name, share):
    if not 0 < share <= 1:
        raise InputError(f"`{name}` must be above 0 and at most 1, as it is a share, but got {share}. Try 0.9 or 0.05.")


@dataclass(frozen=True)
class ClusteringOptions:
    """How embeddings are merged, and which nodes of the tree are clusters.

    Attributes:
        share: a node of at most this share of all embeddings is a cluster, above 0, at most 1; see `max_cluster_size`.
        purity: a node whose most common concept has at least this share of it is a cluster, above 0, at most 1.
        method: see `link`.
        metric: see `link`.
        cut: "adaptive" by `share` and `purity`, "size" by `share` alone, "height" by neither.
        height: for the cut of this name; nodes merged at most there are clusters, in the unit of the tree.
        precluster: number of clusters that `precluster` merges the embeddings into first; None for a tree of all.
    """

    share: float = 0.025
    purity: float = 0.90
    method: str = "ward"
    metric: str = "euclidean"
    cut: str = "adaptive"
    height: float = 4.0
    precluster: int | None = None

    def __post_init__(self):
        check_types(self)
        _check_share("share", self.share)
        _check_share("purity", self.purity)
        check_link(self.method, self.metric)
        check_known("cut", [self.cut], CUTS)
        if self.cut == "height":
            check_height(self.height, self.metric)
        if self.precluster is not None and self.precluster < 2:
            raise InputError(
                f"`precluster` must be at least 2, as a tree merges pairs, but got {self.precluster}. Try 5000."
            )


STRICT = ClusteringOptions(0.025, 0.90)
RELAXED = ClusteringOptions(0.05, 0.80)


@dataclass(frozen=True)
class Clusters:
    """A tree and its cut.  Its leaves are the embeddings, or the clusters of `precluster`.

    Attributes:
        labels: the cluster of each embedding, from 0.
        nodes: the tree's node that each cluster is, with its merge's row plus the leaves; below that it is a leaf.
        order: the leaves from left to right under the tree; those of a cluster are neighbors.
        tree: the linkage matrix.
        leaves: the leaf of each embedding.
    """

    labels: Int[np.ndarray, " n"]
    nodes: Int[np.ndarray, " k"]
    order: Int[np.ndarray, " leaves"]
    tree: Float[np.ndarray, "m 4"]
    leaves: Int[np.ndarray, " n"]

    @property
    def first_of_leaves(self) -> Int[np.ndarray, " leaves"]:
        """The first embedding of each leaf, which stands for it in pictures."""
        return np.unique(self.leaves, return_index=True)[1]


def max_cluster_size(share: float, n_total: int) -> int:
    """The largest node that is a cluster whatever its purity: ``max(2, int(share * n_total))``.

    The paper takes ``int(share * n_total)``, which is 0 or 1 for few embeddings and then stops at single ones only.

    >>> max_cluster_size(0.025, 180), max_cluster_size(0.025, 30)
    (4, 2)
    """
    return max(2, int(share * n_total))


def cluster(
    vectors: Float[np.ndarray, "n c"],
    labels: Sequence | np.ndarray,
    options: ClusteringOptions = STRICT,
    *,
    n_total: int | None = None,
    seed: int = 0,
) -> Clusters:
    """Clusters by `options`: `link` the raw vectors, then cut the tree.

    The adaptive cut uses `labels`, so the purity of its clusters is no evidence by itself: few clusters at high
    purity are.

    Args:
        vectors: at least two, finite.
        labels: the concept of each.
        options: `STRICT` and `RELAXED` are the paper's.
        n_total: what the share is a share of, for a sample of a larger set; the number of vectors if left out.
        seed: random seed of `precluster`.

    Source: Mikriukov et al., "Local Concept Embeddings", IJCV 2025, adaptive hierarchical clustering.

    >>> found = cluster(np.array([[0.0], [1.0], [2.0], [9.0], [8.0], [7.0]]), list("aaabbb"))
    >>> found.labels.tolist()
    [0, 0, 0, 1, 1, 1]
    """
    first = precluster(vectors, labels, options.precluster or max(1, len(vectors)), seed=seed)
    tree = link(first.centroids, method=options.method, metric=options.metric)
    if options.cut == "height":
        found = cut_height(tree, options.height)
    else:
        size = max_cluster_size(options.share, len(vectors) if n_total is None else n_total)
        found = cut_counts(tree, first.counts, size=size, purity=options.purity if options.cut == "adaptive" else None)
    return replace(found, labels=found.labels[first.labels], leaves=first.labels)


def cut_adaptive(
    tree: Float[np.ndarray, "m 4"], labels: Sequence | np.ndarray, *, size: int, purity: float
) -> Clusters:
    """Clusters are nodes of at most `size` embeddings, or whose most common label has at least the share `purity`.

    >>> cut_adaptive(link(np.array([[0.0], [1.0], [5.0], [6.0]])), list("aaab"), size=1, purity=0.9).labels.tolist()
    [0, 0, 1, 2]
    """
    labels = np.asarray(labels)
    check_shape("labels", labels, (len(tree) + 1,), meaning="one per leaf of the tree", fix="")
    concepts, codes = np.unique(labels, return_inverse=True)
    return cut_counts(tree, np.eye(len(concepts), dtype=int)[codes], size=size, purity=purity)


def cut_counts(
    tree: Float[np.ndarray, "m 4"], counts: Int[np.ndarray, "n p"], *, size: int, purity: float | None
) -> Clusters:
    """`cut_adaptive` where leaf i stands for ``counts[i, j]`` embeddings of concept j: members are counted, not leaves.

    A single leaf is a cluster however many embeddings it stands for.  Without a `purity` the cut is by size alone.
    """
    _check_size(size)
    if purity is not None:
        _check_share("purity", purity)
    check_shape("counts", counts, (len(tree) + 1, counts.shape[1]), meaning="a row per leaf of the tree", fix="")
    start, sizes, order = _layout(tree)
    before = np.vstack([np.zeros_like(counts[:1]), counts[order].cumsum(axis=0)])
    inside = before[start + sizes] - before[start]
    members = inside.sum(axis=1)
    is_pure = False if purity is None else inside.max(axis=1) >= purity * members
    return _cut(tree, (members <= size) | is_pure)


def cut_size(tree: Float[np.ndarray, "m 4"], size: int) -> Clusters:
    """Clusters are nodes of at most `size` embeddings.

    >>> cut_size(link(np.array([[0.0], [1.0], [5.0]])), 2).labels.tolist()
    [1, 1, 0]
    """
    _check_size(size)
    return _cut(tree, _layout(tree)[1] <= size)


def cut_height(tree: Float[np.ndarray, "m 4"], height: float) -> Clusters:
    """Clusters are nodes merged at most at `height`, in the unit of the tree; a single embedding is always one.

    >>> cut_height(link(np.array([[0.0], [1.0], [5.0]]), method="single"), 1.0).labels.tolist()
    [1, 1, 0]
    """
    return _cut(tree, np.concatenate([np.zeros(len(tree) + 1), tree[:, 2]]) <= height)


def _cut(tree: Float[np.ndarray, "m 4"], stops: Bool[np.ndarray, " nodes"]) -> Clusters:
    """The clusters that the nodes in `stops` make; leaves stop always."""
    n = len(tree) + 1
    start, sizes, order = _layout(tree)
    stops[:n] = True
    below = np.zeros(len(stops), bool)
    for node in range(len(stops) - 1, n - 1, -1):
        below[_children(tree, node)] = below[node] or stops[node]
    nodes = np.flatnonzero(stops & ~below)
    nodes = nodes[np.argsort(start[nodes])]
    labels = np.empty(n, int)
    labels[order] = np.repeat(np.arange(len(nodes)), sizes[nodes])
    return Clusters(labels, nodes, order, tree, np.arange(n))


def _layout(tree):
    """Position of the first leaf and number of leaves of every node, and the leaves from left to right.

    A node has a larger number than its children, so counting down visits parents first, without recursion.
    """
    n = len(tree) + 1
    sizes = np.concatenate([np.ones(n, int), tree[:, 3].astype(int)])
    start = np.zeros(2 * n - 1, int)
    for node in range(2 * n - 2, n - 1, -1):
        left, right = _children(tree, node)
        start[left], start[right] = start[node], start[node] + sizes[left]
    return start, sizes, np.argsort(start[:n])


def _children(tree, node):
    return tree[node - len(tree) - 1, :2].astype(int)


def _check_size(size):
    if size < 1:
        raise InputError(
            f"`size` must be at least 1, the size of a single embedding, but got {size}. Use `max_cluster_size`."
        )
