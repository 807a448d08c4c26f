"""Two claims about networks, tested on layer x layer matrices of similarity, each with a plain verdict.

The claims are of the abstract of "Revealing Similar Semantics Inside CNNs" (arXiv 2305.07663); the tests are ours.
Shapes: l layers of a network, m of another, b resamples, d draws.
"""

import itertools
from dataclasses import dataclass
from math import factorial

import numpy as np
from jaxtyping import Bool, Float, Int

from loce_jax.analysis.bootstrap import BootstrapOptions, Estimate, estimate
from loce_jax.checks import CheckedOptions, InputError, check_shape

_TIES = 1e-9  # differences of statistics, relative to the largest, that are rounding
_BLOCK = 500  # orders of the layers whose matrices are held at once


@dataclass(frozen=True)
class ReadoutOptions(CheckedOptions):
    """How the claims are tested.

    Attributes:
        band: two layers are at similar depth where their relative depths differ by at most this.
        margin: a difference of similarities too small to speak of: one that is surely smaller does not hold.
        level: of the intervals; p-values up to ``1 - level`` are significant.
        orders: how many orders of the layers are tried at most: all of them where there are no more, else so many
            random ones.
        seed: random seed of these.
    """

    band: float = 0.2
    margin: float = 0.05
    level: float = 0.95
    orders: int = 9999
    seed: int = 0


READOUT = ReadoutOptions()


@dataclass(frozen=True, eq=False)
class Readout:
    """What became of a claim.

    Attributes:
        value: mean similarity where the claim says that it is high.
        reference: mean similarity elsewhere.
        difference: what is tested, with its interval.
        p_value: one-sided: the share of the orders or shuffles whose difference is at least as large.
        verdict: "holds" where it is significant and its interval above 0; "does not hold" where it is not significant
            and its interval below the margin; else "cannot be told: " and why.
    """

    value: float
    reference: float
    difference: Estimate
    p_value: float
    verdict: str


def relative_depths(layers: int) -> Float[np.ndarray, " l"]:
    """The depth of each layer of a network, 0 for the first to 1 for the last.

    >>> relative_depths(5).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    if layers < 2:
        raise InputError(f"`layers` must be at least 2, a first and a last one, but got {layers}. Read more layers.")
    return np.arange(layers) / (layers - 1)


def similar_depth(
    similarity: Float[np.ndarray, "l m"],
    resampled: Float[np.ndarray, "b l m"],
    first_depths: Float[np.ndarray, " l"],
    second_depths: Float[np.ndarray, " m"] | None = None,
    options: ReadoutOptions = READOUT,
) -> Readout:
    """Whether similar concepts are at similar relative depth: layers of similar depth are more alike than others.

    The difference is the mean over pairs of layers of similar depth less that over the other pairs, after row and
    column effects (the additive model of a two-way table, by least squares) have been removed: a layer that
    resembles all layers alike, as the middle ones may, says nothing of depth.  It is compared with those of the
    layers in other orders: a network's own layers are permuted as rows and columns together (Mantel, Cancer Research
    27, 1967), those of two networks each on their own.  With all orders, the p-value is the share that reach the
    difference, the true order included; with n random ones ``(1 + count) / (1 + n)`` (Phipson & Smyth, SAGMB 9, 2010).

    Args:
        similarity: of every layer of one network with every layer of another, or of its own; NaN where undefined.
        resampled: the same matrix of each resample of the images, such as ``mean["set_iou"].draws`` of
            `concept_similarity` with one seed.
        first_depths: relative, 0 to 1, in any order.
        second_depths: None where both are one network: a layer with itself is then left out.
        options: band, margin, level, orders.

    >>> depths = relative_depths(6)
    >>> alike = 1 - np.abs(depths[:, None] - depths)
    >>> found = similar_depth(alike, alike + np.zeros((10, 1, 1)), depths)
    >>> found.verdict, round(found.p_value, 4), round(found.value - found.reference, 2)
    ('holds', 0.0111, 0.4)
    """
    own = second_depths is None
    second_depths = first_depths if second_depths is None else second_depths
    _check_matrices(similarity, resampled, first_depths, second_depths)
    near = np.abs(first_depths[:, None] - second_depths) <= options.band + 1e-9
    valid = np.isfinite(similarity) & ~(np.eye(len(near), dtype=bool) if own else np.zeros(near.shape, bool))
    if not (near & valid).any() or not (~near & valid).any():
        raise InputError(
            f"`band` must leave pairs on both sides, but {options.band} makes {(near & valid).sum()} of similar "
            f"depth and {(~near & valid).sum()} others. Change `ReadoutOptions.band`, or read more layers."
        )
    residuals = _without_means(np.concatenate([similarity[None], resampled]), valid)
    contrasts = _contrast(residuals, near)
    tried, exact = _contrasts_of_orders(residuals[0], near, own, options)
    reached = tried >= contrasts[0] - _TIES * np.abs(tried).max()
    p_value = float(reached.mean() if exact else (1 + reached.sum()) / (1 + len(tried)))
    smallest = (tried >= tried.max() - _TIES * np.abs(tried).max()).mean() if exact else 1 / (1 + len(tried))
    difference = estimate(contrasts[0], contrasts[1:], BootstrapOptions(level=options.level))
    value, reference = (float(similarity[part & valid].mean()) for part in (near, ~near))
    return Readout(value, reference, difference, p_value, _verdict(difference, p_value, smallest, options))


def same_concepts(
    similarity: Estimate, shuffled: Float[np.ndarray, " d"], options: ReadoutOptions = READOUT
) -> Readout:
    """Whether two layers, or networks, have the same concepts: they are more alike than with the images shuffled.

    The difference is the similarity less the mean of the shuffled ones; the p-value is ``(1 + count) / (1 + d)`` with
    the count of shuffled ones that are at least as large.

    Args:
        similarity: such as ``mean["set_iou"]`` of `concept_similarity`; `mean_estimate` of several pairs of layers.
        shuffled: the same measure of `loce_jax.concepts.comparison.references.shuffled_similarity`.
        options: margin and level.

    >>> low, high = np.array(0.5), np.array(0.7)
    >>> same_concepts(Estimate(np.array(0.6), low, high, np.linspace(0.5, 0.7, 100)), np.full(99, 0.1)).verdict
    'holds'
    """
    shuffled = shuffled[np.isfinite(shuffled)]
    reference = float(shuffled.mean()) if len(shuffled) else np.nan
    value = float(similarity.value)
    difference = estimate(value - reference, similarity.draws - reference, BootstrapOptions(level=options.level))
    p_value = float((1 + (shuffled >= value).sum()) / (1 + len(shuffled)))
    verdict = _verdict(difference, p_value, 1 / (1 + len(shuffled)), options)
    return Readout(value, reference, difference, p_value, verdict)


def mean_estimate(estimates: list[Estimate], options: BootstrapOptions) -> Estimate:
    """The mean of several estimates that resample the same images with one seed, such as the best layers of networks.

    >>> one = Estimate(np.array(0.5), np.array(0.4), np.array(0.6), np.array([0.4, 0.6]))
    >>> float(mean_estimate([one, one], BootstrapOptions()).value)
    0.5
    """
    value = np.mean([one.value for one in estimates])
    return estimate(value, np.mean([one.draws for one in estimates], axis=0), options)


def _check_matrices(similarity, resampled, first_depths, second_depths):
    shape = (len(first_depths), len(second_depths))
    check_shape("similarity", similarity, shape, meaning="a row and a column per depth", fix="")
    check_shape(
        "resampled", resampled, (len(resampled), *shape), meaning="matrices like `similarity`", fix="Stack the draws."
    )
    for depths in (first_depths, second_depths):
        if not ((depths >= 0) & (depths <= 1)).all():
            raise InputError(
                f"depths must be relative, from 0 to 1, but go from {depths.min()} to {depths.max()}. Give "
                "`relative_depths(layers)`."
            )


def _without_means(matrices: Float[np.ndarray, "b l m"], valid: Bool[np.ndarray, "l m"]) -> Float[np.ndarray, "b l m"]:
    """What rows' and columns' effects do not explain; NaN where not valid."""
    rows, columns = np.nonzero(valid)
    effects = np.concatenate([np.eye(len(valid))[rows], np.eye(valid.shape[1])[columns]], axis=1)
    found = np.full(matrices.shape, np.nan)
    values = matrices[:, valid]
    found[:, valid] = values - values @ np.linalg.pinv(effects).T @ effects.T
    return found


def _contrast(residuals, near):
    """Mean of the near pairs less that of the others [b], of what is not NaN; NaN where nothing is left."""
    means = []
    for part in (near, ~near):
        there = ~np.isnan(residuals) & part
        with np.errstate(invalid="ignore"):
            means.append(np.where(there, residuals, 0).sum(axis=(1, 2)) / there.sum(axis=(1, 2)))
    return means[0] - means[1]


def _contrasts_of_orders(
    residuals: Float[np.ndarray, "l m"], near: Bool[np.ndarray, "l m"], own: bool, options: ReadoutOptions
) -> tuple[Float[np.ndarray, " d"], bool]:
    """The contrast in every order of the layers, or in random ones, and whether these are all."""
    l, m = near.shape  # noqa: E741
    exact = factorial(l) * (1 if own else factorial(m)) <= options.orders
    rows, columns = _all_orders(l, m, own) if exact else _random_orders(l, m, own, options)
    parts = [
        _contrast(residuals[rows[at : at + _BLOCK, :, None], columns[at : at + _BLOCK, None, :]], near)
        for at in range(0, len(rows), _BLOCK)
    ]
    return np.concatenate(parts), exact


def _all_orders(l, m, own) -> tuple[Int[np.ndarray, "d l"], Int[np.ndarray, "d m"]]:  # noqa: E741
    rows = np.array(list(itertools.permutations(range(l))))
    if own:
        return rows, rows
    columns = np.array(list(itertools.permutations(range(m))))
    return np.repeat(rows, len(columns), axis=0), np.tile(columns, (len(rows), 1))


def _random_orders(l, m, own, options):  # noqa: E741
    rng = np.random.default_rng(options.seed)
    rows = rng.permuted(np.tile(np.arange(l), (options.orders, 1)), axis=1)
    return rows, rows if own else rng.permuted(np.tile(np.arange(m), (options.orders, 1)), axis=1)


def _verdict(difference, p_value, smallest, options):
    low, high = float(difference.low), float(difference.high)
    if not np.isfinite([low, high]).all():
        return "cannot be told: there are too few groups of images for an interval"
    significant = p_value <= 1 - options.level
    if smallest > 1 - options.level:
        return f"cannot be told: so few layers or shuffles that no p-value can be below {smallest:.2g}"
    if significant and low > 0:
        return "holds"
    if not significant and high < options.margin:
        return "does not hold"
    return f"cannot be told: the difference is between {low:.3f} and {high:.3f}, with p = {p_value:.2g}"
