"""Runs that many processes share: shards for workers that do not communicate, and tasks of a Ray cluster."""
