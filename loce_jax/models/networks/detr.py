"""DETR in Flax NNX, from a folder in the Hugging Face layout; no PyTorch, no transformers.

ResNet backbones from timm or from transformers, plain or dilated ("DC5"), at any input size; no pixel is masked.
Layers carry timm's names, which the LoCE paper uses, whichever backbone the checkpoint has; the last one is the
encoder's, since what the decoder computes has no grid.
Carion et al., "End-to-End Object Detection with Transformers", 2020.
Shapes: b images, h x w pixels or cells, gh x gw cells of the last grid, t = gh * gw tokens, q queries, k classes,
c channels.
"""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from loce_jax.models.checkpoints.heads import Heads, linear_head
from loce_jax.models.checkpoints.weights import KeyMap
from loce_jax.models.edits import Layers, Tap, tap
from loce_jax.models.networks import resnet
from loce_jax.models.networks.detection import BOX, DETECTORS, PredictionHead
from loce_jax.models.networks.detr_transformer import Decoder, DecoderBlock, EncoderBlock, sine_positions
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
QUERIES, DECODER = "model.query_position_embeddings", "model.decoder"


@dataclass(frozen=True)
class Config(resnet.Config):
    """The entries of ``config.json`` that define the network, the backbone's entries beside the transformer's."""

    d_model: int = 256
    encoder_layers: int = 6
    encoder_attention_heads: int = 8
    encoder_ffn_dim: int = 2048
    dilation: bool = False
    decoder_layers: int = field(default=6, repr=False)
    decoder_attention_heads: int = field(default=8, repr=False)
    decoder_ffn_dim: int = field(default=2048, repr=False)
    auxiliary_loss: bool = field(default=False, repr=False)


class Detr(nnx.Module):
    """Backbone, projection, encoder and, maybe, detector; inside of these, attributes carry the checkpoint's names."""

    def __init__(self, config: Config, heads: Heads, *, rngs: nnx.Rngs):
        self.backbone = resnet.ResNet(config, rngs=rngs, dilated=config.dilation)
        self.input_projection = Pointwise(config.hidden_sizes[-1], config.d_model, bias=True)
        shape = config.d_model, config.encoder_attention_heads, config.encoder_ffn_dim
        blocks = [EncoderBlock(*shape, rngs=rngs) for _ in range(config.encoder_layers)]
        self.encoder = nnx.Dict(layers=nnx.List(blocks))
        is_there = any(name in heads for name in (QUERIES, DECODER, *DETECTORS))
        self.detector = Detector(config, heads, rngs=rngs) if is_there else None
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
        return {} if self.detector is None else self.detector(tokens, positions)

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


class Detector(nnx.Module):
    """Queries, decoder and, unless the checkpoint ends there, the heads that find classes and boxes."""

    def __init__(self, config: Config, heads: Heads, *, rngs: nnx.Rngs):
        c, sizes = config.d_model, dict(heads.sizes)
        shape = c, config.decoder_attention_heads, config.decoder_ffn_dim
        blocks = [DecoderBlock(*shape, rngs=rngs) for _ in range(config.decoder_layers)]
        self.query_position_embeddings = nnx.Embed(sizes.get(QUERIES, 1), c, rngs=rngs)
        self.decoder = Decoder(blocks, c, norm_after_each=config.auxiliary_loss, rngs=rngs)
        has_heads = any(name in heads for name in DETECTORS)
        self.class_labels_classifier = nnx.Linear(c, sizes.get(DETECTORS[0], 1), rngs=rngs) if has_heads else None
        self.bbox_predictor = PredictionHead(c, BOX, rngs=rngs) if has_heads else None

    def __call__(self, tokens: Float[Array, "b t c"], positions: Float[Array, "t c"]) -> dict[str, Array]:
        """Logits ``[b q k]`` and boxes ``[b q 4]``, if any, from the encoder's tokens and their positions."""
        if self.class_labels_classifier is None or self.bbox_predictor is None:
            return {}
        found = self.decoder(self.query_position_embeddings.embedding[...], tokens, positions)
        boxes = jax.nn.sigmoid(self.bbox_predictor(found))
        return {"logits": self.class_labels_classifier(found), "pred_boxes": boxes}


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
    faults += [
        f"`d_model` is not a multiple of `{name}`"
        for name in ("encoder_attention_heads", "decoder_attention_heads")
        if config.d_model % getattr(config, name)
    ]
    if config.d_model % 4:
        faults.append("`d_model` is not a multiple of 4")
    if config.dilation and config.layer_type == "basic":
        faults.append("`dilation` is true, and with basic blocks that is not built here")
    return faults


FAMILY = Family(
    title="DETR",
    config=Config,
    build=Detr,
    describe=_describe,
    keys=KeyMap(
        to_checkpoint=(
            (r"^detector\.", ""),
            (r"^(backbone|input_projection|encoder|decoder|query_position_embeddings)\.", r"model.\1."),
            (r"^model\.backbone\.", f"{BACKBONE}."),
            *resnet.TIMM,
        ),
        dialects=(
            (r"^(backbone|input_projection|encoder|decoder|query_position_embeddings)\.", r"model.\1."),
            (r"^model\.backbone\.model\.", f"{BACKBONE}."),
            *((rf"^({BACKBONE}\..*){own}", rf"\g<1>{timm}") for own, timm in resnet.TIMM),
            (r"^(model\.(?:en|de)coder\.layers\.\d+)\.mlp\.", r"\1."),
            (r"^(model\.(?:en|de)coder\.layers\.\d+\.(?:self|encoder)_attn)\.o_proj\.", r"\1.out_proj."),
        ),
        prefixes=("detr.",),
        unused=(r"(class_labels_classifier|bbox_predictor|bbox_attention|mask_head)\..*",),
        heads=(
            linear_head(QUERIES),
            (DECODER, r"model\.decoder\..*"),
            linear_head(DETECTORS[0]),
            (DETECTORS[1], r"bbox_predictor\.layers\.[012]\.(weight|bias)"),
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
