"""Comparing the concepts of layers, networks and runs."""
