"""From two images to displacement vectors: first guess, refinement, quality."""
