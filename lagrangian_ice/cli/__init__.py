"""The command line: parse, load settings, call one workflow function, map errors to exit codes.

Everything heavy is imported inside the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import click

from lagrangian_ice import __version__
from lagrangian_ice.cli import (
    archive,
    networks,
    parcels,
    products,
    scenes,
    track,
    validation,
)
from lagrangian_ice.cli.common import A_PATH, EXIT_ERROR, EXIT_INTERRUPTED, Env, common
from lagrangian_ice.errors import LagrangianIceError, reason_of


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="lagrangian-ice")
@click.option("--workspace", type=A_PATH, help="Folder of the state.")
@click.option("--config", type=A_PATH, help="Settings file (TOML).")
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
@click.option("-q", "--quiet", is_flag=True, help="Log errors only, no progress bar.")
def cli(workspace: Path | None, config: Path | None, verbose: bool, quiet: bool) -> None:
    """Lagrangian sea-ice motion and deformation from pairs of Sentinel-1 scenes."""


@cli.command()
@common
def config(env: Env) -> None:
    """Print the settings as commented TOML: the defaults, or those of --config."""
    from lagrangian_ice.settings import as_toml

    click.echo(as_toml(env.settings()))


COMMANDS = (
    scenes.scenes,
    parcels.seed,
    parcels.advance,
    parcels.rebuild,
    parcels.status,
    track.track,
    archive.demo,
    archive.simulate,
    products.export,
    products.deform,
    products.plot,
    products.view,
    products.import_group,
    validation.validate,
    networks.weights,
    networks.train,
)
for command in COMMANDS:
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: exit 0 done, 1 one-line error, 2 usage, 3 some inputs unreadable."""
    _open_streams()
    # What ends services and cron jobs leaves nothing behind, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _make_ready()
        code = run(arguments)
    except KeyboardInterrupt:
        code = _interrupted()
    # The end of the process frees everything at once; looking for cycles first takes half a second.
    gc.freeze()
    sys.exit(code)


def _open_streams() -> None:
    """Read from and write to nowhere where the caller closed a stream (`2>&-`).

    The next file that is opened would take its number, and what libraries print there.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def _make_ready() -> None:
    """Set what must be set before numeric libraries are loaded."""
    from lagrangian_ice.engine import keep_memory, look_for_garbage_rarely, one_blas_thread

    look_for_garbage_rarely()
    keep_memory()
    one_blas_thread()


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with cli.make_context("lagrangian-ice", words) as context:
            code = cli.invoke(context)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _interrupted()
    except (LagrangianIceError, ValueError, OSError) as error:
        if not (isinstance(error, BrokenPipeError) and _nobody_reads()):
            click.echo(f"error: {' '.join(str(error).split())}", err=True)
        return EXIT_ERROR
    except MemoryError as error:
        click.echo(f"error: not enough memory ({error or 'none left'})", err=True)
        return EXIT_ERROR
    except Exception as error:  # noqa: BLE001  what no one has foreseen is told in a line too
        if {"-v", "--verbose"} & set(words):
            traceback.print_exc()
        click.echo(
            f"error: unexpected {type(error).__name__} ({reason_of(error)}); please report "
            "it with what `lagrangian-ice -v` prints",
            err=True,
        )
        return EXIT_ERROR
    return int(code or 0)


def _interrupted() -> int:
    click.echo("interrupted; call it again", err=True)
    return EXIT_INTERRUPTED


def _nobody_reads() -> bool:
    """Whether who read the output has seen enough (`| head`); the rest of it is then dropped."""
    output = sys.stdout.fileno()
    poll = select.poll()
    poll.register(output, 0)
    if not any(event & select.POLLERR for _, event in poll.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), output)
    return True
