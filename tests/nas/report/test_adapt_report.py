"""A NetAdapt run's report: what the log holds, drawn and told; nothing from the network."""

import io
import json
import re
import shutil
from dataclasses import replace

import pytest
from rich.console import Console

from latency import Device, Latency, MeasurementError, open_device
from nas.adapting.results.comparison import Comparison
from nas.adapting.results.record import AdaptRecord
from nas.cli.adapt.summary import warn_of_unstable
from nas.cli.main import nas_app
from nas.engine.folder.run_folder import RunFolder
from nas.engine.job import Outcome
from nas.formatting import percent
from nas.report.adapt.report import render, write_adapt_report
from nas.report.adapt.table import step_tables
from nas.report.adapt.text import measured
from nas.report.search.report import write_report
from nas.run_adapt import adapt
from search_spaces import InputError, count
from search_spaces.spec import load
from tests.nas.adapting.test_adapt import DATA, SEED, SPEC
from tests.nas.adapting.test_adapt_compare import COMPARED, Seeded
from tests.nas.report.pages import figures_in, text_of, traces
from tests.nas.report.test_report import ATTACK

CONFIG = COMPARED.model_copy(update={"device": "lab"})


class Lab:
    """A measured device, some of whose readings are unstable, and which refuses one width."""

    device = Device("a <b>lab</b> device", "lab")

    def latency(self, spec):
        if spec.blocks[-1].expand == 8 and spec.blocks[1].expand == SPEC.blocks[1].expand:
            raise MeasurementError(ATTACK)
        ms = count(spec).madds / 1e6
        stable = spec == SPEC or int(spec.fingerprint, 16) % 5 > 0
        return Latency(
            ms, (0.9 * ms, 1.2 * ms), ms, ms, 9, self.device.name, "lab", False, stable
        )  # fmt: skip


class Some(Seeded):
    """A trainer some of whose proposals diverge."""

    def __call__(self, job):
        outcome = super().__call__(job)
        diverges = job.kind == "proposal" and job.index == 4
        return Outcome(None, f"diverged: {ATTACK}") if diverges else outcome


def make(folder, *, trainer=None, source=None, config=CONFIG):
    return adapt(
        SEED, data=DATA, latency=source or Lab(), config=config, folder=folder,
        evaluate=trainer or Some(),
    )  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run, and what it found."""
    folder = tmp_path_factory.mktemp("report") / "mine"
    return folder, make(folder)


@pytest.fixture(scope="module")
def html(finished):
    return (finished[0] / "report.html").read_text()


def test_plotly_knows_every_property_of_the_charts(html):
    from plotly.graph_objects import Figure

    figures = figures_in(html)
    assert set(figures) == {"trajectory", "widths", "family"}
    for figure in figures.values():
        Figure(figure)


def test_the_way_is_the_familys(finished, html):
    folder, result = finished
    accuracy, latency, madds = figures_in(html)["trajectory"]["data"]
    family = result.family
    assert accuracy["x"] == list(range(len(family) + 1))
    assert accuracy["y"] == [100 * a for a in (result.seed_accuracy, *(t.accuracy for t in family))]
    seed_ms = result.seed_latency.median_ms
    assert latency["y"] == [seed_ms, *(t.latency_ms for t in family)]
    assert latency["error_y"]["array"][0] == pytest.approx(0.2 * seed_ms)
    assert madds["y"] == [count(SPEC).madds / 1e6, *(t.madds / 1e6 for t in family)]
    plan = json.loads((folder / "plans" / "step-0.json").read_text())
    assert (
        plan["proposals"][family[0].index]["name"].replace(">", "&gt;") in accuracy["hovertext"][1]
    )


def test_the_picture_has_every_width_before_and_after(finished, html):
    folder, result = finished
    adapted = load(folder / "adapted.yaml")
    assert adapted == result.spec != SPEC
    bars = figures_in(html)["widths"]["data"]
    for network, places in ((SPEC, (0, 2)), (adapted, (1, 3))):
        expansions, outputs = (drawn_in(bars[place]) for place in places)
        assert expansions == {str(i): b.expand for i, b in enumerate(network.blocks) if b.expand}
        blocks = {str(index): block.out for index, block in enumerate(network.blocks)}
        assert outputs == {"stem": network.stem.out} | blocks
    assert [bar["name"] for bar in bars] == ["the seed", "adapted"] * 2


def drawn_in(trace):
    return dict(zip(trace["x"], trace["y"], strict=True))


def test_the_family_stands_beside_the_multipliers(finished, html):
    folder, result = finished
    drawn = traces(html, "family")
    assert drawn["NetAdapt, each step"]["x"][1:] == [t.latency_ms for t in result.family]
    (baseline,) = result.baselines
    uniform = drawn["uniform, from scratch"]
    finals = [json.loads(line) for line in (folder / "finals.jsonl").read_text().splitlines()]
    scratch = [trial["accuracy"] for trial in finals if trial["kind"] == "uniform-scratch"]
    assert uniform["x"] == [baseline.latency.median_ms]
    assert uniform["y"] == [pytest.approx(100 * sum(scratch) / 3)]
    assert uniform["error_y"]["array"][0] > 0
    curve = drawn["uniform, same fine-tuning steps"]
    assert len(curve["x"]) == min(4, len(result.family))
    assert curve["hovertext"][0].startswith("<b>uniform, width multiplier ")
    shapes = figures_in(html)["family"]["layout"]["shapes"]
    assert [shape["x0"] for shape in shapes if shape["name"] == "target"] == [CONFIG.target_ms]


def test_it_tells_the_result_the_noise_and_the_files(finished, html):
    _, result = finished
    text = text_of(html)
    assert f"in {len(result.family)} steps, target " in text
    assert f"Test accuracy of adapted.pt: {percent(result.test_accuracy)}" in text
    for comparison in result.comparisons:
        assert comparison.sentence().replace("'", "&#39;") in text
    assert f"Uniform is the seed&#39;s {result.baselines[0].about}, " in text
    assert "(95% interval " in text
    for name in ("adapted.yaml", "adapted.onnx", "family.csv", "proposals.jsonl", "rivals"):
        assert f" {name} " in text
    assert "mine/adapted.yaml" in text


def test_every_proposal_stands_in_its_steps_table(finished, html):
    folder, result = finished
    text = text_of(html)
    proposals = [json.loads(line) for line in (folder / "proposals.jsonl").read_text().splitlines()]
    for step in range(len(result.family)):
        plan = json.loads((folder / "plans" / f"step-{step}.json").read_text())
        for planned in plan["proposals"]:
            assert planned["name"].replace(">", "&gt;") in text
    assert text.count(" chosen ") >= len(result.family)
    discarded = [line for line in proposals if line["error"]]
    assert {line["error"].partition(":")[0] for line in discarded} == {"diverged", "latency"}
    assert text.count("failed: diverged") == 1
    assert text.count("failed: latency: ") == len(discarded) - 1
    assert f"{len(discarded) - 1} \N{MULTIPLICATION SIGN} latency: " in text


def test_what_others_wrote_cannot_become_markup(html):
    assert "<script>window.attacked" not in html
    assert "<img" not in html.split("<script>")[0]
    assert "<b>lab" not in html


def test_unstable_readings_are_called_so_and_counted_as_on_the_terminal(finished, html):
    text = text_of(html)
    assert " unstable " in text
    said = re.search(r"(\d+) of (\d+) latency readings: runs differed too much", text)
    console = Console(file=io.StringIO(), width=200)
    warn_of_unstable(AdaptRecord.read(RunFolder(finished[0])), console)
    assert said
    assert "{} of {} latencies are unstable".format(*said.groups()) in console.file.getvalue()


def test_of_a_device_by_pieces_only_what_was_measured_is_counted(finished):
    run = AdaptRecord.read(RunFolder(finished[0]))
    confirmed = sum(step.confirmed is not None for step in run.steps)
    assert len(measured(run)) == len(run.latencies) + confirmed > len(run.steps)
    sums = [
        replace(p, latency=replace(p.latency, estimate=True))
        for p, _ in run.steps[0].entries
        if p.latency
    ]
    first = replace(run.steps[0], entries=[(planned, None) for planned in sums])
    device = run.metadata.device.model_copy(update={"estimate": True})
    metadata = run.metadata.model_copy(update={"device": device})
    pieces = replace(run, metadata=metadata, steps=[first], baselines={})
    assert measured(pieces) == [run.seed_latency, first.confirmed]


@pytest.mark.parametrize(("proposals", "words"), [(1, "of 1 proposal "), (2, "of 2 proposals ")])
def test_a_step_is_told_in_whole_words(finished, proposals, words):
    run = AdaptRecord.read(RunFolder(finished[0]))
    step = replace(run.steps[0], entries=run.steps[0].entries[:proposals])
    under_way = replace(step, entries=[(planned, None) for planned, _ in step.entries])
    for shown in (step, under_way):
        (table,) = step_tables(replace(run, steps=[shown]))
        assert words in table.summary + " "


def test_a_score_is_told_in_points_for_a_millisecond(finished):
    folder, result = finished
    best = result.family[0]
    (table, *_) = step_tables(AdaptRecord.read(RunFolder(folder)))
    cells, chosen, _ = table.rows[0]
    assert chosen
    assert float(cells[4]) == pytest.approx(100 * best.reward, rel=0.01)


def test_the_charts_buttons_and_its_legend_do_not_meet(html):
    legend = figures_in(html)["family"]["layout"]["legend"]
    assert legend["y"] < 0
    assert legend["yanchor"] == "top"


def test_a_clear_difference_and_chance_look_different(finished, html, monkeypatch):
    """The fixture's accuracies are the network's fingerprint's: here the sign is what it happens to be."""
    folder, result = finished
    clear = all(not c.by_chance and c.points > 0 for c in result.comparisons)
    assert ('class="verdict alike"' in html) == (not clear)
    both = [Comparison("uniform", "scratch", (0.9, 0.91), (0.5, 0.51))]
    monkeypatch.setattr("nas.adapting.results.record.comparisons", lambda *_: both)
    assert 'class="verdict"' in render(RunFolder(folder))


def test_an_estimate_is_called_one_and_no_comparison_is_told(tmp_path):
    source = open_device("madds:1")
    config = CONFIG.model_copy(
        update={"compare": "none", "target_ms": 0.85 * count(SPEC).madds / 1e6}
    )
    make(tmp_path, source=source, config=config)
    html = (tmp_path / "report.html").read_text()
    text = text_of(html)
    assert "estimates, not measurements" in text
    assert "Latency, ms (estimate)" in text
    assert "(an estimate, not measured)" in text
    latency = figures_in(html)["trajectory"]["data"][1]
    assert "error_y" not in latency
    assert "Not compared with a uniform width multiplier" in text
    assert (
        "call nas.run_adapt.adapt again with this folder and config.compare set to uniform" in text
    )
    (tmp_path / "config.yaml").touch()  # a command's run
    text = text_of(render(RunFolder(tmp_path)))
    assert f"netadapt --resume {tmp_path} --compare uniform" in text


@pytest.mark.parametrize(("jobs", "words"), [(0, "in 0 steps so far"), (4, "so far")])
def test_an_unfinished_run_says_so(tmp_path, jobs, words):
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, trainer=Some(jobs))
    assert "call nas.run_adapt.adapt again with this folder" in text_of(render(RunFolder(tmp_path)))
    (tmp_path / "config.yaml").touch()  # a command's run
    text = text_of(render(RunFolder(tmp_path)))
    assert "Not finished: from " in text
    assert words in text
    assert "proposals have finished" in text
    assert f"netadapt --resume {tmp_path}" in text


def test_a_result_of_before_the_run_was_gone_on_with_is_not_the_runs(finished, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(finished[0], folder)
    lines = (folder / "proposals.jsonl").read_text().splitlines(keepends=True)
    (folder / "proposals.jsonl").write_text("".join(lines[:-1]))
    assert "Not finished" in text_of(render(RunFolder(folder)))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("run.json", None, "run.json cannot be read"),
        ("run.json", "{", "run.json cannot be read"),
        ("run.json", '{"kind": "netadapt"}', "not written by netadapt"),
        ("proposals.jsonl", "{}\n", r"proposals\.jsonl, line 1: damaged"),
        ("plans/step-0.json", "[]", "step-0.json cannot be read"),
    ],
)
def test_a_folder_that_is_no_whole_run_is_refused_in_a_line(
    finished, tmp_path, name, content, message
):
    folder = tmp_path / "copy"
    shutil.copytree(finished[0], folder)
    (folder / "report.html").unlink()
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        write_adapt_report(RunFolder(folder))
    assert "\n" not in str(caught.value)
    assert not (folder / "report.html").exists()


def test_nas_report_knows_which_run_it_is(finished):
    folder, _ = finished
    (folder / "report.html").unlink()
    nas_app(["report", str(folder)], standalone_mode=False)
    assert "NetAdapt report: mine" in (folder / "report.html").read_text()
    with pytest.raises(InputError, match="it was not written by a search"):
        write_report(RunFolder(folder))


@pytest.mark.slow
@pytest.mark.parametrize("width", [1200, 420])
def test_a_real_browser_draws_it(finished, open_page, width):
    folder, _ = finished
    page = open_page(write_adapt_report(RunFolder(folder)), width=width)
    page.wait_for_selector("#widths .barlayer .point")
    figures = figures_in((folder / "report.html").read_text())
    for chart in ("trajectory", "family"):
        points = sum(len(trace["x"]) for trace in figures[chart]["data"])
        assert page.locator(f"#{chart} .scatterlayer .point").count() == points
    bars = sum(len(trace["x"]) for trace in figures["widths"]["data"])
    assert page.locator("#widths .barlayer .point").count() == bars
    page.locator("details summary").first.click()
    assert page.locator("details[open] .chosen").count() == 1
    table = "document.querySelector('details[open] .scroll')"
    assert page.evaluate(f"{table}.scrollWidth - {table}.clientWidth") <= 0
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate("window.attacked") is None
