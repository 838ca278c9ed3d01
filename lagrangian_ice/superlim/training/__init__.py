"""Training of SuperLIM."""
