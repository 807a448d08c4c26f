"""Data sets whose masks are images: label maps with a class table, panoptic maps, folders of masks, arrays."""
