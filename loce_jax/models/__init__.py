"""The networks we read: frozen, in JAX, with named layers."""
