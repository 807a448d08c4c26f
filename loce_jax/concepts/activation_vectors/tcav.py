"""TCAV: does a class depend on a concept, at which layers, and more than on random images?

After Kim et al., "Interpretability Beyond Feature Attribution: Quantitative Testing with Concept Activation Vectors
(TCAV)", ICML 2018.
Shapes: m images of the class, n images of a concept, r random images of a set, c channels.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from loce_jax.arrays import as_array
from loce_jax.checks import InputError
from loce_jax.concepts.activation_vectors.tcav_compare import Outcome, TcavOptions, compare_ranks, compare_runs
from loce_jax.concepts.activation_vectors.tcav_null import holm

DEFAULTS = TcavOptions()


@dataclass(frozen=True)
class LayerSamples:
    """What TCAV looks at, at one layer; `loce_jax.feature_spaces.class_dependence` reads it from a network and a run.

    Attributes:
        gradients: of the class score of m images of the class, summed over cells, as
            `loce_jax.attribution.channel_gradients` gives them.
        concepts: by name, activations of the concept's images, averaged over cells.
        randoms: sets of activations of random images, averaged in the same way.
    """

    gradients: Float[np.ndarray, "m c"]
    concepts: Mapping[str, Float[np.ndarray, "n c"]]
    randoms: Sequence[Float[np.ndarray, "r c"]]


@dataclass(frozen=True)
class TcavRow:
    """One concept at one layer.

    Attributes:
        layer: its name.
        concept: its name.
        sign: share of images whose class score grows along the concept vector, the TCAV score; 0 to 1.
        mean: mean derivative along the vector of unit length.
        magnitude: sum of positive derivatives by the sum of all absolute ones; 0 to 1.
        sign_interval: of `sign`, 95 %: percentiles over resampled images of concept, class and random sets, extended to
            the score itself where the noise that resampling adds to the vector moves all to one side; under
            ``form="paper"`` percentiles over runs.
        mean_interval: of `mean`, in the same way.
        zeros: number of derivatives that are exactly 0; they count as not positive.
        left_out: number of images of the class without a finite gradient.
        p: two-sided p value; NaN where nothing could be tested.
        corrected: by Holm's rule over all rows.
        status: a `loce_jax.solver.Status`: ``MASK_EMPTY`` without a finite image of the concept, ``MASK_FULL`` without
            a random one, ``NONFINITE`` without a finite gradient, ``DEGENERATE`` without a vector, or, under
            ``form="paper"``, where no run differs from another.
        verdict: in words.
    """

    layer: str
    concept: str
    sign: float
    mean: float
    magnitude: float
    sign_interval: tuple[float, float]
    mean_interval: tuple[float, float]
    zeros: int
    left_out: int
    p: float
    corrected: float
    status: int
    verdict: str


def tcav(layers: Mapping[str, LayerSamples], options: TcavOptions = DEFAULTS) -> tuple[TcavRow, ...]:
    """TCAV scores of every concept at every layer, and whether random images could give them.

    The null hypothesis is that the concept's images are random images.  Two tests of it, both two-sided:

    ``form="rank"``, ours: ONE vector, of the concept's images against all random ones, ranked among the vectors of
    `TcavOptions.draws` divisions of the random images: as many as the concept has (at most half) against the rest.
    All vectors count by their direction alone.  It holds its level (3 to 7 % of random concepts are
    significant at .05, tests/concepts/activation_vectors/test_tcav.py) where images are independent (frames of one
    video are not) and random images are no fewer than the concept's.

    ``form="paper"``: R vectors of the concept against R random sets, R of each random set against the next, and
    Student's t-test of the two samples of scores, as in the published code.  All R runs of the concept share its
    images, while the test takes them for independent: it sees how little the runs differ, not how much other images of
    the concept would, and finds random concepts significant several times too often (measured in the same tests).

    Args:
        layers: by name, what is looked at.
        options: method, statistic, test.

    Returns:
        A row for each concept and layer, layer by layer.  p values are corrected over all of them.

    Raises:
        InputError: shapes do not fit; there is no concept, or there are too few random sets for ``form="paper"``.

    >>> rng = np.random.default_rng(0)
    >>> gradients = np.eye(8)[[0, 0, 0]]  # the class score of three images grows with the first channel
    >>> concepts = {"first": rng.normal(size=(20, 8)) + 3 * np.eye(8)[0], "other": rng.normal(size=(20, 8))}
    >>> rows = tcav({"layer4": LayerSamples(gradients, concepts, [rng.normal(size=(60, 8))])})
    >>> [(row.concept, row.sign, row.verdict) for row in rows]
    [('first', 1.0, 'higher than of random images'), ('other', 1.0, 'not told from random images')]
    """
    outcomes: dict[tuple[str, str], Outcome] = {}
    for layer, samples in layers.items():
        gradients, concepts, randoms = _checked(layer, samples, options)
        for name, images in concepts.items():
            compare = compare_ranks if options.form == "rank" else compare_runs
            outcomes[layer, name] = compare(gradients, images, randoms, options)
    if not outcomes:
        raise InputError("`layers` must hold a layer with a concept, but got none. Give at least one.")
    corrected = holm(np.array([outcome.comparison.p for outcome in outcomes.values()]))
    return tuple(
        TcavRow(
            layer=layer,
            concept=name,
            **outcome.numbers,
            p=outcome.comparison.p,
            corrected=float(fixed),
            status=outcome.status,
            verdict=_verdict(outcome, fixed, int(np.isfinite(corrected).sum()), options),
        )
        for ((layer, name), outcome), fixed in zip(outcomes.items(), corrected, strict=True)
    )


WORDS = {
    1: "not tested: no finite gradient of the class score",
    2: "not tested: no finite image of the concept",
    3: "not tested: no finite random image",
    5: "not tested: no vector, or no spread of scores",
}


def _verdict(outcome, corrected, tests, options):
    if not np.isfinite(corrected):
        return WORDS[outcome.status]
    if corrected <= options.level:
        return f"{'higher' if outcome.comparison.above else 'lower'} than of random images"
    needed = math.ceil(2 * tests / options.level) - 1
    if options.form == "rank" and options.draws < needed:
        return f"cannot be told from random images with {options.draws} draws: {tests} tests need {needed}"
    return "not told from random images"


def _checked(layer, samples, options):
    """Float64 arrays of one number of channels; sets of random images without any are left out."""
    given: dict[str, Any] = {"gradients": samples.gradients}
    given |= {f"concepts[{name!r}]": images for name, images in samples.concepts.items()}
    given |= {f"randoms[{number}]": images for number, images in enumerate(samples.randoms)}
    arrays = {name: np.asarray(as_array(name, array)).astype(np.float64) for name, array in given.items()}
    channels = arrays["gradients"].shape[-1:]
    for name, array in arrays.items():
        if array.ndim != 2 or array.shape[1:] != channels:
            raise InputError(
                f"`{name}` of layer {layer!r} must have shape [images c] with the channels of `gradients`, but got "
                f"{array.shape} beside {arrays['gradients'].shape}. Average activations over cells, and sum gradients."
            )
    randoms = [array for name, array in arrays.items() if name.startswith("randoms[")]
    if not randoms or (options.form == "paper" and len(randoms) < 3):
        raise InputError(
            f"`randoms` of layer {layer!r} must hold a set of random images, and three for `form='paper'`, but holds "
            f"{len(randoms)}. Give a list of arrays [r c]."
        )
    return arrays["gradients"], {name: arrays[f"concepts[{name!r}]"] for name in samples.concepts}, randoms
