"""Runs on disk: a plan, immutable chunk files, and a reader."""
