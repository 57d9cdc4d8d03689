"""docs/explanation/networks.md: its tables are those of the specs, and it leaves no network out."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from nas.cli.main import nas_app
from search_spaces import REFERENCES

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/explanation/networks.md"
TEXT = PAGE.read_text(encoding="utf-8")


@pytest.fixture
def tool():
    path = ROOT / "tools/write_networks_doc.py"
    module_spec = importlib.util.spec_from_file_location("write_networks_doc", path)
    module = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(tool, monkeypatch, tmp_path):
    """The tool on a copy of the page: its exit status, given the page's text."""
    copy = tmp_path / "networks.md"
    monkeypatch.setattr(tool, "TARGET", copy)

    def main(text, *options):
        copy.write_text(text, encoding="utf-8")
        monkeypatch.setattr(sys, "argv", ["write_networks_doc.py", *options])
        return tool.main(), copy.read_text(encoding="utf-8")

    return main


def test_the_page_is_up_to_date(run):
    assert run(TEXT, "--check") == (0, TEXT), "run python tools/write_networks_doc.py"


def test_an_old_table_is_found_and_mended(run, capsys):
    old = TEXT.replace("| 112²x16 | bneck, 3x3 | 64 | 24 |", "| 112²x16 | bneck, 3x3 | 64 | 32 |")
    assert old != TEXT
    assert run(old, "--check") == (1, old)
    assert "not up to date" in capsys.readouterr().err
    assert run(old) == (0, TEXT)


def test_prose_is_left_alone(run):
    assert run("No table.\n\n<!-- a remark -->\n") == (0, "No table.\n\n<!-- a remark -->\n")


def test_every_network_and_every_table_is_there(tool):
    for name in REFERENCES:
        assert f"<!-- layers {name} -->" in TEXT
    for kind in tool.TABLES:
        assert re.search(rf"<!-- {kind}[ \w]* -->", TEXT)
    assert TEXT.count("<!-- end -->") == len(re.findall(r"<!-- (?!end)", TEXT))


@pytest.mark.parametrize(
    "line",
    [
        # MobileNetV3 paper, tables 1 and 2; counts of torchvision's networks, and of timm's.
        "| 14²x80 | bneck, 3x3 | 480 | 112 | ✓ 120 | HS | 1 | - | 214,424 | 19.03M |",
        "| 7²x96 | conv2d, 1x1 | - | 576 | - | HS | 1 | - | 56,448 | 2.71M |",
        "| `mobilenet_v2` | 3.50M | 300.8M | 72.0 | 64 |",
        "| `mobilenet_v3_large` | 5.48M | 216.6M | 75.2 | 51 |",
        "| `mobilenet_v3_large@0.75` | 3,993,528 | 154.6M | 3,377,576 | 140.0M |",
        "| from 80 | 9 | 75.2 | 51.4 | 57.5 |",
        "`mobilenet_v3_small_minimalistic`: 2,044,736 parameters, 52.3M MAdds at 224 px",
    ],
)
def test_lines_known_from_elsewhere(line):
    assert line in TEXT.splitlines()


def test_the_commands_on_the_page_exist():
    known = {command.name for command in nas_app.registered_commands}
    assert set(re.findall(r"^nas (\w+)", TEXT, re.MULTILINE)) <= known


def test_links_to_files_lead_somewhere():
    for link in re.findall(r"\]\((?!https)([^)#]+)\)", TEXT):
        assert (PAGE.parent / link).is_file(), link
    for path in re.findall(r"`((?:tools|tests|search_spaces)/[\w./]+)`", TEXT):
        assert (ROOT / path).exists(), path
