"""Training scripts, one for each result."""
