"""Write a run: the plan first, then chunk after chunk, in any order and across any number of restarts.

Letters: m rows of a chunk, r of them good, c channels, h x w grid cells.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from safetensors.numpy import save

from loce_jax.checks import InputError
from loce_jax.foreign_text import for_json
from loce_jax.store.files import PLAN, layer_file, rows_file
from loce_jax.store.read import finished_chunks
from loce_jax.store.storage import Storage


@dataclass(frozen=True)
class RidgeRows:
    """What the ridge recipe says of the good rows besides.

    Attributes:
        bias: what is added to every response.
        converged: whether the solver met its tolerance.
        steps: how many it took.
        gradient_norm: the slope's length at the end.
    """

    bias: Float[np.ndarray, " r"]
    converged: Bool[np.ndarray, " r"]
    steps: Int[np.ndarray, " r"]
    gradient_norm: Float[np.ndarray, " r"]


@dataclass(frozen=True)
class LayerRows:
    """One chunk's numbers at one layer; only good rows are stored, so nothing on disk is non-finite.

    Attributes:
        rows: positions of the good rows within the chunk.
        vectors: the embeddings.
        responses: the final response maps, half precision.
        iou: intersection over union, [0, 1].
        loss: the objective before the last step; of the ridge recipe, at the end.
        status: a word for each of the chunk's m rows.
        ridge: of the ridge recipe only.
    """

    rows: Int[np.ndarray, " r"]
    vectors: Float[np.ndarray, "r c"]
    responses: Float[np.ndarray, "r h w"]
    iou: Float[np.ndarray, " r"]
    loss: Float[np.ndarray, " r"]
    status: Sequence[str]
    ridge: RidgeRows | None = None


class RunWriter:
    """A run that is being written; `done` names the chunks that need not be computed again.

    In a local folder it is alone, or, if `shared`, one of many that share; nobody is kept out of a remote storage.
    """

    def __init__(self, storage: Storage, plan: Mapping[str, Any], *, shared: bool = False):
        """Start the run, or continue it if it was started with an equal plan.

        Raises:
            InputError: `storage` holds another run (the differences are listed) or something else, cannot be written,
                or is being written by others that do not share.
        """
        self.storage, self.layers = storage, tuple(plan["layers"])
        _refuse_foreign(storage)
        self._leave = storage.lock(shared=shared)
        try:
            _check_plan(storage, plan)
            self.done = frozenset(finished_chunks(storage, plan["chunks"]))
        except BaseException:
            self.close()
            raise

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
            if part.ridge:
                tensors |= {
                    "bias": part.ridge.bias.astype(np.float32),
                    "converged": part.ridge.converged.astype(np.int32),
                    "steps": part.ridge.steps.astype(np.int32),
                    "gradient_norm": part.ridge.gradient_norm.astype(np.float32),
                }
            bad = [name for name, tensor in tensors.items() if not np.all(np.isfinite(tensor))]
            if bad:
                raise ValueError(f"chunk {chunk}, layer {layer!r}: {bad} of good rows must be finite")
            content = save({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()})
            self.storage.write(layer_file(layer, index, chunk), content)
            files[layer] = hashlib.sha256(content).hexdigest()
        record = {
            "columns": {name: list(values) for name, values in rows.items()},
            "status": {layer: list(layers[layer].status) for layer in self.layers},
            "sha256": files,
        }
        self.storage.write(rows_file(chunk), _json(record))

    def close(self) -> None:
        """Let others write."""
        self._leave()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _refuse_foreign(storage):
    there = storage.names()
    if there and PLAN not in there:
        raise InputError(
            f"`out` must be new, empty or a run of this tool, but {str(storage)!r} holds other files. "
            "Choose another folder."
        )


def _check_plan(storage, plan):
    """Write the plan, or raise `InputError` unless the one that is there describes the same work."""
    if storage.create_exclusive(PLAN, _json(plan)):
        return
    plans = (json.loads(text) for text in (storage.read(PLAN), _json(plan)))
    old, new = (_flat({**one, "layers": list(one["layers"])}) for one in plans)  # aliases may be added to layers
    if old.get("format") != new.get("format"):
        raise InputError(
            f"`out` must be new or a run of format {new.get('format')}, but {str(storage)!r} is of format "
            f"{old.get('format')}, of another version of this library. Use another folder."
        )
    changes = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
    if changes:
        listed = "; ".join(f"{key}: {_shown(old, key)} there, {_shown(new, key)} now" for key in changes[:8])
        more = f"; and {len(changes) - 8} more" if len(changes) > 8 else ""
        raise InputError(
            f"`out` must be continued with the options it was started with, but {str(storage)!r} differs in "
            f"{listed}{more}. Use the same options, or another folder."
        )


def _shown(plan, key):
    return repr(plan[key]) if key in plan else "none"


def _flat(tree, prefix=""):
    if not isinstance(tree, dict):
        return {prefix: tree}
    return {k: v for key, sub in tree.items() for k, v in _flat(sub, f"{prefix}.{key}".lstrip(".")).items()}


def _json(tree):
    return for_json(tree)
