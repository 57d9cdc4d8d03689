"""What finalists are compared with: found by bisection, recorded once."""

import json
import math
from dataclasses import replace

import pytest

from latency import MeasurementError, open_device
from nas.engine.folder.run_folder import RunFolder
from nas.engine.measuring import measure
from nas.searching.from_parent.rivals import (
    Readings,
    _named,
    opener,
    read_standing,
    recorded_rivals,
)
from netadapt.uniform import distinct_networks
from search_spaces import InputError, count
from tests.nas.small_parent import small_parent

SOURCE = open_device("madds:1")


def measured(specs):
    return measure([SOURCE], specs)


@pytest.fixture
def run(tmp_path):
    return RunFolder(tmp_path)


def test_each_resolution_has_its_widest_network_within_the_target(space, run) -> None:
    whole_ms = SOURCE.latency(space.parent).median_ms
    parent, rivals = recorded_rivals(run, space, measure=measured, targets_ms=[whole_ms / 2])
    assert parent[0].median_ms == whole_ms
    assert [rival.spec.resolution for rival in rivals] == [64, 32]
    for rival in rivals:
        assert rival.latencies[0].median_ms <= whole_ms / 2
    narrow, small = rivals
    assert count(narrow.spec).madds < count(space.parent).madds / 2
    assert small.spec == replace(space.parent, resolution=32)
    assert small.name == "32 px"
    assert narrow.name.startswith("width 0.")
    assert narrow.name.endswith("at 64 px")


def test_a_resolution_that_is_too_slow_at_any_width_has_no_rival(space, run) -> None:
    _, narrowest = distinct_networks(space.parent)[0]
    target_ms = 0.9 * SOURCE.latency(narrowest).median_ms
    rivals = recorded_rivals(run, space, measure=measured, targets_ms=[target_ms]).rivals
    assert [rival.spec.resolution for rival in rivals] == [32]


def test_the_record_stands_when_the_run_is_resumed(space, run) -> None:
    target_ms = SOURCE.latency(space.parent).median_ms / 2
    standing = recorded_rivals(run, space, measure=measured, targets_ms=[target_ms])

    def nothing(specs):
        pytest.fail("measured again")

    assert recorded_rivals(run, space, measure=nothing, targets_ms=[target_ms]) == standing
    assert read_standing(run) == standing
    written = json.loads((run / "rivals.json").read_text())
    assert written["rivals"][0]["name"] == standing.rivals[0].name


def test_the_opener_is_the_nearest_network_of_the_space_that_is_no_wider(space) -> None:
    assert opener(space, 0.7, 64) == space.uniform(0.625, 64)
    assert opener(space, 1.0, 32) == space.uniform(1.0, 32)
    assert opener(space, 0.4, 64) is None


def test_of_several_devices_the_slowest_relative_to_its_target_decides(space, run) -> None:
    whole_ms = SOURCE.latency(space.parent).median_ms
    other = open_device("madds:0.5")  # half as fast
    rivals = recorded_rivals(
        run,
        space,
        measure=lambda specs: measure([SOURCE, other], specs),
        targets_ms=[whole_ms, whole_ms],
    ).rivals
    assert rivals[0].latencies[1].median_ms <= whole_ms
    assert rivals[0].latencies[0].median_ms <= whole_ms / 2


def test_a_named_network_is_compared_at_the_largest_size_within_the_target(space, run) -> None:
    named = small_parent()  # other classes, and ImageNet's normalization
    at_64 = replace(named.spec, head=space.parent.head)
    whole_ms = SOURCE.latency(at_64).median_ms
    ask = {"measure": measured, "named": {"mine": named}}
    first = recorded_rivals(run, space, targets_ms=[0.9 * whole_ms], **ask).rivals[0]
    assert first.name == "mine at 32 px"
    assert first.spec == replace(at_64, resolution=32)
    assert first.normalization == (named.usage.mean, named.usage.std)
    assert first.opener is None
    assert read_standing(run).rivals[0] == first


def test_a_named_network_above_the_target_at_every_size_is_refused(space, run) -> None:
    named = {"mine": small_parent()}
    with pytest.raises(
        InputError, match=r"rival mine is not within the target at any of \[64, 32\]"
    ):
        recorded_rivals(run, space, measure=measured, targets_ms=[1e-6], named=named)


def refusing(refused):
    """Measure networks, but for those of a size."""

    def measure_some(specs):
        return [
            MeasurementError("too large") if spec.resolution == refused else measured([spec])[0]
            for spec in specs
        ]

    return measure_some


def test_a_named_rival_that_the_device_refuses_is_taken_at_a_smaller_size(space, run) -> None:
    whole_ms = SOURCE.latency(space.parent).median_ms
    found = recorded_rivals(
        run, space, measure=measured, targets_ms=[whole_ms], named={"mine": small_parent()}
    )
    assert found.rivals[0].name == "mine at 64 px"
    readings = Readings(refusing(64), [whole_ms])
    assert readings.overrun(space.parent) == math.inf
    assert _named("mine", small_parent(), space, readings).name == "mine at 32 px"


def test_a_parent_that_the_device_refuses_is_named(space, run) -> None:
    with pytest.raises(InputError, match="the parent cannot be measured at 64 px: too large"):
        recorded_rivals(run, space, measure=refusing(64), targets_ms=[1.0])
    assert not (run / "rivals.json").exists()
