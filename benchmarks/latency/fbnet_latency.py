"""A sum of layers, fitted like a lookup table's calibration, on published FBNet latencies.

    MOBILE_NAS_BENCH=FOLDER python -m benchmarks.latency.fbnet_latency

FOLDER holds `help_fbnet/fbnet_latency.csv.gz` (HELP: 5,000 networks of the FBNet space on many devices).
Only whole networks were timed, so the latency of each layer is fitted: least squared relative error,
five-fold cross-validation.
"""

import argparse
import csv
import gzip
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from latency.estimates.profile import errors, relative_least_squares

FOLDS = 5

Way = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Parts of networks (networks, parts) and latencies (networks,) to what a part takes (parts,)."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", action="append", default=[])
    args = parser.parse_args()
    path = Path(os.environ["MOBILE_NAS_BENCH"]) / "help_fbnet" / "fbnet_latency.csv.gz"
    with gzip.open(path, "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    layers = sorted(name for name in rows[0] if name.startswith("op"))
    chosen = [[row[name] for name in layers] for row in rows]
    single = one_hot([[f"{at} {op}" for at, op in enumerate(ops)] for ops in chosen])
    for device in args.device or ["gold_6226"]:
        measured = np.array([float(row[f"lat_{device}"]) for row in rows])
        for name, way in WAYS.items():
            mape, tau, within = errors(held_out(single, measured, way), measured)
            print(
                f"{device}, {name}: MAPE {100 * mape:.2f}%, tau {tau:.3f}, "
                f"{100 * within:.1f}% within 10%"
            )


def one_hot(networks: list[list[str]]) -> np.ndarray:
    """Encode the parts of each network, (networks, distinct parts + 1); the last column is 1."""
    places = {part: at for at, part in enumerate(sorted({p for parts in networks for p in parts}))}
    table = np.zeros((len(networks), len(places) + 1))
    for row, parts in zip(table, networks, strict=True):
        row[[places[part] for part in parts]] = 1
    table[:, -1] = 1
    return table


def absolute(design: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """Fit the plain linear sum: least squared milliseconds."""
    weights: np.ndarray = np.linalg.lstsq(design, measured, rcond=None)[0]
    return weights


WAYS: dict[str, Way] = {
    "plain linear sum": absolute,
    "ours, relative error": relative_least_squares,
}


def held_out(design: np.ndarray, measured: np.ndarray, way: Way) -> np.ndarray:
    """Estimate each network's latency by a fit to the other folds, (networks,)."""
    estimates = np.zeros(len(measured))
    fold = np.random.default_rng(0).permutation(len(measured)) % FOLDS
    for left_out in range(FOLDS):
        fitted, judged = fold != left_out, fold == left_out
        estimates[judged] = design[judged] @ way(design[fitted], measured[fitted])
    return estimates


if __name__ == "__main__":
    main()
