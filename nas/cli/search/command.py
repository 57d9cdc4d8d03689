"""`nas-search`: the main job."""

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
from nas.engine.runner import SearchStoppedError
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
"""Options that may stand beside `--resume`."""


def search(
    context: typer.Context,
    space: Annotated[
        str | None, typer.Option(help="mnasnet (default), or a YAML file of your own space.")
    ] = None,
    target_ms: Annotated[
        float | None,
        typer.Option(
            help="Latency target in ms of one device; MobileNetV3-Large's on it by default."
        ),
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DEVICE[=MS]",
            help="cpu (this machine), pixel1, ...: nas devices lists them. cpu=8 is one with its "
            "target; give the option again for several. adb:SERIAL+SERIAL and adb:all are pools.",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Folder of class folders, a torchvision data set, or the embedded one (default)."
        ),
    ] = None,
    layout: LayoutOption = None,
    max_megapixels: MegapixelsOption = None,
    skip_bad_images: SkipFlag = False,
    resolution: Annotated[
        int | None,
        typer.Option(
            help="Input side in pixels of the deployed network; default the images' own size, at most 224."
        ),
    ] = None,
    proxy_resolution: Annotated[
        int | None,
        typer.Option(
            help="Side at which candidates train; default the images' own size, the deployed size at most."
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="quick (minutes), standard (an hour or more; default), or paper (plain REINFORCE)."
        ),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(help="Candidates to train; 100, 16 in quick.")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Wall time of the whole run, in place of --trials: 45m, 1h30m."
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(help="Candidates trained before the controller learns; 10, 4 in quick."),
    ] = None,
    warm_start: Annotated[
        list[Path] | None,
        typer.Option(
            help="A seed.pt of the space whose weights trials begin with; of several the most similar."
        ),
    ] = None,
    fidelity: Annotated[
        float | None,
        typer.Option(
            metavar="PART",
            help="Train all candidates for this part of the length first, the better half then in full.",
        ),
    ] = None,
    controller: Annotated[
        str | None,
        typer.Option(help="screened (default), rnn, evolution, uniform, or a plug-in's."),
    ] = None,
    proposals: Annotated[
        int | None,
        typer.Option(
            help="Networks that screened looks at a batch, and each round of children; 200."
        ),
    ] = None,
    random_seed: Annotated[
        int | None, typer.Option(help="Number that decides everything random; 0.")
    ] = None,
    seed: Annotated[int | None, typer.Option(hidden=True)] = None,  # what it was called before
    workers: Annotated[
        int | None,
        typer.Option(
            help="Trials at once; as many as there is room for by default. 0 trains in this process, "
            "without Ray."
        ),
    ] = None,
    cpus_per_trial: Annotated[int | None, typer.Option(help="CPU cores a trial.")] = None,
    gpus_per_trial: Annotated[
        float | None, typer.Option(help="GPUs a trial, or a fraction.")
    ] = None,
    ray_address: Annotated[str | None, typer.Option(help="A running Ray cluster.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML of every setting, as a run's config.yaml.")
    ] = None,
    run_name: Annotated[
        str | None, typer.Option(help="Name of the run's folder; SPACE-DATE-TIME by default.")
    ] = None,
    runs: Annotated[Path, typer.Option(help="Where run folders are.")] = Path("runs"),
    resume: Annotated[
        Path | None, typer.Option(help="Go on with an interrupted run: its folder.")
    ] = None,
    accept_data_changes: AcceptFlag = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Say what would be done and cost (with --resume: what has been), then end.",
        ),
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say more about how the search works.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Search a space for the most accurate network within a latency budget on a device."""
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
        raise InputError("--accept-data-changes is for a run that goes on: give --resume RUN too")
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
        overrides["budget_s"] = None  # a file may have it; what comes later wins
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
    looked_at = (folder / "result.json").is_file()
    try:
        result = job.run(folder)
    except (KeyboardInterrupt, InputError, SearchStoppedError, OSError) as error:
        ended = isinstance(error, KeyboardInterrupt | InputError)
        if resume is None and ended and not folder.begun:
            folder.discard()  # nothing to go on with; the name is free again
        else:
            console.print(
                f"to go on: {search_line(f'--resume {quoted(folder.path)}')}", soft_wrap=True
            )
        if isinstance(error, SearchStoppedError):
            raise Failed(str(error)) from error
        raise
    for sentence in publish_and_tell(folder, *OF_SEARCH):
        console.print(sentence, soft_wrap=True)
    conclude(
        result,
        console,
        took_s=time.monotonic() - began_s,
        resumed=resume is not None,
        looked_at=looked_at,
        verbose=verbose,
    )
    if as_json:
        print_json({"run": str(folder.path)} | result.to_dict())


def _default_name(config: SearchConfig) -> str:
    """Space and time, which sorts by age."""
    now = datetime.now().strftime("%Y%m%d-%H%M%S")
    return f"{Path(config.space).stem}-{now}"


def _given(**options: Any) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in options.items() if value not in (None, {}, [])}
