"""Options of every step of a study.  The module is light to import: the command line reads its flags from here."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Selection:
    """Which LoCEs are analyzed."""

    layers: tuple[str, ...] = ()
    """Names of the layers, each analyzed by itself; globs work; all if left out."""
    joined: Literal["raw", "normalized"] | None = None
    """Join the layers' vectors to multi-layer LoCEs, as they are or each scaled to length 1."""
    concepts: tuple[str, ...] = ()
    """Names of the concepts; all if left out."""
    min_iou: float = 0.0
    """Minimum IoU of the LoCEs, 0 to 1 (of joined layers, at each of them); `stats` counts all."""
    seed: int = 0
    """Random seed."""


@dataclass(frozen=True)
class Clustering:
    """Adaptive hierarchical clustering, as the paper's; the tree may be cut in other ways."""

    method: str = "ward"
    """Linkage, by SciPy's name."""
    metric: str = "euclidean"
    """Distance, by SciPy's name; "cosine" for instance."""
    cut: Literal["adaptive", "size", "height"] = "adaptive"
    """Where the tree is cut: by size and purity, by size alone, or by the height of the merges."""
    preset: Literal["relaxed", "strict"] = "relaxed"
    """Share of all LoCEs below which a cluster is not divided, and its purity: 0.05 and 0.8, or 0.025 and 0.9."""
    height: float = 4.0
    """Greatest height of a merge inside a cluster, where `cut` is "height"."""
    max_per_concept: int = 100
    """Maximum number of LoCEs drawn of each concept; the paper's is the default."""
    precluster: int | None = None
    """Maximum number of means that the drawn LoCEs are merged to first, where a tree of all takes too much memory."""


@dataclass(frozen=True)
class ClusterOptions(Clustering):
    """Hierarchical clusters, their stability over random draws, and dense regions."""

    repeats: int = 50
    """Number of random draws that purity and number of clusters are averaged over; all layers share the draws."""
    dense_size: int = 5
    """Minimum number of LoCEs of a dense region (HDBSCAN)."""


@dataclass(frozen=True)
class LayoutOptions:
    """Two-dimensional map (UMAP)."""

    neighbors: int | None = None
    """Number of neighbors in UMAP; 15 if left out."""


@dataclass(frozen=True)
class MixtureOptions(LayoutOptions):
    """Two-dimensional map (UMAP) with a Gaussian mixture of each concept."""

    components: int = 5
    """Maximum number of components for each concept; without labels it is twice the number of concepts, at most 40."""


@dataclass(frozen=True)
class MapOptions(MixtureOptions):
    """Two-dimensional map (UMAP) with Gaussian mixtures, of each concept and of all LoCEs without labels."""

    paper: bool = False
    """Fit as the released code does: keep collapsed components; do not rescale weights when outliers are dropped."""


@dataclass(frozen=True)
class SeparationOptions:
    """How far apart concepts lie: separation, overlap, and separation without the influence of outliers."""

    percentile: float = 5.0
    """Percentile of the distances between concepts that the robust separation takes in place of the minimum."""


@dataclass(frozen=True)
class ConfusionOptions:
    """Confusion matrices of the concepts: by neighbors, by class means, in clusters, in mixture components."""

    k: int = 10
    """Number of neighbors."""
    other_images: bool = True
    """Leave neighbors in the same image out."""


@dataclass(frozen=True)
class RetrievalOptions:
    """Retrieval: the share of LoCEs of the same concept among the nearest ones."""

    ks: tuple[int, ...] = (1, 5, 10, 20, 30, 40)
    """Numbers of nearest LoCEs that precision is measured at."""
    other_images: bool = False
    """Leave LoCEs of the query's own image out; the paper keeps them."""


@dataclass(frozen=True)
class OutlierOptions:
    """Outliers: the most abnormal LoCEs of each concept."""

    method: Literal["distance", "lof", "isolation"] = "distance"
    """Outlier score: mean cosine distance to the others, local outlier factor, or isolation forest."""
    shown: int = 7
    """Number of LoCEs that are listed and shown for each concept."""


@dataclass(frozen=True)
class SubconceptOptions:
    """Sub-concepts: whether a concept has one group of LoCEs or several, and which attributes differ between them."""

    concept: str | None = None
    """Concept that is split; each of them if left out."""
    by: Literal["cut", "components"] = "cut"
    """Kind of groups: parts of the concept's tree, or components of its mixture on the map."""
    groups: int | None = None
    """Number of groups that the tree is cut into; chosen from the data if left out."""
    height: float | None = None
    """Height at which the tree (Ward) is cut instead, in the unit of the vectors."""
    max_per_concept: int = 400
    """Maximum number of LoCEs drawn of each concept."""
    shown: int = 6
    """Number of central examples that are shown of each group."""


@dataclass(frozen=True)
class LabelErrorOptions:
    """Likely label errors: LoCEs whose neighbors nearly all carry one other concept."""

    k: int = 10
    """Number of neighbors, none of them in the same image."""
    share: float = 0.9
    """Minimum share of the neighbors that must agree, 0 to 1."""


@dataclass(frozen=True)
class QualityOptions:
    """Cluster quality: distances within and between concepts, silhouette, agreement of clusters with concepts."""


@dataclass(frozen=True)
class StudyOptions:
    """Options of all steps."""

    clusters: ClusterOptions = field(default_factory=ClusterOptions)
    map: MapOptions = field(default_factory=MapOptions)
    separation: SeparationOptions = field(default_factory=SeparationOptions)
    confusion: ConfusionOptions = field(default_factory=ConfusionOptions)
    retrieval: RetrievalOptions = field(default_factory=RetrievalOptions)
    outliers: OutlierOptions = field(default_factory=OutlierOptions)
    subconcepts: SubconceptOptions = field(default_factory=SubconceptOptions)
    label_errors: LabelErrorOptions = field(default_factory=LabelErrorOptions)
    quality: QualityOptions = field(default_factory=QualityOptions)
