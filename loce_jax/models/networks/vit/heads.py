"""What plain vision transformers return besides layers: pooled vectors, and heads where the checkpoint has them.

Each class takes all tokens, after the last norm where there is one, and the place of the patches among them.
Shapes: b images, t tokens, c channels, k classes, d detection tokens.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from loce_jax.models.checkpoints.heads import Heads, linear_head
from loce_jax.models.networks.detection import BOX, DETECTORS, PredictionHead
from loce_jax.models.networks.vit.architecture import Architecture
from loce_jax.models.networks.vit.transformer import ACTIVATIONS, MLP, Attention, layer_norm

POOLERS = ACTIVATIONS | {"tanh": jnp.tanh}
POOLER = linear_head("pooler", "dense")
TEACHERS = ("cls_classifier", "distillation_classifier")

Outputs = dict[str, Array]


class Pooling(nnx.Module):
    """A linear map of the CLS token and an activation function, where the checkpoint has them."""

    def __init__(self, a: Architecture, heads: Heads, *, rngs: nnx.Rngs):
        self.activation = a.pooler
        dense = heads.linear("pooler", a.width, rngs=rngs)
        self.pooler = None if dense is None else nnx.Dict(dense=dense)

    def __call__(self, tokens: Float[Array, "b t c"], _patches: slice) -> Outputs:
        """The vector ``[b c]``, if any."""
        if self.pooler is None:
            return {}
        return {"pooled": POOLERS[self.activation](self.pooler["dense"](tokens[:, 0]))}


class Classifiers(Pooling):
    """The same and a classifier of the CLS token, or one each of CLS and distillation token, averaged."""

    def __init__(self, a: Architecture, heads: Heads, *, rngs: nnx.Rngs):
        super().__init__(a, heads, rngs=rngs)
        self.classifier = heads.linear("classifier", a.width, rngs=rngs)
        self.cls_classifier, self.distillation_classifier = (heads.linear(n, a.width, rngs=rngs) for n in TEACHERS)

    def __call__(self, tokens: Float[Array, "b t c"], patches: slice) -> Outputs:
        """The vector, and logits ``[b k]``."""
        found = super().__call__(tokens, patches)
        if self.classifier is not None:
            return found | {"logits": self.classifier(tokens[:, 0])}
        if self.cls_classifier is None or self.distillation_classifier is None:
            return found
        one, other = self.cls_classifier(tokens[:, 0]), self.distillation_classifier(tokens[:, 1])
        return found | {"logits": (one + other) / 2, "cls_logits": one, "distillation_logits": other}


class Detectors(Pooling):
    """The same and two MLPs on the detection tokens behind the patches."""

    def __init__(self, a: Architecture, heads: Heads, *, rngs: nnx.Rngs):
        super().__init__(a, heads, rngs=rngs)
        is_there, classes = any(name in heads for name in DETECTORS), dict(heads.sizes).get(DETECTORS[0], 1)
        self.class_labels_classifier, self.bbox_predictor = (
            PredictionHead(a.width, out, rngs=rngs) if is_there else None for out in (classes, BOX)
        )

    def __call__(self, tokens: Float[Array, "b t c"], patches: slice) -> Outputs:
        """The vector, logits ``[b d k]`` and boxes ``[b d 4]``."""
        found, detected = super().__call__(tokens, patches), tokens[:, patches.stop :]
        if self.class_labels_classifier is None or self.bbox_predictor is None:
            return found
        boxes = jax.nn.sigmoid(self.bbox_predictor(detected))
        return found | {"logits": self.class_labels_classifier(detected), "pred_boxes": boxes}


class ClassToken(nnx.Module):
    """The CLS token as it is, and a classifier of it and the mean patch."""

    def __init__(self, a: Architecture, heads: Heads, *, rngs: nnx.Rngs):
        self.classifier = heads.linear("classifier", 2 * a.width, rngs=rngs)

    def __call__(self, tokens: Float[Array, "b t c"], patches: slice) -> Outputs:
        """The token ``[b c]``, and logits ``[b k]``."""
        pooled = tokens[:, 0]
        if self.classifier is None:
            return {"pooled": pooled}
        both = jnp.concatenate([pooled, tokens[:, patches].mean(axis=1)], axis=1)
        return {"pooled": pooled, "logits": self.classifier(both)}


class Projection(nnx.Module):
    """CLIP's: the CLS token's own norm, and a linear map into the space that texts share."""

    def __init__(self, a: Architecture, heads: Heads, *, rngs: nnx.Rngs):
        self.visual_projection = heads.linear("visual_projection", a.width, bias=False, rngs=rngs)
        has_norm = "vision_model.post_layernorm" in heads or self.visual_projection is not None
        self.post_layernorm = layer_norm(a, rngs=rngs) if has_norm else None

    def __call__(self, tokens: Float[Array, "b t c"], _patches: slice) -> Outputs:
        """The token ``[b c]``, and the embedding, not scaled to length 1."""
        if self.post_layernorm is None:
            return {}
        pooled = self.post_layernorm(tokens[:, 0])
        return {"pooled": pooled} | ({"image_embeds": self.visual_projection(pooled)} if self.visual_projection else {})


class AttentionPooling(nnx.Module):
    """SigLIP's: a learned vector attends to all tokens, and an MLP follows."""

    def __init__(self, a: Architecture, heads: Heads, *, rngs: nnx.Rngs):
        self.head = _Probe(a, rngs=rngs) if "vision_model.head" in heads else None

    def __call__(self, tokens: Float[Array, "b t c"], _patches: slice) -> Outputs:
        """The vector ``[b c]``, which is the embedding as well."""
        return {} if self.head is None else {"pooled": self.head(tokens)}


class _Probe(nnx.Module):
    def __init__(self, a: Architecture, *, rngs: nnx.Rngs):
        self.probe = nnx.Param(jnp.zeros((1, 1, a.width)))
        self.attention, self.mlp = Attention(a, rngs=rngs), MLP(a, rngs=rngs)
        self.layernorm = layer_norm(a, rngs=rngs)

    def __call__(self, tokens: Float[Array, "b t c"]) -> Float[Array, "b c"]:
        probe = jnp.broadcast_to(self.probe[...], (len(tokens), *self.probe.shape[1:]))
        mixed = self.attention(tokens, asking=probe)
        return (mixed + self.mlp(self.layernorm(mixed)))[:, 0]
