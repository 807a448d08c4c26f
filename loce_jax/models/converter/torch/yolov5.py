"""The body of YOLOv5s as a PyTorch module, for users who have its weights as safetensors: 24 numbered parts.

Backbone 0-9, neck 10-23; the detection head (24) is left out, as no map comes after it.  Parameters are called as in
published checkpoints.  Jocher et al., "ultralytics/yolov5", v6.0 and later; the width is 0.5 and the depth 0.33.
Shapes: b images, h x w pixels, c channels.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from loce_jax.checks import InputError

EPSILON = 1e-3  # of every batch norm


def build_yolov5s(weights: Mapping[str, Any] | None = None) -> Any:
    """YOLOv5s for images ``[b 3 h w]`` with h and w multiples of 32; its output is part 23's.

    Each batch norm is folded into its convolution and each SiLU works in place, as in the network that the LoCE paper
    reads: what a convolution returns, e.g. ``5.conv``, is overwritten with the value after the activation function.

    Args:
        weights: PyTorch tensors by the checkpoint's keys, such as ``model.4.cv3.bn.weight``, norms folded or not;
            random numbers without it.

    Raises:
        InputError: tensors are missing, left over, or of another shape; the message lists them.
    """
    if weights is None:
        return fold_norms(network())
    given = {re.sub(r"^(model\.)+", "", key): tensor for key, tensor in weights.items()}
    given = {key: tensor for key, tensor in given.items() if not key.startswith("24.")}
    folded = not any(".bn." in key for key in given)
    model = fold_norms(network()) if folded else network()
    _fill(model, given)
    return model if folded else fold_norms(model)


def network() -> Any:
    """All parts, norms not folded."""
    nn = _nn()
    parts: list[tuple[Any, tuple[int, ...]]] = [  # a part, and which parts it reads besides the one before
        (conv(3, 32, 6, 2, 2), ()),
        (conv(32, 64, 3, 2), ()),
        (split(64, 64, 1), ()),
        (conv(64, 128, 3, 2), ()),
        (split(128, 128, 2), ()),
        (conv(128, 256, 3, 2), ()),
        (split(256, 256, 3), ()),
        (conv(256, 512, 3, 2), ()),
        (split(512, 512, 1), ()),
        (pyramid(512, 512), ()),
        (conv(512, 256), ()),
        (nn.Upsample(scale_factor=2), ()),
        (join(), (6,)),
        (split(512, 256, 1, adds=False), ()),
        (conv(256, 128), ()),
        (nn.Upsample(scale_factor=2), ()),
        (join(), (4,)),
        (split(256, 128, 1, adds=False), ()),
        (conv(128, 128, 3, 2), ()),
        (join(), (14,)),
        (split(256, 256, 1, adds=False), ()),
        (conv(256, 256, 3, 2), ()),
        (join(), (10,)),
        (split(512, 512, 1, adds=False), ()),
    ]

    def forward(module, x):
        made = []
        for part, (_, others) in zip(module.children(), parts, strict=True):
            x = part([x, *(made[other] for other in others)]) if others else part(x)
            made.append(x)
        return x

    return wire(forward, **{str(number): part for number, (part, _) in enumerate(parts)})


def conv(c_in: int, c_out: int, kernel: int = 1, stride: int = 1, padding: int | None = None) -> Any:
    """Convolution, batch norm, SiLU."""
    nn, padding = _nn(), kernel // 2 if padding is None else padding
    return wire(
        lambda module, x: module.act(module.bn(module.conv(x))),
        conv=nn.Conv2d(c_in, c_out, kernel, stride, padding, bias=False),
        bn=nn.BatchNorm2d(c_out, eps=EPSILON),
        act=nn.SiLU(inplace=True),
    )


def split(c_in: int, c_out: int, depth: int, *, adds: bool = True) -> Any:
    """Two branches of half the channels, one of them through `depth` bottlenecks, joined and mixed ("C3")."""
    half = c_out // 2
    return wire(
        lambda module, x: module.cv3(_cat([module.m(module.cv1(x)), module.cv2(x)])),
        cv1=conv(c_in, half),
        cv2=conv(c_in, half),
        cv3=conv(2 * half, c_out),
        m=_nn().Sequential(*(bottleneck(half, adds=adds) for _ in range(depth))),
    )


def bottleneck(channels: int, *, adds: bool) -> Any:
    """A 1x1 and a 3x3 convolution, plus the input if it `adds`."""
    return wire(
        lambda module, x: x + module.cv2(module.cv1(x)) if adds else module.cv2(module.cv1(x)),
        cv1=conv(channels, channels),
        cv2=conv(channels, channels, 3),
    )


def pyramid(c_in: int, c_out: int) -> Any:
    """Spatial pyramid pooling: the map joined with itself pooled once, twice and three times ("SPPF")."""

    def forward(module, x):
        maps = [module.cv1(x)]
        for _ in range(3):
            maps.append(module.m(maps[-1]))
        return module.cv2(_cat(maps))

    half = c_in // 2
    return wire(forward, cv1=conv(c_in, half), cv2=conv(4 * half, c_out), m=_nn().MaxPool2d(5, stride=1, padding=2))


def join() -> Any:
    """Maps of the same size behind each other along the channels."""
    return wire(lambda module, maps: _cat(maps))


def wire(forward: Callable[[Any, Any], Any], **children: Any) -> Any:
    """A PyTorch module of these children, that computes ``forward(module, x)``."""
    module = type("Wired", (_nn().Module,), {"forward": forward})()
    for name, child in children.items():
        module.add_module(name, child)
    return module


def fold_norms(module: Any) -> Any:
    """`module`, each convolution followed by a batch norm replaced by one that does both, in evaluation mode."""
    import torch  # noqa: PLC0415 - only who converts needs it

    for name, child in module.named_children():
        if hasattr(child, "bn"):
            fused = torch.nn.utils.fusion.fuse_conv_bn_eval(child.conv.eval(), child.bn.eval())
            folded = wire(lambda module, x: module.act(module.conv(x)), conv=fused, act=child.act)
            module.set_submodule(name, folded)
        else:
            fold_norms(child)
    return module.eval()


def _fill(model: Any, given: Mapping[str, Any]) -> None:
    wanted = {key: tensor for key, tensor in model.state_dict().items() if not key.endswith("num_batches_tracked")}
    faults = [f"missing {key}" for key in wanted if key not in given]
    faults += [f"unexpected {key}" for key in given if key not in model.state_dict()]
    faults += [
        f"{key} has shape {tuple(given[key].shape)} instead of {tuple(tensor.shape)}"
        for key, tensor in wanted.items()
        if key in given and given[key].shape != tensor.shape
    ]
    if faults:
        raise InputError(
            f"`weights` must be those of YOLOv5s (v6.0 or later), but {len(faults)} tensors do not fit: "
            f"{'; '.join(faults)}. Save them with `safetensors.torch.save_file(model.float().state_dict(), path)`."
        )
    model.load_state_dict({key: given[key].float() for key in wanted}, strict=False)


def _cat(maps: Any) -> Any:
    import torch  # noqa: PLC0415 - only who converts needs it

    return torch.cat(maps, 1)


def _nn() -> Any:
    from torch import nn  # noqa: PLC0415 - only who converts needs it

    return nn
