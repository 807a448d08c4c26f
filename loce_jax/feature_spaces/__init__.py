"""Global concepts of a run's layers, and comparing feature spaces by them: on the run's own network and data."""
