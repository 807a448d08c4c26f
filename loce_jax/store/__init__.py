"""Runs on disk: a plan, immutable chunk files, and a reader.  Safetensors and JSON only."""

from loce_jax.store.derived import find_derived, keep_derived
from loce_jax.store.read import Run, open_run
from loce_jax.store.storage import open_storage
from loce_jax.store.write import LayerRows, RidgeRows, RunWriter

__all__ = ["LayerRows", "RidgeRows", "Run", "RunWriter", "find_derived", "keep_derived", "open_run", "open_storage"]
