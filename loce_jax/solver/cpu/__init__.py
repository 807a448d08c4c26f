"""The paper's recipe on CPU cores, compiled by Numba: one image's activations stay in cache for all steps.

`solve` is the entry; the other files are its inner loops.  Held to `solver/paper/sample.py` by tests.
"""
