"""What a run hands to others is named as from anywhere."""

import shutil
from pathlib import Path

from lagrangian_ice.parcels.store import Store
from lagrangian_ice.settings import FeatureSettings, ParcelSettings, Settings
from lagrangian_ice.superlim.weights_files import find_weights
from lagrangian_ice.workflow.run import Options, Run, with_whole_paths


def test_tasks_of_a_workspace_here_name_its_whole_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Store(Path(), writable=True, create=True) as store:
        task = Run(Path(), store, Settings(), Options())._task(())
    assert task.cache.parent == task.templates.parent == tmp_path


def test_files_are_named_as_from_anywhere_and_names_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("mine.pt", "default"):
        shutil.copy(find_weights("light"), name)
    for given, kept in (("mine.pt", str(tmp_path / "mine.pt")), ("default", "default")):
        settings = Settings(
            features=FeatureSettings(weights=given), parcels=ParcelSettings(ice_concentration="ice")
        )
        whole = with_whole_paths(settings)
        assert whole.features.weights == kept
        assert whole.parcels.ice_concentration == str(tmp_path / "ice")
    assert with_whole_paths(Settings()) == Settings()
