"""Sub-concepts of each concept, the attributes that differ between them, and their central examples."""

import numpy as np

from loce_jax.analysis.sampling import subsample
from loce_jax.analysis.subconcepts.attributes import co_occurring
from loce_jax.analysis.subconcepts.effects import Subconcept, describe_subconcepts
from loce_jax.analysis.subconcepts.split import Split, split_concept
from loce_jax.analysis.tables import Table
from loce_jax.checks import InputError, check_known
from loce_jax.plots.figures import Strip, plot_strips
from loce_jax.plots.strips import Tile
from loce_jax.study.results.figures import Figures
from loce_jax.study.results.step_result import StepResult
from loce_jax.study.selection.layer_analysis import LayerAnalysis

_OWN = ("image", "image_id", "concept", "annotations", "status", "reason", "loss", "area", "iou")
_MAX_EFFECTS = 5
_MAX_STRIPS = 8
_LEVEL = 0.05  # of the adjusted p-value, above which an attribute may be chance
_MAX_WORDS = 24  # distinct texts up to which an attribute is compared


def study_subconcepts(analysis: LayerAnalysis) -> StepResult:
    """For one concept or each: sub-concepts, their shares, the attributes that differ, and central examples."""
    embeddings, options = analysis.embeddings, analysis.options.subconcepts
    _check(options, embeddings)
    concepts = embeddings.concepts if options.concept is None else (options.concept,)
    metrics, found, effects, strips = {}, [], [], []
    columns_of = co_occurring(analysis.run.table["image"], analysis.run.table["concept"])
    around = list(columns_of), np.stack(list(columns_of.values()), axis=1)
    for concept in concepts:
        positions, split = _split(analysis, concept)
        subconcepts = describe_subconcepts(
            embeddings.vectors[positions], split.subconcepts, _attributes(analysis, positions, around)
        )
        best = float(split.silhouettes.max()) if len(split.silhouettes) else float("nan")
        metrics[concept] = {
            "LoCEs": len(positions),
            "subconcepts": len(subconcepts),
            "p_value": split.p_value,
            "shares": [subconcept.share for subconcept in subconcepts],
            "silhouettes": split.silhouettes,
        }
        found.append((concept, len(positions), len(subconcepts), best, split.p_value))
        effects += [row for subconcept in subconcepts for row in _effects(concept, subconcept)]
        if options.concept is not None or (len(subconcepts) > 1 and len(strips) + len(subconcepts) <= _MAX_STRIPS):
            strips += [(concept, one, positions[one.members[: options.shown]]) for one in subconcepts]
    columns = ("concept", "sub-concept", "share", "attribute", "delta", "inside", "outside", "adjusted p")
    return StepResult(
        metrics,
        {
            "subconcepts": Table(
                _title(options), ("concept", "LoCEs", "sub-concepts", "silhouette", "p"), tuple(found)
            ),
            "attributes": Table("Attributes that differ between sub-concepts", columns, tuple(effects)),
        },
        Figures({"subconcepts": lambda: _plot(analysis, strips, options)} if strips else {}),
        headline={"sub-concepts": {row[0]: row[2] for row in found}},
    )


def _check(options, embeddings):
    if options.concept is not None:
        check_known("concept", [options.concept], embeddings.concepts)
    if options.by == "components" and (options.n_clusters, options.height) != (None, None):
        raise InputError(
            "`n_clusters` and `height` must be left out where `by` is 'components', since they cut a tree, "
            f"but got {options.n_clusters} and {options.height}. Leave them out, or choose 'cut'."
        )


def _title(options):
    if options.by == "components":
        return "Sub-concepts (components of the concept's mixture on the map; outliers are in none)"
    if (options.n_clusters, options.height) != (None, None):
        return "Sub-concepts (cut where asked, so nothing was tested)"
    return f"Sub-concepts (one unless a single Gaussian cluster would rarely be cut as well: p at most {_LEVEL:g})"


def _split(analysis, concept):
    """Positions of the concept's LoCEs that are drawn, and their sub-concepts."""
    options, mine = analysis.options.subconcepts, analysis.embeddings.positions_of(concept)
    chosen = _sample(len(mine), options.max_per_concept, analysis.seed)
    positions = mine[chosen]
    if options.by == "components":
        return positions, Split(analysis.mixtures[concept].assignments[chosen], np.zeros(0), float("nan"))
    vectors = analysis.embeddings.vectors[positions]
    return positions, split_concept(vectors, options.n_clusters, height=options.height, seed=analysis.seed)


def _sample(n, most, seed):
    return np.arange(n) if n <= most else subsample(np.zeros(n, int), most, seed)


def _attributes(analysis, positions, around):
    """By name: IoU, the data set's attributes, the mask's and the co-occurring concepts."""
    table, rows = analysis.run.table, analysis.embeddings.rows[positions]
    attributes = {name: values[rows] for name, values in table.items() if name not in _OWN}
    attributes = {
        name: values
        for name, values in attributes.items()
        if values.dtype.kind in "fiub" or len(np.unique(values)) <= _MAX_WORDS
    }
    there = around[1][rows]
    attributes |= {f"with {around[0][column]}": there[:, column] for column in np.flatnonzero(there.any(axis=0))}
    seen = analysis.photos.attributes(rows.tolist())
    names = next(iter(seen.values()), {"area": np.nan})
    unknown = dict.fromkeys(names, np.nan)
    attributes |= {name: np.array([seen.get(int(row), unknown)[name] for row in rows]) for name in names}
    return {"IoU": analysis.embeddings.iou[positions], **({} if seen else {"area": table["area"][rows]}), **attributes}


def _effects(concept: str, subconcept: Subconcept):
    for effect in _ordered(subconcept)[:_MAX_EFFECTS]:
        numbers = effect.delta, effect.inside, effect.outside, effect.adjusted
        yield (concept, subconcept.number + 1, subconcept.share, effect.attribute, *numbers)


def _ordered(subconcept):
    """Significant effects first, then by their size."""
    return sorted(subconcept.effects, key=lambda effect: (effect.adjusted >= _LEVEL, -abs(effect.delta)))


def _plot(analysis, strips, options):
    embeddings = analysis.embeddings
    tiles = analysis.photos.tiles(int(embeddings.rows[position]) for _, _, mine in strips for position in mine)
    rows = []
    for concept, subconcept, mine in strips:
        effect = next((effect for effect in _ordered(subconcept) if effect.adjusted < _LEVEL), None)
        note = f"{effect.attribute}: {effect.inside:.2g}, others {effect.outside:.2g}" if effect else ""
        every = [Tile(tiles.get(int(embeddings.rows[each])), f"IoU {embeddings.iou[each]:.2f}") for each in mine]
        rows.append(Strip(f"{concept} {subconcept.number + 1} ({subconcept.share:.0%})", every, note))
    return plot_strips(rows, options.shown)
