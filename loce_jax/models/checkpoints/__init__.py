"""Weights on disk: Hugging Face folders, legacy PyTorch files, key maps to Flax parameters, and the cache."""
