"""Which embeddings are near: exact neighbors, and distances within and between concepts, at every size."""
