"""Runs on disk: what goes in comes out, failures stay visible, and a half-done run is never taken for a done one."""

import errno
import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from loce_jax import InputError, PaperRecipe, RidgeRecipe, Statistics, open_run
from loce_jax.store import LayerRows, RidgeRows, RunWriter, open_storage
from loce_jax.store.files import FORMAT
from loce_jax.store.manifest import has_whole
from loce_jax.store.sealed import seal, unseal
from loce_jax.store.statistics import PartImages, missing_parts, read_part, whole_digest, write_part, write_whole
from tests.support.deadly import Killed, counted_calls, killed_at

LAYERS = ("early", "../late")
PLAN = {
    "layers": dict.fromkeys(LAYERS, {}),
    "data": {"concepts": ["cat", "dog"]},
    "format": FORMAT,
    "chunks": ["00000", "00001"],
    "recipe": {"name": "paper", "learning_rate": 0.1},
    "target": [100, 100],
}
CONCEPTS = {"00000": ["cat", "dog", "cat"], "00001": ["dog", "dog"]}


def rows_of(chunk, good, seed):
    """Numbers of the `good` rows of one chunk at one layer."""
    rng = np.random.default_rng(seed)
    words = ["ok" if row in good else "mask_empty" for row in range(len(CONCEPTS[chunk]))]
    r = len(good)
    return LayerRows(
        rows=np.array(good, dtype=int),
        vectors=rng.normal(size=(r, 4)).astype("float32"),
        responses=rng.normal(size=(r, 2, 3)).astype("float16"),
        iou=rng.random(r),
        loss=rng.normal(size=r).astype("float32"),
        status=words,
    )


def columns_of(chunk):
    n = len(CONCEPTS[chunk])
    return {
        "image": [f"{chunk}/<b>é{row}.jpg" for row in range(n)],
        "image_id": list(range(n)),
        "concept": CONCEPTS[chunk],
        "area": [None, *[0.25] * (n - 1)],
        "reason": [""] * n,
    }


def write(root, chunks=("00000", "00001"), good=None):
    good = good or {"00000": [0, 2], "00001": [0, 1]}
    with RunWriter(open_storage(root), PLAN) as writer:
        for chunk in chunks:
            layers = {layer: rows_of(chunk, good[chunk], seed) for seed, layer in enumerate(LAYERS)}
            writer.write(chunk, columns_of(chunk), layers)


def contents(root):
    """Every file and its bytes; the lock is a tool of the writer, not a part of the run."""
    return {
        p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file() and p.name != ".lock"
    }


def test_what_goes_in_comes_out(tmp_path):
    write(tmp_path / "run")
    run = open_run(tmp_path / "run")
    assert run.layers == LAYERS and run.concepts == ("cat", "dog") and run.complete
    for seed, layer in enumerate(LAYERS):
        first, second = rows_of("00000", [0, 2], seed), rows_of("00001", [0, 1], seed)
        vectors = run.vectors(layer)
        np.testing.assert_array_equal(vectors[[0, 2]], first.vectors)
        np.testing.assert_array_equal(vectors[3:], second.vectors)
        np.testing.assert_array_equal(run.responses(layer)[3:], second.responses)
        np.testing.assert_array_equal(run.column("iou", layer)[[0, 2, 3, 4]], [*first.iou, *second.iou])
    assert run.table["image"][0] == "00000/<b>é0.jpg"
    assert np.isnan(run.table["area"][0]) and run.table["area"][1] == 0.25
    np.testing.assert_allclose(run.table["iou"], np.mean([run.column("iou", layer) for layer in LAYERS], axis=0))


def test_a_failed_pair_keeps_its_row_as_nan_and_is_not_on_disk(tmp_path):
    write(tmp_path / "run")
    run = open_run(tmp_path / "run")
    assert run.table["status"].tolist() == ["ok", "mask_empty", "ok", "ok", "ok"]
    for layer in LAYERS:
        assert np.isnan(run.vectors(layer)[1]).all() and np.isnan(run.column("iou", layer)[1])
        assert np.isnan(run.responses(layer)[1]).all()
    assert np.isnan(run.table["iou"][1])


def test_non_finite_numbers_of_good_rows_are_refused(tmp_path):
    part = rows_of("00000", [0, 2], 0)
    part.vectors[0, 0] = np.inf
    with RunWriter(open_storage(tmp_path / "run"), PLAN) as writer, pytest.raises(ValueError, match="must be finite"):
        writer.write("00000", columns_of("00000"), dict.fromkeys(LAYERS, part))


def test_the_table_is_a_data_frame_too(tmp_path, monkeypatch):
    write(tmp_path)
    run = open_run(tmp_path)
    frame = run.frame()
    assert list(frame.columns) == list(run.table) and frame["concept"].tolist() == run.table["concept"].tolist()
    of_layer = run.frame("../late")
    np.testing.assert_array_equal(of_layer["iou"], run.column("iou", "../late"))
    assert of_layer[of_layer.status == "ok"].groupby("concept").size().to_dict() == {"cat": 2, "dog": 2}
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match="`frame` needs pandas"):
        run.frame()


def test_select_finds_rows(tmp_path):
    write(tmp_path / "run")
    run = open_run(tmp_path / "run")
    assert run.select(concept="dog").tolist() == [1, 3, 4]
    assert run.select(concept="dog", status="ok").tolist() == [3, 4]
    assert run.select(concept=["cat", "dog"]).tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(InputError, match="unknown column 'concpt'. Did you mean 'concept'"):
        run.select(concpt="dog")


def test_one_whole_chunk_is_memory_mapped(tmp_path):
    plan = {**PLAN, "chunks": ["00001"]}
    with RunWriter(open_storage(tmp_path / "run"), plan) as writer:
        writer.write("00001", columns_of("00001"), dict.fromkeys(LAYERS, rows_of("00001", [0, 1], 0)))
    vectors = open_run(tmp_path / "run").vectors("early")
    assert isinstance(vectors, np.memmap) and not vectors.flags.writeable


def test_continuing_gives_the_same_bytes_in_any_order(tmp_path):
    write(tmp_path / "whole")
    write(tmp_path / "parts", ["00001"])
    assert not open_run(tmp_path / "parts").complete
    (tmp_path / "parts" / ".tmp" / "of a killed writer").write_text("half")
    with RunWriter(open_storage(tmp_path / "parts"), PLAN) as writer:
        assert writer.done == {"00001"}
    write(tmp_path / "parts", ["00000"])
    assert contents(tmp_path / "whole") == contents(tmp_path / "parts")


def test_a_writer_killed_at_any_call_loses_no_finished_chunk_and_leaves_no_damage(tmp_path):
    """Killed instead of each call that makes a file durable or names it; resumed, it has the bytes of a whole run."""
    with counted_calls() as calls:
        write(tmp_path / "whole")
    files = [["fsync", "replace", "fsync"]] * 3 * 2  # two layers and the rows of each of two chunks
    assert calls == ["fsync", "link", "fsync", *(call for file in files for call in file)]
    for call in range(1, len(calls) + 1):
        root = tmp_path / str(call)
        with killed_at(call), pytest.raises(Killed):
            write(root)
        if call > 2:  # the plan has its name
            run = open_run(root)
            assert run.finished == run.chunks[: (call - 3) // 9]
            assert not run.finished or run.damaged() == []
        write(root)
        assert contents(root) == contents(tmp_path / "whole")


def test_other_options_are_refused_and_listed(tmp_path):
    write(tmp_path / "run")
    other = json.loads(json.dumps(PLAN))
    other["recipe"]["learning_rate"] = 0.2
    with pytest.raises(InputError, match=r"recipe.learning_rate: 0.1 there, 0.2 now"):
        RunWriter(open_storage(tmp_path / "run"), other)
    other = {**PLAN, "layers": {layer: {"aliases": ["new"]} for layer in LAYERS}}
    with RunWriter(open_storage(tmp_path / "run"), other) as writer:
        assert writer.done == {"00000", "00001"}
    with pytest.raises(InputError, match=r"layers: \['early', '../late'\] there, \['early'\] now"):
        RunWriter(open_storage(tmp_path / "run"), {**PLAN, "layers": {"early": {}}})


@pytest.mark.parametrize(
    ("there", "words"),
    [(2, "is of format 2. Make it anew, in another folder"), ("a" * 10_000, r"format 'a{70,80}\.\.\.\. Make")],
)
def test_a_run_of_another_format_is_refused(tmp_path, there, words):
    (tmp_path / "plan.json").write_text(json.dumps({**PLAN, "format": there}))
    with pytest.raises(InputError, match=words):
        open_run(tmp_path)


def test_one_writer_at_a_time(tmp_path):
    with RunWriter(open_storage(tmp_path / "run"), PLAN), pytest.raises(InputError, match="another process is writing"):
        RunWriter(open_storage(tmp_path / "run"), PLAN)
    RunWriter(open_storage(tmp_path / "run"), PLAN).close()


def test_foreign_folders_are_left_alone(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"precious")
    with pytest.raises(InputError, match="holds other files"):
        RunWriter(open_storage(tmp_path), PLAN)
    with pytest.raises(InputError, match="is a file"):
        RunWriter(open_storage(tmp_path / "photo.jpg"), PLAN)
    assert (tmp_path / "photo.jpg").read_bytes() == b"precious"


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"a folder that can be written, but .*Not a directory"):
        RunWriter(open_storage(tmp_path / "file" / "run"), PLAN)


def test_a_full_disk_keeps_what_is_finished(tmp_path, monkeypatch):
    write(tmp_path / "run", ["00000"])

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr("os.fsync", full)
        write(tmp_path / "run", ["00001"])
    assert open_run(tmp_path / "run").finished == ("00000",)
    write(tmp_path / "run", ["00001"])
    write(tmp_path / "whole")
    assert contents(tmp_path / "whole") == contents(tmp_path / "run")


def flip(path, position=-1):
    """One bit of the file is another."""
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def test_row_23_every_flipped_bit_of_a_run_is_found_and_named(tmp_path):
    write(tmp_path / "run")
    with RunWriter(open_storage(tmp_path / "run"), PLAN) as writer:
        writer.finish()
        writer.note_source({"source": None})
    assert open_run(tmp_path / "run").damaged() == []
    for name, content in contents(tmp_path / "run").items():
        path = tmp_path / "run" / name
        for position in (0, len(content) // 3, -1):
            flip(path, position)
            if name == "plan.json":
                with pytest.raises(InputError, match="readable plan|of format"):
                    open_run(tmp_path / "run")
            else:
                assert name in open_run(tmp_path / "run").damaged()
            path.write_bytes(content)
    assert open_run(tmp_path / "run").damaged() == []


def test_flipped_numbers_are_never_read(tmp_path):
    write(tmp_path / "run")
    (path,) = (tmp_path / "run" / "layers").glob("00-early/00000.*")
    flip(path)
    run = open_run(tmp_path / "run")
    for read in (run.vectors, run.responses, lambda layer: run.column("iou", layer)):
        with pytest.raises(InputError, match=r"00000.safetensors' is damaged: .* SHA-256. The same .* `--repair`"):
            read("early")
    with pytest.raises(InputError, match="is damaged"):
        run.table  # noqa: B018


def test_files_that_a_manifest_lists_and_nobody_has_are_damage(tmp_path):
    write(tmp_path / "run")
    with RunWriter(open_storage(tmp_path / "run"), PLAN) as writer:
        writer.finish()
    (tmp_path / "run" / "chunks" / "00000.json").unlink()
    damaged = open_run(tmp_path / "run").damaged()
    assert {"chunks/00000.json", "layers/00-early/00000.safetensors", "manifest.json"} <= set(damaged)


def test_a_run_that_is_not_complete_has_no_manifest(tmp_path):
    write(tmp_path / "run", ["00000"])
    with RunWriter(open_storage(tmp_path / "run"), PLAN) as writer:
        writer.finish()
    assert "manifest.json" not in contents(tmp_path / "run") and open_run(tmp_path / "run").damaged() == []


def lose(path):
    path.unlink()


def garble(path):
    flip(path, 20)


def list_others(path):
    alter(path.parent, path.name, lambda tree: tree["files"].update({"chunks/00000.json": [1, "0" * 64]}))


@pytest.mark.parametrize(
    ("harm", "word"), [(lose, "missing"), (garble, "damaged"), (list_others, "one of other files")]
)
def test_a_manifest_that_is_lost_or_damaged_is_told_by_every_reader_and_made_anew(tmp_path, harm, word, caplog):
    write(tmp_path / "run")
    with RunWriter(open_storage(tmp_path / "run"), PLAN) as writer:
        writer.finish()
    whole = contents(tmp_path / "run")
    assert len(open_run(tmp_path / "run").table["concept"]) == 5 and not caplog.messages
    harm(tmp_path / "run" / "manifest.json")
    run = open_run(tmp_path / "run")
    assert len(run.table["concept"]) == 5 and len(run.vectors("early")) == 5
    (message,) = caplog.messages
    assert f"is {word}" in message and "`--repair`" in message
    with pytest.raises(InputError, match=r"missing or damaged: manifest.json. The same `loce fit` with `--repair`"):
        run.verify()
    with RunWriter(open_storage(tmp_path / "run"), PLAN) as writer:
        if harm is garble:
            with pytest.raises(InputError, match="damaged: manifest.json"):
                writer.survey()
        if harm is lose:
            writer.verify()  # as after a run that was killed before it could write one
        writer.survey(repair=True)
        writer.finish()
    assert contents(tmp_path / "run") == whole and open_run(tmp_path / "run").damaged() == []


def test_a_chunk_that_is_written_anew_takes_the_manifest_with_it(tmp_path):
    write(tmp_path / "run")
    with RunWriter(open_storage(tmp_path / "run"), PLAN) as writer:
        writer.finish()
        kept = contents(tmp_path / "run")
        writer.write(
            "00000", columns_of("00000"), {layer: rows_of("00000", [0, 2], n) for n, layer in enumerate(LAYERS)}
        )
        assert contents(tmp_path / "run") == kept, "the same bytes"
        writer.write("00000", columns_of("00000"), {layer: rows_of("00000", [0], n) for n, layer in enumerate(LAYERS)})
        assert "manifest.json" not in contents(tmp_path / "run")
        writer.finish()
    assert open_run(tmp_path / "run").damaged() == []


def alter(root, name, change):
    """Write a sealed file anew after `change`, with a digest that fits it."""
    tree = unseal((root / name).read_bytes())
    tree.pop("sha256")
    change(tree)
    (root / name).write_bytes(seal(tree))


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record["status"]["early"].pop(),
        lambda record: record["status"].pop("early"),
        lambda record: record["columns"]["image"].pop(),
        lambda record: record["columns"].pop("concept"),
        lambda record: record["columns"].update(image=3),
        lambda record: record["columns"].update(image=[[], {}, 1]),
        lambda record: record.update(rows=10**12),
        lambda record: record.update(rows="3"),
        lambda record: record.update(chunk="00001"),
        lambda record: record.update(plan="0" * 64),
        lambda record: record.update(photos=[]),
        lambda record: record.update(files={}),
        lambda record: record["files"].update({"../../etc/passwd": [1, "0" * 64]}),
        lambda record: record["status"].update(early=["ok", "ok", "ok"]),
    ],
)
def test_records_whose_counts_do_not_agree_are_refused(tmp_path, change):
    """Their checksums are right: somebody wrote them so."""
    write(tmp_path)
    alter(tmp_path, "chunks/00000.json", change)
    with pytest.raises(InputError, match="`run` must be whole"):
        open_run(tmp_path).vectors("early")


@pytest.mark.parametrize("keep", [0, 4, 8, 60, -1])
def test_a_truncated_chunk_is_an_error_that_says_what_to_do(tmp_path, keep):
    write(tmp_path / "run")
    (path,) = (tmp_path / "run" / "layers").glob("00-early/00000.*")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match="is damaged.*The same `loce fit` with `--repair`"):
        open_run(tmp_path / "run").vectors("early")
    with RunWriter(open_storage(tmp_path / "run"), PLAN) as writer:
        with pytest.raises(InputError, match="`--repair` makes what is damaged anew"):
            writer.survey()
        assert list(writer.survey(repair=True).chunks) == ["00001"]


def test_layer_names_never_leave_the_run(tmp_path):
    write(tmp_path / "run")
    assert {p.parent for p in tmp_path.rglob("*.safetensors")} == {
        tmp_path / "run" / "layers" / "00-early",
        tmp_path / "run" / "layers" / "01-..%2Flate",
    }


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"layers": 3}', "\x00", "[" * 100_000])
def test_an_unreadable_plan_is_one_clear_error(tmp_path, text):
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(InputError, match="readable plan"):
        open_run(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"layers": {}},
        {"layers": ["early"]},
        {"layers": {"early": {"stride": 3, "unknown": 1}}},
        {"chunks": ["../../etc"]},
        {"chunks": ["00000", "00000"]},
        {"chunks": 10**9},
        {"data": None},
        {"data": {"concepts": [3]}},
        {"recipe": []},
        {"recipe": {"name": "ridge", "l2": "much"}},
        {"recipe": {"name": "unknown"}},
        {"images": -1},
        {"images": 1.5},
        {"model": "tiny"},
    ],
    ids=str,
)
def test_a_plan_of_another_form_is_one_clear_error(tmp_path, change):
    (tmp_path / "plan.json").write_bytes(seal({**PLAN, **change}))
    with pytest.raises(InputError, match="readable plan") as error:
        open_run(tmp_path)
    assert ".. " not in str(error.value)


def test_a_damaged_plan_is_written_again_by_a_repair_that_knows_it(tmp_path):
    write(tmp_path)
    flip(tmp_path / "plan.json")
    with pytest.raises(InputError, match="readable plan"):
        RunWriter(open_storage(tmp_path), PLAN)
    with pytest.raises(InputError, match="readable plan"):
        RunWriter(open_storage(tmp_path), {**PLAN, "target": [50, 50]}, repair=True)
    RunWriter(open_storage(tmp_path), PLAN, repair=True).close()
    assert open_run(tmp_path).damaged() == []


def test_no_run_is_one_clear_error(tmp_path):
    with pytest.raises(InputError, match=r"existing folder.*nothing is there"):
        open_run(tmp_path / "nowhere")
    with pytest.raises(InputError, match="must hold a plan.json.*`loce fit` makes one"):
        open_run(tmp_path)


RIDGE = {**PLAN, "recipe": {"name": "ridge", "l2": 0.5, "whitening": 0.5}}


def write_ridge(root):
    """A run of the ridge recipe, its second row failed; the numbers that only it has."""
    said = RidgeRows(np.array([0.5, -1.0]), np.array([True, False]), np.array([7, 50]), np.array([1e-6, 1e-2]))
    part = replace(rows_of("00000", [0, 2], 0), ridge=said)
    with RunWriter(open_storage(root), {**RIDGE, "chunks": ["00000"]}) as writer:
        write_whole(writer.storage, writer.plan, {layer: sums_of(seed) for seed, layer in enumerate(LAYERS)})
        digest = whole_digest(writer.storage, writer.plan)
        writer.write("00000", columns_of("00000"), dict.fromkeys(LAYERS, part), statistics=digest)
    return said


def sums_of(seed):
    rng = np.random.default_rng(seed)
    return Statistics(2**40 + seed, rng.normal(size=4), rng.normal(size=(4, 4)))


def test_the_ridge_recipe_has_columns_of_its_own(tmp_path):
    said = write_ridge(tmp_path / "ridge")
    run = open_run(tmp_path / "ridge")
    assert run.recipe == RidgeRecipe(l2=0.5)
    np.testing.assert_array_equal(run.biases("early"), np.array([0.5, np.nan, -1], np.float32))
    np.testing.assert_array_equal(run.column("converged", "early"), [1, np.nan, 0])
    np.testing.assert_array_equal(run.column("steps", "../late"), [7, np.nan, 50])
    np.testing.assert_allclose(run.column("gradient_norm", "early")[[0, 2]], said.gradient_norm)
    filters, offsets = run.raw_filters("early")
    np.testing.assert_array_equal(np.isnan(offsets), [False, True, False])
    whitening = run.statistics("early").whitening(RIDGE["recipe"]["whitening"])
    expected = whitening.raw_filters(run.vectors("early"), run.biases("early"))
    np.testing.assert_array_equal(filters, expected[0])
    for seed, layer in enumerate(LAYERS):
        for name, expected in vars(sums_of(seed)).items():
            np.testing.assert_array_equal(getattr(run.statistics(layer), name), expected)


def test_the_papers_recipe_has_no_biases_and_says_who_has(tmp_path):
    write(tmp_path / "run")
    run = open_run(tmp_path / "run")
    assert run.recipe == PaperRecipe()
    filters, offsets = run.raw_filters("early")
    np.testing.assert_array_equal(filters, run.vectors("early"))
    np.testing.assert_array_equal(offsets, np.where(np.isnan(filters[:, 0]), np.nan, 0))
    for ask in (run.biases, run.statistics):
        with pytest.raises(InputError, match=r"needs a run of the ridge recipe, but .* is one of the paper recipe"):
            ask("early")
    with pytest.raises(InputError, match="unknown column 'converged'. Known: iou, loss, status"):
        run.column("converged", "early")


def test_statistics_that_are_not_there_yet_are_one_clear_error(tmp_path):
    with RunWriter(open_storage(tmp_path), RIDGE) as writer:
        write_part(writer.storage, RIDGE, "00", [sums_of(0), sums_of(1)], PartImages())
        for expected, found in zip((sums_of(0), sums_of(1)), read_part(writer.storage, RIDGE, "00"), strict=True):
            np.testing.assert_array_equal(found.scatter, expected.scatter)
        assert missing_parts(writer.storage, ["00", "01"]) == ["01"] and not has_whole(writer.storage)
    with pytest.raises(InputError, match="must have its layers' statistics, but .* has none yet"):
        open_run(tmp_path).statistics("early")


@pytest.mark.parametrize("keep", [0, 60, -1])
def test_truncated_statistics_are_found_and_said(tmp_path, keep):
    write_ridge(tmp_path / "run")
    assert open_run(tmp_path / "run").damaged() == []
    path = tmp_path / "run" / "statistics" / "01-..%2Flate.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    run = open_run(tmp_path / "run")
    assert run.damaged() == ["statistics/01-..%2Flate.safetensors"]
    assert run.statistics("early").count == 2**40
    with pytest.raises(InputError, match="is damaged.*`--repair` makes"):
        run.statistics("../late")


@pytest.mark.parametrize("text", ["", "[1]", "3", "\x00"])
def test_garbled_checksums_of_statistics_are_damage(tmp_path, text):
    write_ridge(tmp_path / "run")
    (tmp_path / "run" / "statistics" / "whole.json").write_text(text)
    assert open_run(tmp_path / "run").damaged() == ["statistics/whole.json"]


def test_flipped_parts_are_never_added(tmp_path):
    with RunWriter(open_storage(tmp_path), RIDGE) as writer:
        write_part(writer.storage, RIDGE, "00", [sums_of(0), sums_of(1)], PartImages())
        flip(tmp_path / "statistics" / "parts" / "00.safetensors")
        with pytest.raises(InputError, match="parts/00.safetensors' is damaged"):
            read_part(writer.storage, RIDGE, "00")


def test_a_part_that_two_write_is_there_all_the_time(tmp_path, monkeypatch):
    with RunWriter(open_storage(tmp_path), RIDGE) as writer:
        write_part(writer.storage, RIDGE, "00", [sums_of(0), sums_of(1)], PartImages())
        deleted = []
        monkeypatch.setattr(type(writer.storage), "delete", lambda _, name: deleted.append(name))
        write_part(writer.storage, RIDGE, "00", [sums_of(0), sums_of(1)], PartImages())
        assert deleted == []
        write_part(writer.storage, RIDGE, "00", [sums_of(0), sums_of(2)], PartImages())
        assert deleted == ["statistics/parts/00.json"], "first, so that nobody takes the files for what it says"


def test_chunks_of_other_statistics_are_not_mixed(tmp_path):
    write_ridge(tmp_path)
    with RunWriter(open_storage(tmp_path), {**RIDGE, "chunks": ["00000"]}) as writer:
        write_whole(writer.storage, writer.plan, {layer: sums_of(7) for layer in LAYERS})
    with pytest.raises(InputError, match="solved with others.*solves those chunks anew"):
        open_run(tmp_path).vectors("early")
