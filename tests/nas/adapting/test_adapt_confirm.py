"""A chosen network is measured once more by itself, and that figure is the one that counts."""

import json
from dataclasses import replace

import pytest

from latency import Device, Latency, open_device
from latency.estimates.lazy_table import LazyTable
from nas.adapting.baselines import BaselineRequest, Found, best_within_limit
from nas.adapting.results.record import AdaptRecord
from nas.engine.folder.run_folder import RunFolder
from nas.engine.memoized_source import MemoizedSource
from nas.engine.runner import RunStoppedError
from nas.run_adapt import adapt
from search_spaces import count
from tests.latency.test_table import Lab, measured
from tests.nas.adapting.test_adapt import CONFIG, DATA, FULL_MS, SEED, SPEC, Trainer, logged

LAB = Device("lab", "lab-1")


class Lucky:
    """Reads every network 5% too low the first time, and right from then on."""

    device = LAB

    def __init__(self, dies_at=None):
        self.seen, self.asked, self.dies_at = set(), 0, dies_at

    def latency(self, spec):
        if self.asked == self.dies_at:
            raise KeyboardInterrupt
        self.asked += 1
        true = count(spec).madds / 1e6
        low = spec != SPEC and spec.fingerprint not in self.seen
        self.seen.add(spec.fingerprint)
        return replace(Latency.exactly(0.95 * true if low else true, LAB), samples=9)


def run(folder, latency, **changes):
    config = CONFIG.model_copy(update={"final": "none", **changes})
    return adapt(SEED, data=DATA, latency=latency, config=config, folder=folder, evaluate=Trainer())


@pytest.mark.slow
def test_a_lucky_reading_does_not_end_the_run(tmp_path):
    result = run(tmp_path, Lucky())
    assert result.reached
    assert result.latency.median_ms == pytest.approx(count(result.spec).madds / 1e6)
    assert result.latency.median_ms <= CONFIG.target_ms
    for step, trial in enumerate(result.family, start=1):
        assert trial.latency_ms == pytest.approx(trial.madds / 1e6)
        kept = json.loads((tmp_path / "family" / f"step-{step}.latency.json").read_text())
        assert Latency.from_dict(kept) == trial.latency
    record = AdaptRecord.read(RunFolder(tmp_path))
    assert record.adapted_latency == result.latency
    assert [planned.latency for planned, _ in record.family] == [t.latency for t in result.family]
    # What the choice was made by was too low: believed, it would have ended the run above the target.
    planned = next(
        p for p, t in record.steps[-1].entries if t and t.index == result.family[-1].index
    )
    assert planned.latency.median_ms == pytest.approx(0.95 * result.latency.median_ms)


@pytest.mark.parametrize("asked", [2, 60])
@pytest.mark.slow
def test_interrupted_while_it_measures_it_goes_on_from_what_is_kept(tmp_path, asked):
    source = Lucky(dies_at=asked)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "broken", source)
    source.dies_at = None
    result = run(tmp_path / "broken", source)
    assert result.reached
    before = logged_proposals(tmp_path / "broken")
    assert run(tmp_path / "broken", Lucky()).to_dict() == result.to_dict()
    assert logged_proposals(tmp_path / "broken") == before


def logged_proposals(folder):
    return (folder / "proposals.jsonl").read_text()


@pytest.mark.slow
def test_a_device_lost_while_confirming_ends_resumably(tmp_path):
    from latency import DeviceLostError

    class Gone(Lucky):
        gone = False

        def latency(self, spec):
            if spec.fingerprint in self.seen and spec != SPEC and self.gone:
                raise DeviceLostError("the phone is gone")
            return super().latency(spec)

    source = Gone()
    source.gone = True
    with pytest.raises(RunStoppedError, match="the phone is gone"):
        run(tmp_path, source)
    source.gone = False
    assert run(tmp_path, source).reached


def test_an_estimate_has_nothing_to_confirm(tmp_path):
    run(tmp_path, open_device("madds:1"))
    assert not list((tmp_path / "family").glob("*.latency.json"))


def test_by_pieces_each_chosen_network_is_measured_and_calibrates_the_sums(tmp_path):
    source = LazyTable(measured(Lab()), tmp_path / "pieces")
    target_ms = (
        0.97 * measured(Lab()).latency(SPEC).median_ms
    )  # a tenth of a millisecond is not to be had
    result = run(tmp_path / "run", source, target_ms=target_ms)
    assert result.reached
    assert not any(trial.latency.estimate for trial in result.family)
    assert not result.seed_latency.estimate
    page = (tmp_path / "run" / "report.html").read_text()
    assert "other proposals estimated as sums of measured" in " ".join(page.split())
    assert "estimates, not measurements" not in page
    assert "ms, estimated" not in page
    whole = measured(Lab()).latency(result.spec).median_ms
    assert result.latency.median_ms == pytest.approx(whole, rel=0.02)
    again = LazyTable(measured(Lab()), tmp_path / "pieces")
    assert run(tmp_path / "run", again, target_ms=target_ms).to_dict() == result.to_dict()


class Biased:
    """Tells sums that are off by a factor, and can confirm."""

    def __init__(self, factor):
        self.factor = factor

    def reading(self, spec):
        return Latency.exactly(self.factor * count(spec).madds / 1e6, LAB)

    def confirm(self, spec):
        return Latency.exactly(count(spec).madds / 1e6, LAB)


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_a_baseline_is_as_slow_as_it_may_be_when_it_is_measured(factor):
    from netadapt import scaled

    latency = Biased(factor)
    networks = [scaled(SPEC, thousandth / 1000) for thousandth in range(300, 1001)]

    def widest(request):
        fits = [n for n in networks if latency.reading(n).median_ms <= request.limit_ms]
        return Found(fits[-1], "scaled", None) if fits else None

    found, reading = best_within_limit(widest, BaselineRequest(SEED, latency, 0.7 * FULL_MS))
    best = max(ms for n in networks if (ms := count(n).madds / 1e6) <= 0.7 * FULL_MS)
    assert reading.median_ms == pytest.approx(best)
    assert latency.confirm(found.spec) == reading
    assert best_within_limit(widest, BaselineRequest(SEED, latency, 0.01 * FULL_MS)) is None


def test_a_confirmed_reading_is_at_the_run_s_pace():
    class Drifting:
        device = LAB
        pace = 1.0

        def latency(self, spec):
            ms = self.pace * count(spec).madds / 1e6
            return replace(Latency.exactly(ms, LAB), anchor_ms=2.0 * self.pace)

    source = Drifting()
    asked = MemoizedSource(source)
    first = asked.reading(SPEC)
    source.pace = 1.3
    assert asked.confirm(SPEC).median_ms == pytest.approx(first.median_ms)


def test_the_log_is_the_same_with_and_without_interruption(tmp_path):
    """Of a source that tells the same whenever it is asked."""

    class Steady(Lucky):
        def latency(self, spec):
            return replace(Latency.exactly(count(spec).madds / 1e6, LAB), samples=9)

    run(tmp_path / "whole", Steady(), final="scratch")
    config = CONFIG.model_copy(update={"final": "scratch"})
    with pytest.raises(KeyboardInterrupt):
        adapt(
            SEED, data=DATA, latency=Steady(), config=config, folder=tmp_path / "broken",
            evaluate=Trainer(dies_at=5),
        )  # fmt: skip
    run(tmp_path / "broken", Steady(), final="scratch")
    assert logged(tmp_path / "broken") == logged(tmp_path / "whole")
