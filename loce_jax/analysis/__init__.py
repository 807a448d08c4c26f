"""Numbers from vectors (NumPy, SciPy, scikit-learn): pure functions, no files, no plots.

Every function takes arrays whose row i is embedding i, and returns a frozen result.  All names below are imported from
here (``from loce_jax.analysis import cluster``); their files are loaded at first use.

| question | names |
| --- | --- |
| which embeddings are near | `nearest_neighbors`, `rank_by_distance`, `interclass_distances` |
| how far apart are concepts | `pairwise_separation`, `category_separation`, `overlap_ratio`, `describe_quality` |
| how often is a concept found | `precision_at` |
| what is it confused with | `neighbor_confusion`, `centroid_confusion`, `cluster_confusion`, `component_confusion` |
| which clusters are there | `cluster`, `ClusteringOptions`, `STRICT`, `RELAXED`, `density_clusters` |
| how stable are they | `repeat_clustering` |
| what is in a cluster | `tabulate_clusters`, `strongest_channels`, `cluster_purity`, `cluster_agreement` |
| predict from clusters | `AdaptiveClusterer`, `CentroidClassifier`, `Whitener` (scikit-learn estimators) |
| one concept or several | `split_concept`, `describe_subconcepts`, `co_occurring`, `mask_attributes` |
| two-dimensional map | `embed_2d` |
| Gaussian mixtures | `fit_mixture`, `fit_mixtures`, `responsibilities`, `decision_map`, `make_grid`, `find_ellipses` |
| unusual embeddings | `find_outliers`, `find_label_errors` |
| IoU and failures | `summarize_iou`, `best_layer` |
| two layers or runs | `align_rows`, `rank_agreement`, `distance_agreement`, `linear_cka`, `neighbor_agreement` |
| which rows, which layers | `subsample`, `concatenate` |
"""

from importlib import import_module
from typing import Any

_NAMES = {
    "clustering.cluster_table": ("strongest_channels", "tabulate_clusters"),
    "clustering.cut": ("RELAXED", "STRICT", "ClusteringOptions", "cluster"),
    "clustering.density": ("density_clusters",),
    "clustering.estimators": ("AdaptiveClusterer", "CentroidClassifier", "Whitener"),
    "clustering.repeats": ("repeat_clustering",),
    "comparison.alignment": ("align_rows",),
    "comparison.cka": ("linear_cka",),
    "comparison.distance_agreement": ("distance_agreement",),
    "comparison.neighbor_agreement": ("neighbor_agreement",),
    "comparison.rank_agreement": ("rank_agreement",),
    "concatenation": ("concatenate",),
    "embedding": ("embed_2d",),
    "label_errors": ("find_label_errors",),
    "metrics.cluster_agreement": ("cluster_agreement",),
    "metrics.confusion": ("centroid_confusion", "cluster_confusion", "component_confusion", "neighbor_confusion"),
    "metrics.iou_summary": ("best_layer", "summarize_iou"),
    "metrics.overlap": ("overlap_ratio",),
    "metrics.purity": ("cluster_purity",),
    "metrics.quality": ("describe_quality",),
    "metrics.retrieval": ("precision_at", "rank_by_distance"),
    "metrics.separation": ("category_separation", "pairwise_separation"),
    "mixtures.decision": ("decision_map", "make_grid"),
    "mixtures.density": ("responsibilities",),
    "mixtures.ellipses": ("find_ellipses",),
    "mixtures.fit": ("fit_mixture", "fit_mixtures"),
    "neighbors.interclass": ("interclass_distances",),
    "neighbors.nearest": ("nearest_neighbors",),
    "outliers": ("find_outliers",),
    "sampling": ("subsample",),
    "subconcepts.attributes": ("co_occurring", "mask_attributes"),
    "subconcepts.effects": ("describe_subconcepts",),
    "subconcepts.split": ("split_concept",),
}
_FILES = {name: file for file, names in _NAMES.items() for name in names}

__all__ = sorted(_FILES)  # pyright: ignore[reportUnsupportedDunderAll] - found by `__getattr__`


def __getattr__(name: str) -> Any:
    if name not in _FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_FILES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_FILES})
