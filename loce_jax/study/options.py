"""What can be chosen at each step of a study.  Light to import: the command line reads its flags from here."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Selection:
    """Which LoCEs are looked at."""

    layers: tuple[str, ...] = ()
    """Layers, each by itself: whole names, ends of names, or globs; all if left out."""
    joined: Literal["raw", "normalized"] | None = None
    """Join the layers' vectors to multi-layer LoCEs, as they are or each scaled to length 1."""
    concepts: tuple[str, ...] = ()
    """Concepts; all if left out."""
    min_iou: float = 0.0
    """Leave LoCEs out that redraw their mask worse than this (of joined layers, at any); `stats` counts all."""
    seed: int = 0
    """Of everything random."""


@dataclass(frozen=True)
class Clustering:
    """Adaptive hierarchical clustering, as the paper's; the tree may be cut in other ways."""

    method: str = "ward"
    """SciPy's name of the linkage."""
    metric: str = "euclidean"
    """SciPy's name of the distance; "cosine" for instance."""
    cut: Literal["adaptive", "size", "height"] = "adaptive"
    """By size and purity, by size alone, or by the height of the merges."""
    preset: Literal["relaxed", "strict"] = "relaxed"
    """Share of all LoCEs below which a cluster is not divided, and its purity: 0.05 and 0.8, or 0.025 and 0.9."""
    height: float = 4.0
    """Where `cut` is "height": merges up to it stay together."""
    max_per_concept: int = 100
    """LoCEs drawn of each concept, as in the paper."""
    precluster: int | None = None
    """Merge the LoCEs drawn to at most so many means first, where a tree of all takes too much memory."""


@dataclass(frozen=True)
class ClusterOptions(Clustering):
    """Hierarchical clusters, how stable they are, and dense regions beside them."""

    repeats: int = 50
    """How often purity and number of clusters are measured, each time on other LoCEs, the same ones of all layers."""
    dense_size: int = 5
    """Least LoCEs of a dense region (HDBSCAN)."""


@dataclass(frozen=True)
class LayoutOptions:
    """A two-dimensional map."""

    neighbors: int | None = None
    """Of UMAP; 15 if left out."""


@dataclass(frozen=True)
class MixtureOptions(LayoutOptions):
    """A two-dimensional map with a Gaussian mixture of each concept."""

    components: int = 5
    """At most so many for each concept; without labels twice as many as concepts, and at most 40."""


@dataclass(frozen=True)
class MapOptions(MixtureOptions):
    """A two-dimensional map with Gaussian mixtures, of each concept and of all without labels."""

    paper: bool = False
    """As the released code: keep collapsed components; weights of a concept that lost outliers stay below 1."""


@dataclass(frozen=True)
class SeparationOptions:
    """How far apart concepts lie: separation, overlap, and separation without the influence of outliers."""

    percentile: float = 5.0
    """The robust separation compares this percentile of the distances between with its mirror of all distances."""


@dataclass(frozen=True)
class ConfusionOptions:
    """What each concept is taken for: by neighbors, by class means, in clusters, in mixture components."""

    k: int = 10
    """Neighbors."""
    other_images: bool = True
    """Do not count neighbors in the same image."""


@dataclass(frozen=True)
class RetrievalOptions:
    """Concept against context: does a LoCE find those of its concept?"""

    ks: tuple[int, ...] = (1, 5, 10, 20, 30, 40)
    """Lengths of the lists that are judged."""
    other_images: bool = False
    """Leave LoCEs of the query's own image out; the paper keeps them."""


@dataclass(frozen=True)
class OutlierOptions:
    """The strangest LoCEs of each concept."""

    method: Literal["distance", "lof", "isolation"] = "distance"
    """Mean cosine distance to the others, local outlier factor, or isolation forest."""
    shown: int = 7
    """How many of each concept."""


@dataclass(frozen=True)
class SubconceptOptions:
    """Sub-concepts: whether a concept has one group of LoCEs or several, and which attributes differ between them."""

    concept: str | None = None
    """The concept to take apart; each of them if left out."""
    by: Literal["cut", "components"] = "cut"
    """Cut the concept's tree, or take the components of its mixture on the map."""
    groups: int | None = None
    """Where to cut: into so many groups; chosen from the data if left out."""
    height: float | None = None
    """Where to cut instead: at this height of the tree (Ward), in the unit of the vectors."""
    max_per_concept: int = 400
    """LoCEs drawn of a concept that has more."""
    shown: int = 6
    """Nearest examples of each group."""


@dataclass(frozen=True)
class LabelErrorOptions:
    """LoCEs whose neighbors nearly all carry one other concept: wrong labels, wrong masks, or true confusions."""

    k: int = 10
    """Neighbors, none of them in the same image."""
    share: float = 0.9
    """Of the neighbors that must agree."""


@dataclass(frozen=True)
class QualityOptions:
    """Distances within and between concepts, silhouette, and how clusters agree with concepts."""


@dataclass(frozen=True)
class StudyOptions:
    """All steps, in their order."""

    clusters: ClusterOptions = field(default_factory=ClusterOptions)
    map: MapOptions = field(default_factory=MapOptions)
    separation: SeparationOptions = field(default_factory=SeparationOptions)
    confusion: ConfusionOptions = field(default_factory=ConfusionOptions)
    retrieval: RetrievalOptions = field(default_factory=RetrievalOptions)
    outliers: OutlierOptions = field(default_factory=OutlierOptions)
    subconcepts: SubconceptOptions = field(default_factory=SubconceptOptions)
    label_errors: LabelErrorOptions = field(default_factory=LabelErrorOptions)
    quality: QualityOptions = field(default_factory=QualityOptions)
