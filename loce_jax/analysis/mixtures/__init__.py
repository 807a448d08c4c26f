"""Gaussian mixtures of a cloud of points: fits, densities, decision regions, ellipses."""
