"""How well concepts segment held-out images."""
