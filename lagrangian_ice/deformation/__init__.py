"""Triangles of parcels and their strain rates."""
