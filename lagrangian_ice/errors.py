"""Every error that the package raises on purpose.

A wrong call (a bad argument) raises ``ValueError``; these are for what a user's
files, settings or workspace can get wrong. Each message is one line that names
the file, the value and the remedy.
"""


class LagrangianIceError(Exception):
    """Base of all errors that the command line reports in one line with exit code 1."""


class SceneError(LagrangianIceError):
    """A scene cannot be read or lacks what tracking needs (georeference, time, pixels)."""


class UnlikeError(SceneError):
    """Two scenes that can be read have no polarisation in common."""


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


LONGEST_SAYING = 200
"""Characters that are told of what another library says."""


def shortened(text: str, most: int = 80) -> str:
    """Text that is quoted in a message: its first ``most`` characters, marked where it goes on."""
    return text if len(text) <= most else f"{text[:most]}..."


def reason_of(error: BaseException) -> str:
    """Return what a library or the system says is wrong, in one line that is not too long."""
    said = getattr(error, "strerror", None) or str(error)
    words = " ".join(said.split()) or type(error).__name__
    return shortened(words, LONGEST_SAYING)
