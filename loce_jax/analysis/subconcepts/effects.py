"""What distinguishes the sub-concepts of a concept: members, examples, and the attributes that differ, as effect sizes.

Shapes: n embeddings of one concept, c channels, m members of a sub-concept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from loce_jax.analysis.vectors import check_vectors
from loce_jax.checks import InputError, check_shape


@dataclass(frozen=True)
class Effect:
    """How one attribute differs between a sub-concept and the other sub-concepts together.

    Attributes:
        attribute: its name, or ``"name = word"`` for one word of an attribute in words.
        delta: Cliff's delta, the chance that a member has the higher value minus the chance that another has: -1 (all
            lower) to 1 (all higher), 0 for no difference.  For yes and no it is the difference of the two shares.
            ``(delta + 1) / 2`` is the area under the ROC curve.
        difference: difference of the means in pooled standard deviations (Cohen's d), for numbers; NaN for yes and
            no, and where neither side varies.
        inside: mean over the sub-concept; for yes and no the share of yes.
        outside: the same over the others.
        p_value: two-sided, of the Mann-Whitney test (numbers) or Fisher's exact test (yes and no), for this
            attribute alone.
        adjusted: the same after Holm's correction for all effects of all sub-concepts: below 0.05, the
            probability of even one false finding among them is below 5 %.
    """

    attribute: str
    delta: float
    difference: float
    inside: float
    outside: float
    p_value: float
    adjusted: float


@dataclass(frozen=True)
class Subconcept:
    """One sub-concept of a concept's embeddings.

    Attributes:
        number: as in `subconcepts`.
        members: rows of the vectors, nearest to the sub-concept's mean first (Euclidean); the first are its examples.
        share: of all embeddings of the concept, those of no sub-concept included.
        effects: one per attribute, the strongest delta first; empty where there is no other sub-concept.
    """

    number: int
    members: Int[np.ndarray, " m"]
    share: float
    effects: tuple[Effect, ...]


def describe_subconcepts(
    vectors: Float[np.ndarray, "n c"],
    subconcepts: Int[np.ndarray, " n"],
    attributes: Mapping[str, Sequence | np.ndarray] | None = None,
) -> tuple[Subconcept, ...]:
    """Each sub-concept's members and how its attributes differ from those of the others together, by ascending number.

    The p-values assume independent embeddings, which two of one photograph are not, and attributes that had no part in
    making the sub-concepts.  With few members no effect can be significant: two against two give 0.33 at best.

    Args:
        vectors: of one concept, finite.
        subconcepts: such as `Split.subconcepts` or `Mixture.assignments`; negative numbers are of no sub-concept and
            compared with nothing.
        attributes: by name, one value per vector.  Numbers, NaN where unknown; booleans; or words, each distinct one of
            which becomes a boolean.  An attribute without known values on both sides gives no effect.

    Sources: Cliff, Psychological Bulletin 114, 1993; Cohen, "Statistical Power Analysis", 1988, 2.2; Holm, Scandinavian
    Journal of Statistics 6, 1979.

    >>> found = describe_subconcepts(np.array([[0.0], [1.0], [9.0]]), np.array([0, 0, 1]), {"area": [0.7, 0.9, 0.1]})
    >>> found[0].members.tolist(), round(found[0].share, 2), found[0].effects[0].attribute, found[0].effects[0].delta
    ([0, 1], 0.67, 'area', 1.0)
    """
    check_vectors(vectors)
    check_shape("subconcepts", subconcepts, (len(vectors),), meaning="one per vector", fix="")
    columns = _columns(attributes or {}, len(vectors))
    numbers = [number for number in np.unique(subconcepts).tolist() if number >= 0]
    effects = [
        [effect for name, values in columns.items() if (effect := _effect(name, values, subconcepts, number))]
        for number in numbers
    ]
    adjusted = iter(_holm(np.array([effect.p_value for some in effects for effect in some])))
    found = []
    for number, some in zip(numbers, effects, strict=True):
        rows = np.flatnonzero(subconcepts == number)
        mine = vectors[rows].astype(np.float64)
        nearest = np.argsort(np.linalg.norm(mine - mine.mean(axis=0), axis=1), kind="stable")
        corrected = [Effect(**{**vars(effect), "adjusted": float(next(adjusted))}) for effect in some]
        strongest = tuple(sorted(corrected, key=lambda effect: -abs(effect.delta)))
        found.append(Subconcept(number, rows[nearest], len(rows) / len(subconcepts), strongest))
    return tuple(found)


def _columns(attributes, n):
    """Every attribute as numbers or as booleans, by name."""
    columns = {}
    for name, given in attributes.items():
        values = np.asarray(given)
        check_shape(f"attributes[{name!r}]", values, (n,), meaning="one value per vector", fix="")
        if values.dtype.kind in "fiub":
            columns[name] = values if values.dtype.kind == "b" else values.astype(np.float64)
        elif all(isinstance(word, str) for word in values.tolist()):
            columns |= {f"{name} = {word}": values == word for word in np.unique(values).tolist()}
        else:
            raise InputError(
                f"`attributes[{name!r}]` must hold numbers, booleans or words, but has dtype {values.dtype}. "
                "Convert it, with NaN for unknown numbers."
            )
    return columns


def _effect(name, values, subconcepts, number):
    from scipy.stats import fisher_exact, mannwhitneyu  # noqa: PLC0415

    mine, others = values[subconcepts == number], values[(subconcepts >= 0) & (subconcepts != number)]
    yes_or_no = values.dtype.kind == "b"
    if not yes_or_no:
        mine, others = mine[~np.isnan(mine)], others[~np.isnan(others)]
    if not len(mine) or not len(others):
        return None
    inside, outside = float(mine.mean()), float(others.mean())
    if yes_or_no:
        table = [[mine.sum(), (~mine).sum()], [others.sum(), (~others).sum()]]
        return Effect(
            name, inside - outside, np.nan, inside, outside, float(np.asarray(fisher_exact(table))[1]), np.nan
        )
    higher, p_value = mannwhitneyu(mine, others)
    p_value = 1.0 if np.ptp(np.concatenate([mine, others])) == 0 else float(p_value)  # SciPy's versions differ there
    delta = 2 * float(higher) / (len(mine) * len(others)) - 1
    squares = mine.var() * len(mine) + others.var() * len(others)
    spread = np.sqrt(squares / max(len(mine) + len(others) - 2, 1))
    difference = float((inside - outside) / spread) if spread > 0 else np.nan
    return Effect(name, delta, difference, inside, outside, p_value, np.nan)


def _holm(p_values):
    """Holm's adjusted p-values: the j-th smallest of m times (m - j + 1), never falling, at most 1."""
    order = np.argsort(p_values, kind="stable")
    raised = p_values[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(raised), 1)
    return adjusted
