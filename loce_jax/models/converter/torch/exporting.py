"""Record a PyTorch network with `torch.export`, as a function from our images to what it and its modules return.

PyTorch is imported where it is needed: only who converts has it.
"""

import contextlib
from collections.abc import Sequence
from typing import Any

from loce_jax.checks import InputError
from loce_jax.models.converter.grids import Size
from loce_jax.models.converter.ops import OPS
from loce_jax.models.converter.torch.probing import like_its_weights, returned_tensors, watched
from loce_jax.models.converter.torch.translating import is_translatable


def export(
    module: Any, size: Size, names: Sequence[str], outputs: Sequence[str], after_inplace: bool
) -> tuple[Any, bool]:
    """The exported program ``images [b h w 3] -> what each of the modules `names` returns``; and whether b is free.

    Behind them come the tensors `outputs` of what the network itself returns, see `returned_tensors`.
    Where the network fixes the number of images, the program holds for one.
    """
    import torch  # noqa: PLC0415 - only who converts needs it

    wrapper = _wrapper(module, names, outputs, after_inplace)
    images = like_its_weights(module, torch.zeros(2, *size, 3))

    def record(images: Any, dynamic_shapes: Any) -> Any:
        program = torch.export.export(wrapper, (images,), dynamic_shapes=dynamic_shapes, strict=False)
        if is_translatable(program):
            return program
        simpler = torch.export.default_decompositions()  # for what we do not know, PyTorch knows simpler operations
        return program.run_decompositions({op: how for op, how in simpler.items() if str(op) not in OPS})

    with contextlib.suppress(Exception):  # PyTorch has many words for "this dimension cannot be free"
        batch = ({0: torch.export.Dim("batch", min=1)},)
        return record(images, batch), True
    try:
        return record(images[:1], None), False
    except Exception as error:
        raise InputError(
            f"`module` must be a network that `torch.export` can record, but {type(module).__name__} is not: {error}. "
            "Its computation may depend on the image's numbers: convert the part that does not, e.g. its backbone."
        ) from error


def _wrapper(module: Any, names: Sequence[str], outputs: Sequence[str], after_inplace: bool) -> Any:
    """A module around `module` that takes and returns our arrays."""
    import torch  # noqa: PLC0415 - only who converts needs it

    wanted = set(names)

    class Wrapper(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.module = module

        def forward(self, images):
            found = {}

            def keep(name, tensor):
                if name in wanted:
                    found[name] = tensor if after_inplace else tensor.clone()

            with watched(self.module, keep):
                returned = returned_tensors(self.module(images.permute(0, 3, 1, 2).contiguous()))
            return (*(found[name] for name in names), *(returned[name] for name in outputs))

    return Wrapper().eval()
