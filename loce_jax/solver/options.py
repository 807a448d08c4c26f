"""How to solve: the recipe as one frozen object."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from loce_jax.checks import InputError, check_known
from loce_jax.solver.losses import OBJECTIVES

STARTS = ("zeros", "ones", "uniform", "normal")
COMMON = ("recipe", "target")
OF_RIDGE = ("strength", "whitening", "balance", "tolerance")


@dataclass(frozen=True)
class SolverOptions:
    """The recipe.  Frozen and hashable: equal options share one compilation.  The defaults are the paper's.

    The paper's objectives have no finite optimum, so `num_steps` and `learning_rate` are part of what a LoCE is: no
    entry grows beyond about their product.  The ridge recipe has one, see `loce_jax.solver.ridge.newton`.

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
            ``"plain"`` does not, nor does the ridge recipe.
        recipe: ``"paper"``, or ``"ridge"``, whose only options are `target` and the following four; those above are
            the paper recipe's, these not.
        strength: of the ridge penalty, above 0; the less, the closer a mask is redrawn (benchmarks/QUALITY.md).
        whitening: 0 (activations are only centered and scaled) to 1 (whitened).
        balance: 0 (all pixels weigh alike: small concepts vanish) to 1 (concept and background weigh alike, whatever
            their areas: masks are drawn too large).
        tolerance: relative error of a vector at which it is done.  float32 reaches about 1e-6 at strength 0.1, and
            less at weaker ones: below about 1e-3 rows end unconverged.
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
    recipe: Literal["paper", "ridge"] = "paper"
    strength: float = 0.1
    whitening: float = 0.5
    balance: float = 0.5
    tolerance: float = 1e-5

    def __post_init__(self):
        """Raise `InputError` for a value that the recipe cannot have, or for one that belongs to the other recipe."""
        check_known("recipe", [self.recipe], ("paper", "ridge"))
        for field in fields(self):
            if field.name not in self._own and getattr(self, field.name) != field.default:
                raise InputError(
                    f"`{field.name}` has no meaning in the {self.recipe} recipe, but is {getattr(self, field.name)!r}. "
                    f"Leave it out, or choose the other recipe; {self.recipe} has {', '.join(self._own)}."
                )
        check_known("objective", [self.objective], list(OBJECTIVES))
        check_known("start", [self.start], STARTS)
        check_known("penalty", [self.penalty], ("batch", "sample"))
        check_known("iou", [self.iou], ("paper", "plain"))
        for name, low in (("num_steps", 1), ("learning_rate", 0), ("weight_decay", 0), ("epsilon", 0)):
            value = getattr(self, name)
            if not (value >= low and value < float("inf")):
                raise InputError(f"`{name}` must be finite and at least {low}, but got {value}.")
        for name, high in (("strength", float("inf")), ("tolerance", 1)):
            if not 0 < getattr(self, name) < high:
                raise InputError(
                    f"`{name}` must be above 0 and below {high:g}, but got {getattr(self, name)}. Only then does the "
                    f"ridge recipe have one answer, and an end; try {getattr(SolverOptions, name):g}."
                )
        for name in ("whitening", "balance"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise InputError(f"`{name}` must be from 0 (none) to 1 (all of it), but got {value}. Try 0.5.")
        if len(self.target) != 2 or min(self.target) < 1:
            raise InputError(f"`target` must be a height and a width of at least 1, but got {self.target}.")

    @classmethod
    def paper(cls) -> "SolverOptions":
        """The recipe of the LoCE paper and its code (Mikriukov et al., IJCV 2025): the default.

        >>> SolverOptions.paper() == SolverOptions()
        True
        """
        return cls()

    @classmethod
    def ridge(cls, strength: float = 0.1, whitening: float = 0.5) -> "SolverOptions":
        """The recipe of this project: half-whitened ridge logistic regression, in no paper (benchmarks/QUALITY.md).

        >>> SolverOptions.ridge().record()
        {'target': (100, 100), 'recipe': 'ridge', 'strength': 0.1, 'whitening': 0.5, 'balance': 0.5, 'tolerance': 1e-05}
        """
        return cls(recipe="ridge", strength=strength, whitening=whitening)

    def record(self) -> dict[str, Any]:
        """The options that belong to the recipe, as plain values; a record without ``recipe`` is of the paper's."""
        own = {name: value for name, value in asdict(self).items() if name in self._own}
        if self.recipe == "paper":
            del own["recipe"]
        return own

    @property
    def _own(self):
        """Names of the options that mean something in this recipe."""
        if self.recipe == "ridge":
            return (*COMMON, *OF_RIDGE)
        return tuple(field.name for field in fields(self) if field.name not in OF_RIDGE)

    @property
    def couples_batch(self) -> bool:
        """Whether a sample's vector depends on the other samples of the call."""
        return OBJECTIVES[self.objective].penalized and self.penalty == "batch"

    def start_vector(self, channels: int) -> Float[Array, " channels"]:
        """The first vector of every sample, float32."""
        key = jax.random.key(self.seed)
        return {
            "zeros": lambda: jnp.zeros(channels),
            "ones": lambda: jnp.ones(channels),
            "uniform": lambda: jax.random.uniform(key, (channels,)),
            "normal": lambda: jax.random.normal(key, (channels,)),
        }[self.start]()
