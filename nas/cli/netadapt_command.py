"""`netadapt`: a trained network narrowed to a latency."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console

from latency import Cached, LatencySource, MeasurementError, open_device
from nas.adapt_config import FINETUNE_STEPS, AdaptConfig
from nas.adapt_loop import Remembering
from nas.cli.adapt_view import View, announce, conclude
from nas.cli.errors import Failed
from nas.cli.images import open_images
from nas.cli.output import JsonFlag, command, messages, print_json
from nas.loop import SearchStoppedError
from nas.readable import three_digits
from nas.runs import RunFolder, check_new, new_folder, open_folder, write_whole
from search_spaces import InputError
from search_spaces.errors import first_problem

if TYPE_CHECKING:
    from nas.seeds import Seed
    from nas.training.images import Dataset

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
        network = _seed(folder / "seed.pt")
        images = _images(config, network, console)
        source = _opened(config.device)
        _run(config, network, images, source, folder, console, as_json=as_json)
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
    network = _seed(seed)
    images = _images(config, network, console)
    _require_work(config, network, source, console)
    folder = _start(runs / name, config, seed)
    _run(config, network, images, source, folder, console, as_json=as_json)


def _opened(device: str) -> Remembering:
    """The device, asked once a network."""
    source = open_device(device)
    return Remembering(source if source.device.estimate else Cached(source))


def _target(seed: Path, source: LatencySource, ratio: float, console: Console) -> float:
    """A part of the seed's latency.

    Raises:
        InputError: The ratio is not between 0 and 1, or the seed cannot be read or measured.
    """
    if not 0 < ratio < 1:
        raise InputError(
            f"target-ratio must be between 0 and 1, got {ratio:g}: 0.5 halves the latency"
        )
    with console.status(f"measuring {seed}"):
        return ratio * _measured(source, _seed(seed))


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


def _require_work(config: AdaptConfig, seed: Seed, source: Remembering, console: Console) -> None:
    """Say what is about to happen, if anything is.

    Raises:
        InputError: The target cannot be reached, or the device cannot tell a latency.
        typer.Exit: The seed meets the target already.
    """
    now_ms = _measured(source, seed)
    if now_ms <= config.target_ms:
        console.print(
            f"the seed takes {three_digits(now_ms)} ms on {source.device.name}: it is within "
            f"{three_digits(config.target_ms)} ms already, nothing to do",
            soft_wrap=True,
        )
        raise typer.Exit(NOTHING_TO_DO)
    announce(config, seed.spec, source, console)


def _run(
    config: AdaptConfig,
    network: Seed,
    images: Dataset,
    source: Remembering,
    folder: RunFolder,
    console: Console,
    *,
    as_json: bool,
) -> None:
    from nas.adapt import adapt

    view = View(console)
    source.tell = view.asked
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
    conclude(result, console, config)


def _seed(path: Path) -> Seed:
    from nas.seeds import load_seed

    if path.suffix in (".yaml", ".yml"):
        raise InputError(f"{path} has no weights: train it first, by nas train {path} --data DIR")
    return load_seed(path)


def _images(config: AdaptConfig, seed: Seed, console: Console) -> Dataset:
    """The images, of the seed's classes and, unless set otherwise, of the size that it was trained on."""
    from nas.retrain import for_classes

    px = config.data.proxy_resolution or seed.usage.trained_px
    wanted = config.data.model_copy(update={"proxy_resolution": px})
    images = open_images(wanted, console, batch_size=config.recipe.batch_size)
    for_classes(seed, images.classes)
    return images


def _start(path: Path, config: AdaptConfig, seed: Path) -> RunFolder:
    import yaml

    folder = new_folder(path.parent, path.name)
    settings = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
    write_whole(folder / "config.yaml", settings)
    write_whole(folder / "seed.pt", seed.read_bytes())
    return folder
