"""From PyTorch's exported program to our graph's nodes and tensors.

PyTorch is imported where it is needed: only who converts has it.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import ml_dtypes
import numpy as np

from loce_jax.checks import InputError
from loce_jax.models.converter.graph import IMAGES, WEIGHT, DType, Node, Ref
from loce_jax.models.converter.ops import OPS

INSIDE = "module."  # what the recorded wrapper calls the network
ITEMS = ("aten.item.default", "aten._local_scalar_dense.default")
COPIES = ("aten.clone.default", "aten.alias.default", "aten.detach.default", "aten.lift_fresh_copy.default")
MEANINGLESS = ("layout", "device", "pin_memory", "memory_format", "non_blocking", "generator", "copy")
NARROW = {"int64": np.int32, "float64": np.float32}  # JAX computes in 32 bits

Tensors = dict[str, np.ndarray]
Values = dict[Any, Any]  # PyTorch's nodes as ours, or as the number that they are known to be


def translate(program: Any) -> tuple[tuple[Node, ...], tuple[int, ...], Tensors]:
    """The program's nodes, which of them it returns, and its tensors by name.

    What no result needs is left out, a copy is its original, equal tensors are kept once.  Raises one `InputError` that
    names every operation without a JAX function.
    """
    tensors = _Inputs(program)
    nodes: list[Node] = []
    values: Values = {}
    needed = _needed(program.graph)
    for node in (node for node in program.graph.nodes if node in needed):
        if node.op == "call_function" and _name(node.target) in COPIES:
            values[node] = values[node.args[0]]
        elif node.op == "call_function" and _name(node.target) in ITEMS:
            values[node] = tensors.constant(node.args[0]).item()
        else:
            values[node] = Ref(len(nodes))
            nodes.append(_call(node, values) if node.op == "call_function" else tensors.node(node))
    _check_known(nodes)
    return tuple(nodes), tuple(values[node].index for node in _results(program.graph)), tensors.kept


def is_translatable(program: Any) -> bool:
    """Whether `translate` takes the program as it was recorded: every operation is known, and none writes in place.

    Else PyTorch must first express it by simpler operations without writing, which takes as long as recording it.
    """
    calls = [node for node in program.graph.nodes if node.op == "call_function"]
    writes = any(getattr(getattr(node.target, "_schema", None), "is_mutable", False) for node in calls)
    needed = _needed(program.graph)
    return not writes and all(_name(node.target) in (*OPS, *COPIES, *ITEMS) for node in calls if node in needed)


class _Inputs:
    """The program's inputs: the images, and tensors, each of which it keeps once."""

    def __init__(self, program: Any):
        self.stored = {**program.state_dict, **program.constants}
        self.targets = {spec.arg.name: spec.target for spec in program.graph_signature.input_specs}
        self.names: dict[Any, str] = {}  # the first name of each, by where it lies in memory
        for target, tensor in self.stored.items():
            self.names.setdefault(_memory(tensor), target.removeprefix(INSIDE))
        self.kept: Tensors = {}

    def node(self, node: Any) -> Node:
        """What stands for one of the program's inputs."""
        target = self.targets.get(node.name) if node.op == "placeholder" else node.target
        if target is None:
            return Node(IMAGES)
        tensor = self.stored[target]
        name = self.names[_memory(tensor)]
        if name not in self.kept:
            self.kept[name] = _array(name, tensor)
        return Node(WEIGHT, (name,))

    def constant(self, node: Any) -> Any:
        """The tensor at `node`, which must come from stored tensors alone."""
        if node.op == "call_function":
            args = [self.constant(arg) if isinstance(arg, type(node)) else arg for arg in node.args]
            return node.target(*args, **node.kwargs)
        target = self.targets.get(node.name) if node.op == "placeholder" else node.target
        if target is None:
            raise InputError("`module` must not decide by the image's numbers, but calls `.item()` on some of them.")
        return self.stored[target]


def _memory(tensor: Any) -> tuple[Any, ...]:
    return tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype


def _array(name: str, tensor: Any) -> np.ndarray:
    """A tensor as an array of 32 bits or fewer."""
    import torch  # noqa: PLC0415 - only who converts needs it

    tensor = tensor.detach().cpu().contiguous()
    if tensor.is_complex() or tensor.is_quantized:
        raise InputError(f"the tensor {name!r} must hold real numbers, but holds {tensor.dtype}. Convert it first.")
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    array = tensor.numpy()
    narrow = array.astype(NARROW.get(array.dtype.name, array.dtype))
    if array.dtype == np.int64 and not np.array_equal(array, narrow):
        raise InputError(f"the tensor {name!r} must hold whole numbers of 32 bits, but some are larger.")
    return narrow


def _needed(graph: Any) -> set[Any]:
    waiting, found = list(_results(graph)), set()
    while waiting:
        if (node := waiting.pop()) not in found:
            found.add(node)
            waiting.extend(node.all_input_nodes)
    return found


def _results(graph: Any) -> Sequence[Any]:
    (results,) = next(node for node in graph.nodes if node.op == "output").args
    return results


def _call(node: Any, values: Values) -> Node:
    args, kwargs = _in_order(node)
    kwargs = {key: value for key, value in kwargs.items() if key not in MEANINGLESS and value is not None}
    if "dtype" in _keywords(node):  # said or not, it is known
        kwargs["dtype"] = node.meta["val"].dtype
    name, module = _name(node.target), _module(node)
    translated = {key: _literal(value, values, name) for key, value in kwargs.items()}
    return Node(name, tuple(_literal(value, values, name) for value in args), translated, module)


def _in_order(node: Any) -> tuple[list[Any], dict[str, Any]]:
    """Positional arguments as the operation declares them, even those passed by name; and the others."""
    args, kwargs = list(node.args), dict(node.kwargs)
    declared = getattr(getattr(node.target, "_schema", None), "arguments", ())
    positional = [argument for argument in declared if not argument.kwarg_only]
    last = max((i for i, argument in enumerate(positional) if argument.name in kwargs), default=-1)
    for argument in positional[len(args) : last + 1]:
        args.append(kwargs.pop(argument.name, argument.default_value))
    return args, kwargs


def _keywords(node: Any) -> set[str]:
    declared = getattr(getattr(node.target, "_schema", None), "arguments", ())
    return {argument.name for argument in declared if argument.kwarg_only}


def _literal(value: Any, values: Values, op: str) -> Any:
    """An argument in our words."""
    import torch  # noqa: PLC0415 - only who converts needs it

    if isinstance(value, torch.fx.Node):
        return values[value]
    if isinstance(value, (list, tuple)):
        return tuple(_literal(item, values, op) for item in value)
    if isinstance(value, torch.dtype):
        return DType(str(value).removeprefix("torch."))
    if isinstance(value, torch.device | torch.layout | torch.memory_format):
        return None
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise InputError(f"an argument of {op!r} must be a number, a word or a tensor, but is {value!r}: not supported.")


def _name(target: Any) -> str:
    """``aten.add.Tensor``, ``operator.mul``, ``torch.sym_max``."""
    if getattr(target, "__module__", "") in ("_operator", "math", "torch"):
        return f"{target.__module__.removeprefix('_')}.{target.__name__}"
    return str(target)


def _module(node: Any) -> str:
    *_, (path, _) = [("", None), *(node.meta.get("nn_module_stack") or {}).values()]
    return path.removeprefix(INSIDE) if path.startswith(INSIDE) else ""


def _check_known(nodes: Iterable[Node]) -> None:
    unknown: dict[str, dict[str, None]] = defaultdict(dict)
    for node in nodes:
        if node.op not in OPS and node.op not in (IMAGES, WEIGHT):
            unknown[node.op][node.module or "(the network itself)"] = None
    if unknown:
        listed = "; ".join(f"{op} in {', '.join(list(modules)[:3])}" for op, modules in unknown.items())
        raise InputError(
            f"`module` must be made of operations known here, but {len(unknown)} have no JAX function: {listed}. "
            "To add one, write a function in the file of its theme in `loce_jax/models/converter/ops/`, and a line in "
            "the table `OPS` at that file's end."
        )
