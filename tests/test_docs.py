"""README and docs/: what they link to exists, their commands parse, their Python compiles and imports."""

import ast
import itertools
import pkgutil
import re
import shlex
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest
import typer

from nas.cli.main import nas_app, netadapt_app, search_app

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")])
LINKING = [*PAGES, *sorted(ROOT.glob("benchmarks/*.md")), ROOT / "CHANGELOG.md"]
COMMANDS = {
    "nas": typer.main.get_command(nas_app),
    "nas-search": typer.main.get_command(search_app),
    "netadapt": typer.main.get_command(netadapt_app),
}

FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
INDENTED = re.compile(r"(?:^ {4}(?! ).*\n)+", re.MULTILINE)
PATH = re.compile(
    r"(?:nas|netadapt|controllers|latency|search_spaces|docs|tests|tools|examples|benchmarks|\.github)"
    r"/[\w./*-]*"
)
NAME = re.compile(r"(?:nas|netadapt|controllers|latency|search_spaces|tools|benchmarks)(?:\.\w+)+")


class Page(NamedTuple):
    prose: str
    blocks: list[tuple[str, str]]

    @property
    def code_spans(self):
        return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", self.prose)]


def read(path):
    text = path.read_text(encoding="utf-8")
    blocks = [(language, code) for language, code in FENCE.findall(text)]
    prose = FENCE.sub("", text)
    blocks += [
        ("", re.sub(r"^ {4}", "", code, flags=re.MULTILINE)) for code in INDENTED.findall(prose)
    ]
    return Page(INDENTED.sub("", prose), blocks)


def name(path):
    return path.relative_to(ROOT).as_posix()


@pytest.fixture(params=PAGES, ids=name)
def page(request):
    return read(request.param)


def slugs(text):
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", LINKING, ids=name)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(((?!\w+:)[^)\s]+)\)", read(path).prose):
        file, _, anchor = target.partition("#")
        linked = (path.parent / file).resolve() if file else path
        assert linked.exists(), target
        assert linked.is_relative_to(ROOT), target
        if anchor:
            assert anchor in slugs(linked.read_text(encoding="utf-8")), target


def test_the_readme_on_pypi_has_absolute_links():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    rules = project["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    relative = re.findall(r"\]\(((?!\w+:)[^)\s]+)\)", text)
    for rule in rules:
        text = re.sub(rule["pattern"], rule["replacement"], text)
    assert not re.findall(r"\]\((?!https:)", text)
    ours = r"https://(?:github|raw\.githubusercontent)\.com/mobile-nas/mobile-nas/(?:blob/)?main/"
    assert re.findall(rf"\]\({ours}([^)\s]+)\)", text) == relative
    assert re.findall(r"!\[[^\]]*\]\((\S+)/main/docs/report\.png\)", text) == [
        "https://raw.githubusercontent.com/mobile-nas/mobile-nas"
    ]


def test_paths_named_exist(page):
    for span in page.code_spans:
        if PATH.fullmatch(span):
            assert any(ROOT.glob(span.rstrip("/"))), span


def test_modules_and_functions_named_exist(page):
    for span in page.code_spans:
        called = re.match(rf"({NAME.pattern})(?:\(.*\))?$", span)
        if called and not span.endswith((".yaml", ".json", ".pt", ".onnx", ".csv")):
            pkgutil.resolve_name(called[1])


def command_lines(page):
    """Every line that calls one of our commands, without its comment, as words."""
    shell = [code.replace("\\\n", " ") for language, code in page.blocks if language in ("", "sh")]
    lines = [*itertools.chain(*(code.splitlines() for code in shell)), *page.code_spans]
    for line in lines:
        plain = re.sub(r"^(\$ |\.venv/bin/)", "", line.strip())
        if re.match(r"(nas|nas-search|netadapt) +[a-z-]", plain):
            yield shlex.split(plain, comments=True)


def parse(words):
    """Parse a command line as far as its options' names and the number of their values go.

    Nothing runs, and no value is converted: files need not exist.
    """
    command, words = COMMANDS[words[0]], words[1:]
    if hasattr(command, "commands") and not words[0].startswith("-"):
        command, words = command.commands[words[0]], words[1:]
    command.make_parser(command.context_class(command)).parse_args(words)


def test_commands_parse(page):
    for words in command_lines(page):
        parse(words)


@pytest.mark.parametrize(
    "line", ["nas shwo x", "nas show x --widht 2", "nas-search --trials", "netadapt --target 3"]
)
def test_a_wrong_command_would_be_found(line):
    with pytest.raises(Exception, match=r"shwo|widht|trials|target"):
        parse(shlex.split(line))


def test_most_pages_have_commands():
    assert sum(len(list(command_lines(read(path)))) for path in PAGES) > 100


def test_python_compiles_and_imports(page):
    for language, code in page.blocks:
        if language != "python":
            continue
        # An indented block continues a function of the block before it.
        tree = ast.parse(f"def f():\n{code}" if code.startswith(" ") else code)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module and NAME.match(f"{node.module}.x"):
                for imported in node.names:
                    pkgutil.resolve_name(f"{node.module}:{imported.name}")


def test_the_readme_is_short():
    words = (ROOT / "README.md").read_text(encoding="utf-8").split()
    assert len(words) <= 900


def test_pages_of_the_api_name_what_exists(page):
    for named in re.findall(r"^::: (\S+)$", page.prose, re.MULTILINE):
        pkgutil.resolve_name(named)


def test_make_targets_exist(page):
    targets = re.findall(
        r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
    )
    blocks = [line for _, code in page.blocks for line in code.splitlines()]
    for line in [*blocks, *page.code_spans]:
        if called := re.match(r"make ([a-z-]+)", line):
            assert called[1] in targets, line
