"""Sections of the page from what commands wrote: true numbers, harmless texts, nothing from outside the folder."""

import json

import numpy as np
import pytest
from PIL import Image

from loce_jax import InputError
from loce_jax.analysis.tables import Table
from loce_jax.cli.output import emit
from loce_jax.report.studies import links, sections
from loce_jax.report.study_files import read_studies
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


def test_a_folder_without_results_and_one_that_is_missing_are_told_apart(tmp_path):
    with pytest.raises(InputError, match="has no JSON file that names tables"):
        read_studies([tmp_path], RUN)
    with pytest.raises(InputError, match="`studies` must be an existing folder, but got '.*missing': nothing is there"):
        read_studies([tmp_path / "missing"], RUN)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="`studies` must be an existing folder, .* that is a file"):
        read_studies([tmp_path / "file"], RUN)


LAYERED = FakeRun({"layers": {}, "model": {"name": "net"}}, ("b/2", "b/10", "x"), ("cat",), {}, {})


@pytest.fixture
def layered(tmp_path):
    origin = {"runs": [{"run": "somewhere", "plan": plan_digest(LAYERED.plan)}]}
    result = StepResult(tables={"table": Table("found", COLUMNS, ROWS)})
    for layer in ("b/10", "b/2", "b/2 + x", "elsewhere"):
        emit(result, "map", tmp_path, layer, origin)
    emit(result, "separation", tmp_path, "b/2", origin)
    emit(result, "spaces", tmp_path, "", origin)
    return tmp_path


def test_folders_of_layers_are_looked_into_in_the_run_s_order(layered):
    found = read_studies([layered], LAYERED)
    assert [(study.name, study.layer) for study in found] == [
        ("spaces", ""),
        ("map", "b/2"),
        ("separation", "b/2"),
        ("map", "b/2 + x"),
        ("map", "b/10"),
    ]
    assert "Map, b/2 + x</a>" in links(found) and 'id="study-4-title">Map, b/10</h2>' in sections(found)


def test_a_damaged_layer_is_told_and_a_foreign_file_is_not(layered):
    (layered / "notes.json").write_text("{")
    assert len(read_studies([layered], LAYERED)) == 5
    (layered / "b%2F10" / "table.csv").unlink()
    with pytest.raises(InputError, match="'map.json' is damaged, or a file that it names"):
        read_studies([layered], LAYERED)


def test_a_layer_s_folder_that_is_elsewhere_is_not_read(layered, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (layered / "b%2F10").rename(other / "b%2F10")
    (layered / "b%2F10").symlink_to(other / "b%2F10")
    assert "b/10" not in {study.layer for study in read_studies([layered], LAYERED)}


def test_layers_of_other_runs_are_refused(layered):
    other = FakeRun({**LAYERED.plan, "model": {"name": "another"}}, LAYERED.layers, ("cat",), {}, {})
    (layered / "spaces.json").unlink()
    with pytest.raises(InputError, match="'.*b%2F2' is about other runs. Run `loce map`"):
        read_studies([layered], other)
