"""The native networks in Flax NNX, a file a family; `family` says what a family consists of."""
