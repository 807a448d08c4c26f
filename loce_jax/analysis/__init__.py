"""Numbers from vectors (NumPy, SciPy, scikit-learn): pure functions, no files, no plots."""
