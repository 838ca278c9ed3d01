"""The population of parcels, its transitions, its store, and the tasks that it asks of workers."""
