"""The paper's recipe on a GPU, as one Pallas kernel that keeps a sample's activations on chip for all steps.

`dispatch` decides when the kernel is used; elsewhere XLA solves (`solver/xla.py`).
"""
