"""What users ask for, step by step: the only package that knows the order of the stages.

``catalogue`` takes scenes in, ``seeding`` plans parcels, ``advancing`` begins a ``run`` over the
passes that wait, ``products`` writes what came of it.
"""

from lagrangian_ice.workflow.advancing import advance, plan_pairs, rebuild
from lagrangian_ice.workflow.catalogue import add_scenes
from lagrangian_ice.workflow.products import export, export_layouts, write_all
from lagrangian_ice.workflow.run import Options, Outcome, chosen_settings
from lagrangian_ice.workflow.seeding import seed

__all__ = [
    "Options",
    "Outcome",
    "add_scenes",
    "advance",
    "chosen_settings",
    "export",
    "export_layouts",
    "plan_pairs",
    "rebuild",
    "seed",
    "write_all",
]
