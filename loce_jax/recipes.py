"""The two recipes for local concept embeddings, each one frozen object of options.

A recipe says what is optimized and how; it also knows what follows from that for a run: whether the layers' statistics
are needed first, which columns each row has besides, how the IoU is measured, and how a report describes it.  The grid
that masks are resized to is not part of it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Literal, get_args

from loce_jax.checks import InputError, check_known, check_types

Objective = Literal["bce", "mse", "mae"]
Init = Literal["zeros", "ones", "uniform", "normal"]
Penalty = Literal["batch", "sample"]
Projection = Literal["uint8", "probability", "logit"]  # what is resized to an image's own size and thresholded
MAX_STEPS = 100_000


@dataclass(frozen=True)
class PaperRecipe:
    """The recipe of the LoCE paper and its code (Mikriukov et al., IJCV 2025).

    Frozen and hashable: equal recipes share one compilation.  The paper's objectives have no finite optimum, so
    `num_steps` and `learning_rate` are part of what a LoCE is: no entry grows beyond about their product.

    Attributes:
        objective: Objective: "bce" (the paper's weighted agreement, see `loce_jax.solver.losses`), "mse" or "mae".
        init: Initial vector: "zeros", "ones", "uniform" in [0, 1), or "normal" (standard).  A random one is one draw
            shared by all samples, so that results do not depend on the batch.
        seed: Random seed of the initial vector.
        num_steps: Number of AdamW steps.
        learning_rate: Learning rate of AdamW, whose betas are 0.9 and 0.999.
        weight_decay: Decoupled weight decay of AdamW.
        epsilon: Epsilon of AdamW.  The reference divides the "bce" gradient by the squared number B of samples that it
            solves together, so its numbers for one batch are those of an epsilon of 1e-8 * B**2 here; that matters only
            for channels whose gradient is nearly 0.
        penalty: Norm that "mse" and "mae" add: "batch", as in the reference, is that of all vectors of the call
            together, which couples samples; "sample" is each vector's own.

    >>> PaperRecipe(num_steps=20).num_steps
    20
    """

    name: ClassVar[str] = "paper"
    needs_statistics: ClassVar[bool] = False
    columns: ClassVar[tuple[str, ...]] = ()
    projection: ClassVar[Projection] = "uint8"
    coordinates: ClassVar[str] = ""

    objective: Objective = "bce"
    init: Init = "zeros"
    seed: int = 0
    num_steps: int = 50
    learning_rate: float = 0.1
    weight_decay: float = 0.01
    epsilon: float = 1e-8
    penalty: Penalty = "batch"

    def __post_init__(self):
        """Raise `InputError` for a value that the recipe cannot have."""
        for name, known in (("objective", Objective), ("init", Init), ("penalty", Penalty)):
            check_known(name, [getattr(self, name)], get_args(known))
        check_types(self)
        for name, low in (("num_steps", 1), ("learning_rate", 0), ("weight_decay", 0), ("epsilon", 0)):
            value = getattr(self, name)
            if not (value >= low and value < float("inf")):
                raise InputError(f"`{name}` must be finite and at least {low}, but got {value}.")
        if self.num_steps > MAX_STEPS:
            raise InputError(
                f"`num_steps` must be at most {MAX_STEPS}, because the loss of each step is kept for every row, but "
                f"got {self.num_steps}. The paper's is 50."
            )

    @property
    def penalized(self) -> bool:
        """Whether ``||v||_1 + ||v||_2`` is added to the objective."""
        return self.objective != "bce"

    @property
    def couples_batch(self) -> bool:
        """Whether a sample's vector depends on the other samples of the call."""
        return self.penalized and self.penalty == "batch"

    def describe(self) -> str:
        """A few words on the recipe: its name.

        >>> PaperRecipe().describe()
        'paper'
        """
        return self.name


@dataclass(frozen=True)
class RidgeRecipe:
    """Ridge-penalized logistic regression on partly whitened activations (benchmarks/QUALITY.md).

    Strictly convex: Newton-CG solves it to a relative tolerance, independently of initialization.  This project's own,
    in no paper.

    Attributes:
        l2: Weight of the squared L2 penalty, above 0; the smaller, the closer the projection is to the mask.
        whitening: Power of the whitening, from 0 (activations are only centered and scaled) to 1 (whitened).
        class_weight_power: Power of the class weights, from 0 (all pixels have the same weight: small concepts vanish)
            to 1 (concept and background have the same weight, whatever their areas: masks become too large).
        tolerance: Relative error of a vector at which Newton's method stops.  float32 reaches about 1e-6 with an `l2`
            of 0.1, and less with smaller ones: below about 1e-3 rows end unconverged.

    >>> RidgeRecipe(l2=0.5).describe()
    'ridge, l2 0.5, whitening 0.5, class weight power 0.5'
    """

    name: ClassVar[str] = "ridge"
    needs_statistics: ClassVar[bool] = True
    couples_batch: ClassVar[bool] = False
    columns: ClassVar[tuple[str, ...]] = ("bias", "converged", "steps", "gradient_norm")
    projection: ClassVar[Projection] = "logit"

    l2: float = 0.1
    whitening: float = 0.5
    class_weight_power: float = 0.5
    tolerance: float = 1e-5

    def __post_init__(self):
        """Raise `InputError` for a value that the recipe cannot have."""
        check_types(self)
        for name, high in (("l2", float("inf")), ("tolerance", 1)):
            if not 0 < getattr(self, name) < high:
                raise InputError(
                    f"`{name}` must be above 0 and below {high:g}, but got {getattr(self, name)}. Only then is the "
                    f"optimum unique, and Newton's method ends; try {getattr(RidgeRecipe, name):g}."
                )
        for name in ("whitening", "class_weight_power"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise InputError(f"`{name}` must be a power from 0 to 1, but got {value}. Try 0.5.")

    def describe(self) -> str:
        """A few words on the recipe: its name, and the options that the vectors' coordinates depend on."""
        numbers = (f"{name.replace('_', ' ')} {getattr(self, name):g}" for name in self.__dict__ if name != "tolerance")
        return ", ".join([self.name, *numbers])

    @property
    def coordinates(self) -> str:
        """A sentence on what the vectors weigh, where that is not the layer's raw activations.

        >>> RidgeRecipe(whitening=0.0).coordinates
        "Vectors are compared in the recipe's coordinates: the layer's activations, centered and scaled."
        """
        start = "Vectors are compared in the recipe's coordinates: the layer's activations, centered and "
        if self.whitening == 0:
            return f"{start}scaled."
        part = "" if self.whitening == 1 else "partly "
        return f"{start}{part}whitened, so that directions in which all pixels vary much count less."


Recipe = PaperRecipe | RidgeRecipe
RECIPES: Mapping[str, type[PaperRecipe] | type[RidgeRecipe]] = {kind.name: kind for kind in (PaperRecipe, RidgeRecipe)}


def recipe_record(recipe: Recipe) -> dict[str, Any]:
    """A recipe as plain values, its name under ``"name"``.

    >>> recipe_record(RidgeRecipe())
    {'name': 'ridge', 'l2': 0.1, 'whitening': 0.5, 'class_weight_power': 0.5, 'tolerance': 1e-05}
    """
    return {"name": recipe.name, **asdict(recipe)}


def recipe_from(record: Mapping[str, Any]) -> Recipe:
    """The recipe that `recipe_record` described; what a record leaves out has its default.

    Raises:
        InputError: an unknown recipe, an option that it does not have, or a value that it cannot have.

    >>> recipe_from({"name": "ridge", "l2": 0.5})
    RidgeRecipe(l2=0.5, whitening=0.5, class_weight_power=0.5, tolerance=1e-05)
    """
    options = dict(record)
    name = options.pop("name", PaperRecipe.name)
    check_known("recipe", [name], list(RECIPES))
    kind = RECIPES[name]
    check_known(f"option of the {name} recipe", options, [field.name for field in fields(kind)])
    try:
        return kind(**options)
    except TypeError as error:
        raise InputError(f"`recipe` must hold options of the {name} recipe, but got {options!r}: {error}.") from error
