"""Groups of options: Typer sees each option, the command gets its groups."""

import inspect
from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from nas.cli.main import nas_app, netadapt_app, search_app
from nas.cli.options.groups import OptionGroup, with_groups
from nas.cli.typed import options_typed


@dataclass(frozen=True, kw_only=True)
class Size(OptionGroup):
    panel = "Size"

    width: Annotated[int | None, typer.Option(help="Its width.")] = None
    height: Annotated[int, typer.Option(help="Its height.")] = 1
    round_off: Annotated[bool, typer.Option("--round", "-r", help="Round it.")] = False


@dataclass(frozen=True, kw_only=True)
class NamedSize(Size):
    width: Annotated[int | None, typer.Option(help="The width of the one named.")] = None
    name: Annotated[str, typer.Option(help="Its name.")]


@pytest.fixture
def app():
    """Runs a command; returns its parameters, or the error."""
    got = []
    made = typer.Typer(context_settings={"terminal_width": 100})

    @made.command()
    @with_groups
    def command(
        context: typer.Context,
        spec: Annotated[str, typer.Argument()],
        size: NamedSize,
        as_json: Annotated[bool, typer.Option("--json")] = False,
    ) -> None:
        """What it does."""
        got.append((spec, size, as_json, options_typed(context)))

    def run(*arguments):
        got.clear()
        result = CliRunner().invoke(made, list(arguments))
        return (got[0] if got else None), result

    return run


def test_the_command_gets_its_groups(app):
    (spec, size, as_json, typed), _ = app("-r", "net", "--name", "a", "--height", "3", "--json")
    assert (spec, as_json) == ("net", True)
    assert size == NamedSize(name="a", height=3, round_off=True)
    assert typed == {"round_off": True, "spec": "net", "name": "a", "height": 3, "as_json": True}


def test_a_required_option_of_a_group_is_required(app):
    got, result = app("net")
    assert got is None
    assert result.exit_code == 2
    assert "--name" in result.output


def test_help_shows_the_groups_in_panels_with_the_subclass_s_help(app):
    _, result = app("--help")
    shown = result.output
    assert "What it does." in shown
    assert shown.index("--json") < shown.index("Size") < shown.index("--width")
    assert shown.index("--width") < shown.index("--height") < shown.index("--name")
    assert "The width of the one named." in shown
    assert "Its width." not in shown


def test_settings_are_what_was_given():
    assert Size().settings() == {"height": 1}
    assert Size(width=0, round_off=True).settings() == {"width": 0, "height": 1, "round_off": True}


def commands():
    apps = (nas_app, netadapt_app, search_app)
    # Not a set: xdist's workers must collect the same order.
    return list(dict.fromkeys(info.callback for app in apps for info in app.registered_commands))


@pytest.mark.parametrize("command", commands(), ids=lambda command: command.__name__)
def test_a_command_has_at_most_six_parameters(command):
    written = inspect.unwrap(command)
    assert len(inspect.signature(written).parameters) <= 6
