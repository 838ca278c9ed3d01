"""Every command and line of Python in docs/validation.md works on files as it describes them."""

import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest

from lagrangian_ice.cli import run
from lagrangian_ice.output.trajectories import write_trajectories

HERE = Path(__file__).parent
sys.path.extend([str(HERE / "output"), str(HERE / "validation")])
PAGE = (HERE.parents[1] / "docs" / "validation.md").read_text(encoding="utf-8")
COMMANDS = [
    line
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in block.strip().splitlines()
]
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The files that the page speaks of, in the current folder."""
    from product_frames import DAY, HEADER, START, field_velocity, make_frames
    from test_nextsim import true_motion, write_model

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "lagrangian_ice.output.trajectories.distance_to_coast", lambda xy: xy[:, 0] + 500e3
    )
    monkeypatch.setattr(
        "lagrangian_ice.plots.polar.land_mask", lambda grid: np.zeros(grid.shape, bool)
    )
    monkeypatch.setattr(
        "lagrangian_ice.plots.coastline.land_mask", lambda grid: np.zeros(grid.shape, bool)
    )
    frames = make_frames(side=10, count=7)
    product = tmp_path / "season_LP.nc"
    write_trajectories(product, HEADER, frames.passes, frames.parcels, frames.chunks())
    time = START + 2 * DAY + np.arange(0, 5.01, 0.5) * DAY
    write_model(tmp_path / "RGPS_Drifters_20210103.nc", *_swap(true_motion(product, time), time))
    start = np.array([20e3, -900e3])
    velocity = field_velocity(start[None])[0]
    hours = [(np.datetime64(int(START) + hour * 3600, "s"), hour) for hour in range(24 * 8)]
    rows = [f"B,{day},{','.join(map(str, start + velocity * h * 3600))}" for day, h in hours]
    (tmp_path / "buoys.csv").write_text("\n".join(["buoy,time,x,y", *rows]) + "\n")
    vector = f"2021-01-01,2021-01-02,{20e3},{-900e3},{27e3},{-905e3}"
    (tmp_path / "vectors.csv").write_text(f"t0,t1,x0,y0,x1,y1\n{vector}\n")
    return tmp_path


def _swap(found, time):
    ids, xy = found
    return ids, time, xy


def test_the_page_works_from_files_to_figures(folder, capsys):
    assert len(COMMANDS) == 8
    for command in COMMANDS:
        words = shlex.split(command)
        assert words[0] == "lagrangian-ice"
        assert run(words[1:]) == 0, (command, capsys.readouterr().err)
    names = set(
        re.findall(r"`(?:scores/)?((?:buoys|statistics|nextsim)[a-z_]*\.(?:png|json))`", PAGE)
    )
    assert len(names) == 11
    assert {path.name for path in (folder / "scores").iterdir()} >= names
    assert (folder / "nextsim_input" / "RGPS_2021-01-03.txt").is_file()
    assert len(list((folder / "exports").iterdir())) == 5
    assert (folder / "page.html").stat().st_size > 50_000
    for program in PROGRAMS:
        exec(compile(program, "docs/validation.md", "exec"), {})  # noqa: S102 (our own page)
