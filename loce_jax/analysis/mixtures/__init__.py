"""Gaussian mixtures of points: fits, densities, decision regions, ellipses."""
