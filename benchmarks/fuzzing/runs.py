"""Damaged files of runs."""

from pathlib import Path

import numpy as np

from fuzzing.damage import Refused, Run, WrongResult, check, damage_bytes, damage_tree, refusing
from loce_jax import open_run
from loce_jax.store import LayerRows, RunWriter, open_storage
from loce_jax.store.files import FORMAT
from loce_jax.store.sealed import seal, unseal


def small_run() -> Path:
    """A run of two chunks, with records that can be damaged."""
    rng = np.random.default_rng(0)
    plan = {
        "format": FORMAT,
        "model": {"name": "net", "fingerprint": "0"},
        "layers": {"a": {"channels": 4, "grid": [2, 3], "index": -1}, "b": {"aliases": ["c"]}},
        "data": {"name": "set", "fingerprint": "1", "concepts": ["cat", "dog"]},
        "recipe": {"name": "paper", "num_steps": 3},
        "images": 6,
        "chunks": ["00000", "00001"],
    }
    root = Path("run")
    with RunWriter(open_storage(root), plan) as writer:
        for chunk in plan["chunks"]:
            layers = {
                layer: LayerRows(
                    rows=np.array([0, 2]),
                    vectors=rng.normal(size=(2, 4)).astype("float32"),
                    responses=rng.normal(size=(2, 2, 3)).astype("float16"),
                    iou=rng.random(2),
                    loss=rng.random(2).astype("float32"),
                    status=["ok", "mask_empty", "ok"],
                )
                for layer in plan["layers"]
            }
            columns = {
                "image": [f"{chunk}{row}.png" for row in range(3)],
                "image_id": [0, 1, 2],
                "concept": ["cat", "dog", "cat"],
                "area": [0.5, None, 0.25],
                "reason": ["", "gone", ""],
            }
            writer.write(chunk, columns, layers)
        writer.finish()
    return root


def _seen(root):
    run = open_run(root)
    return [run.table, *({"v": run.vectors(layer), "r": run.responses(layer)} for layer in run.layers)]


def _same(one, other):
    for mine, theirs in zip(one, other, strict=True):
        check(mine.keys() == theirs.keys(), "other columns")
        for name in mine:
            np.testing.assert_array_equal(mine[name], theirs[name])


def _file_of_a_run(name: str, *, sealed: bool) -> Run:
    root = small_run()
    path, expected = root / name, _seen(root)
    whole = path.read_bytes()

    def run(rng):
        resealed = sealed and rng.random() < 0.5
        if resealed:
            tree = {key: value for key, value in unseal(whole).items() if key != "sha256"}
            damaged = damage_tree(rng, tree)
            try:
                content = seal(damaged)
            except (ValueError, TypeError):  # no JSON
                raise Refused from None
        else:
            content = damage_bytes(rng, whole)
        path.write_bytes(content)
        try:
            found = refusing(lambda: _seen(root))
            refusing(lambda: open_run(root).damaged())
        finally:
            path.write_bytes(whole)
        if not resealed:
            try:
                _same(found, expected)
            except AssertionError as error:
                raise WrongResult("other numbers than were written") from error

    return run


def records() -> Run:
    """Records of chunks, half of them with a digest that fits the damage."""
    return _file_of_a_run("chunks/00001.json", sealed=True)


def plans() -> Run:
    """Plans, half of them with a digest that fits the damage."""
    return _file_of_a_run("plan.json", sealed=True)


def layers() -> Run:
    """Layer files of runs."""
    return _file_of_a_run("layers/00-a/00001.safetensors", sealed=False)
