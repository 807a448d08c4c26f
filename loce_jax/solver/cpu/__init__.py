"""The paper's recipe compiled by Numba, a thread a CPU core: one image's activations stay in cache for all steps.

`dispatch` says whether it can be used, `solve` is called by Python, `kernel` and the other files are compiled.
"""
