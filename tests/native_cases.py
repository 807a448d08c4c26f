"""The native families, each as tiny networks of transformers with random weights; `test_native.py` runs them all."""

from tests.parity import Case

TINY_VIT = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3}

CASES = {
    "dinov2": Case("DINOv2", "Dinov2Model", "Dinov2Config", TINY_VIT | {"image_size": 70}, ((70, 70), (14, 126))),
}
