"""Read a run: a table with a row for every (image, concept), and vectors, IoU and maps for each layer.

Shapes: n rows, c channels, h x w grid cells.
"""

import functools as ft
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from loce_jax.checks import InputError, check_arguments, check_exists, check_known
from loce_jax.foreign_text import logger, text_array
from loce_jax.layer_names import LayerRecord, match_layers, resolve_layers
from loce_jax.recipes import PaperRecipe, Recipe, recipe_from
from loce_jax.statistics import Statistics
from loce_jax.store.files import CHUNKS, MANIFEST, PLAN, layer_file, rows_file
from loce_jax.store.local_storage import LocalStorage
from loce_jax.store.manifest import UNREADABLE, damaged_files, has_whole, manifest_fault, refuse_damaged
from loce_jax.store.mapped import view_tensors
from loce_jax.store.records import REPAIR, check_chunk, plan_digest, read_plan
from loce_jax.store.sealed import check_content, entry_of
from loce_jax.store.statistics import read_whole, whole_digest
from loce_jax.store.storage import Storage, is_url, open_storage

if TYPE_CHECKING:
    import pandas

log = logger(__name__)
Table = dict[str, Shaped[np.ndarray, " n"]]


@check_arguments
def open_run(path: str | Path) -> "Run":
    """Open a run, finished or not: a folder, or a URL as text; nothing but the plan is read yet.

    Raises:
        InputError: there is no run at `path`, or its plan cannot be read.
    """
    if not is_url(path):
        check_exists("run", path, kind="folder", fix="`loce fit` makes one.")
    storage = open_storage(path)
    if PLAN not in storage.names():
        raise InputError(f"`run` must hold a {PLAN}, but {str(storage)!r} does not. `loce fit` makes one.")
    plan = read_plan(storage)
    layers = tuple(LayerRecord(name, **record) for name, record in plan["layers"].items())
    return Run(storage, plan, layers, tuple(plan["data"]["concepts"]), tuple(plan["chunks"]))


class Run:
    """An opened run; rows are in the order of the plan, whatever order they were computed in.

    Attributes:
        storage: the folder or object store that holds its files.
        plan: the work and the options, as written before the run started.
        layer_records: the layers, with their aliases and shapes.
        concepts: names of the concepts, in the data set's order.
        chunks: names of all chunks of the plan.
    """

    def __init__(self, storage: Storage, plan: dict[str, Any], layers: tuple[LayerRecord, ...], concepts, chunks):
        self.storage, self.plan, self.layer_records = storage, plan, layers
        self.concepts, self.chunks = concepts, chunks
        self._compared: set[str] = set()

    @property
    def layers(self) -> tuple[str, ...]:
        """Canonical names of the layers, in the plan's order."""
        return tuple(layer.name for layer in self.layer_records)

    def resolve(self, names: Sequence[str] = ()) -> tuple[str, ...]:
        """Canonical names of the run's layers that `names` mean, by the rule of `Network.resolve`; all if empty.

        ``"-1"`` is the network's last layer, whether or not it is in the run.

        Raises:
            InputError: a name that means no layer of the run, or, without a ``*``, several.
        """
        owner, indices = f"run {str(self.storage)!r}", [layer.index for layer in self.layer_records]
        found = resolve_layers(names or self.layers, self.layer_records, owner=owner, indices=indices)
        return tuple(layer.name for layer in found)

    def match(self, name: str) -> tuple[str, ...]:
        """What `resolve` finds for one name; none, instead of an error, if it means no layer of the run."""
        owner, indices = f"run {str(self.storage)!r}", [layer.index for layer in self.layer_records]
        found = match_layers(name, self.layer_records, owner=owner, indices=indices)
        return tuple(layer.name for layer in found)

    def _one_layer(self, name):
        """The position of the one layer that `name` means."""
        found, *others = self.resolve([name])
        if others:
            names = ", ".join((found, *others))
            raise InputError(f"`layer` must mean one layer, but {name!r} means {names}. Name one of these.")
        return self.layers.index(found)

    @property
    def path(self) -> Path:
        """The run folder; raises `InputError` for a run that a URL names."""
        if not isinstance(self.storage, LocalStorage):
            raise InputError(f"`run` must be a local folder to have a path, but it is {str(self.storage)!r}.")
        return self.storage.root

    @property
    def recipe(self) -> Recipe:
        """The recipe that made the LoCEs."""
        return recipe_from(self.plan.get("recipe", {}))

    @ft.cached_property
    def finished(self) -> tuple[str, ...]:
        """The chunks that are complete."""
        return finished_chunks(self.storage, self.chunks)

    @property
    def complete(self) -> bool:
        """Whether every chunk of the plan is there."""
        return len(self.finished) == len(self.chunks)

    @property
    def table(self) -> Table:
        """Columns of equal length n, one row for every (image, concept) of the finished chunks.

        ``image`` (path relative to the image root), ``image_id``, ``concept``, ``annotations`` (ids joined by
        spaces), ``area`` (share of the image, NaN if unknown), the data set's own attributes, ``reason`` (empty for a
        good row), and from the layers: ``status``, ``"ok"`` if every layer is good, else the first other status (that
        of the data set's `Fault`, or ``nonfinite:LAYER``, ``degenerate:LAYER``, ``mask_empty``, ``mask_full`` from the
        solver); ``iou`` in [0, 1] and ``loss``, the means over the layers, NaN unless ``"ok"``. `column` gives one
        layer's own.
        """
        return self._table

    @ft.cached_property
    def _table(self):
        parts = [record["columns"] for record in self._records]
        names = list(parts[0]) if parts else []
        table = {name: _column([value for part in parts for value in part[name]]) for name in names}
        by_layer = [self.column("status", layer) for layer in self.layers]
        status = np.full(len(by_layer[0]), "ok", dtype=object)
        for layer in reversed(by_layer):
            status = np.where(layer != "ok", layer, status)
        table["status"] = status.astype(str)
        for name in ("iou", "loss"):
            table[name] = np.mean([self.column(name, layer) for layer in self.layers], axis=0)
        return table

    def column(self, name: str, layer: str) -> Shaped[np.ndarray, " n"]:
        """One layer's ``"iou"``, ``"loss"`` (float64, NaN where the row failed) or ``"status"`` (words).

        A run of the ridge recipe also has ``"bias"``, ``"converged"`` (1 or 0), ``"steps"`` and ``"gradient_norm"``
        (float64).
        """
        check_known("column", [name], self._columns)
        if name != "status":
            return self._read_tensor(layer, name).astype(np.float64)
        layer = self.layers[self._one_layer(layer)]
        return np.array([word for record in self._records for word in record["status"][layer]], dtype=str)

    def frame(self, layer: str | None = None) -> "pandas.DataFrame":
        """`table` as a pandas DataFrame; with a `layer`, ``iou``, ``loss`` and ``status`` are that layer's own.

        Then a run of the ridge recipe also has the layer's ``bias``, ``converged``, ``steps`` and ``gradient_norm``.

        Raises:
            InputError: pandas is not installed; an unknown layer.
        """
        try:
            import pandas  # noqa: PLC0415 - nothing else needs it
        except ImportError as error:
            raise InputError("`frame` needs pandas. `pip install pandas` brings it; `table` does without.") from error
        columns = dict(self.table)
        if layer is not None:
            columns |= {name: self.column(name, layer) for name in self._columns}
        return pandas.DataFrame(columns)

    def vectors(self, layer: str) -> Float[np.ndarray, "n c"]:
        """The embeddings at `layer`, float32, in the order of `table`; NaN where the row failed.

        `layer` is any name that `resolve` knows, here and in the other methods.
        Those of the ridge recipe weigh the layer's whitened activations; `raw_filters` gives filters on raw ones.
        Memory-mapped and read-only when the run is one chunk without failures, else a copy in memory.
        """
        return self._read_tensor(layer, "vectors")

    def responses(self, layer: str) -> Float[np.ndarray, "n h w"]:
        """The response maps ``activations @ vector`` at `layer`, float16; NaN where the row failed.

        Those of the ridge recipe are ``whitened activations @ vector + bias``.
        The projection is their sigmoid after bilinear resizing; positive means "concept".
        """
        return self._read_tensor(layer, "responses")

    def biases(self, layer: str) -> Float[np.ndarray, " n"]:
        """What each row's responses at `layer` have added, float32; NaN where the row failed.

        Raises:
            InputError: the paper's recipe has none.
        """
        self._check_ridge("biases")
        return self._read_tensor(layer, "bias")

    def raw_filters(self, layer: str) -> tuple[Float[np.ndarray, "n c"], Float[np.ndarray, " n"]]:
        """Filters and offsets on the layer's raw activations: ``activations @ filter + offset`` is the response.

        For the paper's recipe these are the vectors and zeros, for the ridge recipe what is equivalent to vectors and
        biases on whitened activations.  float32, in the order of `table`; NaN where the row failed.

        Raises:
            InputError: an unknown layer; statistics that are not complete, or cannot be read.
        """
        vectors = self.vectors(layer)
        recipe = self.recipe
        if isinstance(recipe, PaperRecipe):
            return vectors, np.where(np.isnan(vectors).any(axis=1), np.float32(np.nan), np.float32(0))
        return self.statistics(layer).whitening(recipe.whitening).raw_filters(vectors, self.biases(layer))

    def statistics(self, layer: str) -> Statistics:
        """The layer's statistics over all images that the run uses.

        Raises:
            InputError: the paper's recipe has none; they are not computed yet, or cannot be read.
        """
        self._check_ridge("statistics")
        index = self._one_layer(layer)
        if not has_whole(self.storage):
            raise InputError(
                f"`run` must have its layers' statistics, but {str(self.storage)!r} has none yet. Run the "
                "same `loce fit` again."
            )
        return read_whole(self.storage, self.plan, self.layers[index], index)

    @property
    def _columns(self):
        """Names of what each layer has of its own."""
        return ("status", "iou", "loss", *self.recipe.columns)

    def _check_ridge(self, what):
        if not self.recipe.needs_statistics:
            raise InputError(
                f"`{what}` needs a run of the ridge recipe, but {str(self.storage)!r} is one of the "
                f"{self.recipe.name} recipe. `loce fit` makes one with `recipe` 'ridge'."
            )

    def select(self, **columns: Any) -> Int[np.ndarray, " r"]:
        """Row numbers where every named column has the value, or one of the values, given.

        ``run.vectors(layer)[run.select(concept="car", status="ok")]`` are the good cars.
        """
        check_known("column", columns, list(self.table))
        keep = np.ones(len(self.table["concept"]), bool)
        for name, wanted in columns.items():
            keep &= np.isin(self.table[name], _wanted(wanted))
        return np.flatnonzero(keep)

    def damaged(self) -> list[str]:
        """Files of what is there that are missing or do not hold what was written, all of them read whole.

        A manifest that is missing is not among them: a run may be stopped just before it is written.
        """
        return damaged_files(self.storage, self.plan)

    def verify(self) -> None:
        """Raise `InputError`, which names the files, unless all of what is there holds what was written.

        A complete run must have its manifest, too.
        """
        lacks = self.complete and MANIFEST not in self.storage.names()
        refuse_damaged(self.storage, self.damaged() + [MANIFEST] * lacks)

    def photo_digests(self) -> dict[str, str]:
        """By image, the digest of the photo that the finished chunks were made from; without those not read."""
        return {image: photo[0] for record in self._records for image, photo in record["photos"].items()}

    @ft.cached_property
    def _records(self):
        if not self.finished:
            raise InputError(
                f"`run` must have a finished chunk, but {str(self.storage)!r} has none. Run `loce fit` again."
            )
        digest, records, entries = plan_digest(self.plan), [], {}
        for chunk in self.finished:
            try:
                content = self.storage.read(rows_file(chunk))
                records.append(check_chunk(content, chunk, self.plan, digest))
            except UNREADABLE as error:
                raise self._damaged(rows_file(chunk), error) from error
            entries[rows_file(chunk)] = entry_of(content)
        if self.complete and (fault := manifest_fault(self.storage, entries)):
            log.warning(
                "The manifest of the complete run %s is %s, so nothing says which files the run consists of; each file "
                "is still compared with its record. %s.",
                *(self.storage, fault, REPAIR),
            )
        names = {tuple(record["columns"]) for record in records}
        if len(names) > 1 or len({_kinds(record["columns"]) for record in records if record["rows"]}) > 1:
            raise self._damaged(CHUNKS, "its chunks have different columns")
        made_with = {record["statistics"] for record in records}
        if self.recipe.needs_statistics and has_whole(self.storage):
            made_with.add(whole_digest(self.storage, self.plan))
        if len(made_with) > 1:
            raise InputError(
                f"`run` must be made with one set of statistics, but chunks of {str(self.storage)!r} were solved with "
                "others: photos have come back since. The same `loce fit` again solves those chunks anew."
            )
        return records

    def _damaged(self, name, error):
        return InputError(f"`run` must be whole, but {f'{self.storage}/{name}'!r} is damaged: {error}. {REPAIR}.")

    def _read_tensor(self, layer, name):
        """The tensor `name` of every chunk, spread to all rows."""
        index = self._one_layer(layer)
        layer = self.layers[index]
        counts = [record["rows"] for record in self._records]
        parts = [
            self._open(layer, index, chunk, record)[name]
            for chunk, record in zip(self.finished, self._records, strict=True)
        ]
        rows = [_good(record, layer) for record in self._records]
        if len(parts) == 1 and len(rows[0]) == counts[0]:
            return parts[0]
        if len({part.shape[1:] for part in parts}) > 1:
            raise self._damaged(f"layers/{index:02d}", f"{name} of its chunks have different shapes")
        dtype = np.result_type(parts[0].dtype, np.float16)  # one that has a NaN
        whole = np.full((sum(counts), *parts[0].shape[1:]), np.nan, dtype)
        for offset, good, part in zip(np.cumsum([0, *counts[:-1]]), rows, parts, strict=True):
            whole[offset + good] = part
        return whole

    def _open(self, layer, index, chunk, record):
        """The tensors of one file; the first time, all of its content is compared with its SHA-256."""
        name = layer_file(layer, index, chunk)
        try:
            content = self.storage.map(name)
            if name not in self._compared:
                check_content(content, record["files"][name])
            tensors = view_tensors(content)
            self._check_tensors(tensors, _good(record, layer))
        except UNREADABLE as error:
            raise self._damaged(name, error) from error
        self._compared.add(name)
        return tensors

    def _check_tensors(self, tensors, good):
        wanted = {"rows": 1, "vectors": 2, "responses": 3, "iou": 1, "loss": 1} | dict.fromkeys(self.recipe.columns, 1)
        if {name: tensor.ndim for name, tensor in tensors.items()} != wanted:
            raise ValueError(f"it holds {', '.join(sorted(tensors))} instead of {', '.join(sorted(wanted))}")
        if any(len(tensor) != len(good) for tensor in tensors.values()) or (tensors["rows"] != good).any():
            raise ValueError(f"its rows are not the {len(good)} that are ok in the chunk's record")


def _kinds(columns):
    """Names of columns, and which are of texts."""
    return tuple((name, isinstance(values[0], str)) for name, values in columns.items())


def _good(record, layer):
    """Positions of a chunk's good rows."""
    return np.flatnonzero(np.array(record["status"][layer], dtype=object) == "ok")


def finished_chunks(storage: Storage, chunks: Iterable[str]) -> tuple[str, ...]:
    """Those of `chunks` that are complete: their rows are there, which are written last."""
    there = storage.names(CHUNKS)
    return tuple(chunk for chunk in chunks if f"{chunk}.json" in there)


def _column(values):
    """A column of JSON values as an array; a missing number (null) reads as NaN."""
    if any(value is None for value in values):
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    return text_array(values) if all(isinstance(value, str) for value in values) else np.array(values)


def _wanted(values):
    """One value or several as an array to compare with."""
    values = [values] if isinstance(values, str) or np.ndim(values) == 0 else list(values)
    return text_array(values) if all(isinstance(value, str) for value in values) else np.array(values)
