"""The native families, each as tiny networks of transformers with random weights; `test_native.py` runs them all."""

import functools as ft
import tempfile
from pathlib import Path

from loce_jax import load_network
from tests.support.parity import Case, differences, make_model, save

TINY_VIT = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3}
TINY_TOWER = TINY_VIT | {"intermediate_size": 40, "image_size": 32, "patch_size": 8}
TINY_CLIP = {"vision_config": TINY_TOWER, "text_config": TINY_VIT | {"vocab_size": 9, "intermediate_size": 8}}
TOWER_SIZES = ((32, 32), (16, 56))
TINY_RESNET = {"embedding_size": 12, "hidden_sizes": [24, 64, 96], "depths": [2, 1, 2]}
TINY_CONVNEXT = {"hidden_sizes": [12, 24, 36], "depths": [2, 1, 2], "num_stages": 3}
TINY_EFFICIENTNET = {"width_coefficient": 0.25, "depth_coefficient": 0.6, "depth_divisor": 4, "hidden_dim": 320}
TINY_SWIN = {"embed_dim": 12, "depths": [2, 2, 2], "num_heads": [1, 2, 4], "patch_size": 2, "window_size": 4}
UNEVEN = ((64, 64), (56, 90), (51, 75))  # odd grids; windows and patches that borders cut
TINY_SEGFORMER = {
    "num_encoder_blocks": 3,
    "depths": [2, 1, 1],
    "sr_ratios": [4, 2, 1],
    "hidden_sizes": [8, 16, 24],
    "patch_sizes": [7, 3, 3],
    "strides": [4, 2, 2],
    "num_attention_heads": [1, 2, 3],
    "mlp_ratios": [2, 3, 2],
    "decoder_hidden_size": 12,
}


def at_any_size(model, images):
    """What lets transformers resample the positions of those networks that do so only when asked."""
    return model(images, interpolate_pos_encoding=True)


def image_tower(model, images):
    """The image tower of a network with two."""
    found = model.get_image_features(images, interpolate_pos_encoding=True)
    return {"image_embeds": getattr(found, "pooler_output", found)} if hasattr(model, "visual_projection") else {}


TINY_DETR = {
    "backbone_config": TINY_RESNET
    | {
        "model_type": "resnet",
        "depths": [2, 1, 1, 1],
        "hidden_sizes": [16, 32, 48, 64],
        "out_features": ["stage1", "stage2", "stage3", "stage4"],
    },
    "use_timm_backbone": False,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 8,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 40,
    "decoder_ffn_dim": 24,
    "num_queries": 3,
}

CASES = {
    "dinov2": Case("DINOv2", "Dinov2Model", "Dinov2Config", TINY_VIT | {"image_size": 70}, ((70, 70), (14, 126))),
    "dinov2 giant": Case(
        "DINOv2",
        "Dinov2ForImageClassification",
        "Dinov2Config",
        TINY_VIT | {"image_size": 70, "use_swiglu_ffn": True, "qkv_bias": False},
        ((28, 42),),
    ),
    "dinov2 registers": Case(
        "DINOv2 with registers",
        "Dinov2WithRegistersModel",
        "Dinov2WithRegistersConfig",
        TINY_VIT | {"image_size": 70, "patch_size": 14, "num_register_tokens": 3},
        ((70, 70), (28, 126)),
    ),
    "dinov2 registers giant": Case(
        "DINOv2 with registers",
        "Dinov2WithRegistersForImageClassification",
        "Dinov2WithRegistersConfig",
        TINY_VIT | {"image_size": 64, "use_swiglu_ffn": True, "mlp_ratio": 3},
        ((48, 32),),
    ),
    "dinov3": Case(
        "DINOv3 ViT",
        "DINOv3ViTModel",
        "DINOv3ViTConfig",
        TINY_VIT | {"intermediate_size": 40, "num_register_tokens": 4},
        ((64, 64), (16, 80)),
    ),
    "dinov3 gated": Case(
        "DINOv3 ViT",
        "DINOv3ViTModel",
        "DINOv3ViTConfig",
        TINY_TOWER | {"use_gated_mlp": True, "hidden_act": "silu", "rope_theta": 50.0, "key_bias": True},
        ((24, 40),),
    ),
    "dinov3 without biases": Case(
        "DINOv3 ViT",
        "DINOv3ViTModel",
        "DINOv3ViTConfig",
        TINY_TOWER | dict.fromkeys(["query_bias", "value_bias", "proj_bias", "mlp_bias"], False),
        ((24, 40),),
    ),
    "vit": Case("ViT", "ViTModel", "ViTConfig", TINY_TOWER, TOWER_SIZES, run=at_any_size),
    "vit classifier": Case(
        "ViT",
        "ViTForImageClassification",
        "ViTConfig",
        TINY_TOWER | {"qkv_bias": False, "hidden_act": "relu", "layer_norm_eps": 1e-3},
        ((40, 48),),
        run=at_any_size,
    ),
    "deit": Case("DeiT", "DeiTModel", "DeiTConfig", TINY_TOWER, TOWER_SIZES, run=at_any_size),
    "deit teacher": Case(
        "DeiT", "DeiTForImageClassificationWithTeacher", "DeiTConfig", TINY_TOWER, ((40, 24),), run=at_any_size
    ),
    "yolos": Case(
        "YOLOS",
        "YolosForObjectDetection",
        "YolosConfig",
        TINY_TOWER | {"image_size": [32, 48], "num_detection_tokens": 5, "num_hidden_layers": 3},
        ((32, 48), (48, 32), (40, 64)),
        after=5,
    ),
    "yolos tiny": Case(
        "YOLOS",
        "YolosModel",
        "YolosConfig",
        TINY_TOWER | {"image_size": [33, 47], "num_detection_tokens": 2, "use_mid_position_embeddings": False},
        ((32, 40), (56, 24)),
        after=2,
    ),
    "clip": Case("CLIP", "CLIPModel", "CLIPConfig", TINY_CLIP, TOWER_SIZES, run=image_tower),
    "clip tower": Case(
        "CLIP",
        "CLIPVisionModel",
        "CLIPVisionConfig",
        TINY_TOWER | {"hidden_act": "gelu", "layer_norm_eps": 1e-3},
        TOWER_SIZES,
        run=at_any_size,
    ),
    "clip projection": Case(
        "CLIP", "CLIPVisionModelWithProjection", "CLIPVisionConfig", TINY_TOWER, ((40, 24),), run=at_any_size
    ),
    "siglip": Case("SigLIP", "SiglipModel", "SiglipConfig", TINY_CLIP, TOWER_SIZES, run=image_tower),
    "siglip tower": Case(
        "SigLIP",
        "SiglipVisionModel",
        "SiglipVisionConfig",
        TINY_TOWER | {"image_size": 38},  # a border that no patch covers
        ((32, 32), (48, 24)),
        run=at_any_size,
    ),
    "convnext": Case(
        "ConvNeXt",
        "ConvNextModel",
        "ConvNextConfig",
        TINY_CONVNEXT | {"layer_norm_eps": 1e-2},
        ((64, 64), (64, 96), (61, 90)),
    ),
    "convnext classifier": Case(
        "ConvNeXt", "ConvNextForImageClassification", "ConvNextConfig", TINY_CONVNEXT | {"patch_size": 2}, ((32, 48),)
    ),
    "convnext v2": Case(
        "ConvNeXt V2", "ConvNextV2Model", "ConvNextV2Config", TINY_CONVNEXT, ((64, 64), (64, 96), (61, 90))
    ),
    "convnext v2 classifier": Case(
        "ConvNeXt V2", "ConvNextV2ForImageClassification", "ConvNextV2Config", TINY_CONVNEXT, ((32, 48),)
    ),
    "resnet bottleneck": Case("ResNet", "ResNetModel", "ResNetConfig", TINY_RESNET, ((64, 64), (64, 96), (57, 90))),
    "resnet bottleneck early": Case(
        "ResNet", "ResNetModel", "ResNetConfig", TINY_RESNET | {"downsample_in_bottleneck": True}
    ),
    "resnet basic": Case(
        "ResNet",
        "ResNetForImageClassification",
        "ResNetConfig",
        TINY_RESNET | {"hidden_sizes": [12, 24, 36], "layer_type": "basic"},
    ),
    "resnet basic first": Case(
        "ResNet",
        "ResNetModel",
        "ResNetConfig",
        TINY_RESNET | {"layer_type": "basic", "downsample_in_first_stage": True},
        ((65, 90),),
    ),
    "efficientnet": Case(
        "EfficientNet",
        "EfficientNetModel",
        "EfficientNetConfig",
        TINY_EFFICIENTNET,
        ((64, 64), (75, 98)),  # odd grids on the way
    ),
    "efficientnet deep": Case(
        "EfficientNet",
        "EfficientNetForImageClassification",
        "EfficientNetConfig",
        TINY_EFFICIENTNET | {"depth_coefficient": 1.1, "depthwise_padding": [5, 8], "batch_norm_eps": 0.1},
        ((97, 70),),
    ),
    "mobilenet_v2": Case(
        "MobileNetV2",
        "MobileNetV2Model",
        "MobileNetV2Config",
        {"depth_multiplier": 0.2, "depth_divisible_by": 4, "min_depth": 4},
        ((96, 96), (45, 98)),
    ),
    "mobilenet_v2 dilated": Case(
        "MobileNetV2",
        "MobileNetV2ForSemanticSegmentation",
        "MobileNetV2Config",
        {
            "depth_multiplier": 0.1,
            "output_stride": 8,
            "tf_padding": False,
            "first_layer_is_expansion": False,
            "finegrained_output": False,
            "expand_ratio": 2.5,
            "layer_norm_eps": 0.1,
        },
        ((96, 96), (45, 98)),
        not_built=("logits",),  # of a segmentation head
    ),
    "swin": Case("Swin", "SwinModel", "SwinConfig", TINY_SWIN | {"image_size": 64}, UNEVEN),
    "swin window as wide as the grid": Case(  # apart: transformers' network does not forget what it did to such a grid
        "Swin",
        "SwinForImageClassification",
        "SwinConfig",
        TINY_SWIN | {"image_size": 32, "qkv_bias": False, "mlp_ratio": 2.5, "layer_norm_eps": 1e-2},
        ((32, 48),),
    ),
    "swin window wider than the grid": Case(
        "Swin",
        "SwinBackbone",
        "SwinConfig",
        TINY_SWIN | {"image_size": 32, "depths": [1, 1, 1], "window_size": 5, "out_features": ["stage1", "stage3"]},
        ((16, 32),),
    ),
    "swinv2": Case("Swin V2", "Swinv2Model", "Swinv2Config", TINY_SWIN | {"image_size": 64}, UNEVEN),
    "swinv2 pretrained": Case(
        "Swin V2",
        "Swinv2ForImageClassification",
        "Swinv2Config",
        TINY_SWIN | {"image_size": 16, "pretrained_window_sizes": [6, 0, 3], "qkv_bias": False, "layer_norm_eps": 1e-2},
        ((16, 16), (40, 24)),
    ),
    "segformer": Case("SegFormer", "SegformerModel", "SegformerConfig", TINY_SEGFORMER, ((64, 64), (57, 90))),
    "segformer head": Case(
        "SegFormer", "SegformerForSemanticSegmentation", "SegformerConfig", TINY_SEGFORMER, ((64, 64), (57, 90))
    ),
    "segformer classes": Case(
        "SegFormer",
        "SegformerForImageClassification",
        "SegformerConfig",
        TINY_SEGFORMER | {"reshape_last_stage": False},
        ((13, 16),),
    ),
    "detr": Case("DETR", "DetrForObjectDetection", "DetrConfig", TINY_DETR, ((96, 96), (65, 120))),
    "detr timm": Case(
        "DETR",
        "DetrForObjectDetection",
        "DetrConfig",
        {name: value for name, value in TINY_DETR.items() if name != "backbone_config"}
        | {"use_timm_backbone": True, "backbone": "resnet18"},
        ((64, 96),),
    ),
}
CHECKPOINTS = tempfile.TemporaryDirectory(prefix="loce-checkpoints-")


@ft.cache
def checkpoint(name):
    """The torch model of a case and its folder, made once."""
    model = make_model(CASES[name])
    return model, save(model, Path(CHECKPOINTS.name) / name)


@ft.cache
def native_differences(name, size):
    """How far every layer and output is from PyTorch's, see `differences`; computed once."""
    model, folder = checkpoint(name)
    return differences(load_network(str(folder), size=size), model, CASES[name])
