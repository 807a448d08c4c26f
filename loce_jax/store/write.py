"""Write a run: the plan first, then chunk after chunk, in any order and across any number of restarts.

Letters: m rows of a chunk, r of them good, c channels, h x w grid cells.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from safetensors.numpy import save

from loce_jax.checks import InputError
from loce_jax.store.files import PLAN, layer_file, remove_halves, rows_file, write_whole, writing


@dataclass(frozen=True)
class LayerRows:
    """One chunk's numbers at one layer; only good rows are stored, so nothing on disk is non-finite.

    Attributes:
        rows: positions of the good rows within the chunk.
        vectors: the embeddings.
        responses: the final response maps, half precision.
        iou: intersection over union, [0, 1].
        loss: the objective before the last step.
        status: a word for each of the chunk's m rows.
    """

    rows: Int[np.ndarray, " r"]
    vectors: Float[np.ndarray, "r c"]
    responses: Float[np.ndarray, "r h w"]
    iou: Float[np.ndarray, " r"]
    loss: Float[np.ndarray, " r"]
    status: Sequence[str]


class RunWriter:
    """The open run folder.  One process at a time; `done` names the chunks that need not be computed again."""

    def __init__(self, root: Path, plan: Mapping[str, Any]):
        """Start the run, or continue it if it was started with an equal plan.

        Raises:
            InputError: the folder holds another run (the differences are listed), something else, or another writer.
        """
        self.root, self.layers = Path(root), tuple(plan["layers"])
        _check_folder(self.root)
        self._lock = writing(self.root)
        try:
            _settle_plan(self.root, plan)
        except BaseException:
            self.close()
            raise
        remove_halves(self.root)
        self.done = frozenset(c for c in plan["chunks"] if rows_file(self.root, c).exists())

    def write(self, chunk: str, rows: Mapping[str, Sequence], layers: Mapping[str, LayerRows]) -> None:
        """Store one chunk: `rows` are columns of plain values, equal for every layer; `layers` the numbers of each."""
        files = {}
        for index, layer in enumerate(self.layers):
            part = layers[layer]
            tensors = {
                "rows": part.rows.astype(np.int32),
                "vectors": part.vectors.astype(np.float32),
                "responses": part.responses.astype(np.float16),
                "iou": part.iou.astype(np.float64),
                "loss": part.loss.astype(np.float32),
            }
            bad = [name for name, tensor in tensors.items() if not np.all(np.isfinite(tensor))]
            if bad:
                raise ValueError(f"chunk {chunk}, layer {layer!r}: {bad} of good rows must be finite")
            tensors = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
            files[layer] = write_whole(layer_file(self.root, layer, index, chunk), save(tensors))
        record = {
            "columns": {name: list(values) for name, values in rows.items()},
            "status": {layer: list(layers[layer].status) for layer in self.layers},
            "sha256": files,
        }
        write_whole(rows_file(self.root, chunk), _json(record))

    def close(self) -> None:
        """Let others write."""
        self._lock.release()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _check_folder(root):
    if root.exists() and not root.is_dir():
        raise InputError(f"`out` must be a folder, but {str(root)!r} is a file. Choose another name.")
    if (
        root.is_dir()
        and not (root / PLAN).exists()
        and any(p.name not in (".lock", PLAN + ".part") for p in root.iterdir())
    ):
        raise InputError(
            f"`out` must be new, empty or a run of this tool, but {str(root)!r} holds other files. "
            "Choose another folder."
        )


def _settle_plan(root, plan):
    """Write the plan, or make sure that the one on disk asks for the same work."""
    path = root / PLAN
    if not path.exists():
        write_whole(path, _json(plan))
        return
    old, new = _flat(json.loads(path.read_text())), _flat(json.loads(_json(plan)))
    changes = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
    if changes:
        listed = "; ".join(f"{key}: {old.get(key)!r} there, {new.get(key)!r} now" for key in changes[:8])
        more = f"; and {len(changes) - 8} more" if len(changes) > 8 else ""
        raise InputError(
            f"`out` must be continued with the options it was started with, but {str(root)!r} differs in "
            f"{listed}{more}. Use the same options, or another folder."
        )


def _flat(tree, prefix=""):
    if not isinstance(tree, dict):
        return {prefix: tree}
    return {k: v for key, sub in tree.items() for k, v in _flat(sub, f"{prefix}.{key}".lstrip(".")).items()}


def _json(tree):
    return (json.dumps(tree, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
