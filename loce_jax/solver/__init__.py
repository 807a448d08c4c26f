"""The heart: one concept vector per (activations, mask); knows no image file, data set, network or label."""
