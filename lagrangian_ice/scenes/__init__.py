"""Scenes as they come from disk: readers, catalogue, passes."""
