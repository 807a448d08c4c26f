"""The table of families: which networks run natively and converted, and how far they are from PyTorch.

The table is measured here, with the small random networks that the parity tests use.  Rewrite it after a change with
``LOCE_WRITE_TABLE=1 pytest tests/models/test_families.py``.
"""

import os
import re
from pathlib import Path

import pytest

from tests.models import test_efficientnet_lite0 as lite0
from tests.support.native_cases import CASES, native_differences

PAGE = Path(__file__).parents[2] / "docs" / "networks.md"
BETWEEN = re.compile(r"(?<=<!-- families: written by a test -->\n).*(?=<!-- end of families -->)", re.S)
# Another processor or thread count adds float32 products in another order; that moves these numbers by less than this.
SLACK = 3.0
BOTH = {  # native family: the converter's case
    "ViT": "vit",
    "DeiT": "deit",
    "DINOv2": "dinov2",
    "DINOv2 with registers": "dinov2_with_registers",
    "DINOv3 ViT": "dinov3_vit",
    "CLIP": "clip_vision",
    "SigLIP": "siglip_vision",
    "YOLOS": "yolos",
    "ResNet": "resnet",
    "ConvNeXt": "convnext",
    "ConvNeXt V2": "convnextv2",
    "Swin": "swin",
    "Swin V2": "swinv2",
    "SegFormer": "segformer",
    "DETR": "detr",
    "MobileNetV2": "mobilenet_v2",
    "EfficientNet": "efficientnet",
}
CONVERTED = {  # the rest of transformers' networks
    "BEiT": "beit",
    "DINOv3 ConvNeXt": "dinov3_convnext",
    "DPT": "dpt",
    "Hiera": "hiera",
    "Mask2Former": "mask2former",
    "MobileViT": "mobilevit",
    "PVTv2": "pvt_v2",
    "RF-DETR": "rf_detr",
    "RT-DETR": "rt_detr",
    "SAM": "sam_vision",
    "SigLIP 2": "siglip2",
    "UperNet": "upernet",
    "ViT-MAE": "vit_mae",
}
LIBRARIES = ("timm", "torchvision")
HEAD = "| family | native | converter | checked against | max rel. diff |\n| --- | --- | --- | --- | --- |\n"


@pytest.fixture(scope="module")
def converted(timm, torchvision):
    """``converted(case)``: the largest difference of a converted network from PyTorch."""
    from tests.converter.test_families import converted_differences

    return lambda case: max(converted_differences(case).values())


def native(family):
    sizes = [(name, size) for name, case in CASES.items() if case.family == family for size in case.sizes]
    return max(max(native_differences(name, size).values()) for name, size in sizes)


def measured_rows(converted):
    """``(family, checked against, native difference or None, converter's difference)``."""
    from tests.support.converter_cases import CASES as EVERYTHING

    for family, case in BOTH.items():
        yield family, "transformers", native(family), converted(case)
    lite = max(max(lite0.layer_differences(size).values()) for size in lite0.SIZES)
    yield "EfficientNet-Lite0", "a plain build with real weights; timm", lite, converted("timm efficientnet_lite0")
    for family, case in CONVERTED.items():
        yield family, "transformers", None, converted(case)
    for library in LIBRARIES:
        cases = [case for case in EVERYTHING if case.startswith(library)]
        names = ", ".join(re.split(r"[ _]", case.removeprefix(f"{library} "))[0] for case in cases)
        yield names, library, None, max(map(converted, cases))


def as_line(family, source, natively, afterwards):
    numbers = (
        f"converter {afterwards:.0e}" if natively is None else f"native {natively:.0e}, converter {afterwards:.0e}"
    )
    return f"| {family} | {'–' if natively is None else 'yes'} | yes | {source} | {numbers} |\n"


def numbers(text):
    return [float(number) for number in re.findall(r"\d+e-\d+", text)]


def test_every_native_family_has_its_row():
    assert set(BOTH) == {case.family for case in CASES.values()}


def test_the_table_says_what_is_measured(converted):
    lines = [as_line(*row) for row in measured_rows(converted)]
    readme = PAGE.read_text(encoding="utf-8")
    if os.environ.get("LOCE_WRITE_TABLE"):
        readme = BETWEEN.sub(lambda _: HEAD + "".join(lines), readme)
        PAGE.write_text(readme, encoding="utf-8")
    (table,) = BETWEEN.findall(readme)
    printed = table.removeprefix(HEAD).splitlines(keepends=True)
    assert len(printed) == len(lines)
    for said, found in zip(printed, lines, strict=True):
        assert re.sub(r"\d+e-\d+", "", said) == re.sub(r"\d+e-\d+", "", found)
        for stated, measured in zip(numbers(said), numbers(found), strict=True):
            assert measured < 1e-4
            assert measured <= stated * SLACK, (said, found)  # better is no failure
