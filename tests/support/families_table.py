"""The table of families in ``docs/networks.md``: how far native and converted networks are from PyTorch.

The tests of each network compare what they measure with the figure that the table states.  After a change that makes
a figure worse for a reason, or better, ``python -m tests.support.families_table`` measures everything and rewrites the
table; it needs torch, timm and torchvision.
"""

import functools as ft
import re
from pathlib import Path
from typing import NamedTuple

from tests.support.native_cases import CASES, native_differences

PAGE = Path(__file__).parents[2] / "docs" / "networks.md"
BETWEEN = re.compile(r"(?<=<!-- families: written by a test -->\n).*(?=<!-- end of families -->)", re.S)
HEAD = "| family | native | converter | checked against | max rel. diff |\n| --- | --- | --- | --- | --- |\n"
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
LITE0, LITE0_CASE = "EfficientNet-Lite0", "timm efficientnet_lite0"
LIBRARIES = ("timm", "torchvision")


class Row(NamedTuple):
    """One line of the table; differences are relative to a layer's largest value, `native` is None if not built."""

    family: str
    source: str
    native: float | None
    converter: float

    def line(self) -> str:
        """The row in Markdown."""
        native = "" if self.native is None else f"native {self.native:.0e}, "
        built = "yes" if native else "–"
        return f"| {self.family} | {built} | yes | {self.source} | {native}converter {self.converter:.0e} |\n"


@ft.cache
def stated() -> tuple[Row, ...]:
    """The rows of the table as the page states them."""
    (table,) = BETWEEN.findall(PAGE.read_text(encoding="utf-8"))
    assert table.startswith(HEAD)
    return tuple(_parsed(line) for line in table.removeprefix(HEAD).splitlines())


def _parsed(line: str) -> Row:
    family, _, _, source, figures = (cell.strip() for cell in line.strip("|").split("|"))
    found = dict(re.findall(r"(native|converter) (\S+e-\d+)", figures))
    native = found.get("native")
    return Row(family, source, None if native is None else float(native), float(found["converter"]))


def native_limit(family: str) -> float:
    """The largest difference that a native network of `family` may have: the stated one times `SLACK`."""
    (row,) = (row for row in stated() if row.family == family)
    assert row.native is not None
    return row.native * SLACK


def converter_limit(case: str) -> float:
    """The largest difference that the converter's `case` may have; infinite for a case that is in no row."""
    families = {other: family for family, other in (BOTH | CONVERTED | {LITE0: LITE0_CASE}).items()}
    rows = [row for row in stated() if row.family == families.get(case) or row.source == case.partition(" ")[0]]
    return min((row.converter * SLACK for row in rows), default=float("inf"))


def measured() -> list[Row]:
    """The rows as they are measured now."""
    from tests.models import test_efficientnet_lite0 as lite0
    from tests.support.converted import converted_differences
    from tests.support.converter_cases import CASES as EVERYTHING

    def native(family):
        sizes = [(name, size) for name, case in CASES.items() if case.family == family for size in case.sizes]
        return max(max(native_differences(name, size).values()) for name, size in sizes)

    def converted(case):
        return max(converted_differences(case).values())

    lite = max(max(lite0.layer_differences(size).values()) for size in lite0.SIZES)
    rows = [Row(family, "transformers", native(family), converted(case)) for family, case in BOTH.items()]
    rows += [Row(LITE0, "a simple reimplementation with real weights; timm", lite, converted(LITE0_CASE))]
    rows += [Row(family, "transformers", None, converted(case)) for family, case in CONVERTED.items()]
    for library in LIBRARIES:
        cases = [case for case in EVERYTHING if case.startswith(f"{library} ")]
        rows += [Row(short_names(cases), library, None, max(map(converted, cases)))]
    return rows


def short_names(cases: list[str]) -> str:
    """The networks of one library as the table lists them."""
    return ", ".join(re.split(r"[ _]", case.partition(" ")[2])[0] for case in cases)


if __name__ == "__main__":
    table = HEAD + "".join(row.line() for row in measured())
    PAGE.write_text(BETWEEN.sub(lambda _: table, PAGE.read_text(encoding="utf-8")), encoding="utf-8")
