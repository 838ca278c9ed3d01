"""Records of scenes without files, for the tests of what is done with them."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from shapely import box

from lagrangian_ice.scenes.scene import Scene


def made_scene(name: str, start: datetime, **changes: Any) -> Scene:
    """Scene of a minute; what is not told is the same for all."""
    told = {
        "path": Path(f"/data/{name}.tif"),
        "kind": "geotiff",
        "stop": start + timedelta(minutes=1),
        "pass_id": f"p_{name}",
        "platform": "S1A",
        "orbit": 7,
        "polarisations": ("HH", "HV"),
        "units": "db",
        "shape": (10, 20),
        "pixel": 101.5,
        "footprint": box(0, 0, 1000, 2000),
    }
    return Scene(id=name, start=start, **(told | changes))
