"""Scenes on the map grid: geocoding, incidence trend, land."""
