"""The one input of an ONNX network: the image."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loce_jax.checks import InputError
from loce_jax.models.converter.onnx.reading import need_onnx
from loce_jax.models.converter.onnx.recording import Recorder, Value
from loce_jax.models.preprocess.description import Preprocess
from loce_jax.models.preprocess.options import PreprocessOptions

TYPES = ("FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE", "UINT8")


@dataclass(frozen=True)
class ImageInput:
    """Layout of the network's one input.

    Attributes:
        name: of the input.
        size: height and width; 0 where free.
        channels_last: whether it is ``[b h w 3]``, not ``[b 3 h w]``.
    """

    name: str
    size: tuple[int, int]
    channels_last: bool

    def preprocess(self, options: PreprocessOptions, size: tuple[int, int] | None, path: str | Path) -> Preprocess:
        """The preprocessing that `options` describe, of `size`, else of the input's own size."""
        size = size or options.given.get("size") or (None if 0 in self.size else self.size)
        if size is None and options.complete:
            raise InputError(
                f"`size` must say how large the images are, as the network leaves it free: its input {self.name!r} "
                f"has the size {self.size}, 0 being free. Try (224, 224)."
            )
        return self.check(options.apply(None, size=size, what=f"the ONNX network {str(path)!r}"))

    def check(self, preprocess: Preprocess) -> Preprocess:
        """Return `preprocess` if it has the input's size."""
        if any(own not in (0, given) for own, given in zip(self.size, preprocess.size, strict=True)):
            raise InputError(
                f"`size` of `preprocess` must be {self.size}, the network's own (0 being free), but is "
                f"{preprocess.size}. Give that size, or export the network with another."
            )
        return preprocess

    def record(self, recorder: Recorder) -> Value:
        """The images in the network's layout."""
        images = recorder.images
        if not self.channels_last:
            images = recorder.emit(self.name, "aten.permute.default", (images, (0, 3, 1, 2)), {})
        return images


def read_input(model: Any, path: str | Path) -> ImageInput:
    """The model's input; `InputError` if it is not one batch of images."""
    kinds = need_onnx().TensorProto.DataType
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [entry for entry in model.graph.input if entry.name not in stored]
    described = []
    for entry in inputs:
        tensor = entry.type.tensor_type
        shape = tuple(dim.dim_value if dim.HasField("dim_value") else 0 for dim in tensor.shape.dim)
        described.append((entry.name, kinds.Name(tensor.elem_type), shape))
    if len(described) == 1:
        ((name, kind, shape),) = described
        if kind in TYPES and len(shape) == 4 and shape[0] in (0, 1):
            if shape[1] in (0, 3) and shape[3] != 3:
                return ImageInput(name, shape[2:], channels_last=False)
            if shape[3] == 3:
                return ImageInput(name, shape[1:3], channels_last=True)
    listed = "; ".join(f"{name!r} {kind} {list(shape)}" for name, kind, shape in described)
    raise InputError(
        f"`path` must be a network with one input, an image [1 3 h w] or [1 h w 3] (0 being free), but "
        f"{str(path)!r} has: {listed}. Export it with the image as its only input, and a batch of 1 or a free one."
    )
