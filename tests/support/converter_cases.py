"""Small networks of every family that the converter is tested on: ``CASES[name]() -> (module, (h, w))``.

Weights are random, also the statistics of batch normalization, so that nothing is 0 or 1 by accident.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from loce_jax.models.converter.torch.libraries import need

need("torch")  # which lets a torchvision be imported whose compiled part does not fit
Case = Callable[[], tuple[nn.Module, tuple[int, int]]]
CASES: dict[str, Case] = {}

TOKENS = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
VIT = TOKENS | {"image_size": 48, "patch_size": 16}


def randomized(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module with random weights and statistics, none of them special."""
    generator = torch.Generator().manual_seed(seed)

    def fill(tensor, low, high):
        tensor.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)

    with torch.no_grad():
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            if name.endswith("running_var"):
                fill(tensor, 0.5, 2.0)
            elif name.endswith("running_mean") or (tensor.ndim == 1 and name.endswith("bias")):
                fill(tensor, -0.3, 0.3)
            elif tensor.ndim == 1 and name.endswith(("weight", "layer_scale_parameter")):
                fill(tensor, 0.6, 1.4)
            elif tensor.ndim > 1 and name.endswith("weight"):
                fill(tensor, -(width := (3 / tensor[0].numel()) ** 0.5), width)  # variance 1 / inputs
    return module.eval()


def family(name: str, size: tuple[int, int] = (48, 48)):
    """Put ``build() -> module`` into `CASES`."""

    def keep(build: Callable[[], Any]) -> Callable[[], Any]:
        def case():
            torch.manual_seed(0)
            return randomized(build()), size

        CASES[name] = case
        return build

    return keep


class Calls(nn.Module):
    """A network behind a function of one argument."""

    def __init__(self, model: nn.Module, call: Callable):
        super().__init__()
        self.model, self.call = model, call

    def forward(self, images):
        return self.call(self.model, images)


class Hugging:
    """The classes of transformers, imported when asked for."""

    def __getattr__(self, name: str) -> Any:
        import transformers

        return getattr(transformers, name)


hugging = Hugging()


def hugging_face(name: str, model: str, config: str, size=(48, 48), **options):
    """One family of transformers, by its classes' names."""

    @family(name, size)
    def build():
        return getattr(hugging, model)(getattr(hugging, config)(**options))


hugging_face("vit", "ViTModel", "ViTConfig", **VIT)
hugging_face("deit", "DeiTModel", "DeiTConfig", **VIT)
hugging_face("dinov2", "Dinov2Model", "Dinov2Config", (42, 56), **TOKENS, image_size=70, patch_size=14)
hugging_face(
    "dinov2_with_registers",
    "Dinov2WithRegistersModel",
    "Dinov2WithRegistersConfig",
    (42, 56),
    **TOKENS,
    image_size=70,
    patch_size=14,
    num_register_tokens=3,
)
hugging_face("dinov3_vit", "DINOv3ViTModel", "DINOv3ViTConfig", (48, 64), **VIT, num_register_tokens=2)
hugging_face(
    "dinov3_convnext",
    "DINOv3ConvNextModel",
    "DINOv3ConvNextConfig",
    (64, 64),
    hidden_sizes=[8, 16, 24, 32],
    depths=[1] * 4,
)
hugging_face(
    "resnet",
    "ResNetModel",
    "ResNetConfig",
    (64, 48),
    embedding_size=8,
    hidden_sizes=[16, 24, 32, 40],
    depths=[1, 2, 1, 1],
)
hugging_face("convnext", "ConvNextModel", "ConvNextConfig", (64, 64), hidden_sizes=[8, 16, 24, 32], depths=[1] * 4)
hugging_face(
    "convnextv2", "ConvNextV2Model", "ConvNextV2Config", (64, 64), hidden_sizes=[8, 16, 24, 32], depths=[1] * 4
)
SWIN = {"image_size": 64, "patch_size": 4, "embed_dim": 8, "depths": [2, 2], "num_heads": [2, 2], "window_size": 4}
hugging_face("swin", "SwinModel", "SwinConfig", (64, 64), **SWIN)
hugging_face("swinv2", "Swinv2Model", "Swinv2Config", (64, 64), **SWIN)
hugging_face(
    "segformer",
    "SegformerForSemanticSegmentation",
    "SegformerConfig",
    (64, 64),
    hidden_sizes=[8, 16, 24, 32],
    depths=[1] * 4,
    num_attention_heads=[1, 2, 2, 4],
    decoder_hidden_size=16,
)
hugging_face("mobilenet_v2", "MobileNetV2Model", "MobileNetV2Config", (64, 64), depth_multiplier=0.25)
hugging_face(
    "efficientnet",
    "EfficientNetModel",
    "EfficientNetConfig",
    (64, 64),
    width_coefficient=0.3,
    depth_coefficient=0.3,
    hidden_dim=384,
)
hugging_face("clip_vision", "CLIPVisionModel", "CLIPVisionConfig", **VIT)
hugging_face("siglip_vision", "SiglipVisionModel", "SiglipVisionConfig", **VIT)
hugging_face("beit", "BeitModel", "BeitConfig", **VIT)
hugging_face("yolos", "YolosModel", "YolosConfig", **(VIT | {"image_size": [48, 48], "num_detection_tokens": 5}))
hugging_face(
    "hiera",
    "HieraModel",
    "HieraConfig",
    (64, 64),
    image_size=[64, 64],
    embed_dim=8,
    depths=[1, 1, 1],
    num_heads=[1, 2, 4],
    num_query_pool=2,
    masked_unit_size=[4, 4],
)
hugging_face(
    "mobilevit",
    "MobileViTModel",
    "MobileViTConfig",
    (64, 64),
    image_size=64,
    hidden_sizes=[16, 24, 32],
    neck_hidden_sizes=[8, 8, 16, 16, 24, 24, 32],
    num_attention_heads=2,
)
hugging_face(
    "pvt_v2",
    "PvtV2Model",
    "PvtV2Config",
    (64, 64),
    image_size=64,
    hidden_sizes=[8, 16, 24, 32],
    depths=[1] * 4,
    num_attention_heads=[1, 2, 2, 4],
)
hugging_face(
    "dpt",
    "DPTForDepthEstimation",
    "DPTConfig",
    **(VIT | {"num_hidden_layers": 4}),
    backbone_out_indices=[0, 1, 2, 3],
    neck_hidden_sizes=[8, 16, 16, 24],
    fusion_hidden_size=16,
)
hugging_face(
    "sam_vision",
    "SamVisionModel",
    "SamVisionConfig",
    (64, 64),
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    image_size=64,
    output_channels=16,
    window_size=3,
    global_attn_indexes=[1],
    mlp_dim=48,
)


@family("vit_mae")
def vit_mae():
    noise = torch.arange(9.0)[None]  # nothing masked, nothing shuffled
    model = hugging.ViTMAEModel(hugging.ViTMAEConfig(**VIT, mask_ratio=0.0))
    return Calls(model, lambda model, images: model(images, noise=noise.expand(images.shape[0], -1)))


@family("siglip2", (48, 64))
def siglip2():
    def call(model, images):
        b, c, h, w = images.shape
        patches = images.reshape(b, c, h // 16, 16, w // 16, 16).permute(0, 2, 4, 3, 5, 1).reshape(b, -1, 16 * 16 * c)
        mask = torch.ones(patches.shape[:2], dtype=torch.int32)
        return model(patches, mask, torch.tensor([[h // 16, w // 16]] * b))

    return Calls(hugging.Siglip2VisionModel(hugging.Siglip2VisionConfig(**TOKENS, num_patches=16, patch_size=16)), call)


def backbone():
    return hugging.ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16, 24, 32],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )


@family("detr", (64, 96))
def detr():
    return hugging.DetrModel(
        hugging.DetrConfig(
            backbone_config=backbone(),
            d_model=16,
            encoder_layers=1,
            decoder_layers=1,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=24,
            decoder_ffn_dim=24,
            num_queries=5,
        )
    )


@family("rt_detr", (64, 96))
def rt_detr():
    config = hugging.RTDetrResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16, 24, 32],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )
    return hugging.RTDetrModel(
        hugging.RTDetrConfig(
            backbone_config=config,
            encoder_hidden_dim=16,
            encoder_in_channels=[16, 24, 32],
            feat_strides=[8, 16, 32],
            encoder_ffn_dim=24,
            encoder_attention_heads=2,
            d_model=16,
            decoder_in_channels=[16, 16, 16],
            decoder_ffn_dim=24,
            decoder_attention_heads=2,
            decoder_layers=1,
            num_queries=7,
            num_denoising=0,
        )
    )


@family("rf_detr", (64, 64))
def rf_detr():
    config = hugging.RfDetrDinov2Config(
        **TOKENS,
        image_size=64,
        patch_size=16,
        num_windows=2,
        window_block_indexes=[0],
        out_features=["stage1", "stage2"],
    )
    return hugging.RfDetrModel(
        hugging.RfDetrConfig(
            backbone_config=config,
            d_model=16,
            decoder_layers=1,
            decoder_ffn_dim=24,
            decoder_self_attention_heads=2,
            decoder_cross_attention_heads=2,
            num_queries=5,
            group_detr=1,
        )
    )


@family("mask2former", (64, 64))
def mask2former():
    config = hugging.SwinConfig(
        image_size=64,
        patch_size=4,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 2, 2, 4],
        window_size=4,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    return hugging.Mask2FormerModel(
        hugging.Mask2FormerConfig(
            backbone_config=config,
            feature_size=32,
            mask_feature_size=32,
            hidden_dim=32,
            encoder_feedforward_dim=24,
            encoder_layers=1,
            decoder_layers=2,
            num_attention_heads=2,
            dim_feedforward=24,
            num_queries=5,
        )
    )


@family("upernet", (64, 64))
def upernet():
    config = hugging.ConvNextConfig(
        hidden_sizes=[8, 16, 24, 32], depths=[1] * 4, out_features=["stage1", "stage2", "stage3", "stage4"]
    )
    return hugging.UperNetForSemanticSegmentation(
        hugging.UperNetConfig(
            backbone_config=config, hidden_size=16, auxiliary_in_channels=24, num_labels=5, auxiliary_channels=8
        )
    )


def torchvision_model(name: str, size=(64, 64), **options):
    """One family of torchvision, by its function's name."""

    @family(f"torchvision {name}", size)
    def build():
        import torchvision

        return getattr(torchvision.models, name)(weights=None, **options)


torchvision_model("resnet18")
torchvision_model("vgg11")
torchvision_model("squeezenet1_1")


@family("torchvision mobilenet_v3", (64, 64))
def mobilenet_v3():
    from torchvision.models.mobilenetv3 import InvertedResidualConfig, MobileNetV3

    blocks = [
        InvertedResidualConfig(16, 3, 16, 16, False, "RE", 1, 1, 1.0),
        InvertedResidualConfig(16, 3, 48, 24, False, "RE", 2, 1, 1.0),
        InvertedResidualConfig(24, 5, 72, 40, True, "HS", 2, 1, 1.0),
        InvertedResidualConfig(40, 5, 80, 40, True, "HS", 1, 2, 1.0),
    ]
    return MobileNetV3(blocks, 64)


@family("torchvision efficientnet", (64, 64))
def torchvision_efficientnet():
    from torchvision.models.efficientnet import EfficientNet, FusedMBConvConfig, MBConvConfig

    blocks = [
        FusedMBConvConfig(1, 3, 1, 8, 8, 1),
        FusedMBConvConfig(4, 3, 2, 8, 16, 2),
        MBConvConfig(4, 5, 2, 16, 24, 1, 1.0, 1.0),
        MBConvConfig(4, 3, 1, 24, 24, 1, 1.0, 1.0),
    ]
    return EfficientNet(blocks, dropout=0.1, last_channel=64)


@family("torchvision swin", (56, 56))
def torchvision_swin():
    from torchvision.models.swin_transformer import SwinTransformer

    return SwinTransformer([4, 4], 16, [2, 2], [2, 4], [7, 7])


@family("torchvision vit")
def torchvision_vit():
    from torchvision.models import VisionTransformer

    return VisionTransformer(48, 16, 2, 4, 32, 48)


@family("torchvision ssd300_vgg16 backbone", (300, 300))
def ssd():
    from torchvision.models.detection import ssd300_vgg16

    return ssd300_vgg16(weights=None, weights_backbone=None).backbone


def timm_model(name: str, size=(64, 64), **options):
    """One family of timm, by its model's name."""

    @family(f"timm {name}", size)
    def build():
        import timm

        return timm.create_model(name, **options)


timm_model("resnet10t")
timm_model("vit_tiny_patch16_224", img_size=64, depth=2, embed_dim=32, num_heads=2)
timm_model("convnext_atto", depths=(1, 1, 1, 1), dims=(8, 16, 24, 32))
timm_model("swin_tiny_patch4_window7_224", (56, 56), img_size=56, embed_dim=24, depths=(2, 2), num_heads=(2, 4))
timm_model("efficientnet_lite0")
timm_model("regnety_002")
timm_model("mobilenetv3_small_050")
timm_model("eva02_tiny_patch14_224", (56, 56), img_size=56, depth=2)
timm_model(
    "maxvit_rmlp_pico_rw_256", (64, 64), img_size=64, depths=(1, 1, 1, 1), embed_dim=(32, 32, 64, 64), stem_width=16
)


class Yolo(nn.Module):
    """What YOLOv5 and YOLOv8 are made of: SiLU, split, concatenation, pooling pyramid, upsampling."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 6, 2, 2, bias=False), nn.BatchNorm2d(16), nn.SiLU(inplace=True))
        self.down = nn.Sequential(nn.Conv2d(16, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), nn.SiLU(inplace=True))
        self.bottle = nn.Sequential(nn.Conv2d(16, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.SiLU(inplace=True))
        self.pool = nn.MaxPool2d(5, 1, 2)
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.head = nn.Conv2d(48 + 4 * 16 + 16, 24, 1)

    def forward(self, images):
        stem = self.stem(images)
        first, second = self.down(stem).chunk(2, 1)
        parts = [first, second, self.bottle(second)]
        pools = [parts[-1]]
        for _ in range(3):
            pools.append(self.pool(pools[-1]))
        return self.head(torch.cat([self.up(torch.cat(parts + pools, 1)), stem], 1))


family("yolo", (64, 96))(Yolo)
