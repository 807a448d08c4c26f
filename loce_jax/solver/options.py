"""How to solve: the recipe as one frozen object."""

from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from loce_jax.checks import InputError, check_known
from loce_jax.solver.losses import OBJECTIVES

STARTS = ("zeros", "ones", "uniform", "normal")


@dataclass(frozen=True)
class SolverOptions:
    """The recipe.  Frozen and hashable: equal options share one compilation.  The defaults are the paper's.

    The objectives have no finite optimum, so `num_steps` and `learning_rate` are part of what a LoCE is: no entry
    grows beyond about their product.

    Attributes:
        objective: ``"bce"`` (the paper's weighted agreement, see `loce_jax.solver.losses`), ``"mse"`` or ``"mae"``.
        start: first vector: ``"zeros"``, ``"ones"``, ``"uniform"`` in [0, 1) or standard ``"normal"``; a random start
            is one draw shared by all samples, so results do not depend on the batch.
        seed: of a random start.
        num_steps: AdamW steps.
        learning_rate: of AdamW, whose betas are 0.9 and 0.999.
        weight_decay: of AdamW, decoupled.
        epsilon: of AdamW.  The reference divides the "bce" slope by the squared number of samples it solves together,
            B, so its numbers for one batch are those of ``epsilon=1e-8 * B**2`` here; that matters for channels with
            hardly any slope only.
        target: height and width of the grid that a pipeline draws masks on; `solve` takes any grid.
        penalty: how ``"mse"`` and ``"mae"`` measure the norm that they add: ``"batch"`` as the reference does, over
            all vectors of the call together, which ties samples to each other; ``"sample"``, each on its own.
        iou: ``"paper"`` truncates the projection to 8 bits before it is thresholded, as the reference does;
            ``"plain"`` does not.
    """

    objective: Literal["bce", "mse", "mae"] = "bce"
    start: Literal["zeros", "ones", "uniform", "normal"] = "zeros"
    seed: int = 0
    num_steps: int = 50
    learning_rate: float = 0.1
    weight_decay: float = 0.01
    epsilon: float = 1e-8
    target: tuple[int, int] = (100, 100)
    penalty: Literal["batch", "sample"] = "batch"
    iou: Literal["paper", "plain"] = "paper"

    def __post_init__(self):
        """Raise `InputError` for a value that no recipe can have."""
        check_known("objective", [self.objective], list(OBJECTIVES))
        check_known("start", [self.start], STARTS)
        check_known("penalty", [self.penalty], ("batch", "sample"))
        check_known("iou", [self.iou], ("paper", "plain"))
        for name, low in (("num_steps", 1), ("learning_rate", 0), ("weight_decay", 0), ("epsilon", 0)):
            value = getattr(self, name)
            if not (value >= low and value < float("inf")):
                raise InputError(f"`{name}` must be finite and at least {low}, but got {value}.")
        if len(self.target) != 2 or min(self.target) < 1:
            raise InputError(f"`target` must be a height and a width of at least 1, but got {self.target}.")

    @classmethod
    def paper(cls) -> "SolverOptions":
        """The recipe of the LoCE paper and its code (Mikriukov et al., IJCV 2025): the default.

        >>> SolverOptions.paper() == SolverOptions()
        True
        """
        return cls()

    @property
    def couples_batch(self) -> bool:
        """Whether a sample's vector depends on the other samples of the call."""
        return OBJECTIVES[self.objective].penalised and self.penalty == "batch"

    def start_vector(self, channels: int) -> Float[Array, " channels"]:
        """The first vector of every sample, float32."""
        key = jax.random.key(self.seed)
        return {
            "zeros": lambda: jnp.zeros(channels),
            "ones": lambda: jnp.ones(channels),
            "uniform": lambda: jax.random.uniform(key, (channels,)),
            "normal": lambda: jax.random.normal(key, (channels,)),
        }[self.start]()
