import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from controllers import make_controller
from latency import open_device
from nas.data.images import Dataset
from nas.data.load import load_dataset
from nas.engine.folder.run_folder import RunFolder
from nas.engine.job import Outcome
from nas.engine.measuring import measure
from nas.engine.watching import Silent
from nas.searching.fidelity import Halving
from nas.searching.plan import Budget, SearchPlan, search_runner
from nas.searching.reward import Reward
from search_spaces import load_space
from tests.nas.image_sets import random_dataset, random_image

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


def accuracy_of(job):
    """A made-up accuracy that depends on the network, the seed and the length of training."""
    skill = 0.5 + 0.3 * (sum(job.tokens) % 17) / 17 + (0.1 if job.kind == "final" else 0.0)
    return skill + (job.seed % 1000) / 1e5


def oracle(job):
    return Outcome(accuracy_of(job), weights=b"w" if job.kind == "final" else None)


@pytest.fixture
def make_loop(tmp_path):
    def make(
        folder=None,
        *,
        trials=23,
        batch_size=5,
        seed=3,
        finalists=2,
        repeats=2,
        targets_ms=(30.0,),
        sources=None,
        measuring=None,
        space=None,
        controller=None,
        watcher=None,
        time_budget=None,
        fidelity=None,
        reward=None,
    ):
        path = folder or tmp_path / "run"
        path.mkdir(exist_ok=True)
        space = space or load_space("mnasnet", resolution=64, classes=4)
        controller = controller or make_controller("evolution", space.arities, seed=seed)
        plan = SearchPlan(
            space,
            controller,
            reward=reward or (lambda accuracy, ms: Reward()(accuracy, ms, target_ms=targets_ms)),
            targets_ms=targets_ms,
            budget=Budget(trials, batch_size, finalists, repeats, seed),
            watcher=watcher or Silent(),
            time_budget=time_budget,
            fidelity=fidelity and Halving(fidelity.keep),
        )
        asked = measuring or partial(measure, sources or [open_device("madds:1")])
        return Running(plan, RunFolder(path), asked)

    return make


class Running:
    """A plan with the runner that drives it."""

    def __init__(self, plan, folder, measure):
        self.plan, self.folder = plan, folder
        self.runner = search_runner(plan, folder, measure)
        self.logs, self.next_job, self.record = (
            self.runner.logs, self.runner.next_job, self.runner.record
        )  # fmt: skip

    @property
    def done(self):
        return self.runner.done


class Told:
    """A latency source that asks a function."""

    def __init__(self, latency, device=None):
        self.latency, self.device = latency, device or open_device("madds:1").device


def without_times(trials):
    return [replace(trial, time={}) for trial in trials]


@pytest.fixture
def open_page():
    """Opens a report in a real browser; afterwards nothing may have gone wrong or over the net."""
    if CHROMIUM is None:
        pytest.skip("no chromium here: install Debian's package chromium")
    from playwright.sync_api import sync_playwright

    problems, requests = [], []
    quiet = ["--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", *quiet]
        )

        def visit(path, *, width=1200):
            page = browser.new_page(viewport={"width": width, "height": 900})
            page.on("console", lambda message: problems.append(message.text))
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.on("request", lambda request: requests.append(request.url))
            page.goto(path.as_uri())
            return page

        yield visit
        browser.close()
    assert problems == []
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []


@pytest.fixture
def close_folder(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Make a folder unreadable, also for root, whom permissions do not bind."""
    read = os.scandir

    def close(closed: Path) -> None:
        def scandir(folder: Path) -> object:
            if Path(folder) == closed:
                raise PermissionError(errno.EACCES, "Permission denied", str(folder))
            return read(folder)

        monkeypatch.setattr(os, "scandir", scandir)

    return close


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[[dict[str, int]], Path]:
    """Write `count` random PNGs into each folder named; the same names give the same images."""

    def make(counts: dict[str, int]) -> Path:
        root = tmp_path / "data"
        seed = 0
        for name, count in counts.items():
            folder = root / name
            folder.mkdir(parents=True)
            for number in range(count):
                seed += 1
                random_image(seed).save(folder / f"{number:03}.png")
        return root

    return make


@pytest.fixture(scope="session")
def fashion() -> Dataset:
    return load_dataset("fashion-mnist-subset")


@pytest.fixture
def small_dataset() -> Dataset:
    return random_dataset()
