"""`nas-search`: search a space for a network."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from nas.cli.data_options import (
    AcceptFlag,
    LayoutOption,
    MegapixelsOption,
    SkipFlag,
    data_settings,
)
from nas.cli.errors import Failed
from nas.cli.typed import options_typed
from nas.display.output import JsonFlag, messages, print_json, search_line
from nas.engine.publishing import OF_SEARCH, publish_and_tell
from nas.engine.run_folder import check_new, free_name, require_writable
from nas.engine.runner import RunStoppedError
from nas.formatting import seconds
from nas.searching.config import SearchConfig, make_config
from search_spaces import InputError
from search_spaces.shell import quoted

MAY_CHANGE = frozenset(
    [
        "workers",
        "cpus_per_trial",
        "gpus_per_trial",
        "ray_address",
        "resume",
        "dry_run",
        "verbose",
        "as_json",
        "skip_bad_images",
        "max_megapixels",
        "accept_data_changes",
    ]
)
"""Options that can be combined with `--resume`."""


def search(
    context: typer.Context,
    space: Annotated[
        str | None, typer.Option(help="mnasnet (default), or a YAML file with your own space.")
    ] = None,
    target_ms: Annotated[
        float | None,
        typer.Option(
            help="Target latency in ms on one device; default: MobileNetV3-Large's latency."
        ),
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DEVICE[=MS]",
            help="cpu (this machine), pixel1, ... (see nas devices); cpu=8 sets its target too. Repeat the "
            "option for several devices. adb:SERIAL+SERIAL and adb:all are pools of equal phones.",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Folder of class folders, or name of a torchvision data set; default: the embedded one."
        ),
    ] = None,
    layout: LayoutOption = None,
    max_megapixels: MegapixelsOption = None,
    skip_bad_images: SkipFlag = False,
    resolution: Annotated[
        int | None,
        typer.Option(
            help="Input side in pixels of the deployed network; default: the images' own size, at most 224."
        ),
    ] = None,
    proxy_resolution: Annotated[
        int | None,
        typer.Option(
            help="Side in pixels at which candidates train; default: the images' own, at most the deployed."
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="quick (minutes), standard (an hour or more; the default), or paper (plain REINFORCE)."
        ),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(help="Number of candidates; 100 by default, 16 with quick.")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Wall time of the whole run, for instance 45m or 1h30m; replaces --trials.",
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(help="Candidates per controller update; 10 by default, 4 with quick."),
    ] = None,
    warm_start: Annotated[
        list[Path] | None,
        typer.Option(
            help="A seed.pt of the space to initialize trials from; if repeated, the most similar is used."
        ),
    ] = None,
    fidelity: Annotated[
        float | None,
        typer.Option(
            metavar="FRACTION",
            help="Train all candidates for this fraction of the steps, then the better half in full.",
        ),
    ] = None,
    controller: Annotated[
        str | None,
        typer.Option(help="screened (default), rnn, evolution, uniform, or a plug-in's name."),
    ] = None,
    proposals: Annotated[
        int | None,
        typer.Option(
            help="Networks that the screened controller rates per batch, and per round of mutation; 200."
        ),
    ] = None,
    random_seed: Annotated[int | None, typer.Option(help="Seed of all randomness; 0.")] = None,
    seed: Annotated[int | None, typer.Option(hidden=True)] = None,  # its former name
    workers: Annotated[
        int | None,
        typer.Option(
            help="Trials at once; default: as many as the machine has room for. 0 trains in this process, "
            "without Ray."
        ),
    ] = None,
    cpus_per_trial: Annotated[int | None, typer.Option(help="CPU cores per trial.")] = None,
    gpus_per_trial: Annotated[
        float | None, typer.Option(help="GPUs per trial; may be a fraction.")
    ] = None,
    ray_address: Annotated[
        str | None, typer.Option(help="Address of a running Ray cluster.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML file with settings, such as a run's config.yaml.")
    ] = None,
    run_name: Annotated[
        str | None, typer.Option(help="Name of the run's folder; default: SPACE-DATE-TIME.")
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder of the run folders.")] = Path("runs"),
    resume: Annotated[
        Path | None, typer.Option(help="Resume the interrupted run in this folder.")
    ] = None,
    accept_data_changes: AcceptFlag = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Print the plan and its cost (with --resume: the progress), then exit.",
        ),
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print more details of the search.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Search a space for the most accurate network within a latency target on a device."""
    if budget is not None and trials is not None:
        raise InputError("--trials and --budget both say when the search ends: give one of them")
    schedule = _given(
        workers=workers,
        cpus_per_trial=cpus_per_trial,
        gpus_per_trial=gpus_per_trial,
        ray_address=ray_address,
    )
    images = data_settings(
        layout=layout, max_megapixels=max_megapixels, skip_bad_images=skip_bad_images
    )
    if accept_data_changes and resume is None:
        raise InputError("--accept-data-changes applies to a resumed run: add --resume RUN")
    overrides = _given(
        space=space,
        target_ms=target_ms,
        device=device,
        resolution=resolution,
        trials=trials,
        budget_s=budget and seconds(budget),
        batch_size=batch_size,
        warm_start=[str(path) for path in warm_start or []],
        fidelity=_given(first=fidelity),
        seed=seed if random_seed is None else random_seed,
        controller=_given(name=controller, options=_given(proposals=proposals)),
        data=_given(source=data, proxy_resolution=proxy_resolution) | images,
        schedule=schedule,
    )
    if trials is not None:
        overrides["budget_s"] = None  # options override the --config file
    console, began_s = messages(), time.monotonic()
    fixed = [name for name in options_typed(context) if name not in MAY_CHANGE]
    if resume is not None and fixed:
        option = "--" + fixed[0].replace("_", "-")
        raise InputError(f"{option} cannot change on --resume: a run keeps its settings")
    from nas.cli.search import opening
    from nas.cli.search.planning import plan
    from nas.cli.search.summary import conclude

    if resume is not None:
        job, folder, done = opening.reopen(
            resume,
            schedule,
            console,
            hold=not dry_run,
            data=images,
            accept_data_changes=accept_data_changes,
        )
        if dry_run:
            if as_json:
                print_json(done)
            return
    else:
        settings = make_config(preset=preset or "standard", file=config, overrides=overrides)
        if run_name is not None:
            check_new(runs, run_name)
        if not dry_run:
            require_writable(runs)
        job, document = plan(opening.open_job(settings, console), runs, verbose=verbose)
        if dry_run:
            if as_json:
                print_json(document)
            return
        if document["out_of_reach"]:
            raise InputError("; ".join(document["out_of_reach"]))
        folder = opening.start(job, runs, run_name or free_name(runs, _default_name(settings)))
    console.print(f"run folder: {folder.path}", soft_wrap=True)
    scored_before = (folder / "result.json").is_file()
    try:
        result = job.run(folder)
    except (KeyboardInterrupt, InputError, RunStoppedError, OSError) as error:
        ended = isinstance(error, KeyboardInterrupt | InputError)
        if resume is None and ended and not folder.begun:
            folder.discard()  # nothing to resume; frees the name
        else:
            console.print(
                f"to resume: {search_line(f'--resume {quoted(folder.path)}')}", soft_wrap=True
            )
        if isinstance(error, RunStoppedError):
            raise Failed(str(error)) from error
        raise
    for sentence in publish_and_tell(folder, *OF_SEARCH):
        console.print(sentence, soft_wrap=True)
    conclude(
        result,
        console,
        took_s=time.monotonic() - began_s,
        resumed=resume is not None,
        scored_before=scored_before,
        verbose=verbose,
    )
    if as_json:
        print_json({"run": str(folder.path)} | result.to_dict())


def _default_name(config: SearchConfig) -> str:
    """Return the space and the time, which sorts by age."""
    now = datetime.now().strftime("%Y%m%d-%H%M%S")
    return f"{Path(config.space).stem}-{now}"


def _given(**options: Any) -> dict[str, Any]:
    """Keep the options that were given."""
    return {name: value for name, value in options.items() if value not in (None, {}, [])}
