import json
import logging
import os
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest

from lagrangian_ice.cli import cli, products, run
from lagrangian_ice.cli.common import Env, changed, configure_logging
from lagrangian_ice.errors import LagrangianIceError, SettingsError
from lagrangian_ice.settings import Settings

TRACK = ["track", "a", "b", "--out", "c.csv", "--spacing", "1000"]
TAGS = {"time_coverage_start": "2021-01-01T03:00:00"}


def told(capsys):
    """The one line on stderr."""
    err = capsys.readouterr().err
    assert err.count("\n") == 1, err
    assert err.startswith("error: ")
    return err


def all_commands(group=cli, words=()):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from all_commands(command, (*words, name))
        yield (*words, name)


@pytest.fixture
def scene(write_scene):
    pixels = np.random.default_rng(0).normal(-15, 3, (60, 60)).astype(np.float32)
    return write_scene("one_HH.tif", pixels, tags=TAGS, descriptions=["sigma0_HH"])


def test_help_and_import_do_without_torch_and_files():
    program = (
        "import sys, lagrangian_ice\n"
        "from lagrangian_ice.cli import run\n"
        "assert run(['track', '--help']) == 0\n"
        "heavy = {'torch', 'numpy', 'pandas', 'pydantic', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


@pytest.mark.parametrize("words", list(all_commands()), ids=" ".join)
def test_every_command_has_help_and_the_common_options(words, capsys):
    assert run([*words, "--help"]) == 0
    out = capsys.readouterr().out
    if words not in (("scenes",), ("weights",), ("import",), ("validate",)):
        assert "--workspace" in out
        assert "--config" in out


def test_config_prints_the_defaults(capsys):
    assert run(["config"]) == 0
    text = capsys.readouterr().out
    assert Settings.model_validate(tomllib.loads(text)) == Settings()
    assert "# " in text


def test_names_that_help_gives_are_those_that_are_known():
    """They are written out in the command line, so that help need not load the rest."""
    from lagrangian_ice.output.exports import FORMATS
    from lagrangian_ice.plots.draw import FIGURES

    what = next(param for param in products.plot.params if param.name == "what")
    assert list(products.LAYOUTS) == list(FORMATS)
    assert list(what.type.choices) == list(FIGURES)


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["seed"],
        ["advance"],
        ["advance", "--days", "1", "--until", "2021-01-01"],
        ["advance", "--days", "one"],
        ["track", "a", "b", "--out", "c.csv"],
        ["track", "a", "b", "--out", "c.txt", "--spacing", "1000"],
        ["export", "--format", "nonsense", "--out", "x"],
        ["export", "--format", "mojito", "--out", ""],
        ["view", "--out", ""],
        ["demo", ""],
        ["simulate", "", "--days", "1", "--seed", "1"],
        ["simulate", "x", "--days", "1", "--seed", "1", "--texture", ""],
        ["scenes", "add", ""],
        ["scenes", "list", ""],
        ["scenes", "fetch", "--area", "x", "--start", "x", "--end", "x", "--out", ""],
        ["seed", "--date", "2021-01-01", "--scenes", ""],
        ["seed", "--date", "2021-01-01", "--scenes", "x", ""],
        ["status", "--config", ""],
        ["status", "--workspace", ""],
        [*TRACK, "--times", "2021-01-01,2021-01-01"],
    ],
)
def test_wrong_usage_is_exit_2(words, tmp_path, monkeypatch, capsys):
    # What is not refused would be done here.
    monkeypatch.chdir(tmp_path)
    assert run(words) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["status"], "no workspace here"),
        (["advance", "--days", "1"], "no workspace here"),
        (["rebuild", "--from", "2021-01-01"], "no workspace here"),
        (["scenes", "list"], "no workspace here"),
        (["seed", "--date", "2021-01-01"], "no scene"),
        (["seed", "--date", "yesterday"], "yesterday"),
        (["export", "--format", "mojito", "--out", "x"], "no workspace here"),
        (["export", "--format", "pairs", "--out", "x"], "no workspace here"),
        (["weights", "import", "nothing.pth"], "nothing.pth"),
        (["plot", "drift", "nothing.nc", "--out", "a.png"], "nothing.nc"),
        (["deform", "nothing.nc", "--out", "a.nc"], "nothing.nc"),
    ],
)
def test_errors_are_one_line_and_leave_nothing(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(words) == 1
    assert message in told(capsys)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_workspace_is_named(tmp_path, capsys):
    assert run(["advance", "--days", "1", "--workspace", str(tmp_path / "none")]) == 1
    assert "none" in told(capsys)
    assert not (tmp_path / "none").exists()


def test_an_unknown_setting_is_named(tmp_path, capsys):
    path = tmp_path / "c.toml"
    path.write_text("[mcc]\nhalf_with = 3\n")
    assert run(["config", "--config", str(path)]) == 1
    assert "unknown setting mcc.half_with" in told(capsys)


def test_settings_that_a_command_does_not_need_are_read_too(tmp_path, capsys):
    for words in (["status"], ["scenes", "list", str(tmp_path)], ["weights", "list"]):
        assert run([*words, "--config", str(tmp_path / "none.toml")]) == 1
        assert "none.toml" in told(capsys)


def test_where_no_scene_can_be_read_no_workspace_is_made(tmp_path, capsys):
    words = ["scenes", "add", str(tmp_path / "none.tif"), "--workspace", str(tmp_path / "ws")]
    assert run(words) == 3
    assert "none.tif" in capsys.readouterr().err
    assert not (tmp_path / "ws").exists()


def test_the_workspace_comes_from_the_environment_unless_given(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LAGRANGIAN_ICE_WORKSPACE", str(tmp_path / "env"))
    assert run(["status"]) == 1
    assert str(tmp_path / "env") in told(capsys)
    assert run(["status", "--workspace", str(tmp_path / "given")]) == 1
    assert str(tmp_path / "given") in told(capsys)
    assert run(["--workspace", str(tmp_path / "before"), "status"]) == 1
    assert str(tmp_path / "before") in told(capsys)


@pytest.mark.parametrize(("words", "level"), [(["-q"], "ERROR"), (["-v"], "DEBUG"), ([], "INFO")])
def test_verbosity_may_stand_before_the_command(words, level, tmp_path):
    place = ["--workspace", str(tmp_path)]
    assert run([*words, *place, "status"]) == run([*place, "status", *words])
    assert logging.getLogger("lagrangian_ice").level == logging.getLevelName(level)


def test_log_lines_do_not_tear_the_progress_bar(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    configure_logging(1)
    logger = logging.getLogger("lagrangian_ice")
    own = logger.handlers
    for number in Env(Path(), None, 1).progress([1, 2], "work"):
        logging.getLogger("lagrangian_ice.engine").debug("step %d", number)
    text = capsys.readouterr().err
    assert "work" in text
    lines = re.findall(r"(.)\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} DEBUG step \d\n", text, re.DOTALL)
    # each where the bar has been wiped away
    assert set(lines) <= {"\r", "\n"}
    assert len(lines) == 2
    assert logger.handlers is own


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_workspace_is_told(scene, tmp_path, capsys):
    folder = tmp_path / "ro"
    folder.mkdir(mode=0o500)
    assert run(["scenes", "add", str(scene), "--workspace", str(folder)]) == 1
    assert "cannot be written" in told(capsys)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("two\nlines"), "unexpected RuntimeError (two lines)"),
        (MemoryError(), "not enough memory"),
        (MemoryError("Unable to allocate 30 GiB"), "not enough memory (Unable to allocate 30 GiB)"),
    ],
)
def test_what_no_one_has_foreseen_is_one_line_and_a_trace_for_who_asks(
    error, said, tmp_path, monkeypatch, capsys
):
    def fails(_folder):
        raise error

    monkeypatch.setattr("lagrangian_ice.workspace.status", fails)
    words = ["status", "--workspace", str(tmp_path)]
    assert run(words) == 1
    assert said in told(capsys)
    assert run([*words, "-v"]) == 1
    assert ("Traceback" in capsys.readouterr().err) == isinstance(error, RuntimeError)


def test_options_change_settings_within_their_range():
    assert changed(Settings(), {"first_guess.max_speed": 1.5}).first_guess.max_speed == 1.5
    assert changed(Settings(), {"images.pixel": None}) == Settings()
    with pytest.raises(SettingsError, match=r"images\.pixel"):
        changed(Settings(), {"images.pixel": 1e9})


def test_scenes_are_listed_without_a_workspace(scene, tmp_path, capsys):
    assert run(["scenes", "list", str(scene), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    keys = "id path start stop pass platform polarisations footprint status reason"
    assert set(keys.split()) <= set(row)
    assert row["id"] == "one_HH"


def test_unreadable_scenes_are_named_with_exit_3(scene, tmp_path, capsys):
    bad = tmp_path / "bad.tif"
    bad.write_text("hello")
    workspace = tmp_path / "ws"
    assert run(["scenes", "list", str(scene), str(bad)]) == 3
    assert "bad.tif" in capsys.readouterr().out
    assert run(["scenes", "add", str(scene), str(bad), "--workspace", str(workspace)]) == 3
    captured = capsys.readouterr()
    assert "1 scenes added" in captured.out
    assert "bad.tif" in captured.err
    assert run(["scenes", "list", "--json", "--workspace", str(workspace)]) == 3
    rows = json.loads(capsys.readouterr().out)
    assert [row["status"] for row in rows] == ["waiting", "unreadable"]
    assert Path(rows[0]["path"]).is_absolute()


@pytest.mark.parametrize(
    "words", [("scenes", "add"), ("seed", "--date", "2021-01-01", "--spacing", "500", "--scenes")]
)
def test_unreadable_files_that_are_gone_are_forgotten(scene, tmp_path, capsys, words):
    bad, workspace = tmp_path / "bad.tif", tmp_path / "ws"
    bad.write_text("hello")
    assert run(["scenes", "add", str(scene), str(bad), "--workspace", str(workspace)]) == 3
    bad.unlink()
    assert run([*words, str(scene), "--workspace", str(workspace)]) == 0
    capsys.readouterr()
    assert run(["scenes", "list", "--json", "--workspace", str(workspace)]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 1


def test_track_errors_are_one_line(scene, write_scene, tmp_path, capsys):
    points = tmp_path / "p.csv"
    points.write_text("x,y\n-48000,-602000\n")
    far = write_scene(
        "far_HH.tif",
        np.ones((20, 20), np.float32),
        transform=(100.0, 0.0, 900_000.0, 0.0, -100.0, 0.0),
        tags={"time_coverage_start": "2021-01-02T03:00:00"},
        descriptions=["sigma0_HH"],
    )
    text = tmp_path / "text.tif"
    text.write_text("hello")
    out = tmp_path / "out.csv"
    base = ["track", str(scene)]
    more = ["--points", str(points), "--out", str(out)]
    for words, message in (
        ([*base, str(far), *more], "do not overlap"),
        ([*base, str(text), *more], "text.tif"),
        ([*base, str(tmp_path / "none.tif"), *more], "none.tif"),
        ([*base, str(scene), *more, "--polarisation", "VV"], "no polarisation VV"),
        ([*base, str(scene), *more, "--pixel", "3"], "images.pixel"),
        ([*base, str(scene), *more, "--weights", "none"], "none"),
        ([*base, str(scene), *more, "--rotation", "190"], "features.rotation"),
        ([*base, str(scene), *more[:3], str(tmp_path / "no" / "out.csv")], "does not exist"),
    ):
        assert run(words) == 1
        assert message in told(capsys)


def test_a_scene_on_itself_is_at_rest(scene, tmp_path, capsys):
    out, timings = tmp_path / "out.csv", tmp_path / "t.json"
    points = tmp_path / "p.csv"
    points.write_text("x,y\n-47010,-602990\n0,0\n-46000,-603000\n")
    words = ["track", str(scene), str(scene), "--points", str(points), "--out", str(out)]
    assert run([*words, "--timings", str(timings)]) == 0
    rows = out.read_text().splitlines()
    assert len(rows) == 4
    assert rows[2].split(",")[:3] == ["0.0", "0.0", ""]
    assert "out_of_image" in rows[2]
    assert {"geocode", "features", "match"} <= set(json.loads(timings.read_text())["seconds"])


def test_sigterm_ends_a_command_as_ctrl_c_does(tmp_path):
    words = f"['simulate', {str(tmp_path / 'a')!r}, '--days', '9', '--seed', '1']"
    program = f"print('begun', flush=True); from lagrangian_ice.cli import main; main({words})"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        while not list(tmp_path.glob("a/*")):
            time.sleep(0.1)
        child.terminate()
        _, said = child.communicate(timeout=60)
    assert child.returncode == 130
    assert said.decode().splitlines()[-1] == "interrupted; call it again"
    assert b"Traceback" not in said


def test_an_export_of_no_time_is_wrong_usage(tmp_path, capsys):
    words = ["export", "--format", "deformation", "--out", str(tmp_path)]
    assert run([*words, "--start", "2021-01-05", "--end", "2021-01-04"]) == 2
    assert "is not before" in capsys.readouterr().err


def test_who_closes_the_pipe_has_seen_enough():
    """`lagrangian-ice ... | head` said that the pipe was broken."""
    reading, writing = os.pipe()
    os.close(reading)
    program = "from lagrangian_ice.cli import main; main(['config'])"
    with os.fdopen(writing, "wb") as pipe:
        done = subprocess.run(
            [sys.executable, "-c", program], stdout=pipe, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 1
    assert done.stderr == b""


def test_a_pipe_that_breaks_elsewhere_is_told():
    program = (
        "from lagrangian_ice.cli import Env, run\n"
        "def breaks(self): raise BrokenPipeError(32, 'Broken pipe', 'scheduler')\n"
        "Env.settings = breaks\n"
        "raise SystemExit(run(['config']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stderr == b"error: [Errno 32] Broken pipe: 'scheduler'\n"


def test_track_replaces_none_of_its_inputs(scene, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("p.csv").write_text("x,y\n-48000,-602000\n")
    Path("c.toml").touch()
    words = ["track", str(scene), str(scene), "--points", "p.csv", "--config", "c.toml"]
    for more, message in (
        (["--out", "p.csv"], "p.csv: would replace p.csv"),
        (["--out", "v.csv", "--timings", scene.name], f"{scene.name}: would replace {scene}"),
        (["--out", "v.csv", "--timings", "c.toml"], "c.toml: would replace c.toml"),
        (["--out", "v.csv", "--timings", "./v.csv"], "v.csv: would replace v.csv"),
        (["--out", "v.csv", "--timings", "/dev/null"], "/dev/null: is not a regular file"),
        (["--out", os.fsdecode(b"v\xff.csv")], "is not valid UTF-8"),
    ):
        assert run([*words, *more]) == 1
        assert message in told(capsys)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.toml", scene.name, "p.csv"]


def test_figures_do_not_ask_for_the_backend_of_the_environment(tmp_path):
    """matplotlib refuses to be imported with an unknown one."""
    words = ["plot", "coverage", str(tmp_path / "none.nc"), "--out", str(tmp_path / "a.png")]
    done = subprocess.run(
        [sys.executable, "-c", "from lagrangian_ice.cli import main; main()", *words],
        env={**os.environ, "MPLBACKEND": "foo"},
        capture_output=True,
        check=False,
    )
    assert b"none.nc" in done.stderr


@pytest.mark.parametrize("value", ["inf", "nan"])
@pytest.mark.parametrize(
    "words",
    [
        ["advance", "--days", "1", "--cache-gb"],
        ["advance", "--days"],
        ["track", "a.tif", "b.tif", "--out", "c.csv", "--spacing"],
        ["seed", "--date", "2021-01-01", "--spacing"],
        ["simulate", "x", "--seed", "1", "--days"],
    ],
)
def test_numbers_are_finite(words, value, capsys):
    assert run([*words, value]) == 2
    assert f"{value} is not a finite number" in capsys.readouterr().err


@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_stop_no_command(closed):
    """Cron lines end so; nothing was done, and nothing said."""
    program = "from lagrangian_ice.cli import main; main()"
    line = f'{sys.executable} -c "{program}" config {closed}'
    done = subprocess.run(["sh", "-c", line], check=False, stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0
    assert ("[images]" in done.stdout) == (">&-" not in closed.replace("2>&-", ""))


def test_a_demo_has_one_folder(tmp_path, monkeypatch, capsys):
    asked = []

    def run_demo(directory, *_args, **_more):
        asked.append(directory)
        raise LagrangianIceError("enough")

    monkeypatch.setattr("lagrangian_ice.demo.run_demo", run_demo)
    monkeypatch.setenv("LAGRANGIAN_ICE_WORKSPACE", str(tmp_path / "season"))
    for words in (["demo"], ["demo", "mine"], ["--workspace", "mine", "demo"]):
        assert run(words) == 1
    assert [path.name for path in asked] == ["demo", "mine", "mine"]
    assert run(["demo", "mine", "--workspace", "yours"]) == 2
    assert "not both" in capsys.readouterr().err
