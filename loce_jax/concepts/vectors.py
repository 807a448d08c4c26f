"""Concept vectors of a layer, and what they say on activations: response maps and soft masks.

Shapes: k concepts, c channels, gh x gw grid cells of the layer, H x W pixels.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from loce_jax.checks import InputError
from loce_jax.solver.precision import matmul
from loce_jax.solver.project import upsample
from loce_jax.solver.solution import Status


@dataclass(frozen=True)
class ConceptVectors:
    """One vector a concept, all of one layer.

    Attributes:
        names: of the concepts.
        vectors: weights of the channels, float32; NaN where `status` is not ``Status.OK``.
        offsets: what is added to a vector's response, so that a pixel belongs to the concept where the sum is above 0;
            NaN where `vectors` are.
        status: a `loce_jax.solver.Status` a concept.
        method: that found them, e.g. ``"net2vec"``.
        thresholds: of each channel; a vector then weighs whether an activation exceeds its channel's threshold, 0 or
            1, in place of the activation (Fong & Vedaldi, "Net2Vec", CVPR 2018, section 3.1).
    """

    names: tuple[str, ...]
    vectors: Float[np.ndarray, "k c"]
    offsets: Float[np.ndarray, " k"]
    status: Int[np.ndarray, " k"]
    method: str
    thresholds: Float[np.ndarray, " c"] | None = None

    @property
    def ok(self) -> Bool[np.ndarray, " k"]:
        """True where there is a usable vector."""
        return self.status == Status.OK

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """What is written of them, by name."""
        found = {"names": np.array(self.names), "vectors": self.vectors, "offsets": self.offsets}
        found["status"] = np.asarray(self.status)
        return found if self.thresholds is None else found | {"thresholds": self.thresholds}

    def logits(self, activations: Float[Array | np.ndarray, "*n gh gw c"]) -> Float[Array, "*n k gh gw"]:
        """The response of every concept in every cell; fit for `jit`.

        >>> two = ConceptVectors(("a", "b"), np.eye(2, 3), np.array([0, -1.0]), np.zeros(2, int), "mean")
        >>> two.logits(np.full((1, 1, 3), 5.0)).tolist()
        [[[5.0]], [[4.0]]]
        """
        if activations.shape[-1] != self.vectors.shape[1]:
            raise InputError(
                f"`activations` must have {self.vectors.shape[1]} channels last, as the layer of these vectors has, "
                f"but have shape {tuple(activations.shape)}. Read them from that layer."
            )
        inputs = jnp.asarray(activations, jnp.float32)
        if self.thresholds is not None:
            inputs = (inputs > self.thresholds).astype(jnp.float32)
        responses = matmul(inputs, jnp.asarray(self.vectors.T, jnp.float32)) + jnp.asarray(self.offsets, jnp.float32)
        return jnp.moveaxis(responses, -1, -3)

    def maps(
        self, activations: Float[Array | np.ndarray, "*n gh gw c"], size: tuple[int, int]
    ) -> Float[Array, "*n k H W"]:
        """Soft masks in [0, 1] at `size`: the sigmoid of resized responses; a pixel belongs where it exceeds 0.5."""
        return jax.nn.sigmoid(upsample(self.logits(activations), size))
