"""From a checkpoint's tensors to a Flax module's parameters, by key, and from the module to a pure function.

A parameter's path in its module, joined by dots, *is* its key, but for the last word: where PyTorch says ``weight``,
``running_mean``, ``running_var``, Flax says ``kernel``, ``scale`` or ``embedding``, ``mean``, ``var``.  Where
checkpoints call things otherwise, a `KeyMap` translates.
Shapes: b images, gh x gw grid cells, c channels; o output and i input channels, h x w kernel.
"""

import functools as ft
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import jax
import numpy as np
from flax import nnx

from loce_jax.checks import InputError
from loce_jax.models.checkpoints.heads import Heads
from loce_jax.models.edits import NO_EDITS, Edits, Layers

Weights = dict[str, np.ndarray]
Rules = tuple[tuple[str, str], ...]
LAST_WORD = {
    "kernel": "weight",
    "scale": "weight",
    "embedding": "weight",
    "mean": "running_mean",
    "var": "running_var",
}
TO_FLAX = {2: (1, 0), 4: (2, 3, 1, 0)}  # o i -> i o, and o i h w -> h w i o
TO_TORCH = {2: (1, 0), 4: (3, 2, 0, 1)}


WRAPPERS = (
    "module.",
    "_orig_mod.",
    "model.",
    "backbone.",
)  # DataParallel, torch.compile, and usual ones of training code
FLOATS = ("bfloat16",)  # what NumPy does not call a float


class Layered(Protocol):
    """What a module must offer: its layers from input to output, computed one after the other, and its outputs."""

    def layers(self, images: jax.Array) -> Layers:
        """Yield ``(name, activations [b gh gw c])``, and go on with what is sent instead, unless that is None.

        Returned are the outputs, ``{name: array [b ...]}``, an empty mapping where there are none.
        """
        ...


@dataclass(frozen=True)
class KeyMap:
    """What a family's checkpoints call its tensors.

    Rules are ``(pattern, replacement)`` of `re.sub`, applied one after the other.

    Attributes:
        to_checkpoint: rules from the module's own keys to the checkpoint's.
        dialects: rules from other spellings (newer transformers, older files) to the checkpoint's keys.
        prefixes: first words that a file may put before its keys, e.g. ``"vit."`` in front of a classifier's body.
        unused: patterns of whole keys that may be there and are not read: decoders, text towers.
        heads: of heads that a checkpoint may have, what their keys begin with and a pattern of these whole keys, which
            are read even where they are among `unused`.
        stacked: where a file may hold several of the checkpoint's tensors as one, on top of each other: a part of its
            key, and what the tensors have there instead.
    """

    to_checkpoint: Rules = ()
    dialects: Rules = ()
    prefixes: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    stacked: tuple[tuple[str, tuple[str, ...]], ...] = ()
    heads: Rules = ()

    def checkpoint_key(self, key: str) -> str:
        """What the checkpoint calls the module's `key`."""
        return _rewrite(key, self.to_checkpoint)

    def read(self, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The tensors that the network reads, by the checkpoint's usual keys; empty ones say nothing."""
        named = {}
        for key, tensor in tensors.items():
            named |= self._unstacked(_rewrite(self._without_prefix(key), self.dialects), tensor)
        return {key: tensor for key, tensor in named.items() if tensor.size and not self._is_unused(key)}

    def heads_in(self, named: Mapping[str, np.ndarray]) -> Heads:
        """The heads that have at least one of the tensors `named`, which `read` returned."""
        found = {}
        for head, pattern in self.heads:
            keys = sorted(key for key in named if re.fullmatch(pattern, key))
            if keys:
                found[head] = next(iter(named[keys[-1]].shape), 1)
        return Heads(tuple(found.items()))

    def _is_unused(self, key: str) -> bool:
        unused, heads = (*self.unused, r".*\.num_batches_tracked"), (pattern for _, pattern in self.heads)
        return any(re.fullmatch(p, key) for p in unused) and not any(re.fullmatch(p, key) for p in heads)

    def _unstacked(self, key: str, tensor: np.ndarray) -> dict[str, np.ndarray]:
        for one, several in self.stacked:
            if one in key:
                pieces = np.array_split(np.atleast_1d(tensor), len(several))
                return {key.replace(one, name): piece for name, piece in zip(several, pieces, strict=True)}
        return {key: tensor}

    def _without_prefix(self, key: str) -> str:
        return next((key.removeprefix(prefix) for prefix in self.prefixes if key.startswith(prefix)), key)


def _unwrapped(tensors: Mapping[str, np.ndarray]) -> Iterator[tuple[Mapping[str, np.ndarray], list[str]]]:
    """The tensors as they are called, then without the prefix that most keys share, as long as there is one.

    With the keys that lack it, and are left out.
    """
    left_out: list[str] = []
    yield tensors, left_out
    while prefix := next(
        (one for one in WRAPPERS if sum(key.startswith(one) for key in tensors) > len(tensors) / 2), ""
    ):
        left_out = left_out + [key for key in tensors if not key.startswith(prefix)]
        tensors = {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}
        yield tensors, left_out


def possible_heads(tensors: Mapping[str, np.ndarray], keys: KeyMap) -> list[Heads]:
    """The heads that a checkpoint may have, one for each way to take wrappers' prefixes off its keys."""
    return list(dict.fromkeys(keys.heads_in(keys.read(named)) for named, _ in _unwrapped(tensors)))


def _faults(wanted: Mapping[str, "Parameter"], given: Mapping[str, np.ndarray], left_out: list[str]) -> list[str]:
    """What keeps the tensors `given` from being those that are `wanted`; with it, what was `left_out` is unexpected."""
    faults = [f"missing {key}" for key in wanted if key not in given]
    faults += [f"unexpected {key}" for key in given if key not in wanted]
    faults += [
        f"{key} has shape {given[key].shape} instead of {parameter.checkpoint_shape}"
        for key, parameter in wanted.items()
        if key in given and given[key].shape != parameter.checkpoint_shape
    ]
    return faults + [f"unexpected {key}" for key in left_out] if faults else []


def listed(faults: Sequence[str], most: int = 8) -> str:
    """The first `most` of them, and how many more there are.

    >>> listed(["a", "b", "c"], most=2)
    'a; b; and 1 more'
    """
    more = f"; and {len(faults) - most} more" if len(faults) > most else ""
    return "; ".join(faults[:most]) + more


def _is_float(array: np.ndarray) -> bool:
    return array.dtype.kind == "f" or array.dtype.name in FLOATS


def _rewrite(key: str, rules: Rules) -> str:
    return ft.reduce(lambda key, rule: re.sub(*rule, key), rules, key)


@dataclass(frozen=True)
class Parameter:
    """One parameter of a module: its path and its shape."""

    path: tuple[Any, ...]
    shape: tuple[int, ...]

    @property
    def key(self) -> str:
        """Its path with PyTorch's last word."""
        *parents, last = map(str, self.path)
        return ".".join([*parents, LAST_WORD.get(last, last)])

    @property
    def checkpoint_shape(self) -> tuple[int, ...]:
        """Its shape in the checkpoint."""
        return tuple(self.shape[axis] for axis in TO_TORCH[len(self.shape)]) if self.is_kernel else self.shape

    @property
    def is_kernel(self) -> bool:
        """Whether its axes are in another order than in the checkpoint."""
        return self.path[-1] == "kernel"

    def convert(self, tensor: np.ndarray) -> np.ndarray:
        """The checkpoint's tensor as this parameter, float32."""
        axes = TO_FLAX[tensor.ndim] if self.is_kernel else None
        return np.ascontiguousarray(tensor.transpose(axes) if axes else tensor, dtype=np.float32)


@dataclass(frozen=True)
class AbstractModule:
    """A Flax module without its weights.

    Attributes:
        graph: the module's structure, as `flax.nnx.split` gives it.
        parameters: by key, in the module's order.
    """

    graph: Any
    parameters: Mapping[str, Parameter]

    @classmethod
    def of(cls, build: Callable[[], Any]) -> "AbstractModule":
        """The abstract_module of the module that `build` would build; nothing is computed."""
        graph, state = nnx.split(nnx.eval_shape(build))
        parameters = [Parameter(path, leaf.shape) for path, leaf in nnx.to_flat_state(state)]
        return cls(graph, {parameter.key: parameter for parameter in parameters})

    def convert(self, tensors: Mapping[str, np.ndarray], *, source: str, keys: KeyMap = KeyMap()) -> Weights:
        """The module's weights by key, from a PyTorch checkpoint's tensors, whatever their floating-point precision.

        Where the tensors do not fit as they are called, prefixes of wrappers (`WRAPPERS`) that most keys share are
        taken off, and what lacks them is left out.

        Raises one `InputError` that names missing, unexpected and mis-shaped tensors, or those that hold integers.
        """
        wanted = {keys.checkpoint_key(key): parameter for key, parameter in self.parameters.items()}
        faults, given = self._closest(tensors, keys)
        if faults:
            raise InputError(
                f"the checkpoint {source!r} must hold this network's weights, but {len(faults)} of its tensors do not "
                f"fit: {listed(faults)}. Check that its configuration belongs to it."
            )
        integers = [f"{key} ({given[key].dtype})" for key in wanted if not _is_float(given[key])]
        if integers:
            raise InputError(
                f"the checkpoint {source!r} must hold floating-point weights, but {len(integers)} of its tensors hold "
                f"integers, which are codes of a quantization: {listed(integers)}. Take the checkpoint that is not "
                "quantized, or dequantize it with the library that quantized it and save it in float32."
            )
        return {parameter.key: parameter.convert(given[key]) for key, parameter in wanted.items()}

    def misfits(self, tensors: Mapping[str, np.ndarray], keys: KeyMap) -> int:
        """How many of a checkpoint's tensors, by name and shape, keep it from being this module's."""
        return len(self._closest(tensors, keys)[0])

    def _closest(self, tensors: Mapping[str, np.ndarray], keys: KeyMap) -> tuple[list[str], dict[str, np.ndarray]]:
        """What is wrong with the reading of the tensors that fits best, and this reading."""
        wanted = {keys.checkpoint_key(key): parameter for key, parameter in self.parameters.items()}
        found: list[tuple[list[str], dict[str, np.ndarray]]] = []
        for named, left_out in _unwrapped(tensors):
            given = keys.read(named)
            found.append((_faults(wanted, given, left_out), given))
            if 2 * sum(key in given for key in wanted) > len(wanted):
                break  # a prefix that is left is no wrapper's but the family's own, and what lacks it are its heads
        return min(found, key=lambda one: len(one[0]))

    def random_weights(self) -> Weights:
        """Random weights, the same each time, that preserve the scale of signals: for shapes, not for concepts."""
        rng = np.random.default_rng(0)
        weights = {}
        for key, parameter in self.parameters.items():
            if len(parameter.shape) > 1:
                fan_in = np.prod(parameter.shape[:-1])
                weights[key] = rng.normal(0, fan_in**-0.5, parameter.shape).astype(np.float32)
            else:
                neutral = 1 if parameter.path[-1] in ("scale", "var") else 0
                weights[key] = np.full(parameter.shape, neutral, np.float32)
        return weights

    def fits(self, weights: Mapping[str, np.ndarray]) -> bool:
        """Whether `weights` are this module's: the same keys, shapes, and float32."""
        return {key: (array.shape, array.dtype) for key, array in weights.items()} == {
            key: (parameter.shape, np.float32) for key, parameter in self.parameters.items()
        }

    def module(self, params: Mapping[str, jax.Array]) -> Any:
        """The module with `params` (by key) in place; a new one each time, so calls share nothing."""
        leaves = [(parameter.path, params[key]) for key, parameter in self.parameters.items()]
        return nnx.merge(self.graph, nnx.from_flat_state(leaves))

    def forward(
        self, params: Mapping[str, jax.Array], images: jax.Array, names: tuple[str, ...], edits: Edits = NO_EDITS, /
    ) -> dict[str, jax.Array]:
        """Layers ``[b gh gw c]`` and outputs of normalized images; computation ends with what is asked for."""
        found, missing, steps = {}, set(names), self.module(params).layers(images)
        changed = None
        while missing:
            try:
                name, activations = steps.send(changed)
            except StopIteration as end:
                return found | {name: end.value[name] for name in missing}
            changed = edits[name](activations) if name in edits else None
            if name in missing:
                found[name] = activations if changed is None else changed
                missing.remove(name)
        return found

    def shapes(self, size: tuple[int, int]) -> dict[str, tuple[int, ...]]:
        """The shape ``(gh, gw, c)`` of every layer for images of `size` ``(h, w)``; nothing is computed."""
        return self._shapes(size)[0]

    def output_shapes(self, size: tuple[int, int]) -> dict[str, tuple[int, ...]]:
        """The shape of every output for one image of `size`."""
        return self._shapes(size)[1]

    def _shapes(self, size: tuple[int, int]) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
        params = {key: jax.ShapeDtypeStruct(p.shape, np.float32) for key, p in self.parameters.items()}
        image = jax.ShapeDtypeStruct((1, *size, 3), np.float32)
        layers, outputs = {}, {}

        def compute(params, image):
            steps = self.module(params).layers(image)
            while True:
                try:
                    name, found = next(steps)
                except StopIteration as end:
                    outputs.update((name, found.shape[1:]) for name, found in end.value.items())
                    return
                layers[name] = found.shape[1:]

        jax.eval_shape(compute, params, image)
        return layers, outputs


def fingerprint(architecture: str, *files: Path) -> str:
    """Hexadecimal SHA-256 over the architecture and the contents of the weight files, in the order given."""
    digest = hashlib.sha256(architecture.encode())
    for path in files:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
