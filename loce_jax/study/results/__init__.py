"""The result of a step, how it is written to disk, and the record of how it was computed."""
