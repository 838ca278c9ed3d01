"""What worker processes find loaded: their server imports this, and they are forked of it."""

from importlib import import_module

from lagrangian_ice.engine import look_for_garbage_rarely

look_for_garbage_rarely()
import_module("lagrangian_ice.workflow.pairs")
