"""What every command shares: options, logging, checks of outputs, exit codes."""

from __future__ import annotations

import functools
import logging
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from datetime import datetime

    from lagrangian_ice.settings import Settings

T = TypeVar("T")


class NamedPath(click.Path):
    """File or folder that has a name: an empty one would be the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Take what click takes, but for an empty name."""
        if not str(value):
            self.fail("the name is empty", param, ctx)
        return super().convert(value, param, ctx)


A_PATH = NamedPath(path_type=Path)


class FiniteRange(click.FloatRange):
    """A number that is one: neither infinite nor NaN, which no comparison refuses."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Take what click takes, but for these."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number", param, ctx)
        return number


A_NUMBER = FiniteRange()


WORKSPACE_VARIABLE = "LAGRANGIAN_ICE_WORKSPACE"


LOGGER = "lagrangian_ice"
"""Has a handler of its own; the root logger sees nothing of it."""


EXIT_ERROR, EXIT_UNREADABLE, EXIT_INTERRUPTED = 1, 3, 130


@dataclass(frozen=True)
class Env:
    """What every command is told.

    Attributes
    ----------
    workspace : Path
        Folder of the state.
    config : Path or None
        Settings file.
    verbosity : int
        -1 quiet, 0 normal, 1 with debugging.
    named : Path or None
        Workspace that an option names.
    """

    workspace: Path
    config: Path | None
    verbosity: int
    named: Path | None = None

    def settings(self) -> Settings:
        """Load the config file, or take the defaults."""
        from lagrangian_ice.settings import Settings

        return self.given_settings() or Settings()

    def given_settings(self) -> Settings | None:
        """Load the config file; None without one: what a state or product holds counts then."""
        from lagrangian_ice.settings import load

        return None if self.config is None else load(self.config)

    def progress(self, items: Sequence[T], what: str) -> Iterable[T]:
        """Iterate with a bar on a terminal."""
        if self.verbosity < 0 or not sys.stderr.isatty():
            return items
        from tqdm import tqdm
        from tqdm.contrib.logging import logging_redirect_tqdm

        def bar() -> Iterator[T]:
            with logging_redirect_tqdm([logging.getLogger(LOGGER)]):
                yield from tqdm(items, desc=what, unit="")

        return bar()


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of every command; the command gets them as one ``Env``."""

    @click.option(
        "--workspace",
        type=A_PATH,
        help=f"Folder of the state [default: ${WORKSPACE_VARIABLE}, else the current folder].",
    )
    @click.option("--config", type=A_PATH, help="Settings file (TOML); see `config`.")
    @click.option("-v", "--verbose", is_flag=True, help="Log more.")
    @click.option("-q", "--quiet", is_flag=True, help="Log errors only, no progress bar.")
    @functools.wraps(command)
    def wrapped(
        *args: Any,
        workspace: Path | None,
        config: Path | None,
        verbose: bool,
        quiet: bool,
        **kwargs: Any,
    ) -> Any:
        given = click.get_current_context().find_root().params
        workspace = workspace or given.get("workspace")
        default = os.environ.get(WORKSPACE_VARIABLE) or "."
        env = Env(
            workspace or Path(default),
            config or given.get("config"),
            int(verbose or given.get("verbose", False)) - int(quiet or given.get("quiet", False)),
            workspace,
        )
        configure_logging(env.verbosity)
        if env.config is not None:
            # Also where the command needs none of it: a mistyped name is not passed over.
            env.settings()
        # Figures have a canvas of their own, and matplotlib is not imported with an unknown one.
        os.environ["MPLBACKEND"] = "agg"
        return command(env, *args, **kwargs)

    return wrapped


def configure_logging(verbosity: int) -> None:
    """Log to stderr: warnings on a terminal (the bar tells the rest), a line a step elsewhere."""
    normal = logging.WARNING if sys.stderr.isatty() else logging.INFO
    level = {-1: logging.ERROR, 0: normal, 1: logging.DEBUG}[verbosity]
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger(LOGGER)
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(level)


def changed(settings: Settings, options: dict[str, object]) -> Settings:
    """Change settings by the options that were given, checked like those of a file."""
    from lagrangian_ice.settings import validate

    given = {name: value for name, value in options.items() if value is not None}
    if not given:
        return settings
    table = settings.model_dump()
    for name, value in given.items():
        stage, key = name.split(".")
        table[stage][key] = value
    return validate(table, "command line")


def check_writable(path: Path, *inputs: Path | None, suffixes: tuple[str, ...] = ()) -> None:
    """Refuse an output that cannot be written or is an input, before the work is done.

    Of given suffixes it must have one.
    """
    from lagrangian_ice.errors import ProductError
    from lagrangian_ice.files import check_name, check_output

    check_name(path)
    folder = path.parent
    if not folder.is_dir():
        raise ProductError(f"{path}: folder {folder} does not exist")
    if path.is_dir() or not os.access(folder, os.W_OK):
        raise ProductError(f"{path}: cannot be written")
    check_output(path, [given for given in inputs if given is not None])
    if suffixes and path.suffix.lower() not in suffixes:
        raise ProductError(f"{path}: the name must end in {' or '.join(suffixes)}")


def check_folder(path: Path) -> None:
    """Refuse a folder of outputs that is a file, or whose name other programs do not take."""
    from lagrangian_ice.errors import ProductError
    from lagrangian_ice.files import check_name

    check_name(path)
    if path.exists() and not path.is_dir():
        raise ProductError(f"{path}: is a file; --out names a folder")


def moment(text: str | None) -> datetime | None:
    """Time of an option, if it was given."""
    from lagrangian_ice.times import parse_utc

    return None if text is None else parse_utc(text)


def tell_unreadable(reasons: dict[str, str]) -> int:
    """Name each input that could not be read; the exit code says whether there are any."""
    for name, reason in reasons.items():
        click.echo(reason if name in reason else f"{name}: {reason}", err=True)
    return EXIT_UNREADABLE if reasons else 0
