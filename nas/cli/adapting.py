"""From settings to a running NetAdapt: what is opened, and gone on with."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from rich.console import Console

from latency import Cached, LatencySource, MeasurementError, beside, open_device
from nas.adapt_config import AdaptConfig
from nas.cli.adapt_conclusion import conclude, warn_of_unstable
from nas.cli.adapt_planning import measured
from nas.cli.adapt_view import View
from nas.cli.errors import Failed
from nas.cli.images import open_images
from nas.cli.output import command
from nas.loop import SearchStoppedError
from nas.remembering import Remembering
from nas.runs import RunFolder, new_folder, open_folder, write_whole
from search_spaces import InputError
from search_spaces.errors import first_problem

if TYPE_CHECKING:
    from nas.adapt_plan import Forecast
    from nas.adapt_results import AdaptResult
    from nas.seeds import Seed
    from nas.training.images import Dataset
    from search_spaces import ArchSpec


@dataclass(frozen=True)
class Adapting:
    """A NetAdapt run with everything that it needs opened."""

    config: AdaptConfig
    seed: Seed
    data: Dataset
    source: Remembering
    console: Console

    def run(self, folder: RunFolder, forecast: Forecast | None = None) -> AdaptResult:
        """Narrow the seed; whatever interrupts it tells how to go on.

        Raises:
            Failed: It cannot go on.
        """
        from nas.adapt import adapt
        from nas.adapt_plan import Workload

        console = self.console
        view = View(console, Workload(self.config, len(self.data.train)), forecast)
        self.source.tell = view.asked
        console.print(f"run folder: {folder.path}", soft_wrap=True)
        try:
            result = adapt(
                self.seed,
                data=self.data,
                latency=self.source,
                config=self.config,
                folder=folder.path,
                watcher=view,
            )
        except (
            KeyboardInterrupt,
            InputError,
            SearchStoppedError,
            MeasurementError,
            OSError,
        ) as error:
            if isinstance(error, OSError) and error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            again = command(f"--resume {folder.path}", program="netadapt")
            console.print(f"to go on: {again}", soft_wrap=True)
            if isinstance(error, KeyboardInterrupt | InputError):
                raise
            raise Failed(str(error)) from error
        finally:
            view.rest()
        warn_of_unstable(list(self.source.readings.values()), console)
        conclude(result, self.seed.spec, console, target_ms=self.config.target_ms)
        return result


def open_adapting(
    config: AdaptConfig, seed: Path, source: Remembering, console: Console
) -> Adapting:
    """Open what a run needs, so that bad input is found before anything is written.

    Raises:
        InputError: Something cannot be opened, or does not fit together.
    """
    network = open_seed(seed)
    return Adapting(config, network, _images(config, network, console), source, console)


def open_source(device: str, seed: ArchSpec) -> Remembering:
    """The device, asked once a network; what it measures it measures beside the seed."""
    source = open_device(device)
    chosen = beside(source, seed)
    if chosen is source and not source.device.estimate:
        chosen = Cached(source)
    return Remembering(chosen)


def open_seed(path: Path) -> Seed:
    """A trained network.

    Raises:
        InputError: The file is none.
    """
    from nas.seeds import load_seed

    if path.suffix in (".yaml", ".yml") and path.is_file():
        raise InputError(f"{path} has no weights: train it first, by nas train {path} --data DIR")
    return load_seed(path)


def target_of(seed: Path, source: LatencySource, ratio: float, console: Console) -> float:
    """A part of the seed's latency, in milliseconds.

    Raises:
        InputError: The ratio is not between 0 and 1, or the seed cannot be read or measured.
    """
    if not 0 < ratio < 1:
        raise InputError(
            f"target-ratio must be between 0 and 1, got {ratio:g}: 0.5 halves the latency"
        )
    network = open_seed(seed)
    with console.status(f"measuring {seed}"):
        return ratio * measured(source, network.spec).median_ms


def parse(given: dict[str, Any]) -> AdaptConfig:
    """Settings from plain data.

    Raises:
        InputError: An unknown key, a wrong type or value.
    """
    try:
        return AdaptConfig.model_validate(given)
    except ValidationError as error:
        raise InputError(first_problem(error)) from error


def start(runs: Path, name: str, config: AdaptConfig, seed: Path) -> RunFolder:
    """Make the run's folder, with its settings and its seed in it."""
    folder = new_folder(runs, name)
    _keep(folder, config)
    write_whole(folder / "seed.pt", seed.read_bytes())
    return folder


def reopen(path: Path, changes: dict[str, Any], console: Console) -> tuple[Adapting, RunFolder]:
    """An interrupted run, as it was but for where it trains and what it is compared with.

    Args:
        path: Its folder.
        changes: Options that may change: `workers`, `compare`, `compare_seeds`, `final`, `final_epochs`,
            `final_learning_rate`.
        console: Where progress is shown.

    Raises:
        InputError: Something cannot change any more, or another process holds the run; nothing is written.
    """
    folder = open_folder(path)
    kept = _read(folder)
    config = parse(_changed(kept, changes))
    if folder.ending and config.last() != parse(kept).last():
        raise InputError(
            f"{folder.path}: how the last network is trained cannot change any more, since one has been: "
            "resume without --final, --final-epochs and --final-learning-rate"
        )
    if changes:
        with folder.locked():
            _keep(folder, config)
    seed = folder / "seed.pt"
    source = open_source(config.device, open_seed(seed).spec)
    return open_adapting(config, seed, source, console), folder


_WITHIN = {
    "workers": ("schedule", "workers"),
    "final_epochs": ("final_recipe", "epochs"),
    "final_learning_rate": ("final_recipe", "learning_rate"),
}
"""Options that are settings within a section."""


def _changed(kept: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The settings with other values for some options."""
    settings = dict(kept)
    for option, value in changes.items():
        section, name = _WITHIN.get(option, ("", option))
        if section:
            settings[section] = {**settings.get(section, {}), name: value}
        else:
            settings[name] = value
    return settings


def _keep(folder: RunFolder, config: AdaptConfig) -> None:
    import yaml

    settings = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
    write_whole(folder / "config.yaml", settings)


def _read(folder: RunFolder) -> dict[str, Any]:
    from search_spaces.spec import read_yaml

    content = read_yaml(folder / "config.yaml")
    if not isinstance(content, dict) or "delta" not in content:
        raise InputError(f"{folder.path}: not a NetAdapt run's folder: give one that netadapt made")
    return content


def _images(config: AdaptConfig, seed: Seed, console: Console) -> Dataset:
    """The images, of the seed's classes and, unless set otherwise, of the size that it was trained on."""
    from nas.retrain import for_classes

    px = config.data.proxy_resolution or seed.usage.trained_px
    wanted = config.data.model_copy(update={"proxy_resolution": px})
    images = open_images(wanted, console, batch_size=config.recipe.batch_size)
    for_classes(seed, images.classes)
    return images
