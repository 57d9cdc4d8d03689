"""NetAdapt, as one call: a seed narrowed to a latency, and everything that is kept of it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latency import Latency, LatencySource
from nas.adapt_config import AdaptConfig
from nas.adapt_loop import AdaptLoop, AdaptWatcher, Remembering
from nas.adapt_training import AdaptTraining
from nas.loop import SearchStoppedError
from nas.runs import RunFolder, write_whole
from nas.trial import Evaluate, Trial
from nas.workers import run_jobs
from netadapt import Widths
from netadapt.shrink import Shrink
from search_spaces import ArchSpec, InputError
from search_spaces.spec import to_yaml

if TYPE_CHECKING:
    from nas.seeds import Seed
    from nas.training.images import Dataset


@dataclass(frozen=True)
class AdaptResult:
    """What NetAdapt leaves.

    Attributes:
        folder: Where everything is kept.
        spec: The last network.
        latency: Its latency.
        seed_latency: The seed's.
        seed_accuracy: The seed's on val, 0..1.
        reached: Whether the target is.
        family: The network of every step.
        finals: The last network's trainings, best first.
        test_accuracy: Of the best of them, 0..1; None without.
    """

    folder: RunFolder
    spec: ArchSpec
    latency: Latency
    seed_latency: Latency
    seed_accuracy: float
    reached: bool
    family: tuple[Trial, ...]
    finals: tuple[Trial, ...]
    test_accuracy: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain data: `result.json`."""
        return {
            "fingerprint": self.spec.fingerprint,
            "latency": self.latency.to_dict(),
            "seed_latency": self.seed_latency.to_dict(),
            "seed_accuracy": self.seed_accuracy,
            "reached": self.reached,
            "steps": len(self.family),
            "family": [
                {
                    "accuracy": t.accuracy,
                    "latency_ms": t.latency_ms,
                    "params": t.params,
                    "madds": t.madds,
                }
                for t in self.family
            ],
            "finals": [
                {"kind": t.kind, "accuracy": t.accuracy, "error": t.error} for t in self.finals
            ],
            "test_accuracy": self.test_accuracy,
        }


def adapt(
    seed: Seed,
    *,
    data: Dataset,
    latency: LatencySource,
    config: AdaptConfig,
    folder: Path | str,
    watcher: AdaptWatcher | None = None,
    evaluate: Evaluate | None = None,
) -> AdaptResult:
    """Narrow a seed, one width group a step, until its latency is the target's (NetAdapt, algorithm 1).

    A folder that holds an interrupted run of the same arguments is gone on with, from where its log ends.

    Args:
        seed: Network, weights, and how its images were prepared.
        data: Images of the seed's classes: proposals train on `train` and are compared on `val`; `test`
            is for the last network.
        latency: Tells a network's latency on the target device.
        config: Everything else.
        folder: The run's folder, made if it is not there.
        watcher: Is told what happens.
        evaluate: Trains a job in place of `config`'s recipes on `data`.

    Raises:
        InputError: Something given cannot be used, or another process holds the folder.
        SearchStoppedError: All proposals of a step failed.
    """
    from nas.retrain import for_classes
    from nas.scoring import score

    seed = for_classes(seed, data.classes)
    data = replace(data, mean=seed.usage.mean, std=seed.usage.std)
    run = RunFolder(Path(folder))
    run.path.mkdir(parents=True, exist_ok=True)
    with run.locked():
        asked = Remembering(latency)
        accuracy = _start(run, seed, asked, lambda: score(seed, data, ("val",)).accuracy)
        shrink = Shrink(
            seed.spec,
            accuracy=accuracy,
            latency=asked,
            target_ms=config.target_ms,
            delta=config.delta,
            decay=config.decay,
            widths=Widths(config.divisor, config.floor),
            metric=config.metric,
            ends=config.ends,
        )
        if evaluate is None:
            evaluate = AdaptTraining(
                data,
                config.recipe,
                config.final_recipe,
                keep=config.keep,
                threads=config.schedule.cpus_per_trial,
            )
        loop = AdaptLoop(
            shrink,
            latency=asked,
            weights=_serialized(seed.weights),
            folder=run,
            run_seed=config.seed,
            finals=config.finals(),
            watcher=watcher or AdaptWatcher(),
        )
        run_jobs(loop, evaluate, config.schedule)
        return _conclude(loop, seed, data, asked)


def _start(run: RunFolder, seed: Seed, asked: Remembering, accuracy: Callable[[], float]) -> float:
    """The seed's accuracy and latency: measured once a run, since every score rests on them."""
    path = run / "run.json"
    if path.is_file():
        facts = json.loads(path.read_text(encoding="utf-8"))
        if (
            facts["seed"] != seed.spec.fingerprint
            or facts["device"] != asked.source.device.fingerprint
        ):
            raise InputError(
                f"{run.path}: was begun with another seed or device: go on with those, or choose "
                "another folder"
            )
        asked.readings[seed.spec.fingerprint] = Latency.from_dict(facts["latency"])
        return float(facts["accuracy"])
    reading = asked.reading(seed.spec)
    facts = {
        "seed": seed.spec.fingerprint,
        "device": asked.source.device.fingerprint,
        "latency": reading.to_dict(),
        "accuracy": accuracy(),
    }
    write_whole(path, json.dumps(facts, indent=1) + "\n")
    return float(facts["accuracy"])


def _conclude(loop: AdaptLoop, seed: Seed, data: Dataset, asked: Remembering) -> AdaptResult:
    shrink = loop.shrink
    if loop.failure is not None:
        raise SearchStoppedError(loop.failure)
    finals = sorted(loop.final_log.trials, key=lambda t: -(t.accuracy or 0.0))
    best = finals[0] if finals and finals[0].ok else None
    weights = loop.weights if best is None else loop.folder.weights_path(best.index).read_bytes()
    adapted = _with_weights(seed, shrink.current.spec, weights)
    result = AdaptResult(
        folder=loop.folder,
        spec=shrink.current.spec,
        latency=asked.reading(shrink.current.spec),
        seed_latency=asked.reading(seed.spec),
        seed_accuracy=loop.seed_accuracy,
        reached=shrink.current.latency_ms <= shrink.target_ms,
        family=tuple(loop.family),
        finals=tuple(finals),
        test_accuracy=_test_accuracy(adapted, data),
    )
    _write(result, adapted)
    return result


def _test_accuracy(adapted: Seed, data: Dataset) -> float:
    from nas.scoring import score

    return score(adapted, data, ("test",)).accuracy


def _write(result: AdaptResult, adapted: Seed) -> None:
    from nas.export import checked_onnx
    from nas.seeds import seed_bytes

    folder = result.folder
    write_whole(folder / "adapted.yaml", to_yaml(result.spec))
    write_whole(folder / "adapted.pt", seed_bytes(adapted))
    write_whole(folder / "adapted.onnx", checked_onnx(adapted.network()))
    lines = ["step,accuracy,latency_ms,params,madds"]
    lines += [
        f"{step},{t.accuracy},{t.latency_ms},{t.params},{t.madds}"
        for step, t in enumerate(result.family, start=1)
    ]
    write_whole(folder / "family.csv", "\n".join(lines) + "\n")
    write_whole(folder / "result.json", json.dumps(result.to_dict(), indent=2) + "\n")
    folder.publish("adapted.yaml", "adapted.pt")


def _with_weights(seed: Seed, spec: ArchSpec, weights: bytes) -> Seed:
    import torch

    loaded = torch.load(io.BytesIO(weights), weights_only=True)
    return replace(seed, spec=spec, weights=loaded)


def _serialized(weights: dict[str, Any]) -> bytes:
    import torch

    buffer = io.BytesIO()
    torch.save(weights, buffer)
    return buffer.getvalue()
