"""Layers that several networks share: convolutions that are fast on CPUs, position embeddings, windows, blocks."""
