"""TCAV on the data of a run: does a class of the network depend on the run's concepts, at which layers?

Shapes: n images, k concepts, c channels, gh x gw grid cells of a layer, h x w pixels of the network's input.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from loce_jax.analysis.tables import Table
from loce_jax.attribution.gradients import channel_gradients
from loce_jax.attribution.scores import ClassScore, class_score
from loce_jax.batch_sizes import IMAGES_PER_BATCH
from loce_jax.checks import InputError
from loce_jax.concepts.activation_vectors.tcav import LayerSamples, TcavRow, tcav
from loce_jax.concepts.activation_vectors.tcav_compare import TcavOptions
from loce_jax.feature_spaces.gathering import Gathered
from loce_jax.feature_spaces.options import ClassOptions
from loce_jax.models.base import Network
from loce_jax.plots.figures import plot_estimates
from loce_jax.resampling import resize_mask
from loce_jax.study.results.figures import Figures
from loce_jax.study.results.step_result import StepResult

COLUMNS = (
    "layer",
    "concept",
    "images",
    "score",
    "low",
    "high",
    "mean derivative",
    "zeros",
    "p",
    "corrected p",
    "verdict",
)


def study_tcav(network: Network, gathered: Gathered, options: ClassOptions) -> StepResult:
    """TCAV scores of every concept at every layer of `gathered`, which has photos.

    A concept's samples are activations averaged over its mask in each image that shows it, random samples those of the
    other concepts' masks; or activations of whole images, with the concept and without (`ClassOptions.samples`).
    """
    score = score_of(network, next(iter(gathered.activations)), options)
    photos = gathered.photos
    if photos is None:
        raise InputError("`gathered` must have photos, because gradients need them. Gather with `photos=True`.")
    values = class_values(network, options.output, score.index, photos)
    rows = np.argsort(-values, kind="stable")[: options.examples]
    found = _rows(network, gathered, photos[rows], rows, options)
    classes = next(one.classes for one in network.outputs if one.name == options.output)
    name = classes[score.index] if classes else f"class {score.index}"
    return StepResult(
        metrics={
            "class": name,
            "number": score.index,
            "images of the class": [gathered.images[row] for row in rows],
            "values": values[rows],
            "rows": [vars(row) for row in found],
        },
        tables={"tcav": _table(found, gathered, name, len(rows))},
        figures=Figures({"tcav": lambda: _figure(found)}),
        headline={"images of the class": len(rows), "lowest value among them": float(values[rows[-1]])},
    )


def score_of(network: Network, layer: str, options: ClassOptions) -> ClassScore:
    """The class score as a function of a layer; `InputError` for an output or a class that the network has not."""
    target = int(options.target) if options.target.removeprefix("-").isdecimal() else options.target
    return class_score(network, layer, target, output=options.output)


def class_values(
    network: Network, output: str, index: int, photos: UInt8[np.ndarray, "n h w 3"]
) -> Float[np.ndarray, " n"]:
    """What the network gives to one class for each photo."""
    compute, found = jax.jit(network.edit({}, output)), []
    for start in range(0, len(photos), IMAGES_PER_BATCH):
        rows = np.minimum(np.arange(start, start + IMAGES_PER_BATCH), len(photos) - 1)  # the last one padded
        found.append(np.asarray(compute(network.params, jnp.asarray(photos[rows]))[output], np.float32)[:, index])
    return np.concatenate(found)[: len(photos)]


def _rows(
    network: Network,
    gathered: Gathered,
    photos: UInt8[np.ndarray, "m h w 3"],
    rows: Int[np.ndarray, " m"],
    options: ClassOptions,
) -> list[TcavRow]:
    samples, named = {}, {}
    for layer, activations in gathered.activations.items():
        score = score_of(network, layer, options)
        gradients = channel_gradients(score, np.asarray(activations[rows]), score.context(photos)).sums
        for concept, inside, outside in _samples(gathered, activations, options.samples):
            key = f"{layer}: {concept}"
            named[key] = layer
            samples[key] = LayerSamples(gradients, {concept: inside}, [outside])
    found = tcav(samples, TcavOptions(draws=options.draws, seed=options.seed))
    return [type(row)(**{**vars(row), "layer": named[row.layer]}) for row in found]


def _samples(gathered: Gathered, activations: Float[np.ndarray, "n gh gw c"], kind: str):
    """Yield each concept's name, the samples with it, and those without, each ``[samples c]``."""
    shown = np.any(gathered.masks, axis=(2, 3))
    if kind == "images":
        pooled = activations.mean(axis=(1, 2), dtype=np.float64)
        for k, concept in enumerate(gathered.concepts):
            yield concept, pooled[shown[:, k]], pooled[~shown[:, k]]
        return
    pairs = np.argwhere(shown)
    regions = np.stack([_over_mask(activations[row], gathered.masks[row, k]) for row, k in pairs])
    for k, concept in enumerate(gathered.concepts):
        mine = pairs[:, 1] == k
        yield concept, regions[mine], regions[~mine]


def _over_mask(activations: Float[np.ndarray, "gh gw c"], mask: Bool[np.ndarray, "H W"]) -> Float[np.ndarray, " c"]:
    """The mean over cells, each weighed by how much of it the mask covers."""
    weights = resize_mask(mask, activations.shape[:2]).astype(np.float64)
    return np.tensordot(weights / weights.sum(), activations.astype(np.float64), 2)


def _table(found: Sequence[TcavRow], gathered: Gathered, name: str, count: int) -> Table:
    images = dict(zip(gathered.concepts, np.any(gathered.masks, axis=(2, 3)).sum(axis=0).tolist(), strict=True))
    rows = tuple(
        (r.layer, r.concept, images[r.concept], r.sign, *r.sign_interval, r.mean, r.zeros, r.p, r.corrected, r.verdict)
        for r in found
    )
    return Table(f"TCAV scores of {name} on its {count} most likely images", COLUMNS, rows)


def _figure(found: Sequence[TcavRow]):
    layers, concepts = (list(dict.fromkeys(getattr(row, part) for row in found)) for part in ("layer", "concept"))
    rows = {(row.layer, row.concept): row for row in found}
    estimates = {}
    for layer in layers:
        mine = [rows[layer, concept] for concept in concepts]
        values, low, high = np.array([(row.sign, *row.sign_interval) for row in mine]).T
        estimates[layer] = (values, low, high)
    return plot_estimates(concepts, estimates, title="share of images whose class score grows", label="TCAV score")
