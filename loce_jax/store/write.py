"""Write a run: the plan first, then chunk after chunk, in any order and across any number of restarts.

Shapes: m rows of a chunk, r of them good, c channels, h x w grid cells.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from safetensors.numpy import save

from loce_jax.checks import InputError
from loce_jax.store.files import CHUNKS, MANIFEST, PLAN, SOURCE, layer_file, rows_file
from loce_jax.store.manifest import (
    Survey,
    damaged_derived,
    damaged_files,
    is_manifest_whole,
    refuse_damaged,
    survey,
    write_manifest,
)
from loce_jax.store.records import plan_digest, read_plan, work_of
from loce_jax.store.sealed import differs, entry_of, seal, write_completed
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
    """A run that is being written.

    In a local folder it is alone, or, if `shared`, one of many that share; nobody is kept out of a remote storage.
    """

    def __init__(self, storage: Storage, plan: Mapping[str, Any], *, shared: bool = False, repair: bool = False):
        """Start the run, or continue it if it was started with an equal plan.

        Args:
            storage: where the run is.
            plan: the work, as plain values.
            shared: whether others write too.
            repair: whether a damaged plan may be written again, if the run's other files say that it was this one.

        Raises:
            InputError: `storage` holds another run (the differences are listed) or something else, cannot be written,
                or is being written by others that do not share.
        """
        self.storage, self.plan, self.layers = storage, plan, tuple(plan["layers"])
        self._digest = plan_digest(plan)
        _refuse_foreign(storage)
        self._leave = storage.lock(shared=shared)
        try:
            _check_plan(storage, plan, repair=repair)
        except BaseException:
            self.close()
            raise

    @property
    def done(self) -> frozenset[str]:
        """Names of the chunks that are there."""
        there = self.storage.names(CHUNKS)
        return frozenset(chunk for chunk in self.plan["chunks"] if f"{chunk}.json" in there)

    def verify(self) -> None:
        """Raise `InputError` unless every file of what is there holds what was written, all of it compared."""
        refuse_damaged(self.storage, damaged_files(self.storage, self.plan))

    def survey(self, chunks: Sequence[str] | None = None, *, repair: bool = False) -> Survey:
        """What is there of the run, whole.

        Args:
            chunks: names of the chunks to look at; all if left out.
            repair: leave out what is damaged, after all content has been compared, instead of refusing it.

        Raises:
            InputError: a record, the manifest, or the length of a file, is not what was written.
        """
        found = survey(self.storage, self.plan, thorough=repair, chunks=chunks)
        if not repair:
            refuse_damaged(self.storage, found.damaged + ([] if is_manifest_whole(self.storage) else [MANIFEST]))
        if repair:
            for name in list(damaged_derived(self.storage)):
                self.storage.delete(name)
        return found

    def write(
        self,
        chunk: str,
        rows: Mapping[str, Sequence],
        layers: Mapping[str, LayerRows],
        *,
        photos: Mapping[str, Sequence] | None = None,
        statistics: str = "",
    ) -> None:
        """Store one chunk.

        Args:
            chunk: its name.
            rows: columns of plain values, equal for every layer.
            layers: the numbers of each.
            photos: by image, the photo's digest, and length and time of change of each of its files.
            statistics: SHA-256 of the statistics that it was solved with; empty where the recipe needs none.
        """
        contents = {
            layer_file(layer, index, chunk): _tensors(chunk, layer, layers[layer])
            for index, layer in enumerate(self.layers)
        }
        status = {layer: list(layers[layer].status) for layer in self.layers}
        record = {
            "plan": self._digest,
            "chunk": chunk,
            "statistics": statistics,
            "rows": len(status[self.layers[0]]),
            "columns": {name: list(values) for name, values in rows.items()},
            "status": status,
            "photos": {image: list(photo) for image, photo in (photos or {}).items()},
            "files": {name: entry_of(content) for name, content in contents.items()},
        }
        if differs(self.storage, rows_file(chunk), seal(record)):
            self.storage.delete(MANIFEST)  # it does not hold from now on
        write_completed(self.storage, rows_file(chunk), record, contents)

    def finish(self) -> None:
        """Write the manifest, if the run is complete."""
        write_manifest(self.storage, self.plan)

    def discard(self, names: Sequence[str]) -> None:
        """Delete records, so that what they complete is made anew; the manifest does not hold from then on."""
        for name in (MANIFEST, *names) if names else ():
            self.storage.delete(name)

    def note_source(self, tree: Mapping[str, Any]) -> None:
        """Write down where the data are; what was noted before is replaced."""
        content = seal(tree)
        if SOURCE not in self.storage.names() or differs(self.storage, SOURCE, content):
            self.storage.write(SOURCE, content)

    def close(self) -> None:
        """Let others write."""
        self._leave()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _tensors(chunk, layer, part):
    """One layer's numbers as the content of a safetensors file."""
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
    return save({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()})


def _refuse_foreign(storage):
    there = storage.names()
    if there and PLAN not in there:
        raise InputError(
            f"`out` must be new, empty or a run of this tool, but {str(storage)!r} holds other files. "
            "Choose another folder."
        )


def _check_plan(storage, plan, *, repair):
    """Write the plan, or raise `InputError` unless the one that is there describes the same work."""
    if storage.create_exclusive(PLAN, seal(plan)):
        return
    try:
        there = read_plan(storage)
    except InputError:
        if not (repair and _names_plan(storage, plan)):
            raise
        storage.write(PLAN, seal(plan))
        return
    old, new = (_flat(work_of(one)) for one in (there, _as_json(plan)))
    changes = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
    if changes:
        listed = "; ".join(f"{key}: {_shown(old, key)} there, {_shown(new, key)} now" for key in changes[:8])
        more = f"; and {len(changes) - 8} more" if len(changes) > 8 else ""
        raise InputError(
            f"`out` must be continued with the options it was started with, but {str(storage)!r} differs in "
            f"{listed}{more}. Use the same options, or another folder."
        )


def _names_plan(storage, plan):
    """Whether files of the run say that they are of this plan."""
    found = survey(storage, plan, thorough=False)
    return bool(found.chunks or found.parts)


def _as_json(plan):
    """The plan as it would be read."""
    return json.loads(json.dumps(plan))


def _shown(plan, key):
    return repr(plan[key]) if key in plan else "none"


def _flat(tree, prefix=""):
    if not isinstance(tree, dict):
        return {prefix: tree}
    return {k: v for key, sub in tree.items() for k, v in _flat(sub, f"{prefix}.{key}".lstrip(".")).items()}
