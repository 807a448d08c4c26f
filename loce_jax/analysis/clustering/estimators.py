"""The clusterings as estimators of scikit-learn: fit, then predict or transform, in its pipelines and searches.

scikit-learn is imported with this file, so nothing else imports it.  As there, capital `X` is the vectors [n, c], `y`
the concept of each, and what `fit` finds ends in an underscore.
Shapes: n embeddings, c channels, k clusters, p concepts.
"""

from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import cdist
from sklearn.base import BaseEstimator, ClassifierMixin, OneToOneFeatureMixin, TransformerMixin, clone
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from loce_jax.analysis.clustering.cluster_table import normalize, tabulate_clusters
from loce_jax.analysis.clustering.cut import ClusteringOptions, cluster
from loce_jax.analysis.neighbors.nearest import METRICS
from loce_jax.analysis.paper_forms import paper_queries
from loce_jax.checks import InputError, check_known

_validate: Any = validate_data  # returns an array or a pair of them, which its lack of annotations does not say


class AdaptiveClusterer(BaseEstimator):
    """`cluster` as an estimator.  It needs `y`, since the cut uses the concepts.

    Args:
        share: see `ClusteringOptions`.
        purity: see `ClusteringOptions`.
        method: see `link`.
        metric: see `link`.
        n_total: see `cluster`; for training rows that are a sample.
        precluster: see `ClusteringOptions`.

    Attributes:
        clusters_: the `Clusters`.
        labels_: the cluster of each row of `X`.

    >>> AdaptiveClusterer().fit([[0.0], [1.0], [8.0], [9.0]], ["cat", "cat", "dog", "dog"]).labels_.tolist()
    [0, 0, 1, 1]
    """

    def __init__(self, share=0.025, purity=0.90, method="ward", metric="euclidean", n_total=None, precluster=None):
        self.share, self.purity, self.method, self.metric = share, purity, method, metric
        self.n_total, self.precluster = n_total, precluster

    def fit(self, X, y):
        """Find the clusters of at least two vectors."""
        X, y = _validate(self, X, y, dtype=np.float64, ensure_min_samples=2)
        options = ClusteringOptions(self.share, self.purity, self.method, self.metric, precluster=self.precluster)
        self.clusters_ = cluster(X, y, options, n_total=self.n_total)
        self.labels_ = self.clusters_.labels
        return self

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


class CentroidClassifier(ClassifierMixin, BaseEstimator):
    """The concepts of the nearest cluster: its shares of concepts are the probabilities of a new vector.

    A centroid is the mean of its members scaled to length 1,
    layer by layer, and the query is scaled in the same way.
    Where the metric is undefined (a query of zeros by "cosine"), the concepts' shares of all training rows are given.

    Args:
        clusterer: an estimator that leaves `labels_` (below 0: noise, left out); `AdaptiveClusterer()` if left out.
        metric: between query and centroid, "euclidean" or "cosine".
        widths: channels of the layers that the vectors are concatenations of; one layer if left out.
        paper: leave queries as they are, see `loce_jax.analysis.paper_forms.paper_queries`.

    Attributes:
        classes_: the concepts, ascending.
        table_: the `ClusterTable`.

    >>> model = CentroidClassifier().fit([[0.0, 1.0], [0.0, 2.0], [1.0, 0.0], [5.0, 0.0]], ["cat", "cat", "dog", "dog"])
    >>> model.predict([[0.1, 9.0], [9.0, 0.1]]).tolist()
    ['cat', 'dog']
    """

    def __init__(self, clusterer=None, metric="euclidean", widths=None, paper=False):
        self.clusterer, self.metric, self.widths, self.paper = clusterer, metric, widths, paper

    def fit(self, X, y):
        """Cluster the vectors and note each cluster's concepts and centroid."""
        X, y = _validate(self, X, y, dtype=np.float64, ensure_min_samples=2)
        check_classification_targets(y)
        check_known("metric", [self.metric], METRICS)
        clusterer: Any = clone(AdaptiveClusterer() if self.clusterer is None else self.clusterer)
        self.table_ = tabulate_clusters(X, y, clusterer.fit(X, y).labels_, widths=self.widths)
        self.classes_, counts = np.unique(y, return_counts=True)
        self._shares = counts / len(y)
        return self

    def predict_proba(self, X) -> Float[np.ndarray, "n p"]:
        """Shares of the concepts in the nearest cluster; columns follow `classes_`, rows sum to 1."""
        check_is_fitted(self)
        X = _validate(self, X, dtype=np.float64, reset=False)
        queries = paper_queries(X) if self.paper else normalize(X, widths=self.widths)
        centroids = self.table_.normalized
        distances = cdist(queries, centroids) if self.metric == "euclidean" else cdist(queries, centroids, "cosine")
        distances[np.isnan(distances)] = np.inf
        found, rows = np.tile(self._shares, (len(X), 1)), np.isfinite(distances).any(axis=1)
        if rows.any():
            found[rows] = self.table_.probabilities[distances[rows].argmin(axis=1)]
        return found

    def predict(self, X):
        """The most common concept of the nearest cluster, the first in `classes_` of equals."""
        shares = self.predict_proba(X)  # first, as it checks that `fit` came before
        return self.classes_[shares.argmax(axis=1)]


class Whitener(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Equalize the variances of all directions, so that channels of large variance do not dominate the distances.

        x -> C^(-power / 2) (x - mean),   C = (1 - shrinkage) S + shrinkage * trace(S) / c * I,

    with S the covariance (divided by n - 1).  Power 1 makes the covariance of the training vectors the identity
    (if shrinkage is 0), 0.5 goes half of the way and 0 only centers.  The root is symmetric (Mahalanobis or "ZCA"
    whitening): of all whitenings it moves the vectors least.  Directions in which C is 0, up to rounding, are mapped
    to 0, whatever the power.

    Args:
        power: 0 to 1.
        shrinkage: 0 to 1; with fewer vectors than channels, something above 0 keeps directions that the training
            vectors do not show.

    Attributes:
        mean_: [c].
        variances_: of C, ascending [c]; 0 where it was dropped.
        directions_: the columns are C's eigenvectors [c, c].

    Source: Kessy, Lewin & Strimmer, "Optimal whitening and decorrelation", The American Statistician 72, 2018.

    >>> X = [[1.0, 0.0], [-1.0, 0.0], [0.0, 10.0], [0.0, -10.0]]
    >>> np.cov(Whitener(power=1.0).fit_transform(X), rowvar=False).round(12).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """

    def __init__(self, power=0.5, shrinkage=0.0):
        self.power, self.shrinkage = power, shrinkage

    def fit(self, X, y=None):  # noqa: ARG002 - scikit-learn's signature
        """Measure mean and covariance of at least two vectors."""
        for name, value in (("power", self.power), ("shrinkage", self.shrinkage)):
            if not 0 <= value <= 1:
                raise InputError(f"`{name}` must be from 0 (nothing) to 1 (all of it), but got {value}. Try 0.5.")
        X = _validate(self, X, dtype=np.float64, ensure_min_samples=2)
        self.mean_ = X.mean(axis=0)
        centered = X - self.mean_
        c = X.shape[1]
        covariance = (1 - self.shrinkage) * (centered.T @ centered) / (len(X) - 1)
        covariance += self.shrinkage * (centered**2).sum() / (len(X) - 1) / c * np.eye(c)
        variances, self.directions_ = np.linalg.eigh(covariance)
        self.variances_ = np.where(variances > c * np.finfo(float).eps * variances[-1], variances, 0)
        return self

    def transform(self, X) -> Float[np.ndarray, "n c"]:
        """Whiten."""
        check_is_fitted(self)
        return (_validate(self, X, dtype=np.float64, reset=False) - self.mean_) @ self._root(-self.power / 2)

    def inverse_transform(self, X) -> Float[np.ndarray, "n c"]:
        """Undo `transform`, but for what lay in dropped directions."""
        check_is_fitted(self)
        return _validate(self, X, dtype=np.float64, reset=False) @ self._root(self.power / 2) + self.mean_

    def _root(self, exponent):
        scales = np.power(self.variances_, exponent, where=self.variances_ > 0, out=np.zeros_like(self.variances_))
        return (self.directions_ * scales) @ self.directions_.T
