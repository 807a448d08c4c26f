"""The heads that a checkpoint has besides a network's layers: classifiers, projections, detectors."""

import re
from dataclasses import dataclass

from flax import nnx


@dataclass(frozen=True)
class Heads:
    """What a checkpoint has besides the layers.

    Attributes:
        sizes: of each head, what its keys begin with and how many numbers its last linear map returns.
    """

    sizes: tuple[tuple[str, int], ...] = ()

    def __contains__(self, name: str) -> bool:
        """Whether the checkpoint has a tensor of the head."""
        return name in dict(self.sizes)

    def linear(self, name: str, channels: int, *, rngs: nnx.Rngs, bias: bool = True) -> nnx.Linear | None:
        """A head that is one linear map of `channels` numbers, or None where the checkpoint has it not."""
        return nnx.Linear(channels, dict(self.sizes)[name], use_bias=bias, rngs=rngs) if name in self else None


NO_HEADS = Heads()


def linear_head(name: str, word: str = "") -> tuple[str, str]:
    """What `KeyMap.heads` holds for a head of one linear map, whose tensors may have one more word in their keys."""
    return name, re.escape(f"{name}.{word}.".replace("..", ".")) + "(weight|bias)"
