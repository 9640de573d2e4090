"""Training states on disk: what is in one, how it gets there, and how it is known to be intact."""
