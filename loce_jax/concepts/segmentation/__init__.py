"""Concept vectors that segment: found from masks, one a concept and layer."""
