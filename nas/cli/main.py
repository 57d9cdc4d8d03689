"""The commands: `nas` with its subcommands, `nas-search` and `netadapt`."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from nas.cli.adapt.command import netadapt
from nas.cli.commands.data import data
from nas.cli.commands.devices import devices
from nas.cli.commands.evaluate import evaluate
from nas.cli.commands.export import export
from nas.cli.commands.import_weights import import_weights
from nas.cli.commands.improve import improve
from nas.cli.commands.measure import measure
from nas.cli.commands.predict import predict
from nas.cli.commands.profile import profile
from nas.cli.commands.report import report
from nas.cli.commands.scenes import scenes
from nas.cli.commands.show import show
from nas.cli.commands.table import table
from nas.cli.compare.command import ablate, compare
from nas.cli.errors import guarded
from nas.cli.search.command import search
from nas.cli.train.command import train

_SETTINGS = {"help_option_names": ["-h", "--help"]}


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(version("mobile-nas"))
        raise typer.Exit


def _app(about: str | None = None) -> typer.Typer:
    return typer.Typer(
        help=about,
        no_args_is_help=about is not None,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings=_SETTINGS,
    )


nas_app = _app("Platform-aware neural architecture search.")


@nas_app.callback()
def _common(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None: ...


nas_app.command("search")(search)
nas_app.command("show")(show)
nas_app.command("table")(table)
nas_app.command("measure")(measure)
nas_app.command("devices")(devices)
nas_app.command("profile")(profile)
nas_app.command("improve")(improve)
nas_app.command("import")(import_weights)
nas_app.command("netadapt")(netadapt)
nas_app.command("data")(data)
nas_app.command("scenes")(scenes)
nas_app.command("train")(train)
nas_app.command("compare")(compare)
nas_app.command("ablate")(ablate)
nas_app.command("evaluate")(evaluate)
nas_app.command("predict")(predict)
nas_app.command("export")(export)
nas_app.command("report")(report)

netadapt_app = _app()
netadapt_app.command()(netadapt)

search_app = _app()
search_app.command()(search)


def main() -> None:
    """Run `nas`."""
    guarded("nas", nas_app)


def search_main() -> None:
    """Run `nas-search`."""
    guarded("nas-search", search_app)


def netadapt_main() -> None:
    """Run `netadapt`."""
    guarded("netadapt", netadapt_app)


if __name__ == "__main__":
    main()
