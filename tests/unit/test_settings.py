"""Settings files."""

import tomllib

import pytest
from pydantic import ValidationError

from lagrangian_ice.errors import SettingsError
from lagrangian_ice.settings import ParcelSettings, Settings, as_toml, load, recalled


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
