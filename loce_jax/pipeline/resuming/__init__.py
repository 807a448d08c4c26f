"""Continuing a run: what of it is whole and still true, which rows are tried again, and where its data are."""
