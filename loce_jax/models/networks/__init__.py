"""The native networks in Flax NNX, one file per family; `family` defines what a family is."""
