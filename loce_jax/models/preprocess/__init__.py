"""How photos become the network's input: what it is, how it is written down, and whether it can be right."""
