"""Sub-concepts: splitting one concept's embeddings, and the attributes in which they differ."""
