"""Your own network as a `loce_jax` network: a function of JAX arrays, a Flax NNX module, or a Flax Linen module.

Layers are found by tracing once, without computing: every output with a grid of the image's proportions.  What else is
``[b]`` or ``[b c]`` is an output of the network, e.g. its logits.
Shapes: b images, h x w pixels, gh x gw grid cells, t tokens, c channels.
"""

import hashlib
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx, traverse_util

from loce_jax.checks import InputError, check_arguments
from loce_jax.foreign_text import logger
from loce_jax.models.base import Network, Preprocess
from loce_jax.models.edits import NO_EDITS
from loce_jax.models.tracing import ROOT, Call, Tokens, Traced, abstractly, edited, on_grid, trace, words_of

NOTHING: Mapping[str, Any] = MappingProxyType({})
log = logger(__name__)
capture_lock = threading.RLock()  # `nnx.capture` patches the module's classes while it runs


@check_arguments
def from_function(
    f: Call,
    params: Any,
    *,
    preprocess: Preprocess,
    name: str,
    prefix_tokens: int = 0,
    token_grid: tuple[int, int] | None = None,
) -> Network:
    """The network that `f` computes.

    Args:
        f: pure function from `params` and normalized images ``[b h w 3]`` to ``{layer name: array}``, for any b; each
            array is ``[b gh gw c]``, or tokens ``[b t c]``, row by row; arrays ``[b]`` and ``[b c]`` are
            the network's outputs.
        params: the weights, a pytree of arrays.
        preprocess: how photos become input; its size is the h x w that `f` sees.
        name: what the network is called.  It is part of the fingerprint, which knows all weights (those too that `f`
            holds itself) but not `f`'s code: give another name when the code changes.
        prefix_tokens: tokens before those of the grid, e.g. 1 for a CLS token; they are left out.
        token_grid: ``(gh, gw)`` of the tokens; without it, the grid that fits their number and the image's size.

    Raises:
        InputError: `f` cannot be traced, or an array of more than two axes has no grid; the message names it.

    >>> def f(params, images):
    ...     cells = images.reshape(len(images), 4, 8, 6, 8, 3).mean((2, 4))
    ...     mixed = jax.nn.relu(cells @ params["w"])
    ...     return {"mean": cells, "mixed": mixed, "logits": mixed.max((1, 2))}
    >>> mine = from_function(f, {"w": np.ones((3, 5))}, preprocess=Preprocess((32, 48)), name="mine-1")
    >>> [(layer.name, layer.grid, layer.channels) for layer in mine.layers()]
    [('mean', (4, 6), 3), ('mixed', (4, 6), 5)]
    >>> mine.outputs
    (Output(name='logits', shape=(5,), classes=()),)
    """
    params = _arrays(params)
    found = trace(f, params, preprocess.size, Tokens(prefix_tokens, token_grid))
    if found.unusable or not found.layers:
        raise InputError(
            "`f` must return {name: array} with arrays [b gh gw c], or tokens [b t c], whose grid has the proportions "
            f"of the images, {_by(preprocess.size)}, but {'; '.join(found.unusable) or 'it returns nothing'}. "
            "Return only outputs with a grid, and [b] or [b c]."
        )
    return _network(f, params, found, preprocess, name, (name, params))


def from_nnx(
    module: nnx.Module,
    *,
    preprocess: Preprocess,
    name: str | None = None,
    arguments: Mapping[str, Any] = NOTHING,
    prefix_tokens: int = 0,
    token_grid: tuple[int, int] | None = None,
) -> Network:
    """The network that a Flax NNX module computes; its layers are the outputs of its submodules.

    A layer's name is the submodule's path, e.g. ``blocks.0.conv``.  Values that the module sows as `nnx.Intermediate`
    and outputs of other methods than ``__call__`` carry their own name at the end; the module's own output is
    ``__call__``; several outputs or calls of one submodule are ``path.__call__.0``, ``path.__call__.1``.
    Arrays ``[b]`` and ``[b c]``, e.g. a classifier's logits, are the network's outputs, under names of the same kind.
    The weights are copied: changing `module` later does not change the network.

    Args:
        module: in evaluation mode; ``module.eval()`` sets it.
        preprocess: how photos become input; its size is the h x w that the module sees.
        name: what the network is called; the class's name without it.  It is part of the fingerprint, which knows the
            weights and the module's structure but not its methods: give another name when their code changes.
        arguments: further arguments of the call, e.g. ``{"train": False}``.
        prefix_tokens: see `from_function`.
        token_grid: see `from_function`.

    Raises:
        InputError: the module cannot be called, changes its own state when called, or has no layer with a grid.

    >>> class Tiny(nnx.Module):
    ...     def __init__(self, rngs):
    ...         self.stem = nnx.Conv(3, 4, (3, 3), strides=2, rngs=rngs)
    ...         self.head = nnx.Linear(4, 10, rngs=rngs)
    ...     def __call__(self, images):
    ...         return self.head(jax.nn.relu(self.stem(images)).mean((1, 2)))
    >>> tiny = from_nnx(Tiny(nnx.Rngs(0)), preprocess=Preprocess((32, 48)))
    >>> [(layer.name, layer.grid, layer.channels) for layer in tiny.layers()]
    [('stem', (16, 24), 4)]
    >>> [(output.name, output.shape) for output in tiny.outputs]
    [('head', (10,)), ('__call__', (10,))]
    >>> tiny.rest("stem", "head").to
    ('head',)
    """
    graph, params = nnx.split(module)

    def call(params, images):
        model = nnx.merge(graph, params)
        with capture_lock:
            capture = nnx.capture(model, nnx.Intermediate, method_outputs=nnx.Intermediate)
            _, taps = capture(images, **arguments)
        return _named((path, tap.get_value()) for path, tap in nnx.to_flat_state(taps)), nnx.state(model)

    def outputs(params, images):
        return call(params, images)[0]

    params = _arrays(params)
    _check_evaluation_mode(call, params, preprocess.size)
    found = _trace_module(outputs, params, preprocess, Tokens(prefix_tokens, token_grid))
    name = name or type(module).__name__
    kept = nnx.to_flat_state(nnx.state(module, nnx.Not(nnx.RngState)))
    weights = {_dotted(path): variable.get_value() for path, variable in kept}
    return _network(outputs, params, found, preprocess, name, (f"{name} {dict(arguments)} {graph!r}", weights))


def from_linen(  # noqa: PLR0913
    module: linen.Module,
    variables: Mapping[str, Any],
    *,
    preprocess: Preprocess,
    name: str | None = None,
    arguments: Mapping[str, Any] = NOTHING,
    prefix_tokens: int = 0,
    token_grid: tuple[int, int] | None = None,
) -> Network:
    """The network that a Flax Linen module computes with its `variables`; layers and arguments are those of `from_nnx`.

    >>> module = linen.Sequential([linen.Conv(4, (3, 3), strides=2), jax.nn.relu, linen.Conv(5, (3, 3), strides=2)])
    >>> variables = module.init(jax.random.key(0), np.zeros((1, 32, 48, 3)))
    >>> tiny = from_linen(module, variables, preprocess=Preprocess((32, 48)))
    >>> [(layer.name, layer.grid, layer.channels) for layer in tiny.layers()]
    [('layers_0', (16, 24), 4), ('layers_2', (8, 12), 5), ('__call__', (8, 12), 5)]
    """

    def call(params, images):
        _, taps = module.apply(params, images, capture_intermediates=True, mutable=["intermediates"], **arguments)
        return _named(traverse_util.flatten_dict(taps["intermediates"]).items())

    params = _arrays({kind: values for kind, values in variables.items() if kind != "intermediates"})
    found = _trace_module(call, params, preprocess, Tokens(prefix_tokens, token_grid))
    name = name or type(module).__name__
    return _network(call, params, found, preprocess, name, (f"{name} {dict(arguments)} {module!r}", params))


def _network(
    call: Call, params: Any, found: Traced, preprocess: Preprocess, name: str, identity: tuple[str, Any]
) -> Network:
    layers = {layer.name: layer for layer in found.layers}

    def forward(params, images, names, edits=NO_EDITS, /):
        arrays = edited(call, params, images, {layers[name]: edit for name, edit in edits.items()})
        arranged = {name: on_grid(arrays[name], layers[name]) if name in layers else arrays[name] for name in names}
        return {name: array.astype(images.dtype) for name, array in arranged.items()}

    return Network(
        name,
        _digest(*identity, found.constants),
        preprocess,
        params,
        forward,
        found.layers,
        found.outputs,
        found.dead_ends,
    )


def _trace_module(call: Call, params: Any, preprocess: Preprocess, tokens: Tokens) -> Traced:
    found = trace(call, params, preprocess.size, tokens)
    if not found.layers:
        without = [f"{output.name!r} has shape {words_of((0, *output.shape))}" for output in found.outputs]
        raise InputError(
            "`module` must have submodules that return [b gh gw c], or tokens [b t c], with a grid of the proportions "
            f"of the images, {_by(preprocess.size)}, but {'; '.join([*found.unusable, *without]) or 'it has none'}."
        )
    if found.hints:
        log.warning("%d outputs are not among the layers: %s", len(found.hints), "; ".join(found.hints))
    return found


def _check_evaluation_mode(call: Callable, params: Any, size: tuple[int, int]) -> None:
    """Raise `InputError` if the module changes its own state when called: statistics, counters of random numbers."""
    closed, (_, after) = abstractly(call, params, size, batch=1)
    paths = [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in _leaves(after)]
    before = {id(var) for var in closed.jaxpr.invars}
    now = closed.jaxpr.outvars[len(closed.jaxpr.outvars) - len(paths) :]
    changed = [path for path, var in zip(paths, now, strict=True) if id(var) not in before]
    if changed:
        raise InputError(
            f"`module` must be in evaluation mode, but calling it changes {', '.join(changed)}. "
            "Call `module.eval()` before."
        )


def _named(taps: Iterable[tuple[tuple, Any]]) -> dict[str, jax.Array]:
    """Captured outputs by layer name; a tap is a path and the tuple of what was returned there, call by call."""
    return dict(_names(taps))


def _names(taps: Iterable[tuple[tuple, Any]]) -> Iterator[tuple[str, jax.Array]]:
    for path, calls in taps:
        leaves = _leaves(calls[0] if isinstance(calls, tuple) and len(calls) == 1 else calls)
        if len(leaves) == 1:
            yield _dotted(path[:-1] if path[-1] == ROOT else path) or ROOT, jnp.asarray(leaves[0][1])
        else:
            for index, leaf in leaves:
                yield f"{_dotted(path)}.{jax.tree_util.keystr(index, simple=True, separator='.')}", jnp.asarray(leaf)


def _leaves(tree: Any) -> list[tuple[tuple, Any]]:
    return jax.tree_util.tree_flatten_with_path(tree)[0]


def _dotted(path: Iterable[Any]) -> str:
    return ".".join(map(str, path))


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def _arrays(params: Any) -> Any:
    """`params` with JAX arrays for leaves."""
    try:
        return jax.tree.map(lambda leaf: leaf if isinstance(leaf, jax.Array) else jnp.asarray(leaf), params)
    except (TypeError, ValueError) as error:
        raise InputError(f"`params` must be a pytree of arrays, but has another leaf: {error}.") from error


def _digest(description: str, weights: Any, constants: Iterable[Any]) -> str:
    """Hexadecimal SHA-256 over the description (addresses in memory left out), the weights and the constants."""
    digest = hashlib.sha256(re.sub(r" at 0x[0-9a-f]+", "", description).encode())
    for path, leaf in _leaves((weights, list(constants))):
        is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        array = np.asarray(jax.random.key_data(leaf) if is_key else leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
