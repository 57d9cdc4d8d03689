"""A cluster that does not start, or cannot be reached."""

import pytest
import ray

from nas.engine.on_ray.cluster import Resources, cluster
from search_spaces import InputError


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            Exception("The current node timed out during startup.\nMore"),
            "timed out during startup:",
        ),
        (RuntimeError(""), "machine: RuntimeError: "),
        (OSError(28, "No space left on device"), "No space left on device: "),
    ],
)
def test_a_cluster_that_does_not_start(monkeypatch, error, reason):
    def init(**_):
        raise error

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(InputError) as told, cluster(Resources(), usage_stats=False):
        pass
    assert reason in str(told.value)
    assert "give --workers 0" in str(told.value)
    assert "\n" not in str(told.value)


def test_an_address_without_a_cluster(monkeypatch):
    def init(**_):
        raise ConnectionError("Could not find any running Ray instance.")

    monkeypatch.setattr(ray, "init", init)
    with (
        pytest.raises(
            InputError, match=r"cannot reach auto: Could not find .* leave --ray-address"
        ),
        cluster(Resources(address="auto"), usage_stats=False),
    ):
        pass
    with (
        pytest.raises(
            InputError, match=r"cannot reach 127\.0\.0\.1:1: .*refused: start the cluster"
        ),
        cluster(Resources(address="127.0.0.1:1"), usage_stats=False),
    ):
        pass
