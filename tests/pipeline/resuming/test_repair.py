"""`repair` makes exactly what is damaged anew, to the bytes that were there."""

import pytest

from loce_jax import InputError, open_run
from loce_jax.store import RunWriter, keep_derived
from tests.pipeline.resuming.small import fit
from tests.support.small_coco import contents


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("layers/00-shallow/00001.safetensors", ["00001"]),
        ("chunks/00002.json", ["00002"]),
        ("statistics/parts/01.safetensors", []),
        ("statistics/parts/01.json", []),
        ("statistics/00-shallow.safetensors", []),
        ("statistics/whole.json", []),
        ("manifest.json", []),
        ("plan.json", []),
        ("derived/map.safetensors", []),
    ],
)
def test_row_23_what_is_damaged_is_found_and_made_anew_byte_by_byte(folder, monkeypatch, name, written):
    run = fit(folder, folder / "run", "ridge")
    whole = contents(folder / "run")
    assert keep_derived(run.storage, "map", {}, {"points": run.vectors("shallow")})
    solved, write = [], RunWriter.write

    def spy(self, chunk, *rest, **more):
        solved.append(chunk)
        write(self, chunk, *rest, **more)

    monkeypatch.setattr(RunWriter, "write", spy)
    flip(folder / "run" / name)
    if name != "plan.json":
        damaged = {"derived/map.json"} if name.startswith("derived") else {name}
        assert damaged <= set(open_run(folder / "run").damaged())
    fit(folder, folder / "run", "ridge", repair=True)
    assert solved == written and open_run(folder / "run").damaged() == []
    found = {name: content for name, content in contents(folder / "run").items() if not name.startswith("derived")}
    assert found == whole


@pytest.mark.parametrize("name", ["layers/00-shallow/00001.safetensors", "statistics/parts/01.safetensors"])
def test_a_resume_that_solves_nothing_compares_all_content_if_asked(folder, name):
    fit(folder, folder / "run", "ridge", verify=True)
    flip(folder / "run" / name)
    with pytest.raises(InputError, match=f"these files of .* are missing or damaged: {name}. The same `loce fit`"):
        fit(folder, folder / "run", "ridge", verify=True)
    with pytest.raises(InputError, match=f"damaged: {name}"):
        open_run(folder / "run").verify()


def test_a_run_of_two_damaged_chunks_is_refused_and_then_repaired(folder):
    fit(folder, folder / "run")
    whole = contents(folder / "run")
    (folder / "run" / "layers" / "00-shallow" / "00000.safetensors").unlink()
    (folder / "run" / "layers" / "00-shallow" / "00002.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match="00000.safetensors, .*00002.safetensors. The same `loce fit` with `--repair`"):
        fit(folder, folder / "run")
    fit(folder, folder / "run", repair=True)
    assert contents(folder / "run") == whole
