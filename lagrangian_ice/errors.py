"""Every error that the package raises on purpose.

A wrong call (a bad argument) raises ``ValueError``; these are for what a user's
files, settings or workspace can get wrong. Each message is one line that names
the file, the value and the remedy.
"""


class LagrangianIceError(Exception):
    """Base of all errors that the command line reports in one line with exit code 1."""


class SceneError(LagrangianIceError):
    """A scene cannot be read or lacks what tracking needs (georeference, time, pixels)."""


class SettingsError(LagrangianIceError):
    """A settings file or option has an unknown key or a value out of its range."""


class WorkspaceError(LagrangianIceError):
    """The workspace is missing, read-only, locked, or not in the state that a command needs."""


class WeightsError(LagrangianIceError):
    """A weights file is missing, damaged, or not of a topology that the package knows."""


class ProductError(LagrangianIceError):
    """A product file cannot be read or written, or is not one of ours."""


class FetchError(LagrangianIceError):
    """An archive of scenes cannot be searched, refuses a download, or gives a damaged file."""
