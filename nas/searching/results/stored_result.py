"""`result.json` of a search, as reports read it; `nas.searching.results.search_result` writes it."""

from __future__ import annotations

from latency import Latency
from nas.atomic_files import read_json
from nas.engine.folder.records import OnnxScore, Record, parse_record
from nas.engine.folder.run_folder import RunFolder
from nas.engine.job import RIVAL
from nas.engine.trial import Trial
from nas.searching.results.verdict import Verdict


class StoredResult(Record):
    """The winner's figures.

    Attributes:
        trial: Index of the winner.
        kind: `final`, or `rival` if none of the finalists was better than the best rival.
        px: Side of its input; None in early runs.
        fingerprint: Its network's.
        accuracy: Its held-out accuracy after the longer training, 0..1.
        test_accuracy: Its accuracy on the test images; None if there is none.
        test_problem: Why there is none, if the test images could not be read.
        test_looks: How often the run was scored on the test images.
        onnx: Accuracy of `best.onnx`; None if there is no such file.
        chance: Held-out accuracy of a network that has learned nothing; None if unknown.
        within_target: Whether the winner is within the target on every device.
        latency: Its latency on the first device.
        other_latencies: Its latencies on further devices, in order.
        trials: Number of trials of full length.
        verdict: How the best finalist compares with the best rival; None without rivals.
    """

    trial: int
    kind: str = "final"
    px: int | None = None
    fingerprint: str
    accuracy: float
    test_accuracy: float | None = None
    test_problem: str | None = None
    test_looks: int = 1
    onnx: OnnxScore | None = None
    chance: float | None = None
    within_target: bool
    latency: Latency
    other_latencies: tuple[Latency, ...] = ()
    trials: int
    verdict: Verdict | None = None

    def is_of(self, trial: Trial) -> bool:
        """Return whether a trial, or its longer training, is the winner."""
        return self.trial == trial.index and (self.kind == RIVAL) == (trial.kind == RIVAL)

    @property
    def latencies(self) -> tuple[Latency, ...]:
        """The winner's latency on each device."""
        return (self.latency, *self.other_latencies)


def read_result(folder: RunFolder) -> StoredResult | None:
    """Return the contents of `result.json`; None if the run is not finished.

    Raises:
        InputError: The file is damaged.
    """
    path = folder / "result.json"
    return parse_record(StoredResult, read_json(path), where=path) if path.is_file() else None
