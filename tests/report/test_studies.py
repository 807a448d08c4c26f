"""Sections of the page from what commands wrote: true numbers, harmless texts, nothing from outside the folder."""

import json

import numpy as np
import pytest
from PIL import Image

from loce_jax import InputError
from loce_jax.analysis.tables import Table
from loce_jax.cli.output import emit
from loce_jax.report.studies import links, read_studies, sections
from loce_jax.store.records import plan_digest
from loce_jax.study.results.figures import Figures
from loce_jax.study.results.step_result import StepResult
from tests.report.test_report import HOSTILE, FakeRun

RUN = FakeRun({"layers": {"late": {}}, "model": {"name": "net"}}, ("late",), ("cat",), {}, {})
ORIGIN = {"runs": [{"run": "somewhere", "plan": plan_digest(RUN.plan)}]}
COLUMNS = "concept", "images", "IoU", "either"
ROWS = (("1e5", 3, 0.25, 0.5), (HOSTILE, 57, np.nan, "no"), ("=1", -2, 1e-9, 2))


class Gray:
    """A figure of one gray."""

    def savefig(self, draft, **_):
        """Write it."""
        Image.new("RGB", (4000, 100), (90, 90, 90)).save(draft, "PNG")


@pytest.fixture
def folder(tmp_path):
    tables = {"../up": Table(HOSTILE, COLUMNS, ROWS)}
    emit(StepResult(tables=tables, figures=Figures({"set_iou late": Gray})), "tcav", tmp_path, "", ORIGIN)
    return tmp_path


def test_numbers_are_numbers_and_texts_are_texts(folder):
    (study,) = read_studies([folder], RUN)
    (table,) = study.tables
    assert (study.name, table.title, table.columns) == ("tcav", HOSTILE, COLUMNS)
    assert table.rows[0] == ROWS[0] and np.isnan(table.rows[1][2]) and table.rows[1][::3] == (HOSTILE, "no")
    assert table.rows[2] == ("'=1", -2, 1e-9, 2)  # as the CSV file has it, which no spreadsheet takes for a formula


def test_the_section_escapes_and_shows_all(folder):
    studies = read_studies([folder], RUN)
    page = sections(studies)
    assert "<script" not in page and "<img src=x" not in page and page.count("data:image/png;base64,") == 1
    assert '<td class="number">0.250</td>' in page and '<td class="number">–</td>' in page and "<td>1e5</td>" in page
    assert links(studies) == '<li><a href="#study-0">Class dependence (TCAV)</a></li>'


def test_long_tables_say_what_is_left(folder):
    many = Table("many", ("concept",), tuple((f"c{i}",) for i in range(203)))
    emit(StepResult(tables={"many": many}), "spaces", folder / "long", "", ORIGIN)
    page = sections(read_studies([folder / "long"], RUN))
    assert "c199<" in page and "c200<" not in page and "And 3 more rows" in page


def test_results_of_other_runs_are_refused(folder):
    other = FakeRun({**RUN.plan, "model": {"name": "another"}}, ("late",), ("cat",), {}, {})
    with pytest.raises(InputError, match=r"`studies` must be about the page's run, .* Run `loce tcav` on this one"):
        read_studies([folder], other)


def change(folder, **written):
    path = folder / "tcav.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"written": content["written"] | written}))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("set_iou late.png", b""),
        ("set_iou late.png", b"<svg onload=alert(1)>"),
        ("..%2Fup.csv", b"\xff\xfe"),
        ("..%2Fup.csv", b""),
        ("tcav.json", b'{"written": 3}'),
        ("tcav.json", b'{"written": {"tables": {}, "pictures": []}, "made_with": {"runs": [{}]}}'),
        ("tcav.json", b"[" * 10_000),
        ("tcav.json", b"{}"),
    ],
)
def test_damaged_results_are_one_error(folder, name, content):
    (folder / name).write_bytes(content)
    with pytest.raises(InputError, match="`studies` must be folders that .* Run the command again"):
        read_studies([folder], RUN)


def test_nothing_outside_the_folder_is_read(folder, tmp_path_factory):
    secret = tmp_path_factory.mktemp("other") / "secret.png"
    Image.new("RGB", (4, 4)).save(secret)
    (folder / "link.png").symlink_to(secret)
    for name in ("link", str(secret.with_suffix("")), f"../{secret.parent.name}/secret"):
        change(folder, pictures=[name])
        with pytest.raises(InputError, match="is no file of the folder"):
            read_studies([folder], RUN)


def test_a_folder_that_is_none_is_told(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(InputError, match="no JSON file that names its tables"):
            read_studies([folder], RUN)
