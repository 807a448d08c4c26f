"""Inputs that nobody should have, one file a room: each `Target` makes one from a random generator and runs it."""
