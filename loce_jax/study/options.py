"""Options of every step of a study.  The module is light to import: the command line reads its flags from here."""

from dataclasses import dataclass, field
from typing import Literal

from loce_jax.checks import CheckedOptions


@dataclass(frozen=True)
class Selection(CheckedOptions):
    """Which LoCEs are analyzed."""

    layers: tuple[str, ...] = ()
    """Names of the layers, each analyzed by itself; globs work; all if left out."""
    joined: Literal["raw", "normalized"] | None = None
    """Multi-layer LoCEs: the layers' vectors are concatenated, as they are or each scaled to length 1."""
    concepts: tuple[str, ...] = ()
    """Names of the concepts; all if left out."""
    min_iou: float = 0.0
    """Minimum IoU, 0 to 1, of the LoCEs that are analyzed (at each of joined layers); `stats` counts all."""
    seed: int = 0
    """Random seed."""


@dataclass(frozen=True)
class Clustering(CheckedOptions):
    """Adaptive hierarchical clustering, as the paper's; the tree may be cut in other ways."""

    method: str = "ward"
    """Linkage, by SciPy's name."""
    metric: str = "euclidean"
    """Distance, by SciPy's name; "cosine" for instance."""
    cut: Literal["adaptive", "size", "height"] = "adaptive"
    """Rule by which the tree is cut: by size and purity, by size alone, or by the height of the merges."""
    preset: Literal["relaxed", "strict"] = "relaxed"
    """Size, as a share of all LoCEs, and purity at which a cluster is not split further: 0.05, 0.8 or 0.025, 0.9."""
    height: float = 4.0
    """Maximum height of a merge within a cluster, where `cut` is "height"."""
    max_per_concept: int = 100
    """Maximum number of LoCEs drawn of each concept; the paper's is the default."""
    precluster: int | None = None
    """Maximum number of means that the drawn LoCEs are first reduced to, where a tree of all needs too much memory."""


@dataclass(frozen=True)
class ClusterOptions(Clustering):
    """Hierarchical clusters, their stability over random draws, and dense regions."""

    repeats: int = 50
    """Number of random draws that purity and number of clusters are averaged over; all layers share the draws."""
    dense_size: int = 5
    """Minimum number of LoCEs of a dense region (HDBSCAN)."""


@dataclass(frozen=True)
class LayoutOptions(CheckedOptions):
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
    """The released code's fit: collapsed components are kept, weights are not rescaled when outliers are dropped."""


@dataclass(frozen=True)
class SeparationOptions(CheckedOptions):
    """How far apart concepts lie: separation, overlap, and separation without the influence of outliers."""

    percentile: float = 5.0
    """Percentile of the distances between concepts that the robust separation takes in place of the minimum."""


@dataclass(frozen=True)
class ConfusionOptions(CheckedOptions):
    """Confusion matrices of the concepts: by neighbors, by class means, in clusters, in mixture components."""

    k: int = 10
    """Number of neighbors."""
    other_images: bool = True
    """Only neighbors in other images count."""


@dataclass(frozen=True)
class RetrievalOptions(CheckedOptions):
    """Retrieval: the share of LoCEs of the same concept among the nearest ones."""

    ks: tuple[int, ...] = (1, 5, 10, 20, 30, 40)
    """Numbers of nearest LoCEs that precision is measured at."""
    other_images: bool = False
    """Only LoCEs in other images than the query's count; in the paper all do."""


@dataclass(frozen=True)
class OutlierOptions(CheckedOptions):
    """Outliers: the LoCEs of each concept with the highest outlier scores."""

    method: Literal["distance", "lof", "isolation"] = "distance"
    """Outlier score: mean cosine distance to the others, local outlier factor, or isolation forest."""
    shown: int = 7
    """Number of LoCEs that are listed and drawn for each concept."""


@dataclass(frozen=True)
class SubconceptOptions(CheckedOptions):
    """Sub-concepts: clusters of a concept's LoCEs, if it has several, and the attributes that differ between them."""

    concept: str | None = None
    """Name of the concept that is split; each concept if left out."""
    by: Literal["cut", "components"] = "cut"
    """Kind of sub-concepts: clusters of the concept's tree, or components of its mixture on the map."""
    n_clusters: int | None = None
    """Number of clusters that the tree is cut into; chosen from the data if left out."""
    height: float | None = None
    """Height at which the tree (Ward) is cut instead, in the unit of the vectors."""
    max_per_concept: int = 400
    """Maximum number of LoCEs drawn of each concept."""
    shown: int = 6
    """Number of central examples that are drawn of each sub-concept."""


@dataclass(frozen=True)
class LabelErrorOptions(CheckedOptions):
    """Likely label errors: LoCEs whose neighbors nearly all carry one other concept."""

    k: int = 10
    """Number of neighbors, none of them in the same image."""
    share: float = 0.9
    """Minimum share, 0 to 1, of the neighbors that carry the other concept."""


@dataclass(frozen=True)
class QualityOptions(CheckedOptions):
    """Cluster quality: distances within and between concepts, silhouette, agreement of clusters with concepts."""


@dataclass(frozen=True)
class StudyOptions(CheckedOptions):
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
