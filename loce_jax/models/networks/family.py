"""A family of networks: one Flax module whose configuration and weights come from a Hugging Face folder.

A family is a table of what is its own (module, configuration, keys, names); loading is the same for all.
"""

import functools as ft
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from loce_jax.checks import InputError, short_repr
from loce_jax.models.base import Layer, Network, Output, Preprocess
from loce_jax.models.checkpoints.cache import cached_weights
from loce_jax.models.checkpoints.heads import NO_HEADS, Heads
from loce_jax.models.checkpoints.hub_folder import (
    outline_tensors,
    read_json,
    read_tensors,
    refuse_quantized,
    weight_files,
)
from loce_jax.models.checkpoints.weights import AbstractModule, KeyMap, Layered, Weights, fingerprint, possible_heads
from loce_jax.models.preprocess.hub_folder import read_preprocess
from loce_jax.models.preprocess.options import NOTHING, PreprocessOptions

Kind = Literal["grid", "tokens"]
LARGEST, MOST_LAYERS = 65536, 512  # of a number in config.json, and of one that counts layers
COUNTS = ("num_hidden_layers", "depths", "encoder_layers", "decoder_layers", "num_encoder_blocks", "num_block_repeats")
MOST_COEFFICIENT = 32  # of a factor that scales the number of layers


@dataclass(frozen=True)
class Family:
    """What distinguishes one family from another.

    Attributes:
        title: what people call it, e.g. ``"DINOv2"``.
        config: frozen dataclass, the entries of ``config.json`` that define the network, with transformers' names and
            defaults; numbers must be finite and above 0, tuples hold integers.  Entries that only outputs depend on
            are left out of its ``repr``, from which fingerprints are made.
        build: ``(config, heads, rngs=rngs) -> module`` with a method `layers`, see `Layered`.
        describe: ``(config, layer name) -> (kind, aliases)``.
        keys: what checkpoints call the weights.
        choices: the values that entries of ``config.json`` may have, where only some are built.
        flatten: from the content of ``config.json`` to one flat mapping, where the configuration is nested.
        faults: what is wrong with a configuration whose entries are each fine by themselves.
        size_multiple: what height and width of the input must be multiples of.
        smallest: what height and width of the input must be at least.
    """

    title: str
    config: type
    build: Callable[..., Layered]
    describe: Callable[[Any, str], tuple[Kind, tuple[str, ...]]]
    keys: KeyMap = KeyMap()
    choices: Mapping[str, tuple[Any, ...]] = field(default_factory=dict, hash=False)
    flatten: Callable[[dict[str, Any]], dict[str, Any]] = dict
    faults: Callable[[Any], list[str]] = lambda config: []
    size_multiple: Callable[[Any], int] = lambda config: 1
    smallest: Callable[[Any], int] = lambda config: 1

    def load(
        self, folder: str | Path, size: tuple[int, int] | None = None, options: PreprocessOptions = NOTHING
    ) -> Network:
        """The network in `folder`, for photos resized to `size` ``(h, w)``, and with the preprocessing of `options`.

        Without `size`, to the checkpoint's own, rounded down to multiples of what the network takes.

        Raises `InputError` where the folder, its configuration, its tensors or the size do not fit.
        """
        folder = Path(folder)
        config = self._read_config(folder / "config.json")
        preprocess = read_preprocess(folder, options, size=size, model_size=self._image_size(folder / "config.json"))
        size_multiple = self.size_multiple(config)
        height, width = (max(n // size_multiple, 1) * size_multiple for n in preprocess.size)
        preprocess = replace(preprocess, size=size or options.given.get("size") or (height, width))
        _check_size(preprocess.size, size_multiple, self.smallest(config))
        files = weight_files(folder)
        outline = outline_tensors(files)
        _check_depth(config, len(outline), folder / "config.json")
        digest = fingerprint(f"{self.title} {config}", *files)
        network = self._with_heads(config, outline)
        name = self.title.lower().replace(" ", "-")
        weights = cached_weights(
            name, digest, network, lambda: network.convert(read_tensors(files), source=str(folder), keys=self.keys)
        )
        found = self._network(config, network, preprocess, folder.name, digest, weights)
        return replace(found, outputs=tuple(_with_classes(found.outputs, read_json(folder / "config.json"))))

    def with_random_weights(self, preprocess: Preprocess) -> Network:
        """The network of the default configuration with random numbers, the same each time, for weights."""
        config, name = self.config(), f"{self.title} with random weights"
        network = self.abstract_module(config)
        digest = fingerprint(f"{name} {config}")
        return self._network(config, network, preprocess, name, digest, network.random_weights())

    def abstract_module(self, config: Any, heads: Heads = NO_HEADS) -> AbstractModule:
        """The network without weights."""
        return _abstract_module(self.build, config, heads)

    def _with_heads(self, config: Any, outline: Mapping[str, np.ndarray]) -> AbstractModule:
        """The network with the heads that the checkpoint has, where the names and shapes of its tensors are these."""
        found = [self.abstract_module(config, heads) for heads in possible_heads(outline, self.keys)]
        return min(found, key=lambda network: network.misfits(outline, self.keys)) if len(found) > 1 else found[0]

    def _network(
        self, config: Any, network: AbstractModule, preprocess: Preprocess, name: str, digest: str, weights: Weights
    ) -> Network:
        outputs = tuple(Output(*one) for one in network.output_shapes(preprocess.size).items())
        layers = tuple(self._layers(config, network.shapes(preprocess.size), preprocess.size))
        return Network(
            name=name,
            fingerprint=digest,
            preprocess=preprocess,
            params=jax.tree.map(jnp.asarray, weights),
            forward=network.forward,
            all_layers=layers,
            outputs=outputs,
            dead_ends=() if outputs else (layers[-1].name,),
        )

    def _layers(self, config: Any, shapes: Mapping[str, tuple[int, ...]], size: tuple[int, int]) -> Iterator[Layer]:
        for name, (rows, columns, channels) in shapes.items():
            kind, aliases = self.describe(config, name)
            yield Layer(name, channels, (rows, columns), size[0] / rows, kind, aliases)

    def _image_size(self, path: Path) -> tuple[int, int] | None:
        """The input's height and width that the configuration names."""
        size = self.flatten(read_json(path)).get("image_size", getattr(self.config(), "image_size", None))
        size = (size, size) if isinstance(size, int) else tuple(size) if isinstance(size, list | tuple) else ()
        return (size[0], size[1]) if len(size) == 2 and all(type(n) is int for n in size) else None

    def _read_config(self, path: Path) -> Any:
        content = read_json(path)
        refuse_quantized(content, path)
        given, defaults = self.flatten(content), asdict(self.config())
        chosen = {name: _like(default, given.get(name, default)) for name, default in defaults.items()}
        faults = [f"`{name}` is {short_repr(chosen[name])}" for name in defaults if not self._takes(name, chosen[name])]
        for name, values in {"num_channels": (3,), **self.choices}.items():
            value = given.get(name, values[0])
            if value not in values:
                faults.append(
                    f"`{name}` is {short_repr(value)}, and only {' or '.join(map(repr, values))} is built here"
                )
        config = None if faults else self.config(**{n: _as_type(defaults[n], value) for n, value in chosen.items()})
        faults += self.faults(config) if config else []
        if faults:
            raise InputError(
                f"{str(path)!r} must describe a {self.title} network (numbers up to {LARGEST}, {MOST_LAYERS} layers at "
                f"most), but {'; '.join(faults)}. Correct the file."
            )
        return config

    def _takes(self, name: str, value: Any) -> bool:
        """Whether an entry of the configuration can be so; `LARGEST` and `MOST_LAYERS` are what it must not exceed."""
        default, kind = getattr(self.config(), name), str(self.config.__dataclass_fields__[name].type)
        if "int | tuple" in kind:  # one number, or one for each side
            default = 1 if isinstance(value, int) else (1, 1)
            if isinstance(value, tuple) and len(value) != 2:
                return False
        return _is_like(default, value) and _is_bounded(name, value)


@ft.lru_cache(maxsize=32)
def _abstract_module(build: Callable[..., Any], config: Any, heads: Heads) -> AbstractModule:
    return AbstractModule.of(lambda: build(config, heads, rngs=nnx.Rngs(0)))


def _with_classes(outputs: Sequence[Output], content: Mapping[str, Any]) -> Iterator[Output]:
    """The outputs, with the names that ``id2label`` of ``config.json`` has for classes, if it has all of them.

    Detectors have one class more, which comes last.
    """
    labels, names = content.get("id2label"), {output.name for output in outputs}
    last = ("no object",) if "pred_boxes" in names else ()
    for output in outputs:
        classes = _classes(labels, output.shape[-1] - len(last)) if output.name.endswith("logits") else ()
        yield replace(output, classes=(*classes, *last) if classes else ())


def _classes(labels: Any, count: int) -> tuple[str, ...]:
    if not isinstance(labels, dict) or len(labels) != count:
        return ()
    names = [labels.get(str(number)) for number in range(count)]
    return tuple(name for name in names if isinstance(name, str)) if all(isinstance(n, str) for n in names) else ()


def _is_like(default: Any, value: Any) -> bool:
    """Whether `value` has the default's type, an int also where a float may be.

    Numbers must be finite and above 0, unless the default is not.
    """
    if isinstance(default, bool | str):
        return type(value) is type(default)
    if isinstance(default, tuple):
        least = min((1, *default))  # 0 where the default holds one
        return isinstance(value, tuple) and all(type(item) is int and item >= least for item in value)
    return type(value) in {int, type(default)} and (value == default or 0 < value < float("inf"))


def _like(default: Any, value: Any) -> Any:
    """`value` as the configuration has it: lists as tuples, ``[14, 14]`` as 14 and 14 as ``(14, 14)`` where meant."""
    value = tuple(value) if isinstance(value, list) else value
    if type(default) is int and isinstance(value, tuple) and len(value) == 2 and value[0] == value[1]:
        return value[0]
    return value


def _is_bounded(name: str, value: Any) -> bool:
    """Whether no number is larger than any network's, so that nothing is built that never ends."""
    if isinstance(value, str):
        return True
    most = MOST_LAYERS if name in COUNTS else LARGEST
    if isinstance(value, tuple):
        return len(value) <= MOST_LAYERS and (sum(value) if most == MOST_LAYERS else max(value, default=0)) <= most
    return value <= (MOST_COEFFICIENT if name.endswith("coefficient") else most)


def _as_type(default: Any, value: Any) -> Any:
    return float(value) if isinstance(default, float) else value


def layers_of(config: Any) -> int:
    """How many layers a configuration names; each has a tensor of its own at least."""
    numbers = [getattr(config, name) for name in COUNTS if hasattr(config, name)]
    return max((sum(n) if isinstance(n, tuple) else n for n in numbers), default=0)


def _check_depth(config: Any, tensors: int, path: Path) -> None:
    """Raise `InputError` for more layers than the files hold `tensors`, before each of them is built."""
    layers = layers_of(config)
    if layers > tensors:
        raise InputError(
            f"{str(path)!r} must describe the network in its folder, but names {layers} layers, and the checkpoint "
            f"holds {tensors} tensors. Check that the configuration belongs to it."
        )


def _check_size(size: tuple[int, int], size_multiple: int, smallest: int) -> None:
    if any(n < size_multiple or n % size_multiple for n in size):
        height, width = (" or ".join(map(str, _nearest_multiples(n, size_multiple))) for n in size)
        raise InputError(
            f"`size` must hold multiples of the patch size {size_multiple}, but got {size}. "
            f"Nearest: height {height}, width {width}."
        )
    if min(size) < smallest:
        raise InputError(
            f"`size` must hold numbers of at least {smallest}, so that every layer has a cell, but got {size}. "
            f"Try {tuple(max(n, smallest) for n in size)}."
        )


def _nearest_multiples(n: int, size_multiple: int) -> list[int]:
    below = n // size_multiple * size_multiple
    return [m for m in sorted({below, n + -n % size_multiple}) if m > 0]


def pooled_and_logits(pooled: Float[Array, "b c"], classifier: nnx.Linear | None) -> dict[str, Array]:
    """The outputs of a network that classifies its pooled vector, or only pools."""
    return {"pooled": pooled} | ({"logits": classifier(pooled)} if classifier else {})
