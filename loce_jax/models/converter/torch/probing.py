"""Run a PyTorch network a few times and note what each of its modules returns.

PyTorch is imported where it is needed: only who converts has it.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from loce_jax.checks import InputError
from loce_jax.models.converter.grids import Change, Output, Shape, Size

PROBE_POSITIONS = ((0.3, 0.7), (0.7, 0.2), (0.15, 0.4))  # where images are changed, (y, x) from 0 to 1
PROBE_IMAGES = 2 + len(PROBE_POSITIONS)
CONSTANT_BELOW = 1e-4  # a token is constant that changes less than this share of the largest change


def probe(module: Any, size: Size) -> tuple[tuple[Output, ...], dict[str, Shape]]:
    """What every module inside `module` returns for images of `size`, in the order in which they finish.

    And the shapes of one image's tensors, by name, that `module` itself returns; see `returned_tensors`.
    """
    import torch  # noqa: PLC0415 - only who converts needs it

    with frozen(module):
        try:
            outputs, returned = _run(module, _images(size), _describe)
        except Exception as error:  # whatever a network says to an input that it does not take
            raise InputError(
                f"`module` must take one batch of images [b 3 {size[0]} {size[1]}] as its only argument, but "
                f"{type(module).__name__} failed: {error}. Wrap it in a module whose `forward(images)` calls it."
            ) from error
        tall = _shapes(module, torch.zeros(1, 3, size[0] * 2, size[1]))
        wide = _shapes(module, torch.zeros(1, 3, size[0], size[1] * 2))
    inside = tuple(replace(out, tall=tall.get(out.name), wide=wide.get(out.name)) for out in outputs.values())
    floats = {name: tuple(x.shape) for name, x in returned_tensors(returned).items() if x.is_floating_point()}
    return inside, {name: shape[1:] for name, shape in floats.items() if shape[:1] == (PROBE_IMAGES,) and all(shape)}


@contextlib.contextmanager
def frozen(module: Any) -> Iterator[None]:
    """As in evaluation and without gradients; afterwards flags and random numbers are as they were."""
    import torch  # noqa: PLC0415 - only who converts needs it

    training = {part: part.training for part in module.modules()}
    with torch.random.fork_rng(), torch.no_grad():
        module.eval()
        try:
            yield
        finally:
            for part, flag in training.items():
                part.training = flag


@contextlib.contextmanager
def watched(module: Any, note: Callable[[str, Any], None]) -> Iterator[None]:
    """Call ``note(path, tensor)`` whenever a module inside `module` has returned; of several tensors, the first."""

    def hook(name: str) -> Callable[..., None]:
        return lambda _, __, output: None if (first := first_tensor(output)) is None else note(name, first)

    handles = [part.register_forward_hook(hook(name)) for name, part in module.named_modules() if name]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def first_tensor(output: Any) -> Any:
    """The tensor itself, the last hidden state, or the first tensor inside; None if there is none."""
    import torch  # noqa: PLC0415 - only who converts needs it

    if isinstance(output, torch.Tensor):
        return output
    if isinstance(output, Mapping):
        output = [output["last_hidden_state"]] if "last_hidden_state" in output else list(output.values())
    if isinstance(output, Sequence) and not isinstance(output, str):
        return next((found for part in output if (found := first_tensor(part)) is not None), None)
    return None


def returned_tensors(returned: Any) -> dict[str, Any]:
    """The tensors of what a network returned: by key, as ``output.0``, ``output.1``, or the only one as ``output``."""
    import torch  # noqa: PLC0415 - only who converts needs it

    if isinstance(returned, Mapping):
        named = {key: value for key, value in returned.items() if isinstance(key, str) and key}
    elif isinstance(returned, (tuple, list)):
        named = {f"output.{index}": value for index, value in enumerate(returned)}
    else:
        named = {"output": returned}
    return {name: value for name, value in named.items() if isinstance(value, torch.Tensor)}


def like_its_weights(module: Any, images: Any) -> Any:
    """The images where and in the precision in which the module's weights are."""
    floats = (weight for weight in module.parameters() if weight.is_floating_point())
    weight = next(floats, images)
    return images.to(device=weight.device, dtype=weight.dtype)


def _run(module: Any, images: Any, note: Callable[[str, Any], Output | None]) -> tuple[dict[str, Output], Any]:
    """What `note` says of what the modules inside return, by name; and what `module` returns."""
    found: dict[str, Output] = {}

    def keep(name: str, tensor: Any) -> None:
        found.pop(name, None)  # called again: the last call counts, and its place in the order
        if (output := note(name, tensor)) is not None:
            found[name] = output

    with watched(module, keep):
        returned = module(like_its_weights(module, images))
    return found, returned


def _shapes(module: Any, images: Any) -> dict[str, Shape]:
    """The shapes for other images; none at all if the network does not take them."""
    try:
        found, _ = _run(module, images, lambda name, x: Output(name, tuple(x.shape), varies=True))
    except Exception:  # noqa: BLE001 - a network made for one size, in its own words
        return {}
    return {name: output.shape[1:] for name, output in found.items() if output.shape[:1] == (1,)}


def _images(size: Size) -> Any:
    """Two different images, and the first one with a spot changed, once for each of `PROBE_POSITIONS`."""
    import torch  # noqa: PLC0415 - only who converts needs it

    noise = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    changed = noise[:1].repeat(len(PROBE_POSITIONS), 1, 1, 1)
    for image, (y, x) in zip(changed, PROBE_POSITIONS, strict=True):
        rows, columns = (
            slice(int(n * (at - 1 / 16)), int(n * (at + 1 / 16)) + 1) for n, at in ((size[0], y), (size[1], x))
        )
        image[:, rows, columns] = 3 * noise[1, :, rows, columns]
    return torch.cat([noise, changed])


def _describe(name: str, x: Any) -> Output | None:
    """The tensor that a module returned, as `find_layers` needs it."""
    if not x.is_floating_point() or x.ndim not in (3, 4) or len(x) != PROBE_IMAGES:
        return None
    x = x.detach().float()
    shape, differences = tuple(x.shape[1:]), (x[1] - x[0]).abs()
    varies = bool(differences.max() > 0)
    if x.ndim == 4:
        return Output(name, shape, varies)
    shares = (x[2:] - x[:1]).norm(dim=2) / x[:1].norm(dim=2).clamp_min(1e-30)
    changes = tuple(Change(*spot, tuple(share.tolist())) for spot, share in zip(PROBE_POSITIONS, shares, strict=True))
    return Output(
        name, shape, varies, tuple((differences.amax(1) <= CONSTANT_BELOW * differences.max()).tolist()), changes
    )
