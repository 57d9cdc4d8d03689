"""Suggest an option or command for an unknown one: names from other programs, and misspellings."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from search_spaces.nearest import nearest

OPTIONS: Mapping[str, tuple[str, ...]] = {
    "lr": ("--learning-rate",),
    "bs": ("--batch-size",),
    "batch": ("--batch-size",),
    "epoch": ("--epochs",),
    "latency": ("--target-ms", "--device"),
    "latency-ms": ("--target-ms",),
    "target-latency": ("--target-ms",),
    "max-latency": ("--target-ms",),
    "target": ("--target-ms",),
    "ratio": ("--target-ratio",),
    "gpu": ("--gpus-per-trial", "--device cuda"),
    "gpus": ("--gpus-per-trial", "--device cuda"),
    "num-gpus": ("--gpus-per-trial", "--device cuda"),
    "cuda": ("--gpus-per-trial", "--device cuda"),
    "cpus": ("--cpus-per-trial",),
    "num-cpus": ("--cpus-per-trial",),
    "threads": ("--cpus-per-trial", "--device"),
    "jobs": ("--workers",),
    "num-workers": ("--workers",),
    "parallel": ("--workers",),
    "out": ("--output", "--runs"),
    "output": ("--runs",),
    "outdir": ("--runs", "--output"),
    "output-dir": ("--runs", "--output"),
    "out-dir": ("--runs", "--output"),
    "save-dir": ("--runs", "--output"),
    "logdir": ("--runs",),
    "name": ("--run-name",),
    "exp-name": ("--run-name",),
    "experiment": ("--run-name",),
    "n-trials": ("--trials",),
    "num-trials": ("--trials",),
    "num-samples": ("--trials",),
    "iterations": ("--trials", "--epochs"),
    "time": ("--budget",),
    "timeout": ("--budget",),
    "time-budget": ("--budget",),
    "max-time": ("--budget",),
    "dataset": ("--data",),
    "data-dir": ("--data",),
    "data-path": ("--data",),
    "images": ("--data",),
    "size": ("--resolution",),
    "imgsz": ("--resolution",),
    "img-size": ("--resolution",),
    "image-size": ("--resolution",),
    "input-size": ("--resolution",),
    "num-classes": ("--classes",),
    "width-mult": ("--width",),
    "multiplier": ("--width",),
    "alpha": ("--width",),
    "random-seed": ("--seed",),
    "manual-seed": ("--seed",),
    "checkpoint": ("--seed", "--warm-start"),
    "ckpt": ("--seed", "--warm-start"),
    "weights": ("--seed", "--warm-start"),
    "pretrained": ("--warm-start", "--seed"),
    "init": ("--warm-start", "--seed"),
    "cfg": ("--config",),
    "settings": ("--config", "--recipe"),
    "algo": ("--controller",),
    "algorithm": ("--controller",),
    "strategy": ("--controller",),
    "search-space": ("--space",),
    "phone": ("--device",),
    "hardware": ("--device",),
    "backend": ("--device",),
    "continue": ("--resume",),
    "quantize": ("--int8",),
    "tflite": ("--litert",),
}
"""Option names of other programs, without hyphens, and ours; the first that the command has is used."""

SETTINGS: Mapping[str, str] = {
    "lr": "learning_rate",
    "learning-rate": "learning_rate",
    "bs": "batch_size",
    "wd": "weight_decay",
    "weight-decay": "weight_decay",
    "epochs": "epochs",
    "epoch": "epochs",
    "steps": "steps",
    "label-smoothing": "label_smoothing",
    "smoothing": "label_smoothing",
    "warmup": "warmup_fraction",
}
"""Option names of other programs that are recipe settings here, given in a file."""

COMMANDS: Mapping[str, str] = {
    "benchmark": "measure",
    "bench": "measure",
    "latency": "measure",
    "time": "measure",
    "test": "evaluate",
    "eval": "evaluate",
    "validate": "evaluate",
    "convert": "export",
    "finetune": "train",
    "fine-tune": "train",
    "fit": "train",
    "prune": "netadapt",
    "adapt": "netadapt",
    "info": "show",
    "summary": "show",
    "list": "devices",
    "load": "import",
    "infer": "predict",
    "run": "search",
}
"""Command names of other programs, and ours."""


def for_option(typed: str, known: Collection[str]) -> str:
    """Return a suffix for the message "No such option"; empty if nothing is similar.

    >>> for_option("--lr", ["--learning-rate", "--epochs"])
    ': did you mean --learning-rate?'
    >>> for_option("--lr", ["--config", "--device"])
    ': set recipe.learning_rate in the file given by --config'

    Args:
        typed: The unknown option, with its hyphens.
        known: The command's options.
    """
    name = typed.lstrip("-").replace("_", "-").lower()
    # Only `nas train`, recognised by --epochs, takes a GPU as --device.
    trains = {"--device cuda"} if {"--epochs", "--device"} <= {*known} else set[str]()
    candidates = OPTIONS.get(name) or OPTIONS.get(nearest(name, OPTIONS) or "", ())
    ours = next((option for option in candidates if option in {*known, *trains}), None)
    close = nearest(typed, [option for option in known if option.startswith("--")])
    if name not in OPTIONS and close:
        ours = close
    if name == "bs" and "--config" in known:
        ours = None  # --batch-size of a search counts candidates
    if ours is None and name in SETTINGS:
        if "--config" in known:
            return f": set recipe.{SETTINGS[name]} in the file given by --config"
        if "--recipe" in known and f"--{SETTINGS[name]}".replace("_", "-") not in known:
            return f": set {SETTINGS[name]} in the file given by --recipe"
    ours = ours or close
    return f": did you mean {ours}?" if ours else ""


def for_command(typed: str, known: Collection[str]) -> str:
    """Return a suffix for the message "No such command".

    >>> for_command("benchmark", ["measure", "show"]), for_command("serch", ["search"])
    (': did you mean measure?', ': did you mean search?')
    """
    meant = COMMANDS.get(typed.lower())
    ours = meant if meant in known else nearest(typed, known)
    return f": did you mean {ours}?" if ours else f": choose one of {', '.join(known)}"
