"""The ridge recipe: regularized logistic regression on partly whitened activations, solved by Newton's method.

`newton` has the mathematics for one sample; `cpu_threads` maps it over a CPU's cores, `compaction` over an accelerator.
"""
