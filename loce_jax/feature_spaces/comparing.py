"""Layers of one network or of several, compared by what their concept vectors say on the same held-out images.

Shapes: n held-out images, k concepts, h x w cells of maps, l layers, b resamples.
"""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from loce_jax.analysis.bootstrap import BootstrapOptions
from loce_jax.analysis.short_names import short_names
from loce_jax.analysis.tables import Table
from loce_jax.checks import InputError
from loce_jax.concepts.comparison.depth_profiles import Readout, ReadoutOptions, same_concepts, similar_depth
from loce_jax.concepts.comparison.feature_similarity import feature_similarity
from loce_jax.concepts.comparison.references import shuffled_similarity
from loce_jax.concepts.comparison.similarity import ConceptSimilarity, Measure, concept_similarity, mean_of_pairs
from loce_jax.feature_spaces.layer_space import Space, best_row, networks_of
from loce_jax.feature_spaces.options import resampled
from loce_jax.feature_spaces.reference_levels import MEASURE, reference_levels
from loce_jax.plots.figures import NamedMatrix, plot_matrices
from loce_jax.study.results.figures import Figures
from loce_jax.study.results.step_result import StepResult

BY_MEASURE: Mapping[str, Measure] = {
    "set IoU of the maps": "set_iou",
    "image IoU of the maps": "image_iou",
    "Pearson of the maps": "pearson",
}
ARRAYS = (*BY_MEASURE.values(), "cka", "rsa")  # names of the matrices in the .npz file
CLAIM_COLUMNS = ("claim", "of", "there", "elsewhere", "difference", "low", "high", "p", "verdict")


def study_spaces(
    spaces: Sequence[Space], concepts: Sequence[str], groups: Sequence[str], *, seed: int = 0, draws: int = 100
) -> StepResult:
    """Matrices of similarity, linear CKA and RSA beside it, reference levels, and what becomes of two claims.

    The claims are those of "Revealing Similar Semantics Inside CNNs" (arXiv 2305.07663, abstract): similar concepts are
    at similar relative depth, within a network and between two; and networks have similar concepts whatever their
    architecture.  The second is tested at each network's layer of the highest set IoU with the truth.

    Args:
        spaces: layers of one network or of several, all on the same images.
        concepts: names of the k concepts.
        groups: of each image; intervals and shuffles go over them, where there are at least 5, else over images.
        seed: of everything random.
        draws: shuffles of the images for the chance level.

    Raises:
        InputError: fewer than two spaces.
    """
    check_several(len(spaces))
    units = resampled(groups)
    options = BootstrapOptions(seed=seed)
    pairs = {
        (i, j): concept_similarity(spaces[i].maps, spaces[j].maps, groups=units.units, options=options)
        for i, j in itertools.combinations_with_replacement(range(len(spaces)), 2)
    }
    matrices = {title: _matrix(pairs, len(spaces), measure) for title, measure in BY_MEASURE.items()}
    features = feature_similarity([space.activations for space in spaces], seed=seed)
    matrices |= {"linear CKA of the layers": features.cka, "RSA of the layers": features.rsa}
    claims = list(_claims(spaces, pairs, units.units, seed, draws))
    levels = reference_levels(spaces, units.units, seed=seed, draws=draws)
    names = [space.name for space in spaces]
    return StepResult(
        metrics={
            "spaces": names,
            "concepts": list(concepts),
            "images": len(groups),
            "intervals over": units.words,
            "matrices": matrices,
            "claims": [dict(zip(CLAIM_COLUMNS, row, strict=True)) for row in claims],
            "levels": [dict(zip(levels.columns, row, strict=True)) for row in levels.rows],
        },
        tables={
            "spaces": _truth_table(spaces, concepts),
            "levels": levels,
            "claims": Table(f"Claims, intervals over {units.words}", CLAIM_COLUMNS, tuple(claims)),
        },
        figures=Figures({"similarity": lambda: plot_matrices(_named(spaces, matrices))}),
        data={"pairs": _pairs_table(names, concepts, pairs), "layers": _layers_table(names, matrices)},
        arrays={"spaces": _arrays(spaces, concepts, matrices)},
    )


def check_several(count: int) -> None:
    """Raise `InputError` unless there are two spaces."""
    if count < 2:
        raise InputError(f"`layers` must be at least two, to be compared, but got {count}. Name another.")


def _matrix(
    pairs: Mapping[tuple[int, int], ConceptSimilarity], count: int, measure: Measure
) -> Float[np.ndarray, "l l"]:
    matrix = np.empty((count, count))
    for (i, j), found in pairs.items():
        matrix[i, j] = matrix[j, i] = found.mean[measure].value
    return matrix


def _claims(spaces, pairs, groups, seed, draws):
    """Rows of the table of claims."""
    options = ReadoutOptions(seed=seed)
    rows = networks_of(spaces)
    for first, second in itertools.combinations_with_replacement(rows, 2):
        of = first if first == second else f"{first} and {second}"
        claim = "similar concepts are at similar relative depth"
        try:
            found = _depth_readout(spaces, pairs, rows[first], None if first == second else rows[second], options)
            yield _claim_row(claim, of, found)
        except InputError as error:
            yield (claim, of, *[np.nan] * 6, f"cannot be told: {error}")
    for first, second in itertools.combinations(rows, 2):
        a, b = (best_row(spaces, rows[name]) for name in (first, second))
        shuffled = shuffled_similarity(spaces[a].maps, spaces[b].maps, groups=groups, draws=draws, seed=seed)
        found = same_concepts(pairs[min(a, b), max(a, b)].mean[MEASURE], shuffled[MEASURE], options)
        yield _claim_row("the networks have similar concepts", f"{spaces[a].name} and {spaces[b].name}", found)


def _depth_readout(spaces, pairs, first, second, options) -> Readout:
    own, second = second is None, first if second is None else second
    found = [[pairs[min(i, j), max(i, j)].mean[MEASURE] for j in second] for i in first]
    similarity = np.array([[float(one.value) for one in row] for row in found])
    resampled = np.moveaxis(np.array([[one.draws for one in row] for row in found]), -1, 0)
    depths = [np.array([spaces[i].depth for i in rows]) for rows in (first, second)]
    return similar_depth(similarity, resampled, depths[0], None if own else depths[1], options)


def _claim_row(claim: str, of: str, found: Readout) -> tuple:
    difference = found.difference
    numbers = (found.value, found.reference, difference.value, difference.low, difference.high, found.p_value)
    return (claim, of, *map(float, numbers), found.verdict)


def _truth_table(spaces, concepts) -> Table:
    rows = tuple((s.network, s.layer, s.depth, float(mean_of_pairs(s.truth)), *map(float, s.truth)) for s in spaces)
    title = "Set IoU with the truth, on held-out images: bad maps can differ, or be alike, for no reason"
    return Table(title, ("network", "layer", "depth", "mean", *concepts), rows)


def _pairs_table(names, concepts, pairs) -> Table:
    rows = [
        (names[i], names[j], concept, *(float(found.of_pairs[m].value[k]) for m in BY_MEASURE.values()))
        for (i, j), found in pairs.items()
        for k, concept in enumerate(concepts)
    ]
    return Table("Similarity of each concept", ("space", "with", "concept", *BY_MEASURE), tuple(rows))


def _layers_table(names, matrices) -> Table:
    rows = (
        (names[i], names[j], *(float(matrix[i, j]) for matrix in matrices.values()))
        for i, j in itertools.combinations(range(len(names)), 2)
    )
    return Table("Similarity of every two layers", ("space", "with", *matrices), tuple(rows))


def _arrays(spaces, concepts, matrices) -> dict[str, np.ndarray]:
    """The matrices, and what their rows and columns are: texts of a fixed length, which need no pickle."""
    return {
        "networks": np.array([space.network for space in spaces]),
        "layers": np.array([space.layer for space in spaces]),
        "depths": np.array([space.depth for space in spaces]),
        "concepts": np.array(concepts),
        **dict(zip(ARRAYS, matrices.values(), strict=True)),
    }


def _named(spaces, matrices):
    layers = dict(zip([s.name for s in spaces], short_names([s.layer for s in spaces]), strict=True))
    several = len({space.network for space in spaces}) > 1
    labels = [f"{s.network.rpartition('/')[2]}: {layers[s.name]}" if several else layers[s.name] for s in spaces]
    return [NamedMatrix(title, m, labels, low=min(0.0, float(np.nanmin(m)))) for title, m in matrices.items()]
