"""Two layers or two runs side by side: aligned rows; agreement of ranks, distances, kernels and neighbors."""
