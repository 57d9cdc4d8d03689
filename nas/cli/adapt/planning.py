"""Print the plan of a NetAdapt run: what it does, and what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from latency import LatencySource, MeasurementError
from nas.adapting.config import AdaptConfig
from nas.adapting.forecast import Forecast
from nas.adapting.forecast import forecast as forecast_run
from nas.adapting.kinds import HOW
from nas.adapting.teacher import shown
from nas.display.output import noted
from nas.display.progress import waiting
from nas.formatting import counted, duration, epochs, reading, three_digits, two_digits_up
from netadapt import depth_groups, narrowest
from search_spaces import InputError

if TYPE_CHECKING:
    from latency import Latency
    from nas.cli.adapt.opening import Adapting
    from nas.engine.memoized_source import MemoizedSource
    from search_spaces import ArchSpec

KEPT = "of narrower layers, the channels that matter most to the loss (--keep taylor)"


def announce(job: Adapting) -> tuple[Forecast | None, dict[str, Any]]:
    """Print what the run will do, after checking that the target can be reached.

    Args:
        job: The run, with its inputs opened.

    Returns:
        The forecast, None if it cannot be made, as on a cluster; and the plan as plain data, with
        `nothing_to_do` set if the seed already meets the target.

    Raises:
        InputError: The target cannot be reached, or the device cannot measure.
    """
    config, seed, source, console = job.config, job.seed, job.source, job.console
    now = seed_latency(source, seed.spec, console)
    document: dict[str, Any] = {
        "device": source.device.name,
        "estimate": now.estimate,
        "seed_ms": now.median_ms,
        "target_ms": config.target_ms,
        "nothing_to_do": now.median_ms <= config.target_ms,
    }
    if document["nothing_to_do"]:
        console.print(
            f"the seed already meets the target of {three_digits(config.target_ms)} ms: {reading(now)} on "
            f"{source.device.name}; nothing to do",
            soft_wrap=True,
        )
        return None, document
    _require_reach(config, seed.spec, source, console)
    forecast = _forecast(job)
    grid = Table.grid(padding=(0, 2))
    for name, text in _lines(job, now, forecast):
        grid.add_row(Text(name, "bold"), text)
    console.print(grid)
    warnings = _warnings(config, now, forecast)
    for warning in warnings:
        console.print(noted("Note:", f" {warning}"), soft_wrap=True)
    document |= {
        "groups": len(config.loop.groups(seed.spec)),
        "proposals": None if forecast is None else forecast.able,
        "steps": None if forecast is None else forecast.steps,
        "expected_s": None if forecast is None else forecast.total_s,
        "warnings": warnings,
    }
    return forecast, document


def seed_latency(source: MemoizedSource, spec: ArchSpec, console: Console) -> Latency:
    """Return the seed's latency; shows progress if it must be measured first.

    Raises:
        InputError: The device cannot measure it.
    """
    if spec.fingerprint in source.readings:
        return source.latency(spec)
    with waiting(console, "measuring the seed", after_s=0):
        return measured(source, spec)


def measured(source: LatencySource, spec: ArchSpec) -> Latency:
    """Return a network's latency.

    Raises:
        InputError: The device cannot measure it.
    """
    try:
        return source.latency(spec)
    except MeasurementError as error:
        raise InputError(f"{source.device.name}: {error}: choose another --device") from error


def _require_reach(
    config: AdaptConfig, seed: ArchSpec, source: LatencySource, console: Console
) -> None:
    loop = config.loop
    if not any(group.smaller(loop.widths) for group in loop.groups(seed)):
        raise InputError(
            f"no layer can be narrowed to a multiple of {config.divisor} (--divisor) of at least "
            f"{config.floor} (--floor): give smaller values"
        )
    with waiting(console, "measuring the narrowest network", after_s=0):
        depth = config.proposals == "widths+depth"
        smallest = narrowest(seed, loop.widths, include_stem_and_head=config.ends, depth=depth)
        floor_ms = measured(source, smallest).median_ms
    if config.target_ms < floor_ms:
        raise InputError(
            f"{three_digits(config.target_ms)} ms cannot be reached: with every layer at its minimum width "
            f"(--divisor {config.divisor}, --floor {config.floor}){' and depth' if depth else ''} "
            f"the network takes {three_digits(floor_ms)} ms here: give --target-ms "
            f"{two_digits_up(floor_ms)}"
            + ("" if config.ends else ", or --ends")
            + ("" if depth or not depth_groups(seed) else ", or --proposals widths+depth")
        )


def _forecast(job: Adapting) -> Forecast | None:
    """Forecast a run on this machine's CPUs; None on a cluster or a GPU, whose speed is unknown."""
    config, source = job.config, job.source
    if config.schedule.ray_address is not None or config.schedule.gpus_per_trial > 0:
        return None
    what = "estimating the cost: measuring each group at its minimum width, timing training steps"
    with waiting(job.console, what, after_s=0) as shown:
        source.progress = lambda networks: shown.update(
            f"{what}: {counted(networks, 'network')} measured so far"
        )
        try:
            return forecast_run(
                job.workload,
                job.seed.spec,
                source,
                px=job.data.resolution_px,
                val_images=len(job.data.val),
                workers=config.schedule.at_once,
            )
        except MeasurementError as error:
            raise InputError(f"{source.device.name}: {error}: choose another --device") from error


def _lines(job: Adapting, now: Latency, forecast: Forecast | None) -> list[tuple[str, str]]:
    config, seed, data, source = job.config, job.seed, job.data, job.source
    kind = "not measured: " if now.estimate else ""
    lines = [
        (
            "data",
            f"{data.name}: {len(data.classes)} classes; {len(data.train):,} images train, "
            f"{len(data.val):,} choose among networks (held out), {len(data.test):,} test the result",
        ),
        ("size", f"{data.resolution_px} px, in training and on the device"),
        ("device", f"{kind}{source.device.name}"),
        (
            "latency",
            f"seed {reading(now)}, target {three_digits(config.target_ms)} ms",
        ),
        ("groups", f"{_groups(config, seed.spec)}{_able(forecast)}"),
        ("steps", _steps(config, forecast)),
        *([("keep", KEPT)] if config.keep == "taylor" else []),
        ("then", _then(config)),
    ]
    if config.teacher is not None:
        lines.append(("teacher", _teacher(config, shown(config.teacher.path))))
    if forecast is not None:
        on = (
            counted(config.schedule.at_once, "worker")
            if config.schedule.workers != 0
            else "this process"
        )
        lines.append(
            (
                "cost",
                f"about {duration(forecast.total_s)} on {on}: proposals {duration(forecast.tuning_s)}, "
                f"final training {duration(forecast.final_s)}, latency {duration(forecast.latency_s)}",
            )
        )
    return lines


def _groups(config: AdaptConfig, seed: ArchSpec) -> str:
    groups = config.loop.groups(seed)
    stages = sum(group.kind == "depth" for group in groups)
    depths = f" and the depth of {counted(stages, 'stage')}" if stages else ""
    return f"{counted(len(groups) - stages, 'width group')}{depths}"


def _able(forecast: Forecast | None) -> str:
    return "" if forecast is None else f", {counted(forecast.able, 'proposal')} in the first step"


def _steps(config: AdaptConfig, forecast: Forecast | None) -> str:
    tuned = f"each proposal is fine-tuned for {counted(config.recipe.steps or 0, 'training step')}"
    if forecast is None or forecast.steps is None:
        return f"each saves at least {config.delta:g} of the seed's latency; {tuned}"
    saved = f"each saves at least {three_digits(forecast.delta_ms)} ms"
    return f"about {forecast.steps}: {saved}; {tuned}"


def _then(config: AdaptConfig) -> str:
    if config.final == "none":
        return "no final training"
    kinds = " and ".join(HOW[kind] for kind in config.final_trainings())
    text = f"the final network is trained {kinds} for {epochs(config.final_recipe.epochs or 0)}"
    if config.compare == "none":
        return text
    runs = counted(config.compare_seeds, "training")
    return f"{text}, as is the seed at a uniform width multiplier of the same latency; {runs} each"


def _teacher(config: AdaptConfig, name: str) -> str:
    if not config.teach_proposals:
        return f"final trainings also learn from {name}; proposals, fine-tuned briefly, do not"
    finals = "" if config.final == "none" else " and final trainings"
    return f"proposals{finals} also learn from {name}"


def _warnings(config: AdaptConfig, now: Latency, forecast: Forecast | None) -> list[str]:
    warnings = []
    if not now.stable:
        warnings.append(
            f"the seed's latency is unstable ({', '.join(now.problems)}), and every step depends on such "
            "readings: end other programs, or choose another --device"
        )
    if forecast is not None and forecast.steps is None:
        warnings.append("delta decays too fast to reach the target: give a --decay nearer to 1")
    if forecast is not None and not forecast.able:
        warnings.append(
            f"no layer can save even {three_digits(forecast.delta_ms)} ms, an eighth of delta: the network "
            "will not change; give a smaller --delta"
        )
    if forecast is not None and (lowered := _lowered_delta(config, forecast, now.median_ms)):
        warnings.append(lowered)
    if forecast is not None and (wider := _more_choice(forecast, now.median_ms)):
        warnings.append(wider)
    return warnings


def _lowered_delta(config: AdaptConfig, forecast: Forecast, seed_ms: float) -> str:
    """Say that the first step has to halve delta, as no group can save all of it; empty otherwise."""
    asked_ms = config.delta * seed_ms
    needed_ms = min(asked_ms, seed_ms - config.target_ms)
    if not forecast.able or forecast.delta_ms > 0.99 * needed_ms:
        return ""
    return (
        f"no layer can save {three_digits(needed_ms)} ms in one step (--delta {config.delta:g} asks for "
        f"{three_digits(asked_ms)} ms): delta is halved until one can, so the first step saves at least "
        f"{three_digits(forecast.delta_ms)} ms"
    )


def _more_choice(forecast: Forecast, seed_ms: float) -> str:
    """Advise a smaller delta if few groups can save it, so that a step has little choice."""
    if not forecast.able or 2 * forecast.able >= forecast.groups:
        return ""
    for part in (2, 4, 8):
        delta = float(f"{forecast.delta_ms / part / seed_ms:.2g}")
        able = forecast.able_to_give(delta * seed_ms)
        if able >= 2 * forecast.able:
            saving = three_digits(forecast.delta_ms)
            return (
                f"only {forecast.able} of {forecast.groups} groups can save {saving} ms in one step, "
                f"so there is little to choose from; with --delta {delta:g}, {able} can, and the run takes "
                "more steps"
            )
    return ""
