"""Global concept vectors: one vector a concept and layer, found over a whole data set."""
