"""Images and masks come in: data sets that list items and open them (NumPy only)."""
