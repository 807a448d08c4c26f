"""ViT, DeiT and YOLOS, whose checkpoints share their keys, from a folder in the Hugging Face layout.

Dosovitskiy et al., "An Image is Worth 16x16 Words", 2021; Touvron et al., "Training data-efficient image transformers &
distillation through attention", 2021; Fang et al., "You Only Look at One Sequence", 2021.
"""

from dataclasses import dataclass, field

from loce_jax.models.checkpoints.heads import linear_head
from loce_jax.models.checkpoints.weights import KeyMap
from loce_jax.models.networks.detection import DETECTORS
from loce_jax.models.networks.vit.architecture import OLD_ATTENTION, Architecture, Names
from loce_jax.models.networks.vit.heads import POOLER, POOLERS, TEACHERS, Classifiers, Detectors
from loce_jax.models.networks.vit.transformer import vit_family

HUB, TODAY = Names(), Names(block="layers.{}")
TORCHVISION = Names("conv_proj", "", "", "encoder.layers.encoder_layer_{}", "encoder.ln")


@dataclass(frozen=True)
class Config:
    """The entries of ``config.json`` that define the network; names and defaults are transformers'."""

    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    layer_norm_eps: float = 1e-12
    image_size: int | tuple[int, ...] = 224
    patch_size: int = 16
    qkv_bias: bool = True
    pooler_act: str = field(default="tanh", repr=False)


@dataclass(frozen=True)
class YolosConfig(Config):
    """The same with YOLOS' entries and defaults."""

    image_size: int | tuple[int, ...] = (512, 864)
    num_detection_tokens: int = 100
    use_mid_position_embeddings: bool = True


def _vit(config: Config, **own) -> Architecture:
    unbiased = () if config.qkv_bias else ("q_proj", "k_proj", "v_proj")
    return Architecture.of(config, HUB, unbiased=frozenset(unbiased), pooler=config.pooler_act, **own)


def _deit(config: Config) -> Architecture:
    return _vit(config, leading=("cls_token", "distillation_token"))


def _yolos(config: YolosConfig) -> Architecture:
    between = config.use_mid_position_embeddings and config.num_hidden_layers > 1
    return _vit(config, detection=config.num_detection_tokens, mid_positions=between)


def _keys(prefix: str, *heads: tuple[str, str]) -> KeyMap:
    return KeyMap(
        to_checkpoint=(
            *HUB.rules,
            *OLD_ATTENTION,
            (r"\.norm1\.", ".layernorm_before."),
            (r"\.norm2\.", ".layernorm_after."),
            (r"\.mlp\.up_proj\.", ".intermediate.dense."),
            (r"\.mlp\.down_proj\.", ".output.dense."),
            (r"^mid_position", "encoder.mid_position"),
            (r"^heads\.", ""),
        ),
        dialects=(
            (r"^layers\.", "encoder.layer."),
            *OLD_ATTENTION,
            (r"\.mlp\.fc1\.", ".intermediate.dense."),
            (r"\.mlp\.fc2\.", ".output.dense."),
            (r"^encoder\.interpolation\.", "encoder."),
        ),
        prefixes=(prefix,),
        unused=(r"embeddings\.mask_token", r"(pooler|decoder|\w*classifier|bbox_predictor)\..*"),
        heads=(POOLER, *heads),
    )


CHOICES = {"pooler_act": tuple(POOLERS)}
CLASSIFIER, DETECTION = linear_head("classifier"), tuple((n, rf"{n}\.layers\.[012]\.(weight|bias)") for n in DETECTORS)
VIT_KEYS, YOLOS_KEYS = _keys("vit.", CLASSIFIER), _keys("vit.", *DETECTION)
DEIT_KEYS = _keys("deit.", CLASSIFIER, *map(linear_head, TEACHERS))
VIT_NAMES, DEIT_NAMES = ((TODAY, HUB.under(prefix), TODAY.under(prefix)) for prefix in ("vit.", "deit."))
VIT = vit_family("ViT", Config, _vit, Classifiers, VIT_KEYS, *VIT_NAMES, TORCHVISION, choices=CHOICES)
DEIT = vit_family("DeiT", Config, _deit, Classifiers, DEIT_KEYS, *DEIT_NAMES, choices=CHOICES)
YOLOS = vit_family("YOLOS", YolosConfig, _yolos, Detectors, YOLOS_KEYS, HUB.under("vit."), choices=CHOICES)
