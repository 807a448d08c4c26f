"""Matplotlib: finished numbers in, Axes out."""
