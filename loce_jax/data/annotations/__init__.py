"""Data sets whose masks are outlines, run lengths and boxes: COCO, LVIS, YOLO, CVAT, Label Studio."""
