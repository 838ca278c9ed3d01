"""Settings files."""

import os
import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from lagrangian_ice.errors import SettingsError
from lagrangian_ice.settings import (
    ParcelSettings,
    ProductSettings,
    Settings,
    as_toml,
    load,
    recalled,
)


def write(tmp_path, text):
    path = tmp_path / "my.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_printed_defaults_are_the_defaults(tmp_path):
    assert load(write(tmp_path, as_toml(Settings()))) == Settings()


def test_every_setting_is_printed_with_its_comment():
    lines = as_toml(Settings()).splitlines()
    for number, line in enumerate(lines):
        if " = " in line and not line.startswith("#"):
            assert lines[number - 1].startswith("# ")
    assert tomllib.loads("\n".join(lines)).keys() == Settings.model_fields.keys()


def test_a_stage_can_be_left_out(tmp_path):
    settings = load(write(tmp_path, "[mcc]\nhalf_width = 24\n"))
    assert settings.mcc.half_width == 24
    assert settings.parcels == Settings().parcels


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[mcc]\nhalf_widht = 24\n", "unknown setting mcc.half_widht"),
        ("[mc]\n", "unknown setting mc"),
        ("[mcc]\nhalf_width = 900\n", "mcc.half_width = 900"),
        ("[mcc\n", "not valid TOML"),
        ("[first_guess]\nmax_speed = nan\n", "max_speed"),
        (f"a = {'[' * 20_000}", "nested too deep"),
        (f"a = {'1' * 10_000}", "not valid TOML"),
        (f"[images]\npixel = 0x{'f' * 20_000}\n", "images.pixel = a value too large to show"),
        (f"[mcc]\nhalf_width = '{'f' * 200}'\n", "ffff...: input should be"),
    ],
)
def test_wrong_settings_are_one_line_that_names_them(tmp_path, text, words):
    path = write(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        load(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value).rstrip()


def test_all_faults_are_named_at_once(tmp_path):
    with pytest.raises(SettingsError, match=r"foo.*bar|bar.*foo"):
        load(write(tmp_path, "[mcc]\nfoo = 1\nbar = 2\n"))


def test_missing_and_binary_files(tmp_path):
    with pytest.raises(SettingsError, match="cannot be read"):
        load(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="cannot be read"):
        load(tmp_path / "binary.toml")


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError):
        Settings().mcc.half_width = 3


def test_what_an_earlier_version_kept_is_recalled_without_what_is_no_more():
    gone = {"min_odds": 6.0, "sure_within_hours": 70.0, "confirm_error": 0.25}
    kept = {"parcels": {"spacing": 5000.0, **gone}}
    assert recalled(kept, "state").parcels == ParcelSettings(spacing=5000.0)
    with pytest.raises(SettingsError, match=r"state: unknown setting parcels.foo"):
        recalled({"parcels": {"foo": 1}}, "state")
    with pytest.raises(SettingsError, match="state"):
        recalled({"parcels": 3}, "state")


def test_of_many_faults_five_are_named_and_the_others_counted(tmp_path):
    text = "\n".join(f"k{number} = 1" for number in range(1000))
    with pytest.raises(SettingsError, match=r"unknown setting k4; and 995 more \(see") as caught:
        load(write(tmp_path, text))
    assert "k5" not in str(caught.value)


def test_a_byte_order_mark_and_windows_lines_are_read(tmp_path):
    (tmp_path / "w.toml").write_bytes(b"\xef\xbb\xbf[mcc]\r\nhalf_width = 24\r\n")
    assert load(tmp_path / "w.toml").mcc.half_width == 24


def test_only_regular_files_of_bounded_size_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (Path("/dev/zero"), tmp_path / "pipe", tmp_path, Path()):
        with pytest.raises(SettingsError, match="not a regular file"):
            load(path)
    with pytest.raises(SettingsError, match=r"my\.toml: larger than 1 MiB"):
        load(write(tmp_path, "#" * (2**20 + 1)))


def test_every_text_comes_back_from_toml(tmp_path):
    name = 'A \U0001f600 \x7f "quoted" \\ \u00e9\t'
    settings = Settings(product=ProductSettings(creator_name=name))
    path = tmp_path / "s.toml"
    path.write_text(as_toml(settings), encoding="utf-8")
    assert load(path) == settings
