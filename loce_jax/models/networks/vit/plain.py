"""ViT, DeiT and YOLOS, whose checkpoints share their keys, from a folder in the Hugging Face layout.

Dosovitskiy et al., "An Image is Worth 16x16 Words", 2021; Touvron et al., "Training data-efficient image transformers &
distillation through attention", 2021; Fang et al., "You Only Look at One Sequence", 2021.
"""

from dataclasses import dataclass

from loce_jax.models.checkpoints.weights import KeyMap
from loce_jax.models.networks.vit.architecture import OLD_ATTENTION, Architecture, Names
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


@dataclass(frozen=True)
class YolosConfig(Config):
    """The same with YOLOS' entries and defaults."""

    image_size: int | tuple[int, ...] = (512, 864)
    num_detection_tokens: int = 100
    use_mid_position_embeddings: bool = True


def _vit(config: Config, **own) -> Architecture:
    unbiased = () if config.qkv_bias else ("q_proj", "k_proj", "v_proj")
    return Architecture.of(config, HUB, unbiased=frozenset(unbiased), **own)


def _deit(config: Config) -> Architecture:
    return _vit(config, leading=("cls_token", "distillation_token"))


def _yolos(config: YolosConfig) -> Architecture:
    between = config.use_mid_position_embeddings and config.num_hidden_layers > 1
    return _vit(config, detection=config.num_detection_tokens, mid_positions=between)


def _keys(prefix: str) -> KeyMap:
    return KeyMap(
        to_checkpoint=(
            *HUB.rules,
            *OLD_ATTENTION,
            (r"\.norm1\.", ".layernorm_before."),
            (r"\.norm2\.", ".layernorm_after."),
            (r"\.mlp\.up_proj\.", ".intermediate.dense."),
            (r"\.mlp\.down_proj\.", ".output.dense."),
            (r"^mid_position", "encoder.mid_position"),
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
    )


VIT = vit_family("ViT", Config, _vit, _keys("vit."), TODAY, HUB.under("vit."), TODAY.under("vit."), TORCHVISION)
DEIT = vit_family("DeiT", Config, _deit, _keys("deit."), TODAY, HUB.under("deit."), TODAY.under("deit."))
YOLOS = vit_family("YOLOS", YolosConfig, _yolos, _keys("vit."), HUB.under("vit."))
