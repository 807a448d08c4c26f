"""Options of Net2Vec."""

from dataclasses import dataclass
from typing import Literal

from loce_jax.checks import CheckedOptions, InputError

LEARNING_RATES = {"raw": 0.1, "paper": 1e-4}
EPOCHS = {"raw": 50, "paper": 30}


@dataclass(frozen=True)
class Net2VecOptions(CheckedOptions):
    """How Net2Vec learns.

    Attributes:
        form: "raw": weights of activations, AdamW from zero, one step per epoch on all images of a concept.  "paper":
            weights of whether activations exceed thresholds, stochastic gradient descent with a momentum of 0.9 from
            uniform weights in ``[-1/sqrt(c), 1/sqrt(c))``, steps on minibatches.
        epochs: passes over all images; 50 for "raw" and 30 for "paper", if left out.
        learning_rate: of the first step; the published one is of a loss that is summed over pixels.  0.1 for "raw",
            where it falls to 0 along a cosine, and 1e-4 for "paper", where it is constant, if left out.
        batch_size: images of one concept in a minibatch of "paper".
        seed: of the initial weights and the minibatches of "paper".
    """

    form: Literal["raw", "paper"] = "raw"
    epochs: int | None = None
    learning_rate: float | None = None
    batch_size: int = 16
    seed: int = 0

    def __post_init__(self):
        """Raise `InputError` for a value that makes no sense."""
        super().__post_init__()
        for name, value in (("epochs", self.passes), ("batch_size", self.batch_size)):
            if value < 1:
                raise InputError(f"`{name}` must be at least 1, but got {value}. Leave it out.")
        if not 0 < self.rate < float("inf"):
            raise InputError(f"`learning_rate` must be finite and above 0, but got {self.rate}. Leave it out.")

    @property
    def passes(self) -> int:
        """The number of epochs, also where it was left out."""
        return EPOCHS[self.form] if self.epochs is None else self.epochs

    @property
    def rate(self) -> float:
        """The learning rate, also where it was left out."""
        return LEARNING_RATES[self.form] if self.learning_rate is None else self.learning_rate


RAW, PAPER = Net2VecOptions(), Net2VecOptions("paper")
