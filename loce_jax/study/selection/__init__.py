"""The input of an analysis: which rows of a run, at which layers, with the map and the photographs."""
