"""The report: one self-contained HTML page that makes no network request.

Numbers come from `content`, photographs from `images`, tables from `tables`; `static/` holds the page's frame, its
style sheet and its script.  The script writes texts as text, never as markup, and a content security policy lets no
other run.
"""

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np

from loce_jax.atomic import check_writable, write_file
from loce_jax.checks import check_arguments
from loce_jax.foreign_text import for_html, for_script
from loce_jax.recipes import PaperRecipe, recipe_from
from loce_jax.report import content, tables
from loce_jax.report.images import Progress, ignore, illustrate
from loce_jax.report.studies import links, sections
from loce_jax.report.study_files import Study, read_studies
from loce_jax.study.selection.photos import check_same_data
from loce_jax.study.selection.sources import PhotoSource, RunLike

_SCRIPTS = ("core.js", "map.js", "examples.js", "matrix.js")


@check_arguments
def write_report(
    run: RunLike,
    dataset: PhotoSource,
    out: Path,
    *,
    studies: Sequence[Path] = (),
    report_progress: Progress = ignore,
) -> Path:
    """Write the page of `run` to the file `out` and return it.

    The page appears under its name only when complete.

    Args:
        run: the run.
        dataset: where its photos came from; a photo that cannot be read any more becomes a placeholder.
        out: the file.
        studies: folders that `loce concepts`, `spaces`, `tcav` and other commands wrote about the run; each becomes a
            section, and so does each folder in it that is called like a layer.
        report_progress: called with the number of photos read and of all that the page shows.

    Raises:
        InputError: `out` cannot be written; `dataset` is another one than the run's, by its fingerprint; a folder of
            `studies` holds no results, damaged ones, or those of other runs.
    """
    check_writable(out)
    found = read_studies(studies, run)
    html = compose(run, dataset, found, report_progress=report_progress).encode()
    return write_file(out, html)


def compose(
    run: RunLike, dataset: PhotoSource, studies: Sequence[Study] = (), *, report_progress: Progress = ignore
) -> str:
    """The page as text."""
    check_same_data(run, dataset)
    chosen = content.choose_rows(run)
    thumbs, examples = content.pairs_of(run, chosen.thumbs), content.pairs_of(run, chosen.examples)
    pictures = illustrate(dataset, thumbs=thumbs, examples=examples, plan=run.plan, report_progress=report_progress)
    together, by_layer = content.summaries(run), {layer: content.summaries(run, layer) for layer in run.layers}
    best = content.best_layer({layer: rows[-1] for layer, rows in by_layer.items()})
    data = content.page_data(run, chosen, pictures, best)
    style, script = _static("page.css"), "\n".join(map(_static, _SCRIPTS))
    model, data_name = (str(run.plan[part]["name"]) for part in ("model", "data"))
    coordinates = recipe_from(run.plan.get("recipe", {})).coordinates
    return Template(_static("page.html")).substitute(
        title=for_html(f"{model} on {data_name}"),
        style_hash=_digest(style),
        script_hash=_digest(script),
        style=style,
        script=script,
        lead=for_html(_lead(run, together[-1], model)),
        coordinates=for_html(coordinates),
        distances="Distances are those in the recipe's coordinates." if coordinates else "",
        figures=_figures(run, together[-1], best, by_layer[best][-1]),
        quality=tables.quality(by_layer, together),
        separated=_shown(data["layers"], "separated", len(data["concepts"])),
        examples=_shown([{"examples": data["examples"]}], "examples", len(data["concepts"])),
        study_links=links(studies),
        studies=sections(studies),
        skipped=tables.skipped(run),
        settings=tables.settings(run.plan),
        data=for_script(data),
    )


def _lead(run, overall, model):
    images, layers = len(np.unique(run.table["image"])), len(run.layers)
    return (
        f"A local concept embedding (LoCE) is one vector per image and concept: the weights of a layer's "
        f"channels whose weighted sum segments the concept. This page shows {_count(overall.loces, 'LoCE')} "
        f"{'at each of' if layers != 1 else 'at'} {_count(layers, 'layer')} of {model}, from {_count(images, 'image')} "
        f"with {_count(len(run.concepts), 'concept')}: which lie close together, how well each segments its concept, "
        f"and the images behind the numbers. {_recipe(run.plan)}"
    )


def _recipe(plan):
    """The last sentence of the lead, where the recipe is not the paper's."""
    recipe = recipe_from(plan.get("recipe", {}))
    return "" if isinstance(recipe, PaperRecipe) else f"The recipe is {recipe.describe()}."


def _figures(run, overall, layer, best):
    """The line of key numbers under the lead; a run that is not finished shows fewer images than planned."""
    images, planned = len(np.unique(run.table["image"])), run.plan["images"]
    rows = {
        "images": f"{images:,}" if images == planned else f"{images:,} of {planned:,}",
        "concepts": f"{len(run.concepts):,}",
        "LoCEs per layer": f"{overall.loces:,}",
        "skipped": f"{overall.skipped:,}",
    }
    if best.loces:
        rows[f"mean IoU at {layer}"] = f"{best.mean_iou:.3f}"
        rows["failed there (IoU 0)"] = f"{100 * best.failures:.1f} %"
    return "".join(f"<div><dt>{for_html(name)}</dt><dd>{value}</dd></div>" for name, value in rows.items())


def _shown(parts, name, concepts):
    """A sentence that says how many concepts are shown, where these are not all."""
    most = max((len(part[name]) for part in parts), default=0)
    return f"Shown are the {most:,} of {concepts:,} concepts with the most LoCEs." if 0 < most < concepts else ""


def _count(number, noun):
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _static(name):
    return (files("loce_jax.report") / "static" / name).read_text("utf-8")


def _digest(text):
    """The source expression that lets exactly this inline text through a content security policy."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
