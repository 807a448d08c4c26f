"""DINOv2 vision transformers, with and without registers, from a folder in the Hugging Face layout.

Every size works, from small to giant (SwiGLU), at any input size that is a multiple of the patch size.
Oquab et al., "DINOv2: Learning Robust Visual Features without Supervision", 2023; Darcet et al., "Vision Transformers
Need Registers", 2023.
"""

from dataclasses import dataclass

from loce_jax.models.checkpoints.heads import linear_head
from loce_jax.models.checkpoints.weights import KeyMap
from loce_jax.models.networks.vit.architecture import OLD_ATTENTION, Architecture, Names
from loce_jax.models.networks.vit.heads import ClassToken
from loce_jax.models.networks.vit.transformer import vit_family

HUB = Names()


@dataclass(frozen=True)
class Config:
    """The entries of ``config.json`` that define the network; names and defaults are transformers'."""

    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    mlp_ratio: float = 4.0
    hidden_act: str = "gelu"
    image_size: int | tuple[int, ...] = 224
    patch_size: int = 14
    layer_norm_eps: float = 1e-6
    qkv_bias: bool = True
    use_swiglu_ffn: bool = False


@dataclass(frozen=True)
class RegistersConfig(Config):
    """The same for the networks with registers."""

    patch_size: int = 16
    num_register_tokens: int = 4


def _dinov2(config: Config, **own) -> Architecture:
    hidden = int(config.hidden_size * config.mlp_ratio)
    if config.use_swiglu_ffn:  # two thirds of the width, rounded up to a multiple of 8
        own |= {"gated": True, "hidden": (int(hidden * 2 / 3) + 7) // 8 * 8, "activation": "silu"}
    unbiased = () if config.qkv_bias else ("q_proj", "k_proj", "v_proj")
    return Architecture.of(
        config, HUB, **{"hidden": hidden, "layer_scale": True, "unbiased": frozenset(unbiased)} | own
    )


def _with_registers(config: RegistersConfig) -> Architecture:
    return _dinov2(config, registers=config.num_register_tokens, antialias=True)


def _keys(prefix: str) -> KeyMap:
    plain = ((r"\.mlp\.up_proj\.", ".mlp.fc1."), (r"\.mlp\.down_proj\.", ".mlp.fc2."))
    return KeyMap(
        to_checkpoint=(*HUB.rules, *OLD_ATTENTION, *plain, (r"^heads\.", "")),
        dialects=(*OLD_ATTENTION, *plain, (r"\.mlp\.weights_out\.", ".mlp.fc2.")),
        stacked=((".mlp.weights_in.", (".mlp.gate_proj.", ".mlp.fc1.")),),
        prefixes=(prefix,),
        unused=(r"embeddings\.mask_token", r"classifier\..*"),
        heads=(linear_head("classifier"),),
    )


FAMILY = vit_family("DINOv2", Config, _dinov2, ClassToken, _keys("dinov2."), HUB.under("dinov2."))
WITH_REGISTERS = vit_family(
    "DINOv2 with registers",
    RegistersConfig,
    _with_registers,
    ClassToken,
    _keys("dinov2_with_registers."),
    HUB.under("dinov2_with_registers."),
)
load_dinov2 = FAMILY.load
