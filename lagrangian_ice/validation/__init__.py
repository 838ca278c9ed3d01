"""Scores against truth, buoys and models."""
