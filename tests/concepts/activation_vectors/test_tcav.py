"""TCAV's test: it holds its level, finds planted concepts, and is what a slow twin computes."""

from typing import Any, cast

import numpy as np
import pytest

from loce_jax import InputError
from loce_jax.concepts.activation_vectors.cavs import CavOptions
from loce_jax.concepts.activation_vectors.tcav import LayerSamples, TcavOptions, tcav
from loce_jax.concepts.activation_vectors.tcav_null import holm
from loce_jax.solver import Status

RNG = np.random.default_rng(0)
CHANNELS = 8
WEIGHTS = RNG.normal(size=CHANNELS)
LINEAR = np.tile(WEIGHTS, (30, 1))  # gradients of a linear classifier: equal for all images
BENT = WEIGHTS + 2 * RNG.normal(size=(30, CHANNELS))
QUICK = TcavOptions(draws=99, bootstraps=20)


def random_images(seed, sets=5, size=20, channels=CHANNELS):
    return list(np.random.default_rng(seed).normal(size=(sets + 1, size, channels)))


def share_significant(gradients, options, repeats=1000, **sizes):
    """How often a concept of random images is significant at .05."""
    p = []
    for seed in range(repeats):
        concept, *randoms = random_images(seed, channels=gradients.shape[1], **sizes)
        p += [row.p for row in tcav({"layer": LayerSamples(gradients, {"random": concept}, randoms)}, options)]
    return (np.array(p) <= 0.05).mean()


# With 39 draws the smallest p value is .05, as cheap as a test at that level can be.  Of 1000 draws at a level of
# .05, 3 to 7 % are within 2.9 standard deviations.
CHEAP: dict[str, Any] = {"draws": 39, "bootstraps": 0}


@pytest.mark.parametrize("gradients", [LINEAR, BENT], ids=["linear", "bent"])
def test_random_concepts_are_significant_as_often_as_the_level_says(gradients):
    assert 0.03 <= share_significant(gradients, TcavOptions(**CHEAP)) <= 0.07


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        (TcavOptions(draws=199, bootstraps=0), {}),
        (TcavOptions(**CHEAP, statistic="mean"), {}),
        (TcavOptions(**CHEAP), {"sets": 1}),
        (TcavOptions(**CHEAP), {"sets": 40, "size": 5}),
        (TcavOptions(**CHEAP), {"channels": 64}),
    ],
    ids=["more draws", "mean", "as few random images as possible", "many", "fewer images than channels"],
)
def test_the_level_holds_elsewhere(options, sizes):
    """Proves that the level depends on none of: number of draws, statistic, numbers of images and channels."""
    channels = sizes.pop("channels", CHANNELS)
    rng = np.random.default_rng(1)
    for gradients in (np.tile(rng.normal(size=channels), (30, 1)), rng.normal(size=(30, channels)) + 0.5):
        assert 0.03 <= share_significant(gradients, options, **sizes) <= 0.07


@pytest.mark.slow
def test_the_published_test_does_not_hold_its_level():
    """Proves what `tcav` says of ``form="paper"``: the more runs, the more often a random concept is significant."""
    few, many = (
        share_significant(BENT, TcavOptions(form="paper", statistic="mean"), 300, sets=sets) for sets in (5, 30)
    )
    assert 0.1 < few < many


@pytest.mark.parametrize(
    ("method", "statistic"), [("mean_difference", "sign"), ("mean_difference", "mean"), ("linear_svm", "sign")]
)
def test_planted_concepts_are_found_with_their_sign(method, statistic):
    direction = WEIGHTS / np.linalg.norm(WEIGHTS)
    concepts = {"for": random_images(1)[0] + 3 * direction, "against": random_images(2)[0] - 3 * direction}
    options = TcavOptions(CavOptions(method), statistic, draws=79, bootstraps=2)
    high, low = tcav({"layer": LayerSamples(LINEAR, concepts, random_images(3))}, options)
    assert (high.sign, high.magnitude, low.sign, low.magnitude) == (1, 1, 0, 0)
    assert high.mean == pytest.approx(np.linalg.norm(WEIGHTS), rel=0.2) and low.mean < 0
    assert (high.verdict, low.verdict) == ("higher than of random images", "lower than of random images")


def test_a_concept_that_random_images_have_too_is_not_found():
    (row,) = tcav({"layer": LayerSamples(BENT, {"random": random_images(1)[0]}, random_images(2))}, QUICK)
    assert row.verdict == "not told from random images" and row.status == Status.OK


@pytest.mark.parametrize("gradients", [LINEAR, BENT], ids=["linear", "bent"])
def test_the_p_value_is_the_rank_among_random_divisions(gradients):
    """A twin with divisions of its own: p values agree but for the draws, of which each share has a deviation."""
    concept, *randoms = random_images(7)
    concept = concept + 0.3 * WEIGHTS
    (row,) = tcav({"layer": LayerSamples(gradients, {"c": concept}, randoms)}, TcavOptions(draws=3999, bootstraps=0))
    pool, rng, scores = [image for images in randoms for image in images], np.random.default_rng(9), []

    def score(positives, negatives):
        vector = np.mean(positives, axis=0) - np.mean(negatives, axis=0)
        derivatives = [float(one @ vector) / float(vector @ vector) ** 0.5 for one in gradients]
        return sum(s > 0 for s in derivatives), sum(derivatives) / len(derivatives)

    for _ in range(2000):
        order = rng.permutation(len(pool))
        scores.append(score([pool[i] for i in order[:20]], [pool[i] for i in order[20:]]))
    mine = score(concept, pool)
    assert row.sign == mine[0] / 30 and row.mean == pytest.approx(mine[1])
    as_high = np.mean([one >= mine for one in scores])
    expected = 2 * min(as_high, 1 - as_high)
    deviation = 2 * np.sqrt(max(expected, 0.01) / 2 * (1 / 2000 + 1 / 4000))
    assert abs(row.p - expected) < 4 * deviation + 2 / 2000


def test_the_published_test_against_its_formula():
    concept, *randoms = random_images(11)
    samples = LayerSamples(BENT, {"c": concept + 0.2 * WEIGHTS}, randoms)
    (row,) = tcav({"layer": samples}, TcavOptions(form="paper", statistic="mean"))

    def mean_derivative(positives, negatives):
        vector = positives.mean(0) - negatives.mean(0)
        return sum(one @ vector for one in BENT) / 30 / np.sqrt(vector @ vector)

    mine = np.array([mean_derivative(concept + 0.2 * WEIGHTS, one) for one in randoms])
    null = np.array([mean_derivative(randoms[r], randoms[(r + 1) % 5]) for r in range(5)])
    pooled = (((mine - mine.mean()) ** 2).sum() + ((null - null.mean()) ** 2).sum()) / 8
    t = (mine.mean() - null.mean()) / np.sqrt(pooled * 2 / 5)
    # the density of Student's t of 8 degrees of freedom is 35 / (32 sqrt(8)) / (1 + t^2 / 8)^4.5
    x = np.linspace(0, abs(t), 200_001)
    density = 35 / (32 * np.sqrt(8)) / (1 + x**2 / 8) ** 4.5
    p = 1 - 2 * ((density[1:] + density[:-1]) / 2 * np.diff(x)).sum()
    assert row.p == pytest.approx(p, abs=1e-8) and row.mean == pytest.approx(mine.mean())
    assert row.mean_interval == pytest.approx(np.percentile(mine, [2.5, 97.5]))


def test_holm_against_its_rule():
    p = RNG.random(9) ** 3
    found = holm(p)
    for level in np.linspace(0.001, 0.999, 300):
        rejected, order = set(), np.argsort(p)
        for step, index in enumerate(order):
            if p[index] > level / (9 - step):
                break
            rejected.add(index)
        assert set(np.flatnonzero(found <= level)) == rejected


def test_corrected_over_concepts_and_layers():
    concept, *randoms = random_images(5)
    samples = LayerSamples(BENT, {"a": concept, "b": concept + WEIGHTS, "never": concept * np.nan}, randoms)
    rows = tcav({"early": samples, "late": samples}, QUICK)
    assert [(row.layer, row.concept) for row in rows] == [(a, b) for a in ("early", "late") for b in samples.concepts]
    np.testing.assert_array_equal([row.corrected for row in rows], holm(np.array([row.p for row in rows])))
    assert sum(np.isfinite([row.corrected for row in rows])) == 4


def test_too_few_draws_for_so_many_tests_are_told():
    concept, *randoms = random_images(5)
    samples = LayerSamples(LINEAR, {"a": concept + 9 * WEIGHTS, "b": concept + 9 * WEIGHTS}, randoms)
    rows = tcav({"layer": samples}, TcavOptions(draws=39, bootstraps=0))
    assert {row.verdict for row in rows} == {
        "cannot be told from random images with 39 draws: 2 tests need 79",
    }
    assert {row.verdict for row in tcav({"layer": samples}, TcavOptions(draws=79, bootstraps=0))} == {
        "higher than of random images"
    }


def test_intervals_hold_the_score_and_shrink_with_images():
    widths = []
    for size in (10, 160):
        concept, *randoms = random_images(3, size=size)
        (row,) = tcav({"layer": LayerSamples(LINEAR, {"c": concept + WEIGHTS}, randoms)}, TcavOptions(draws=9))
        assert row.sign_interval[0] <= row.sign <= row.sign_interval[1]
        assert row.mean_interval[0] <= row.mean <= row.mean_interval[1]
        widths.append(np.ptp(row.mean_interval))
    assert widths[1] < widths[0] / 2  # 16 times as many images: a quarter
    none = tcav({"layer": LayerSamples(BENT, {"c": concept}, randoms)}, TcavOptions(**CHEAP))[0]
    assert np.isnan(none.sign_interval).all()


def test_equal_seeds_give_equal_rows_and_no_concept_changes_another():
    concept, *randoms = random_images(5)
    alone = tcav({"layer": LayerSamples(BENT, {"b": concept}, randoms)}, QUICK)
    both = tcav({"layer": LayerSamples(BENT, {"a": concept + 1, "b": concept}, randoms)}, QUICK)
    assert (alone[0].p, alone[0].sign_interval) == (both[1].p, both[1].sign_interval)


@pytest.mark.parametrize("form", ["rank", "paper"])
def test_what_cannot_be_tested_has_a_status_and_words(form):
    concept, *randoms = random_images(5)
    options = TcavOptions(form=form, draws=39, bootstraps=9)
    nothing = [one * np.nan for one in randoms]
    cases = {
        Status.NONFINITE: (BENT * np.nan, concept, randoms),
        Status.MASK_EMPTY: (BENT, concept[:0], randoms),
        Status.MASK_FULL: (BENT, concept, nothing),
        Status.DEGENERATE: (BENT, np.ones_like(concept), [np.ones_like(one) for one in randoms]),
    }
    for status, (gradients, images, others) in cases.items():
        (row,) = tcav({"layer": LayerSamples(gradients, {"c": images}, others)}, options)
        assert (
            row.status == status and row.verdict.startswith("not tested: ") and np.isnan([row.p, row.corrected]).all()
        )


def test_zero_derivatives_are_counted_and_prove_nothing():
    concept, *randoms = random_images(5)
    samples = LayerSamples(np.concatenate([np.zeros((30, CHANNELS)), BENT[:1] * np.nan]), {"c": concept}, randoms)
    (row,) = tcav({"layer": samples}, QUICK)
    assert (row.sign, row.zeros, row.left_out, row.p) == (0, 30, 1, 1) and np.isnan(row.magnitude)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda c, r: tcav({}), "`layers` must hold a layer with a concept"),
        (lambda c, r: tcav({"l": LayerSamples(BENT, {}, r)}), "`layers` must hold a layer with a concept"),
        (lambda c, r: tcav({"l": LayerSamples(BENT, {"c": c}, [])}), "`randoms` of layer 'l' must hold a set"),
        (lambda c, r: tcav({"l": LayerSamples(BENT, {"c": c}, r[:2])}, TcavOptions(form="paper")), "but holds 2"),
        (lambda c, r: tcav({"l": LayerSamples(BENT, {"c": c[:, :3]}, r)}), r"`concepts\['c'\]` of layer 'l'"),
        (lambda c, r: tcav({"l": LayerSamples(BENT[0], {"c": c}, r)}), "`gradients` of layer 'l'"),
        (lambda c, r: TcavOptions(draws=0), "`draws` must be at least 1"),
        (lambda c, r: TcavOptions(form=cast(Any, "welch")), "`form` must be one of"),
    ],
)
@pytest.mark.wrong_types
def test_errors_name_the_argument(function, words):
    concept, *randoms = random_images(5)
    with pytest.raises(InputError, match=words):
        function(concept, randoms)
