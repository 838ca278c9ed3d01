"""Sea ice of known motion, seen by a simulated Sentinel-1."""
