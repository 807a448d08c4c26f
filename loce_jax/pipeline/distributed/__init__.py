"""Runs that many processes share: shards for workers that do not know of each other, and tasks of a Ray cluster."""
