"""The population of parcels, its transitions and its store."""
