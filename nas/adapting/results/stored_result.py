"""`result.json` of a NetAdapt run, as its report reads it. Its writer is in `adapt_result.py`."""

from __future__ import annotations

from nas.engine.folder.records import OnnxScore, Record


class StoredResult(Record):
    """The adapted network's figures.

    Attributes:
        steps: Number of steps.
        reached: Whether the target was reached.
        test_accuracy: Accuracy on the test images, 0..1; None if they could not be read.
        onnx: Accuracy of `adapted.onnx`; None if there is no such file.
    """

    steps: int
    reached: bool
    test_accuracy: float | None = None
    onnx: OnnxScore | None = None
