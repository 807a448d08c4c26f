"""The networks that are built here, by name.  A new network is one line in one of the two tables.

The tables hold ``module:NAME``, so that a network is imported only when it is used.
"""

import pkgutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loce_jax.models.networks.family import Family

BUILT_IN = {  # weights come with the installation
    "efficientnet-lite0": "loce_jax.models.networks.efficientnet_lite0:load_efficientnet_lite0",
}
FAMILIES = {  # by `model_type` in config.json
    "clip": "loce_jax.models.networks.vit.clip:CLIP",
    "clip_vision_model": "loce_jax.models.networks.vit.clip:CLIP",
    "convnext": "loce_jax.models.networks.convnext:FAMILY",
    "convnextv2": "loce_jax.models.networks.convnext:FAMILY",
    "deit": "loce_jax.models.networks.vit.plain:DEIT",
    "detr": "loce_jax.models.networks.detr:FAMILY",
    "dinov2": "loce_jax.models.networks.vit.dinov2:FAMILY",
    "dinov2_with_registers": "loce_jax.models.networks.vit.dinov2:WITH_REGISTERS",
    "dinov3_vit": "loce_jax.models.networks.vit.dinov3:FAMILY",
    "efficientnet": "loce_jax.models.networks.efficientnet:FAMILY",
    "mobilenet_v2": "loce_jax.models.networks.mobilenet_v2:FAMILY",
    "resnet": "loce_jax.models.networks.resnet:FAMILY",
    "segformer": "loce_jax.models.networks.segformer:FAMILY",
    "siglip": "loce_jax.models.networks.vit.clip:SIGLIP",
    "siglip_vision_model": "loce_jax.models.networks.vit.clip:SIGLIP",
    "swin": "loce_jax.models.networks.swin:FAMILY",
    "swinv2": "loce_jax.models.networks.swinv2:FAMILY",
    "vit": "loce_jax.models.networks.vit.plain:VIT",
    "yolos": "loce_jax.models.networks.vit.plain:YOLOS",
}


def find_family(model_type: str) -> "Family":
    """The family of networks with this `model_type`, one of `FAMILIES`.

    >>> find_family("vit").title
    'ViT'
    """
    return pkgutil.resolve_name(FAMILIES[model_type])
