"""From a run to what it says: each step takes LoCEs of one layer and gives numbers, tables, pictures."""
