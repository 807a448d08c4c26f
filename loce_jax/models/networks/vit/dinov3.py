"""DINOv3 vision transformers, with rotary positions and registers, from a folder in the Hugging Face layout.

Simeoni et al., "DINOv3", 2025.
"""

from dataclasses import dataclass

from loce_jax.models.checkpoints.weights import KeyMap
from loce_jax.models.networks.vit.architecture import Architecture, Names
from loce_jax.models.networks.vit.heads import ClassToken
from loce_jax.models.networks.vit.transformer import vit_family

HUB = Names("embeddings.patch_embeddings", block="layer.{}", norm="norm")


@dataclass(frozen=True)
class Config:
    """The entries of ``config.json`` that define the network; names and defaults are transformers'."""

    patch_size: int = 16
    hidden_size: int = 384
    intermediate_size: int = 1536
    num_hidden_layers: int = 12
    num_attention_heads: int = 6
    hidden_act: str = "gelu"
    layer_norm_eps: float = 1e-5
    rope_theta: float = 100.0
    query_bias: bool = True
    key_bias: bool = False
    value_bias: bool = True
    proj_bias: bool = True
    mlp_bias: bool = True
    use_gated_mlp: bool = False
    num_register_tokens: int = 0


def _dinov3(config: Config) -> Architecture:
    biases = {
        "q_proj": config.query_bias,
        "k_proj": config.key_bias,
        "v_proj": config.value_bias,
        "o_proj": config.proj_bias,
        "mlp": config.mlp_bias,
    }
    return Architecture.of(
        config,
        HUB,
        registers=config.num_register_tokens,
        rope_theta=config.rope_theta,
        gated=config.use_gated_mlp,
        layer_scale=True,
        unbiased=frozenset(name for name, is_there in biases.items() if not is_there),
    )


FAMILY = vit_family(
    "DINOv3 ViT",
    Config,
    _dinov3,
    ClassToken,
    KeyMap(prefixes=("model.",), unused=(r"embeddings\.mask_token",)),
    HUB.under("model."),
)
