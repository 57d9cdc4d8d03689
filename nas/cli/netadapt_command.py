"""`netadapt`: a trained network narrowed to a latency."""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console

from latency import Cached, LatencySource, MeasurementError, open_device
from nas.adapt_config import FINETUNE_STEPS, AdaptConfig
from nas.adapt_loop import AdaptWatcher, Remembering
from nas.cli.errors import Failed
from nas.cli.output import JsonFlag, command, messages, print_json
from nas.loop import SearchStoppedError
from nas.readable import counted, interval, percent, three_digits
from nas.runs import RunFolder, check_new, new_folder, open_folder, write_whole
from nas.trial import Trial
from search_spaces import InputError
from search_spaces.errors import first_problem

if TYPE_CHECKING:
    from nas.adapt import AdaptResult
    from nas.seeds import Seed
    from netadapt.shrink import Shrink

NOTHING_TO_DO = 0


def netadapt(
    seed: Annotated[Path | None, typer.Option(help="The trained network: a run's seed.pt.")] = None,
    target_ms: Annotated[
        float | None, typer.Option(help="Where to end, in ms on the device.")
    ] = None,
    target_ratio: Annotated[
        float | None, typer.Option(help="... or as a part of the seed's latency: 0.5 halves it.")
    ] = None,
    device: Annotated[str, typer.Option(help="nas devices lists them.")] = "cpu",
    data: Annotated[
        str, typer.Option(help="The images that it was trained on.")
    ] = "fashion-mnist-subset",
    delta: Annotated[
        float,
        typer.Option(
            help="Part of the seed's latency that a step saves (MobileNetV3's text: 0.01)."
        ),
    ] = 0.1,
    decay: Annotated[float, typer.Option(help="What delta is multiplied by each step.")] = 1.0,
    divisor: Annotated[int, typer.Option(help="Widths are multiples of it.")] = 8,
    floor: Annotated[int, typer.Option(help="No width is below it.")] = 8,
    keep: Annotated[str, typer.Option(metavar="first|norm", help="Which channels stay.")] = "first",
    metric: Annotated[
        str, typer.Option(metavar="ratio|accuracy", help="Choose by dACC/|dLAT|, or by accuracy.")
    ] = "ratio",
    ends: Annotated[bool, typer.Option("--ends", help="Narrow stem and head too.")] = False,
    finetune_steps: Annotated[
        int, typer.Option(help="Training steps of a proposal.")
    ] = FINETUNE_STEPS,
    batch_size: Annotated[int, typer.Option(help="Images a step.")] = 128,
    learning_rate: Annotated[
        float, typer.Option(help="Peak rate of a proposal's fine-tuning.")
    ] = 1e-3,
    final: Annotated[
        str,
        typer.Option(metavar="scratch|finetune|both|none", help="How the last network is trained."),
    ] = "scratch",
    final_epochs: Annotated[float, typer.Option(help="How long.")] = 30.0,
    workers: Annotated[
        int | None, typer.Option(help="Proposals at once; 0 trains in this process, without Ray.")
    ] = None,
    random_seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    run_name: Annotated[str | None, typer.Option(help="Name of the run's folder.")] = None,
    runs: Annotated[Path, typer.Option(help="Where run folders are.")] = Path("runs"),
    resume: Annotated[
        Path | None, typer.Option(help="Go on with an interrupted run: its folder.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Narrow a trained network, one width group at a time, until it meets a latency on a device."""
    console = messages()
    if resume is not None:
        folder = open_folder(resume)
        config = _config(_read(folder))
        config = config.model_copy(
            update={"schedule": config.schedule.model_copy(update={"workers": workers})}
        )
        _run(
            config,
            _opened(config.device),
            folder,
            console,
            as_json=as_json,
            run_seed=folder / "seed.pt",
        )
        return
    if seed is None or (target_ms is None) == (target_ratio is None):
        raise InputError(
            "give --seed with --target-ms or --target-ratio, or --resume with a run's folder"
        )
    source = _opened(device)
    if target_ms is None:
        assert target_ratio is not None
        target_ms = _target(seed, source, target_ratio, console)
    config = _config(
        {
            "device": device,
            "target_ms": target_ms,
            "delta": delta,
            "decay": decay,
            "divisor": divisor,
            "floor": floor,
            "keep": keep,
            "metric": metric,
            "ends": ends,
            "recipe": {
                "steps": finetune_steps,
                "batch_size": batch_size,
                "learning_rate": learning_rate,
            },
            "final": final,
            "final_recipe": {"epochs": final_epochs, "batch_size": batch_size},
            "data": {"source": data},
            "schedule": {"workers": workers},
            "seed": random_seed,
        }
    )
    name = run_name or f"netadapt-{datetime.now():%Y%m%d-%H%M%S}"
    check_new(runs, name)
    _run(config, source, runs / name, console, as_json=as_json, run_seed=seed)


def _opened(device: str) -> Remembering:
    """The device, asked once a network."""
    source = open_device(device)
    return Remembering(source if source.device.estimate else Cached(source))


def _target(seed: Path, source: LatencySource, ratio: float, console: Console) -> float:
    """A part of the seed's latency.

    Raises:
        InputError: The ratio is not between 0 and 1, or the seed cannot be read or measured.
    """
    from nas.seeds import load_seed

    if not 0 < ratio < 1:
        raise InputError(
            f"target-ratio must be between 0 and 1, got {ratio:g}: 0.5 halves the latency"
        )
    with console.status(f"measuring {seed}"):
        return ratio * _measured(source, _seed(seed, load_seed))


def _measured(source: LatencySource, seed: Seed) -> float:
    """The seed's latency in milliseconds.

    Raises:
        InputError: The device cannot tell it.
    """
    try:
        return source.latency(seed.spec).median_ms
    except MeasurementError as error:
        raise InputError(f"{source.device.name}: {error}: choose another --device") from error


def _config(given: dict[str, Any]) -> AdaptConfig:
    try:
        return AdaptConfig.model_validate(given)
    except ValidationError as error:
        raise InputError(f"netadapt: {first_problem(error)}") from error


def _read(folder: RunFolder) -> dict[str, Any]:
    from search_spaces.spec import read_yaml

    content = read_yaml(folder / "config.yaml")
    if not isinstance(content, dict):
        raise InputError(f"{folder.path}: not a NetAdapt run's folder")
    return content


def _run(
    config: AdaptConfig,
    source: Remembering,
    where: RunFolder | Path,
    console: Console,
    *,
    as_json: bool,
    run_seed: Path,
) -> None:
    from nas.adapt import adapt
    from nas.seeds import load_seed

    network = _seed(run_seed, load_seed)
    images = _images(config, network, console)
    view = View(console, config)
    source.tell = view.asked
    seed_ms = _measured(source, network)
    if seed_ms <= config.target_ms:
        console.print(
            f"{run_seed} takes {three_digits(seed_ms)} ms on {source.device.name}: it is within "
            f"{three_digits(config.target_ms)} ms already, nothing to do",
            soft_wrap=True,
        )
        raise typer.Exit(NOTHING_TO_DO)
    view.check(network, source)
    folder = where if isinstance(where, RunFolder) else _start(where, config, run_seed)
    console.print(f"run folder: {folder.path}", soft_wrap=True)
    try:
        result = adapt(
            network,
            data=images,
            latency=source,
            config=config,
            folder=folder.path,
            watcher=view,
        )
    except (KeyboardInterrupt, InputError, SearchStoppedError, MeasurementError) as error:
        view.rest()
        again = command(f"--resume {folder.path}", program="netadapt")
        console.print(f"to go on: {again}", soft_wrap=True)
        if isinstance(error, SearchStoppedError | MeasurementError):
            raise Failed(str(error)) from error
        raise
    if as_json:
        print_json({"run": str(folder.path)} | result.to_dict())
        return
    _conclude(result, console, config)


def _seed(path: Path, load: Any) -> Seed:
    if path.suffix in (".yaml", ".yml"):
        raise InputError(f"{path} has no weights: train it first, by nas train {path} --data DIR")
    seed: Seed = load(path)
    return seed


def _images(config: AdaptConfig, seed: Seed, console: Console) -> Any:
    from nas.retrain import for_classes
    from nas.training.images import require_batch
    from nas.training.load import load_dataset

    wanted = config.data
    px = wanted.proxy_resolution or seed.usage.trained_px
    with console.status("reading images") as status:
        images = load_dataset(
            wanted.source,
            resolution_px=px,
            memory_limit_mb=wanted.memory_limit_mb,
            val_fraction=wanted.val_fraction,
            test_fraction=wanted.test_fraction,
            seed=wanted.split_seed,
            progress=lambda done, total: status.update(f"reading images, {done} of {total}"),
        )
    require_batch(images, config.recipe.batch_size)
    for_classes(seed, images.classes)
    return images


def _start(path: Path, config: AdaptConfig, seed: Path) -> RunFolder:
    import yaml

    folder = new_folder(path.parent, path.name)
    settings = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
    write_whole(folder / "config.yaml", settings)
    write_whole(folder / "seed.pt", seed.read_bytes())
    return folder


class View(AdaptWatcher):
    """What the user sees: what there is to do, then a line a network."""

    def __init__(self, console: Console, config: AdaptConfig) -> None:
        self.console, self.config = console, config
        self._asking = console.status("")

    def asked(self, networks: int) -> None:
        """So many networks have been measured."""
        self._asking.update(f"{counted(networks, 'network')} measured")

    def rest(self) -> None:
        """Leave the screen as it is."""
        self._asking.stop()

    def check(self, seed: Seed, source: LatencySource) -> None:
        """Say what is about to happen; a target that no widths reach ends it here.

        Raises:
            InputError: The target is below the latency of the narrowest network.
        """
        from netadapt import Widths, width_groups
        from netadapt.shrink import narrowest

        config = self.config
        widths = Widths(config.divisor, config.floor)
        with self.console.status("measuring the narrowest network"):
            floor = source.latency(narrowest(seed.spec, widths, ends=config.ends)).median_ms
            now = source.latency(seed.spec)
        if config.target_ms < floor:
            raise InputError(
                f"target_ms {three_digits(config.target_ms)} cannot be reached: with every group at its "
                f"narrowest the network takes {three_digits(floor)} ms here; give more, or --ends"
            )
        groups = width_groups(seed.spec, ends=config.ends)
        steps = math.ceil((now.median_ms - config.target_ms) / (config.delta * now.median_ms))
        kind = "an estimate" if source.device.estimate else interval(now)
        self.console.print(
            f"{len(groups)} width groups; {three_digits(now.median_ms)} ms ({kind}) to "
            f"{three_digits(config.target_ms)} ms on {source.device.name}: about {counted(steps, 'step')}, "
            f"in each up to {len(groups)} proposals of {config.recipe.steps} training steps",
            soft_wrap=True,
        )

    def proposing(self, shrink: Shrink) -> None:
        """See `AdaptWatcher`."""
        now = shrink.current
        self.console.print(
            f"step {shrink.steps + 1}: from {percent(now.accuracy)} at {three_digits(now.latency_ms)} ms; "
            "measuring proposals",
            soft_wrap=True,
        )
        self._asking.start()

    def tuning(self, shrink: Shrink, jobs: int, *, finishing: bool) -> None:  # noqa: ARG002
        """See `AdaptWatcher`."""
        self._asking.stop()
        what = "the last network is trained" if finishing else f"{counted(jobs, 'proposal')} train"
        self.console.print(f"  {what}")

    def tuned(self, trial: Trial, name: str, *, replayed: bool) -> None:
        """See `AdaptWatcher`."""
        if replayed:
            return
        figure = percent(trial.accuracy) if trial.accuracy is not None else f"failed: {trial.error}"
        self.console.print(
            f"  {name}: {figure} at {three_digits(trial.latency_ms)} ms", soft_wrap=True
        )

    def chosen(self, shrink: Shrink, trial: Trial) -> None:  # noqa: ARG002
        """See `AdaptWatcher`."""
        now = shrink.current
        self.console.print(
            f"step {shrink.steps}: {percent(now.accuracy)} at {three_digits(now.latency_ms)} ms, target "
            f"{three_digits(shrink.target_ms)} ms",
            soft_wrap=True,
        )


def _conclude(result: AdaptResult, console: Console, config: AdaptConfig) -> None:
    if not result.reached:
        console.print(
            f"[bold]The target was not reached[/bold]: no group can give more; "
            f"{three_digits(result.latency.median_ms)} ms is left"
        )
    for trial in result.finals:
        figure = percent(trial.accuracy) if trial.accuracy is not None else f"failed: {trial.error}"
        console.print(f"{trial.kind}: {figure} on held-out images")
    console.print(
        f"seed {percent(result.seed_accuracy)} at {three_digits(result.seed_latency.median_ms)} ms -> "
        f"{three_digits(result.latency.median_ms)} ms (target {three_digits(config.target_ms)} ms) in "
        f"{counted(len(result.family), 'step')}",
        soft_wrap=True,
    )
    if result.test_accuracy is not None:
        console.print(f"on the test images, looked at once: {percent(result.test_accuracy)}")
    folder = result.folder.path
    console.print(
        f"\n{folder}/ has adapted.yaml, adapted.pt, adapted.onnx, family.csv, family/\n"
        f"next: {command(f'show {folder}/adapted.yaml')}",
        soft_wrap=True,
    )
