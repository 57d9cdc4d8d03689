"""Which machines have room for the workers of a training."""

import pytest

from nas.engine.on_ray.together import Workers
from nas.engine.schedule_config import ScheduleConfig
from search_spaces import InputError

FOUR = [{"CPU": 8.0}] * 4
GPUS = [{"CPU": 8.0, "GPU": 2.0}, {"CPU": 8.0, "GPU": 1.0}, {"CPU": 2.0}]


@pytest.mark.parametrize(
    ("count", "cpus", "device", "machines", "expected"),
    [
        (4, 8, "cpu", FOUR, "cpu"),
        (8, 4, "auto", FOUR, "cpu"),
        (3, 4, "auto", GPUS, "cuda"),
        (3, 4, "cuda", GPUS, "cuda"),
        (4, 4, "auto", GPUS, "cpu"),  # more workers than GPUs
    ],
)
def test_auto_takes_gpus_if_there_are_enough(count, cpus, device, machines, expected):
    assert Workers(count, cpus=cpus, device=device).on(machines).device == expected


@pytest.mark.parametrize(
    ("count", "cpus", "device", "machines", "said"),
    [
        (2, 16, "cpu", FOUR, "room for 0 with 16 CPUs each: give fewer CPUs per worker"),
        (5, 5, "cpu", FOUR, "room for 4 with 5 CPUs each: give at most 4"),
        (4, 1, "cuda", GPUS, "room for 3 with 1 CPU and a GPU each: give at most 3"),
        (3, 8, "cuda", GPUS, "room for 2 with 8 CPUs and a GPU each"),
    ],
)
def test_a_worker_is_on_one_machine(count, cpus, device, machines, said):
    with pytest.raises(InputError, match=said):
        Workers(count, cpus=cpus, device=device).on(machines)


@pytest.mark.parametrize(
    ("settings", "device"),
    [
        ({}, "cpu"),
        ({"workers": 2}, "cpu"),
        ({"workers": 0}, "auto"),
        ({"workers": 2, "gpus_per_trial": 0.5}, "auto"),
    ],
)
def test_trials_without_a_gpu_of_their_own_take_none(settings, device):
    assert ScheduleConfig(**settings).device == device
