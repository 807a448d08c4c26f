"""The networks of the LoCE paper, ``paper:NAME``: their layers, their input, where their weights come from."""
