"""Clusters of embeddings: hierarchical trees and their cuts, dense regions, repeated clusterings, estimators."""
