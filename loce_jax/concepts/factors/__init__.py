"""Dictionaries of unsupervised concepts: NMF, PCA, k-means and sparse autoencoders behind one interface."""
