"""The image towers of CLIP and SigLIP, from a folder in the Hugging Face layout, with the text tower beside or without.

CLIP's last norm is no layer: it is made for the CLS token alone, which it makes the output ``pooled``.
Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", 2021; Zhai et al., "Sigmoid
Loss for Language Image Pre-Training", 2023.
"""

from dataclasses import dataclass
from typing import Any

from loce_jax.models.checkpoints.heads import linear_head
from loce_jax.models.checkpoints.weights import KeyMap
from loce_jax.models.networks.vit.architecture import Architecture, Names
from loce_jax.models.networks.vit.heads import AttentionPooling, Projection
from loce_jax.models.networks.vit.transformer import vit_family

CLIP_TOWER = Names("embeddings.patch_embedding", "embeddings", "pre_layrnorm", "encoder.layers.{}", norm="")
SIGLIP_TOWER = Names("embeddings.patch_embedding", "embeddings", "", "encoder.layers.{}", "post_layernorm")
CLIP_NAMES, SIGLIP_NAMES = CLIP_TOWER.under("vision_model."), SIGLIP_TOWER.under("vision_model.")


@dataclass(frozen=True)
class ClipConfig:
    """The entries of ``config.json`` that define the network; names and defaults are transformers'."""

    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5
    image_size: int | tuple[int, ...] = 224
    patch_size: int = 32


@dataclass(frozen=True)
class SiglipConfig(ClipConfig):
    """The same with SigLIP's defaults."""

    hidden_act: str = "gelu_pytorch_tanh"
    layer_norm_eps: float = 1e-6
    patch_size: int = 16


def _clip(config: ClipConfig) -> Architecture:
    return Architecture.of(config, CLIP_NAMES, flat=True, unbiased=frozenset({"patches"}))


def _siglip(config: SiglipConfig) -> Architecture:
    return Architecture.of(config, SIGLIP_NAMES, flat=True, leading=())


def _keys(names: Names, *heads: tuple[str, str]) -> KeyMap:
    return KeyMap(
        to_checkpoint=(
            *names.rules,
            (r"\.cls_token$", ".class_embedding"),
            (r"\.position_embeddings$", ".position_embedding.weight"),
            (r"\.attention\.o_proj\.", ".attention.out_proj."),
            (r"\.attention\.", ".self_attn."),
            (r"\.norm([12])\.", r".layer_norm\1."),
            (r"\.mlp\.up_proj\.", ".mlp.fc1."),
            (r"\.mlp\.down_proj\.", ".mlp.fc2."),
            (r"^heads\.(?=post_layernorm|head)", "vision_model."),
            (r"^heads\.", ""),
        ),
        dialects=(
            (r"^(?=(embeddings|encoder|pre_layrnorm|post_layernorm|head)\.)", "vision_model."),
            (r"\.head\.attention\.", ".head.self_attn."),
        ),
        stacked=((".head.self_attn.in_proj_", tuple(f".head.self_attn.{name}_proj." for name in "qkv")),),
        unused=(
            r"(text_model|text_projection|visual_projection|logit_scale|logit_bias|classifier)\b.*",
            r"vision_model\.(embeddings\.position_ids|head\..*)",
        ),
        heads=heads,
    )


def _vision_section(content: dict[str, Any]) -> dict[str, Any]:
    """The image tower's entries; where old files give them twice, transformers follows ``vision_config_dict``."""
    sections = (content.get(name) for name in ("vision_config_dict", "vision_config"))
    return next((section for section in sections if isinstance(section, dict)), content)


NORM, PROJECTION = linear_head("vision_model.post_layernorm"), ("visual_projection", r"visual_projection\.weight")
CLIP_KEYS = _keys(CLIP_NAMES, NORM, PROJECTION)
SIGLIP_KEYS = _keys(SIGLIP_NAMES, ("vision_model.head", r"vision_model\.head\..*"))
CLIP = vit_family("CLIP", ClipConfig, _clip, Projection, CLIP_KEYS, CLIP_TOWER, flatten=_vision_section)
SIGLIP = vit_family(
    "SigLIP", SiglipConfig, _siglip, AttentionPooling, SIGLIP_KEYS, SIGLIP_TOWER, flatten=_vision_section
)
