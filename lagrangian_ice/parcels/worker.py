"""What worker processes find loaded: their server imports this, and they are forked of it."""

from importlib import import_module

from lagrangian_ice.engine import look_for_garbage_rarely

look_for_garbage_rarely()
# What these tasks load only where they are done.
for task in ("parcels.pairs", "matching.match", "superlim.extract", "superlim.weights_store"):
    import_module(f"lagrangian_ice.{task}")
