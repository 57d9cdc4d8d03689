"""Compare ways to search at equal wall time, judged by training the returned networks separately.

    python -m benchmarks.trials.equal_time --data FOLDER --resolution 64 --budget 60m --config trials.yaml
    ... --way plain screened    # only some of the ways; a second start resumes

The ways are those of `WAYS`. Each is a search with the standard preset and the shared settings of --config,
within the latency of a reference network on this machine, measured once. Each estimates from MAdds which
networks are about within it (`nas.searching.latency_warmup`). A budget includes the search's finals. The
returned network is then trained from scratch, like the reference, with several seeds. Reported is the
accuracy on the test images with a 95% interval over seeds. Each search runs once: the interval does not
include the variance of searches. At the end all networks are measured again, interleaved.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch
import yaml

from latency import Measured, open_device
from nas.atomic_files import write_whole
from nas.checkpoints.retrain import train_from_scratch
from nas.data.load import load_dataset
from nas.engine.trial import read_trials
from nas.formatting import percent, three_digits
from nas.statistics.confidence_intervals import mean_in_words
from nas.training.recipe import Augment, Recipe
from search_spaces import REFERENCES, ArchSpec, count
from search_spaces.spec import load

WAYS: dict[str, dict[str, Any]] = {
    "random": {"controller": {"name": "uniform"}},
    "plain": {"controller": {"name": "rnn"}},
    "screened": {"controller": {"name": "screened"}},
    "screened, small": {
        "controller": {"name": "screened"},
        "recipe": {"batch_size": 32, "epochs": 2.5},
    },
}
"""Settings of each, over those that all have in common. Small: a quarter of the images a step."""


@dataclass(frozen=True)
class Setting:
    """Settings shared by all ways."""

    data: str
    resolution: int
    budget: str
    reference: str
    epochs: float
    batch_size: int
    seeds: int
    out: Path
    config: Path | None = None

    def settings(self, way: str) -> dict[str, Any]:
        """Return the settings of a way's search, as in a settings file."""
        common = (yaml.safe_load(self.config.read_text()) if self.config else None) or {}
        recipe = {**common.get("recipe", {}), **WAYS[way].get("recipe", {})}
        return {**common, **WAYS[way], "recipe": recipe}

    def network(self, way: str, *, classes: int) -> ArchSpec:
        """Return a way's result, or the reference of that name."""
        if way == self.reference:
            return REFERENCES[way](classes=classes)
        return load(self.folder(way) / "best.yaml")

    def folder(self, way: str) -> Path:
        """Return a way's run folder."""
        return self.out / way.replace(", ", "-").replace(" ", "-")


@dataclass(frozen=True)
class Alone:
    """One separate training of a network."""

    way: str
    seed: int
    val: float
    test: float


def require_same(setting: Setting) -> None:
    """Store the folder's settings, or exit if it has others."""
    settings = asdict(setting) | {"ways": WAYS}
    path, now = setting.out / "setting.json", json.dumps(settings, default=str)
    if path.exists() and path.read_text() != now:
        raise SystemExit(f"{setting.out} is of other settings, see {path}: give another --out")
    write_whole(path, now)


def target_ms(setting: Setting) -> float:
    """Return the reference network's latency here, measured once."""
    path = setting.out / "target.json"
    if not path.exists():
        reading = open_device("cpu").latency(REFERENCES[setting.reference]())
        write_whole(path, json.dumps(reading.to_dict()) + "\n")
    return float(json.loads(path.read_text())["median_ms"])


def search(way: str, setting: Setting) -> None:
    """Run or resume a way's search."""
    folder = setting.folder(way)
    if (folder / "result.json").exists():
        return
    command = [sys.executable, "-c", "from nas.cli.main import search_main; search_main()"]
    if (folder / "config.yaml").exists():
        command += ["--resume", str(folder)]
    else:
        config = setting.out / f"{folder.name}.yaml"
        write_whole(config, yaml.safe_dump(setting.settings(way)))
        command += ["--data", setting.data, "--resolution", str(setting.resolution)]
        command += ["--target-ms", str(target_ms(setting)), "--budget", setting.budget]
        command += ["--runs", str(setting.out), "--run-name", folder.name, "--config", str(config)]
    subprocess.run(command, check=True)


def train_alone(way: str, seed: int, setting: Setting) -> Alone:
    """Train a way's result, or the reference."""
    torch.set_num_threads(1)
    data = load_dataset(setting.data, resolution_px=setting.resolution)
    spec = setting.network(way, classes=len(data.classes))
    recipe = Recipe(
        epochs=setting.epochs,
        batch_size=setting.batch_size,
        augment=Augment(),
        threads=1,
    )
    trained = train_from_scratch(spec, data, recipe, seed=seed)
    return Alone(way, seed, trained.result.accuracy, trained.test.accuracy)


def train_all(ways: Sequence[str], setting: Setting) -> list[Alone]:
    """Run the missing trainings."""
    kept = setting.out / "alone.jsonl"
    lines = kept.read_text().splitlines() if kept.exists() else []
    done = {(entry["way"], entry["seed"]): Alone(**entry) for entry in map(json.loads, lines)}
    missing = [pair for pair in product(ways, range(setting.seeds)) if pair not in done]
    with ProcessPoolExecutor(2) as pool, kept.open("a") as log:
        futures = [pool.submit(train_alone, way, seed, setting) for way, seed in missing]
        for number, future in enumerate(futures, start=1):
            alone = future.result()
            done[alone.way, alone.seed] = alone
            log.write(json.dumps(asdict(alone)) + "\n")
            log.flush()
            print(f"{number} of {len(missing)}: {alone}", flush=True)
    return [done[pair] for pair in product(ways, range(setting.seeds))]


def report(alone: Sequence[Alone], setting: Setting) -> None:
    """Print a row per way."""
    classes = len(load_dataset(setting.data, resolution_px=setting.resolution).classes)
    ways = list(dict.fromkeys(each.way for each in alone))
    specs = [setting.network(way, classes=classes) for way in ways]
    device = open_device("cpu")
    assert isinstance(device, Measured)
    again = [reading.latency.median_ms for reading in device.compare(specs)]
    print(f"\ntarget {three_digits(target_ms(setting))} ms, {setting.reference}'s here\n")
    print(
        "| way | trials | within | ms | ms, again | MAdds, M | finalist, held out | alone, held out | "
        "alone, test |"
    )
    print("|---" * 9 + "|")
    for way, spec, again_ms in zip(ways, specs, again, strict=True):
        trials, within, ms, finalist = searched(way, setting)
        of_way = [each for each in alone if each.way == way]
        cells = [
            *(trials, within, ms, three_digits(again_ms)),
            *(f"{count(spec).madds / 1e6:.0f}", finalist),
            mean_in_words([each.val for each in of_way]),
            mean_in_words([each.test for each in of_way]),
        ]
        print(f"| {way} | " + " | ".join(cells) + " |")


def searched(way: str, setting: Setting) -> tuple[str, str, str, str]:
    """Return trials, those within the target, and the winner's ms and accuracy as a finalist."""
    if way not in WAYS:
        return "", "", "", ""
    folder = setting.folder(way)
    result = json.loads((folder / "result.json").read_text())
    trials = read_trials(folder / "trials.jsonl")
    within = sum(trial.within([target_ms(setting)]) for trial in trials)
    ms, accuracy = result["latency"]["median_ms"], result["accuracy"]
    return str(len(trials)), str(within), three_digits(ms), percent(accuracy)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="a folder of class folders")
    parser.add_argument("--resolution", type=int, default=64, help="side of training images")
    parser.add_argument("--budget", default="60m", help="of each search")
    parser.add_argument("--reference", default="mobilenet_v3_small", choices=sorted(REFERENCES))
    parser.add_argument("--config", type=Path, help="settings of all searches")
    parser.add_argument("--epochs", type=float, default=40.0, help="of each training alone")
    parser.add_argument("--batch-size", type=int, default=64, help="of each training alone")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--way", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--out", type=Path, default=Path("runs/equal_time"))
    given = vars(parser.parse_args())
    ways = given.pop("way")
    setting = Setting(**given)
    setting.out.mkdir(parents=True, exist_ok=True)
    require_same(setting)
    for way in ways:
        print(f"searching: {way}", flush=True)
        search(way, setting)
    report(train_all([*ways, setting.reference], setting), setting)


if __name__ == "__main__":
    main()
