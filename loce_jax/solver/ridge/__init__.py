"""The ridge recipe: ridge-penalized logistic regression on partly whitened activations, solved by Newton's method.

`objective` defines what is minimized, `newton` minimizes it for one sample with the `curvature` of the loss, and `row`
turns that into a solution.  `cpu_threads` maps it over a CPU's cores, `compaction` over an accelerator.
"""
