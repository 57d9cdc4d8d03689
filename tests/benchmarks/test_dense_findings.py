"""Whether the paper's findings are read off the right pairs of networks."""

import numpy as np
import pytest

from benchmarks.dense import findings
from benchmarks.dense.findings import CLAIMS, Row
from nas.comparing.latencies import Read
from nas.tasks.segmentation.evidence import PixelCounts
from search_spaces.heads.named import with_head
from search_spaces.references import mobilenet_v3_small


def pixels(right):
    """Evidence of ten images with two classes of 100 pixels each."""
    one = [[right, 100 - right], [100 - right, right]]
    return PixelCounts(np.array([one] * 10, np.int32))


def row(body, head, *, ms, right):
    spec = with_head(mobilenet_v3_small(), head, classes=2)
    read = Read(ms, (ms, ms), 1.0, (1.0, 1.0))
    return Row(body, head, spec, read, {0: pixels(right), 1: pixels(right)})


ROWS = [
    row("a", "raspp-f256", ms=4.0, right=90),
    row("a", "raspp-rf2-f256", ms=3.0, right=90),
    row("a", "lraspp-rf2-f256", ms=1.5, right=60),
    row("a", "lraspp-rf2-f128", ms=1.2, right=60),
    row("b", "raspp-f256", ms=2.0, right=60),
    row("b", "raspp-rf2-f256", ms=2.0, right=60),
    row("b", "lraspp-rf2-f256", ms=2.0, right=60),
    row("b", "lraspp-rf2-f128", ms=2.4, right=90),
]


def iou(right):
    return 100 * right / (200 - right)


def test_a_finding_is_the_second_network_beside_the_first():
    found = {
        (claim[:3], names): (ratio, apart)
        for claim, names, ratio, apart in map(tuple, findings.findings(ROWS, "segment"))
    }
    ratio, apart = found["(2)", "a:lraspp-rf2-f256 after a:raspp-rf2-f256"]
    assert ratio == "0.50"
    assert float(apart.split(" ")[0]) == pytest.approx(iou(60) - iou(90), abs=0.05)
    ratio, apart = found["(4)", "b:lraspp-rf2-f128 after a:lraspp-rf2-f128"]
    assert ratio == "2.00"
    assert float(apart.split(" ")[0]) == pytest.approx(iou(90) - iou(60), abs=0.05)
    assert len(found) == 2 * len(CLAIMS["segment"]) + 1


def test_the_tables_have_every_network():
    text = findings.markdown(ROWS, "segment")
    assert all(f"| {one.body}:{one.head} |" in text for one in ROWS)
    assert f"{iou(90):.1f}, {iou(90):.1f}" in text
