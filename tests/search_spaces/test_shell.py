"""Quoted arguments in messages survive a shell."""

import subprocess
import sys

import pytest

from search_spaces.shell import quoted

NAMES = [
    "plain", "two words", "two  spaces", "it's", 'say "hi"', "$HOME", "`id`", "a;b", "a&b", "a|b", "*", "~",
    "#1", "!x", "(x)", "käse", "line\nbreak", "back\\slash", "", "a=b", "-dash", "--help", "- x $y",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_round_trip_through_a_shell(name):
    echo = f"{quoted(sys.executable)} -c 'import sys; sys.stdout.write(sys.argv[1])' {quoted(name)}"
    got = subprocess.run(["sh", "-c", echo], capture_output=True, text=True, check=True).stdout
    assert got == (f"./{name}" if name.startswith("-") else name)


def test_plain_paths_stay_readable():
    assert (
        quoted("runs/mnasnet-20261126-040629/best.yaml") == "runs/mnasnet-20261126-040629/best.yaml"
    )
