"""From a run to results: each step takes the LoCEs of one layer and returns numbers, tables and figures."""
