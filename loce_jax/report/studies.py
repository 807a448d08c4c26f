"""Sections of the page made from what `read_studies` found."""

import base64
from collections.abc import Sequence

from loce_jax.analysis.tables import show_number, text_columns
from loce_jax.foreign_text import for_html
from loce_jax.report.study_files import Study

TITLES = {
    "concepts": "Global concepts",
    "spaces": "Feature spaces",
    "tcav": "Class dependence (TCAV)",
    "depth": "Networks over depth",
    "stats": "IoU",
    "clusters": "Clusters",
    "map": "Map",
    "separation": "Separation",
    "confusion": "Confusion",
    "retrieval": "Retrieval",
    "outliers": "Outliers",
    "subconcepts": "Sub-concepts",
    "label_errors": "Label errors",
    "quality": "Quality",
    "compare": "Layers and runs compared",
}
_MAX_ROWS = 200  # of a table that are shown


def links(studies: Sequence[Study]) -> str:
    """The sections' entries in the page's navigation."""
    return "".join(f'<li><a href="#study-{i}">{for_html(_title(study))}</a></li>' for i, study in enumerate(studies))


def sections(studies: Sequence[Study]) -> str:
    """The sections, one a study.

    >>> from loce_jax.analysis.tables import Table
    >>> page = sections([Study("tcav", "", (), (Table("a < b", ("concept", "score"), (("cat", 0.25),)),), {})])
    >>> page[: page.index("<h2")], "<h3>a &lt; b</h3>" in page
    ('<section id="study-0" aria-labelledby="study-0-title">', True)
    """
    return "\n".join(_section(study, f"study-{number}") for number, study in enumerate(studies))


def _section(study, name):
    title = f'<h2 id="{name}-title">{for_html(_title(study))}</h2>'
    parts = [f'<section id="{name}" aria-labelledby="{name}-title">{title}']
    for file, content in study.pictures.items():
        address = f"data:image/png;base64,{base64.b64encode(content).decode()}"
        parts.append(f'<figure class="study"><img src="{address}" alt="{for_html(_words(file))}"></figure>')
    parts += map(_as_html, study.tables)
    return "".join([*parts, "</section>"])


def _as_html(table):
    kinds = ("" if text else ' class="number"' for text in text_columns(table))
    pairs = zip(table.columns, kinds, strict=True)
    head = "".join(f'<th scope="col"{kind}>{for_html(name)}</th>' for name, kind in pairs)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in table.rows[:_MAX_ROWS])
    left = len(table.rows) - _MAX_ROWS
    more = f"<p>And {left} more rows in the command's folder.</p>" if left > 0 else ""
    return (
        f'<h3>{for_html(table.title)}</h3><div class="scroll tall" tabindex="0"><table class="found">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{more}"
    )


def _cell(value):
    if isinstance(value, str):
        return f"<td>{for_html(value)}</td>"
    return f'<td class="number">{show_number(value, 3)}</td>'


def _title(study):
    title = TITLES.get(study.name, study.name)
    return f"{title}, {study.layer}" if study.layer else title


def _words(file):
    return " ".join(file.replace("_", " ").split())
