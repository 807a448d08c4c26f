"""DETR's backbone and encoder in Flax NNX, from a folder in the Hugging Face layout; the decoder is not built.

ResNet backbones from timm or from transformers, plain or dilated ("DC5"), at any input size; no pixel is masked.
Layers carry timm's names, which the LoCE paper uses, whichever backbone the checkpoint has.
Carion et al., "End-to-End Object Detection with Transformers", 2020.
Shapes: b images, h x w pixels or cells, gh x gw cells of the last grid, t = gh * gw tokens, c channels.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from loce_jax.models.checkpoints.weights import KeyMap
from loce_jax.models.edits import Layers, Tap, tap
from loce_jax.models.networks import resnet
from loce_jax.models.networks.family import Family, Kind
from loce_jax.models.nn.convolution import Pointwise

BACKBONE = "model.backbone.conv_encoder.model"
TIMM_RESNETS = {  # kind and number of blocks
    "resnet18": ("basic", (2, 2, 2, 2)),
    "resnet34": ("basic", (3, 4, 6, 3)),
    "resnet50": ("bottleneck", (3, 4, 6, 3)),
    "resnet101": ("bottleneck", (3, 4, 23, 3)),
    "resnet152": ("bottleneck", (3, 8, 36, 3)),
}
WIDTHS = {"basic": (64, 128, 256, 512), "bottleneck": (256, 512, 1024, 2048)}


@dataclass(frozen=True)
class Config(resnet.Config):
    """The entries of ``config.json`` that define the network, the backbone's entries beside the encoder's."""

    d_model: int = 256
    encoder_layers: int = 6
    encoder_attention_heads: int = 8
    encoder_ffn_dim: int = 2048
    dilation: bool = False


class Detr(nnx.Module):
    """Backbone, projection and encoder; below the backbone, attributes carry the checkpoint's names."""

    def __init__(self, config: Config, *, rngs: nnx.Rngs):
        self.backbone = resnet.ResNet(config, rngs=rngs, dilated=config.dilation)
        self.input_projection = Pointwise(config.hidden_sizes[-1], config.d_model, bias=True)
        blocks = [Block(config, rngs=rngs) for _ in range(config.encoder_layers)]
        self.encoder = nnx.Dict(layers=nnx.List(blocks))
        self.depths = config.depths

    def layers(self, images: Float[Array, "b h w 3"]) -> Layers:
        """Every layer from input to output, tokens on their grid."""
        x = yield from self._backbone_layers(images)
        x = yield from tap("model.input_projection", self.input_projection(x))
        tokens = x.reshape(len(x), -1, x.shape[-1])
        positions = jnp.asarray(sine_positions(*x.shape[1:]).reshape(tokens.shape[1:]), x.dtype)
        for i, block in enumerate(self.encoder["layers"]):
            found = yield from tap(f"model.encoder.layers.{i}", block(tokens, positions).reshape(x.shape))
            tokens = found.reshape(tokens.shape)
        return {}

    def _backbone_layers(self, images: Float[Array, "b h w 3"]) -> Tap:
        """Those of the ResNet under their names here; the last map, as it goes on."""
        steps: Layers = self.backbone.layers(images)
        x: Any = None  # nothing is sent to what has not begun
        while True:
            try:
                name, x = steps.send(x)
            except StopIteration:
                return x
            x = yield from tap(f"{BACKBONE}.{_short_name(name, self.depths)}", x)


def sine_positions(height: int, width: int, channels: int) -> Float[np.ndarray, "gh gw c"]:
    """Sinusoidal position embeddings: of the row in the first half of the channels, of the column in the second.

    Cells count from 1 and the last one is at 2 pi; wavelengths grow from 2 pi to nearly 10000 times that; sine and
    cosine alternate.

    >>> sine_positions(3, 2, 4)[:, 0, 1].round(3)
    array([-0.5, -0.5,  1. ])
    """
    wavelengths = 10000.0 ** (np.arange(0, channels // 2, 2) / (channels // 2))

    def waves(count):
        angles = 2 * np.pi * np.arange(1, count + 1)[:, None] / (count + 1e-6) / wavelengths
        return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(count, -1)

    half = (height, width, channels // 2)
    rows, columns = waves(height)[:, None], waves(width)[None]
    return np.concatenate([np.broadcast_to(rows, half), np.broadcast_to(columns, half)], axis=-1)


class Block(nnx.Module):
    """Attention, then an MLP on each token; each is added to its input and normalized after."""

    def __init__(self, config: Config, *, rngs: nnx.Rngs):
        c, wide = config.d_model, config.encoder_ffn_dim
        self.self_attn = Attention(c, config.encoder_attention_heads, rngs=rngs)
        self.self_attn_layer_norm, self.final_layer_norm = _norm(c, rngs=rngs), _norm(c, rngs=rngs)
        self.fc1, self.fc2 = nnx.Linear(c, wide, rngs=rngs), nnx.Linear(wide, c, rngs=rngs)

    def __call__(self, x: Float[Array, "b t c"], positions: Float[Array, "t c"]) -> Float[Array, "b t c"]:
        """One block."""
        x = self.self_attn_layer_norm(x + self.self_attn(x, positions))
        return self.final_layer_norm(x + self.fc2(jax.nn.relu(self.fc1(x))))


class Attention(nnx.Module):
    """Self-attention of all tokens; queries and keys have position embeddings, values have none."""

    def __init__(self, channels: int, heads: int, *, rngs: nnx.Rngs):
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (
            nnx.Linear(channels, channels, rngs=rngs) for _ in range(4)
        )

    def __call__(self, x: Float[Array, "b t c"], positions: Float[Array, "t c"]) -> Float[Array, "b t c"]:
        """Softmax attention."""

        def heads_first(x):
            return x.reshape(*x.shape[:2], self.heads, -1).swapaxes(1, 2)

        with_positions = x + positions
        query, key, value = map(heads_first, (self.q_proj(with_positions), self.k_proj(with_positions), self.v_proj(x)))
        scores = (query * query.shape[-1] ** -0.5) @ key.swapaxes(2, 3)
        mixed = jax.nn.softmax(scores) @ value
        return self.out_proj(mixed.swapaxes(1, 2).reshape(x.shape))


def _norm(channels: int, *, rngs: nnx.Rngs) -> nnx.LayerNorm:
    return nnx.LayerNorm(channels, epsilon=1e-5, use_fast_variance=False, rngs=rngs)


def _short_name(name: str, depths: tuple[int, ...]) -> str:
    """What timm calls a layer of our ResNet; a stage's last block is the stage."""
    if not name.startswith("encoder"):
        return {"embedder.embedder": "act1", "embedder": "maxpool"}[name]
    stage, block = map(int, name.split(".")[2::2])
    return resnet.timm_name(f"encoder.stages.{stage}" if block == depths[stage] - 1 else name)


def _describe(config: Config, name: str) -> tuple[Kind, tuple[str, ...]]:
    within = name.removeprefix(f"{BACKBONE}.")
    if within == name:
        return "tokens" if ".layers." in name else "grid", (name.removeprefix("model."),)
    path = name.removesuffix(within).replace(".conv_encoder", "")
    aliases = [f"{path}{known}" for known in (within, *_other_names(within, config.depths))]
    short = {"maxpool": "stem"} | {f"layer{i + 1}": f"stage{i + 1}" for i in range(len(config.depths))}
    return "grid", (*aliases, *([short[within]] if within in short else []))


def _other_names(within: str, depths: tuple[int, ...]) -> list[str]:
    """What transformers' own ResNet calls the layer that timm calls `within`; a stage is its last block too."""
    stem = {"act1": "embedder.embedder", "maxpool": "embedder"}
    if within in stem:
        return [stem[within]]
    stage, _, block = within.removeprefix("layer").partition(".")
    own, last = f"encoder.stages.{int(stage) - 1}", depths[int(stage) - 1] - 1
    return [f"{own}.layers.{block}"] if block else [f"{within}.{last}", own, f"{own}.layers.{last}"]


def _flatten(content: dict[str, Any]) -> dict[str, Any]:
    """The backbone's entries beside the encoder's; timm's networks are known by name."""
    backbone = content.get("backbone_config")
    if not isinstance(backbone, dict):
        backbone = _older_backbone(content)
    flat = {name: value for name, value in content.items() if name not in {"dilation", "backbone"}} | backbone
    *_, out = backbone.get("out_features") or ["stage4"]
    flat |= {"backbone_config": backbone.get("model_type"), "out_features": out}
    if backbone.get("model_type") == "timm_backbone":
        stride = backbone.get("output_stride") or 32
        name = str(backbone.get("backbone", "resnet50")).partition(".")[0]
        kind, depths = TIMM_RESNETS.get(name, TIMM_RESNETS["resnet50"])
        flat |= {"output_stride": stride, "dilation": stride == 16, "backbone": name}
        flat |= {"layer_type": kind, "depths": depths, "hidden_sizes": WIDTHS[kind]}
    return flat


def _older_backbone(content: dict[str, Any]) -> dict[str, Any]:
    """What files say that do not nest the backbone's entries."""
    if not content.get("use_timm_backbone", True):
        return {"model_type": "resnet"}
    options = content.get("backbone_kwargs") or {}
    stride = options.get("output_stride", 16) if content.get("dilation") else None
    name = content.get("backbone") or "resnet50"
    return {"model_type": "timm_backbone", "backbone": name, "output_stride": stride}


def _faults(config: Config) -> list[str]:
    faults = resnet.FAMILY.faults(config)
    if config.d_model % config.encoder_attention_heads:
        faults.append("`d_model` is not a multiple of `encoder_attention_heads`")
    if config.d_model % 4:
        faults.append("`d_model` is not a multiple of 4")
    if config.dilation and config.layer_type == "basic":
        faults.append("`dilation` is true, and with basic blocks that is not built here")
    return faults


FAMILY = Family(
    title="DETR",
    config=Config,
    build=lambda config, _heads, rngs: Detr(config, rngs=rngs),
    describe=_describe,
    keys=KeyMap(
        to_checkpoint=(
            (r"^(backbone|input_projection|encoder)\.", r"model.\1."),
            (r"^model\.backbone\.", f"{BACKBONE}."),
            *resnet.TIMM,
        ),
        dialects=(
            (r"^(backbone|input_projection|encoder|decoder|query_position_embeddings)\.", r"model.\1."),
            (r"^model\.backbone\.model\.", f"{BACKBONE}."),
            *((rf"^({BACKBONE}\..*){own}", rf"\g<1>{timm}") for own, timm in resnet.TIMM),
            (r"^(model\.encoder\.layers\.\d+)\.mlp\.", r"\1."),
            (r"^(model\.encoder\.layers\.\d+\.self_attn)\.o_proj\.", r"\1.out_proj."),
        ),
        prefixes=("detr.",),
        unused=(
            r"model\.(decoder|query_position_embeddings)\..*",
            r"(class_labels_classifier|bbox_predictor|bbox_attention|mask_head)\..*",
        ),
    ),
    choices={
        "activation_function": ("relu",),
        "hidden_act": ("relu",),
        "position_embedding_type": ("sine",),
        "layer_type": ("bottleneck", "basic"),
        "backbone_config": ("timm_backbone", "resnet"),
        "backbone": tuple(TIMM_RESNETS),
        "output_stride": (32, 16),
        "out_features": ("stage4", "layer4"),
    },
    flatten=_flatten,
    faults=_faults,
)
