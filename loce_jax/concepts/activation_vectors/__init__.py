"""Concept activation vectors (CAVs), and the tests of a class with them (TCAV)."""
