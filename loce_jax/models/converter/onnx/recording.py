"""Record our graph while the ONNX nodes are processed in order.

The network is recorded for one image, so every shape is known, and what follows from shapes and weights alone is
computed here and now, by ONNX's own reference implementation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from loce_jax.checks import InputError
from loce_jax.models.converter.graph import IMAGES, WEIGHT, DType, Node, Ref
from loce_jax.models.converter.ops import OPS

RESERVED = "__metadata__"  # no tensor can be called so in a safetensors file

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Const:
    """Numbers that are known now."""

    name: str
    array: np.ndarray

    @property
    def shape(self) -> Shape:
        """The array's."""
        return self.array.shape


@dataclass(frozen=True)
class Value:
    """Numbers that depend on the image: the node that makes them, their shape and type."""

    index: int
    shape: Shape
    dtype: np.dtype

    @property
    def is_float(self) -> bool:
        """Whether they are not whole numbers or booleans."""
        return self.dtype.kind == "f"


class Recorder:
    """Nodes and weights so far.

    Attributes:
        nodes: the first one is the image.
        weights: by name; every kind of float as float32, whole numbers in at most 32 bits.
        size: height and width of the image.
        images: what stands for the image, ``[1 h w 3]``.
    """

    def __init__(self, size: tuple[int, int]):
        self.nodes = [Node(IMAGES)]
        self.weights: dict[str, np.ndarray] = {}
        self.size = size
        self.images = Value(0, (1, *size, 3), np.dtype(np.float32))
        self._kept: dict[str, tuple[np.ndarray, Value]] = {}

    def emit(self, module: str, op: str, args: tuple, kwargs: Mapping[str, Any]) -> Any:
        """Add a node that calls `op`; what it returns, a `Value` or a tuple of them.

        Among the arguments may be values, constants, and what else a `Node` takes.
        """
        leaves, tree = jax.tree.flatten((args, dict(kwargs)))
        leaves = [self._weight(leaf) if isinstance(leaf, Const) else leaf for leaf in leaves]
        values = [leaf for leaf in leaves if isinstance(leaf, Value)]

        def call(*arrays: jax.Array) -> Any:
            given = iter(arrays)
            filled = [next(given) if isinstance(leaf, Value) else _plain(leaf) for leaf in leaves]
            args, kwargs = tree.unflatten(filled)
            return OPS[op](*args, **kwargs)

        found = jax.eval_shape(call, *(jax.ShapeDtypeStruct(value.shape, value.dtype) for value in values))
        args, kwargs = tree.unflatten(Ref(leaf.index) if isinstance(leaf, Value) else leaf for leaf in leaves)
        made = self._add(Node(op, args, kwargs, module))
        if not isinstance(found, tuple):
            return Value(made, found.shape, found.dtype)
        parts = (self._add(Node("operator.getitem", (Ref(made), i), module=module)) for i in range(len(found)))
        return tuple(Value(part, one.shape, one.dtype) for part, one in zip(parts, found, strict=True))

    def _weight(self, const: Const) -> Value:
        name = const.name
        while name == RESERVED or (name in self._kept and self._kept[name][0] is not const.array):
            name += "'"
        if name not in self._kept:
            array = self.weights[name] = _narrow(const)
            self._kept[name] = const.array, Value(self._add(Node(WEIGHT, (name,))), array.shape, array.dtype)
        return self._kept[name][1]

    def _add(self, node: Node) -> int:
        self.nodes.append(node)
        return len(self.nodes) - 1


@dataclass(frozen=True)
class Call:
    """One ONNX node.

    Attributes:
        op: its operation.
        name: what messages call it.
        version: of the set of operations in which `op` is to be understood.
        inputs: a `Value` or a `Const` each; None for one left out.
        outputs: how many it has.
        attributes: numbers, words and sequences of them.
        recorder: where it is written down.
    """

    op: str
    name: str
    version: int
    inputs: tuple[Any, ...]
    outputs: int
    attributes: Mapping[str, Any]
    recorder: Recorder = field(repr=False)

    @property
    def first(self) -> Any:
        """The first input, which is always there."""
        return self.inputs[0]

    def input(self, position: int) -> Any:
        """The input there, if there is one."""
        return self.inputs[position] if position < len(self.inputs) else None

    def emit(self, op: str, *args: Any, **kwargs: Any) -> Any:
        """Add a node to our graph; see `Recorder.emit`."""
        return self.recorder.emit(self.name, op, args, kwargs)

    def setting(self, name: str, default: Any = None, *, position: int | None = None) -> Any:
        """The attribute called so; or the numbers in the input at `position`, where newer versions have it."""
        if name in self.attributes:
            return self.attributes[name]
        given = None if position is None else self.input(position)
        if given is None:
            return default
        return self.known(given, f"its {name!r}").array.tolist()

    def ints(self, name: str, default: Sequence[int] | None = None, *, position: int | None = None) -> Any:
        """A setting that is a sequence of whole numbers."""
        found = self.setting(name, default, position=position)
        return found if found is None else tuple(np.atleast_1d(np.asarray(found, np.int64)).tolist())

    def known(self, value: Value | Const, what: str) -> Const:
        """`value`, if it does not depend on the image."""
        if isinstance(value, Value):
            raise self.error(f"{what} must not depend on the image")
        return value

    def const(self, suffix: str, array: np.ndarray) -> Const:
        """New numbers for this node."""
        return Const(f"{self.name}.{suffix}", array)

    def error(self, why: str) -> InputError:
        """An error about this node."""
        return InputError(
            f"the ONNX node {self.name!r} ({self.op}) cannot be converted: {why}. Export the network differently, or "
            "only the part before this node (`onnx.utils.extract_model`)."
        )


def _plain(value: Any) -> Any:
    return jax.dtypes.canonicalize_dtype(value.name) if isinstance(value, DType) else value


def _narrow(const: Const) -> np.ndarray:
    """The array in at most 32 bits; every kind of float as float32."""
    array = const.array
    if array.dtype.kind in "fV":  # V: bfloat16 and its like
        return array.astype(np.float32)
    if array.dtype.kind not in "iub":
        raise InputError(f"the tensor {const.name!r} must hold numbers, but holds {array.dtype}. Export without it.")
    narrow = array.astype({"int64": np.int32, "uint64": np.uint32}.get(array.dtype.name, array.dtype))
    if not np.array_equal(array, narrow):
        raise InputError(f"the tensor {const.name!r} must hold whole numbers of 32 bits, but some are larger.")
    return narrow
