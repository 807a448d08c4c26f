"""The plain vision transformer and its families: ViT, DeiT, YOLOS, DINOv2, DINOv3, CLIP, SigLIP."""
