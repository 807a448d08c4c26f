"""The LoCE paper's recipe for ONE sample, in JAX: the loss, AdamW, and a sample's status.

`sample` is the definition that the fast implementations in `solver/cpu` and `solver/gpu` are held to by tests.
"""
