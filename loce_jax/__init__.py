"""Local concept embeddings in JAX: ask a vision network where and how it holds a concept, picture by picture."""
