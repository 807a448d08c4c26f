"""The page's tables as HTML, numbers as they are in the run.  Every text is escaped here."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from loce_jax.analysis.metrics.iou_summary import Summary
from loce_jax.foreign_text import for_html, label
from loce_jax.study.selection.sources import RunLike

_MAX_SKIPPED = 200
_MAX_LISTED = 8


def settings(plan: Mapping[str, Any]) -> str:
    """The plan as definition lists, one for the plain values and one per part.

    >>> settings({"images": 4, "data": {"name": "a<b", "source": {"seed": 0}}})
    '<dl><dt>images</dt><dd>4</dd></dl><h3>data</h3><dl><dt>name</dt><dd>a&lt;b</dd><dt>source seed</dt><dd>0</dd></dl>'
    """
    plan = {key: list(value) if key == "layers" else value for key, value in plan.items()}  # only their names
    plain = {key: value for key, value in plan.items() if not isinstance(value, Mapping)}
    parts = {key: value for key, value in plan.items() if isinstance(value, Mapping)}
    return _definitions(plain) + "".join(
        f"<h3>{for_html(str(key))}</h3>{_definitions(value)}" for key, value in parts.items()
    )


def quality(summaries: Mapping[str, tuple[Summary, ...]], overall: Iterable[Summary]) -> str:
    """IoU and failures: a row per concept and one over all, three columns per layer.

    `overall` has the counts of the run's own status, a row per concept and one over all, in the same order.
    The best mean of a row is marked.
    """
    head = "".join(f'<th colspan="3" scope="colgroup">{for_html(layer)}</th>' for layer in summaries)
    names = '<th scope="col">mean</th><th scope="col">median</th><th scope="col">failed</th>' * len(summaries)
    body = []
    for counts, *layers in zip(overall, *summaries.values(), strict=True):
        means = [row.mean_iou for row in layers]
        best = np.nanmax(means) if np.isfinite(means).any() else np.nan
        cells = "".join(_layer_cells(row, marked=len(layers) > 1 and row.mean_iou == best) for row in layers)
        name = label(counts.concept)
        kind = ' class="overall"' if counts.concept is None else ""
        body.append(
            f'<tr{kind}><th scope="row">{for_html(name)}</th><td>{counts.loces}</td><td>{counts.skipped}</td>{cells}'
            "</tr>"
        )
    return (
        '<thead><tr><th rowspan="2" scope="col">Concept</th><th rowspan="2" scope="col">LoCEs</th>'
        f'<th rowspan="2" scope="col">skipped</th>{head}</tr><tr>{names}</tr></thead><tbody>{"".join(body)}</tbody>'
    )


def skipped(run: RunLike) -> str:
    """The rows without a LoCE, why, and a line on those beyond the first 200."""
    rows = np.flatnonzero(run.table["status"] != "ok")
    if not len(rows):
        return "<p>No image and no mask was skipped.</p>"
    names = ("image", "concept", "status", "reason")
    body = "".join(
        "<tr>" + "".join(f"<td>{for_html(str(run.table[name][row]))}</td>" for name in names) + "</tr>"
        for row in rows[:_MAX_SKIPPED]
    )
    more = f"<p>And {len(rows) - _MAX_SKIPPED} more.</p>" if len(rows) > _MAX_SKIPPED else ""
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    return (
        f'<div class="scroll tall" tabindex="0"><table class="words"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>{more}"
    )


def _layer_cells(row, *, marked):
    if np.isnan(row.mean_iou):
        return '<td class="start">–</td><td>–</td><td>–</td>'
    kind, title = ("start best", ' title="best layer for this concept"') if marked else ("start", "")
    failed = round(row.failures * row.loces)
    return (
        f'<td class="{kind}" data-bar="{row.mean_iou:.3f}"{title}>{row.mean_iou:.3f}</td><td>{row.median_iou:.3f}</td>'
        f'<td title="{failed} of {row.loces}">{100 * row.failures:.1f} %</td>'
    )


def _definitions(values):
    rows = (f"<dt>{for_html(name)}</dt><dd>{for_html(text)}</dd>" for name, text in _flatten(values))
    return f"<dl>{''.join(rows)}</dl>"


def _flatten(values, prefix=""):
    """Name and text of every value; names of nested values start with their parents', long lists are counted."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key} ")
        elif isinstance(value, list | tuple):
            more = f", … ({len(value)} in all)" if len(value) > _MAX_LISTED else ""
            yield f"{prefix}{key}", ", ".join(map(str, value[:_MAX_LISTED])) + more
        else:
            yield f"{prefix}{key}", str(value)
