"""The networks of the LoCE paper, as data: their layers, their input, and where their weights come from.

Mikriukov et al., "Local Concept Embeddings for Analysis of Concept Distributions in Vision DNN Feature Spaces", IJCV
2025, with the reference implementation's layers: what a forward hook shows there, that is, where a later module works
in place, what that leaves behind.  Photos become 640 x 480 pixels first, bicubic, and are not normalized unless the
network does so itself.
Shapes: c channels, gh x gw grid cells, h x w pixels.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from loce_jax.checks import check_known
from loce_jax.models.base import Layer, Preprocess

Size = tuple[int, int]
Shape = tuple[int, int, int]
PREFIX = "paper:"
PHOTO = (480, 640)
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean and std


def _table(*groups: tuple[Shape, str]) -> dict[str, Shape]:
    return {name: shape for shape, names in groups for name in names.split()}


@dataclass(frozen=True)
class PaperNetwork:
    """One network of the paper.

    Attributes:
        source: ``torchvision:NAME``; ``native:TYPE``, a `model_type` of `networks.table.FAMILIES`; or ``yolov5s``.
        weights: what the published weights are called, by torchvision or on the Hugging Face hub; empty if there are
            none to download.
        layers: ``(c, gh, gw)`` of every layer for the paper's photos, in the paper's order.
        preprocess: how photos become input.
        resizes_to: ``(h, w)`` that the network itself resizes normalized images to, bilinear.
    """

    source: str
    weights: str
    layers: Mapping[str, Shape]
    preprocess: Preprocess = Preprocess(PHOTO)
    resizes_to: Size | None = None


PAPER_NETWORKS = {
    "yolo": PaperNetwork(
        "yolov5s",
        "",
        _table(
            ((128, 60, 80), "4.cv3.conv"),
            ((256, 30, 40), "5.conv 6.cv3.conv"),
            ((512, 15, 20), "7.conv 8.cv3.conv 9.cv2.conv"),
            ((256, 15, 20), "10.conv"),
            ((512, 30, 40), "12"),
            ((128, 30, 40), "14.conv"),
            ((256, 60, 80), "16"),
            ((128, 60, 80), "17.cv3.conv"),
            ((128, 30, 40), "18.conv"),
            ((256, 30, 40), "19 20.cv3.conv"),
            ((256, 15, 20), "21.conv"),
            ((512, 15, 20), "22 23.cv3.conv"),
        ),
    ),
    "ssd": PaperNetwork(
        "torchvision:ssd300_vgg16",
        "COCO_V1",
        _table(
            ((512, 38, 38), "backbone.features.19 backbone.features.21"),
            ((512, 19, 19), "backbone.extra.0.1 backbone.extra.0.3 backbone.extra.0.5"),
            ((256, 19, 19), "backbone.extra.1.0"),
            ((512, 38, 38), "backbone.features"),
            ((1024, 19, 19), "backbone.extra.0"),
            ((512, 10, 10), "backbone.extra.1"),
            ((256, 5, 5), "backbone.extra.2"),
            ((256, 3, 3), "backbone.extra.3"),
            ((256, 1, 1), "backbone.extra.4"),
        ),
        Preprocess(PHOTO, mean=(0.48235, 0.45882, 0.40784), std=(1 / 255, 1 / 255, 1 / 255)),
        resizes_to=(300, 300),
    ),
    "mobilenet": PaperNetwork(
        "torchvision:mobilenet_v3_large",
        "IMAGENET1K_V1",
        _table(
            ((80, 30, 40), "features.9 features.10"),
            ((112, 30, 40), "features.11 features.12"),
            ((160, 15, 20), "features.13 features.14 features.15"),
        ),
    ),
    "efficientnet": PaperNetwork(
        "torchvision:efficientnet_b0",
        "IMAGENET1K_V1",
        _table(
            ((80, 30, 40), "features.4.2"),
            ((112, 30, 40), "features.5.0 features.5.1 features.5.2"),
            ((192, 15, 20), "features.6.0 features.6.1 features.6.2"),
            ((320, 15, 20), "features.7.0"),
        ),
    ),
    "efficientnetv2": PaperNetwork(
        "torchvision:efficientnet_v2_s",
        "IMAGENET1K_V1",
        _table(
            ((64, 60, 80), "features.3"),
            ((128, 30, 40), "features.4.1 features.4.5"),
            ((160, 30, 40), "features.5.3"),
            ((256, 15, 20), "features.6.0 features.6.4 features.6.9 features.6.14"),
        ),
    ),
    "squeezenet": PaperNetwork(
        "torchvision:squeezenet1_1",
        "IMAGENET1K_V1",
        _table(
            ((128, 59, 79), "features.6.expand3x3 features.7.expand3x3"),
            ((192, 29, 39), "features.9.expand3x3 features.10.expand3x3"),
            ((256, 29, 39), "features.11.expand3x3 features.12.expand3x3"),
        ),
    ),
    "detr": PaperNetwork(
        "native:detr",
        "facebook/detr-resnet-50",
        _table(
            ((1024, 50, 67), "model.backbone.conv_encoder.model.layer3"),
            ((2048, 25, 34), "model.backbone.conv_encoder.model.layer4"),
            ((256, 25, 34), "model.input_projection"),
            ((256, 25, 34), " ".join(f"model.encoder.layers.{number}" for number in range(6))),
        ),
        Preprocess((800, 1066), *IMAGENET, resample="bilinear", first=PHOTO),
    ),
    "swin": PaperNetwork(
        "torchvision:swin_t",
        "IMAGENET1K_V1",
        _table(
            ((96, 120, 160), "features.0 features.1"),
            ((192, 60, 80), "features.3"),
            ((384, 30, 40), "features.5"),
            ((768, 15, 20), "features.7"),
        ),
    ),
    "vit": PaperNetwork(
        "torchvision:vit_b_16",
        "IMAGENET1K_V1",
        _table(
            ((768, 14, 14), "conv_proj"),
            ((768, 14, 14), " ".join(f"encoder.layers.encoder_layer_{number}" for number in range(1, 12))),
        ),
        Preprocess((224, 224), first=PHOTO),
    ),
}
NAMES = tuple(PREFIX + name for name in PAPER_NETWORKS)


def paper_layers(name: str) -> tuple[Layer, ...]:
    """The layers of the network called `name`, one of `NAMES`, for the paper's photos; nothing is loaded.

    >>> [(layer.name, layer.grid, layer.channels) for layer in paper_layers("paper:swin")][-1]
    ('features.7', (15, 20), 768)
    """
    preset = paper_network(name)
    height = preset.preprocess.size[0]
    return tuple(
        Layer(layer, c, (rows, columns), height / rows, "tokens" if ".encoder.layers." in f".{layer}" else "grid")
        for layer, (c, rows, columns) in preset.layers.items()
    )


def paper_network(name: str) -> PaperNetwork:
    """The row of the table that `name`, one of `NAMES`, means; `InputError` if there is none."""
    check_known("network of the paper", [name], NAMES)
    return PAPER_NETWORKS[name.removeprefix(PREFIX)]
