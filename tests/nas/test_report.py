import json
import re
import shutil

import pytest

from controllers import make_controller
from latency import Device, Latency
from nas.cli.main import nas_app
from nas.loop import run_serially
from nas.pipeline import _facts
from nas.report import render, write_report
from nas.results import pareto_front
from nas.runs import RunFolder
from nas.trial import Outcome
from nas.watch import PolicyRecord
from search_spaces import InputError, count
from tests.nas.conftest import accuracy_of

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
MEASURED = Device("a <b>lab</b> device", "lab")


class Data:
    name, classes, resolution_px = "photos & more", ("a", "b"), 32
    train = val = test = ()


def measured(spec):
    ms = count(spec).madds / 1e6
    return Latency(ms, (ms * 0.9, ms * 1.2), ms * 0.8, ms * 1.3, 9, "lab", "lab", False, True)


def evaluate(job):
    if job.index % 5 == 3:
        return Outcome(None, "</script><script>alert('no')</script>")
    return Outcome(accuracy_of(job), weights=b"w" if job.kind == "final" else None)


@pytest.fixture
def finished(make_loop):
    """A run folder with 23 trials, some failed, finals, and a policy's record; not yet a result."""

    def make(*, trials=23, device=MEASURED, controller="rnn", evaluate=evaluate):
        folder = RunFolder(make_loop().folder.path)
        rnn = make_controller(controller, make_loop().space.arities, seed=0)
        loop = make_loop(
            trials=trials,
            controller=rnn,
            measure=measured,
            watcher=PolicyRecord(folder / "policy.jsonl"),
        )
        facts = _facts(loop.space, device, Data, target_ms=30.0, budget=loop.budget)
        (folder / "run.json").write_text(json.dumps(facts))
        run_serially(loop, evaluate)
        result = {"test_accuracy": 0.8125}
        (folder / "result.json").write_text(json.dumps(result))
        return folder, loop

    return make


def figures_in(html):
    (found,) = re.findall(r'<script type="application/json" id="figures">(.*?)</script>', html)
    return json.loads(found)


def test_the_charts_hold_what_the_log_holds(finished):
    folder, loop = finished()
    figures = figures_in(render(folder))
    scatter = {trace["name"]: trace for trace in figures["scatter"]["data"]}
    good = [t for t in loop.log.trials if t.ok]
    assert scatter["trials"]["x"] == [t.latency_ms for t in good]
    assert scatter["trials"]["y"] == [100 * t.accuracy for t in good]
    front = pareto_front(loop.log.trials)
    assert scatter["Pareto front of the trials"]["x"] == [t.latency_ms for t in front]
    assert len(scatter["finalists"]["x"]) == sum(
        t.kind == "final" and t.ok for t in loop.finals.trials
    )
    (line,) = figures["scatter"]["layout"]["shapes"]
    assert line["x0"] == line["x1"] == 30.0
    rewards = {trace["name"]: trace for trace in figures["rewards"]["data"]}
    assert rewards["best so far"]["y"][-1] == max(t.reward for t in good)
    assert len(rewards["failed"]["x"]) == 23 - len(good)
    heat = figures["policy"]["data"][0]
    assert len(heat["y"]) == sum(loop.space.arities)
    assert len(heat["x"]) == 5
    hover = scatter["trials"]["text"][0]
    assert f"trial {good[0].index}" in hover
    assert hover.count("block ") == 7


def test_what_others_wrote_cannot_become_markup(finished):
    html = render(finished()[0])
    assert "<script>alert" not in html
    assert "a <b>lab" not in html
    assert "photos &amp; more" in html


def test_the_headline_says_it_all(finished):
    html = render(finished()[0])
    assert re.search(r"Trial \d+ wins: [\d.]+% on held-out images", html)
    assert "95% interval" in html
    assert "it scores 81.2%" in html
    assert "noise" in html


def test_an_estimate_is_called_one(finished):
    device = Device("a model", "m", estimate=True)
    html = render(finished(device=device)[0])
    assert "estimates, not measurements" in html
    assert (
        figures_in(html)["scatter"]["layout"]["xaxis"]["title"]["text"] == "latency (estimate), ms"
    )


def test_an_unfinished_run_says_so(finished):
    folder, _ = finished()
    (folder / "result.json").unlink()
    (folder / "finals.jsonl").unlink()
    assert "Not finished: 23 trials so far" in render(folder)
    (folder / "trials.jsonl").unlink()
    (folder / "policy.jsonl").unlink()
    assert "Not finished: 0 trials so far" in render(folder)


def test_controllers_without_a_policy_show_frequencies(finished):
    folder, loop = finished(controller="evolution")
    html = render(folder)
    assert "no probabilities of its own" in html
    shares = figures_in(html)["policy"]["data"][0]["customdata"]
    first_batch = [t.tokens[0] for t in loop.log.trials[:5]]
    assert [shares[c][0] for c in range(4)] == [first_batch.count(c) / 5 for c in range(4)]


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(InputError, match=r"no readable run\.json"):
        write_report(RunFolder(tmp_path))


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: install Debian's package chromium")
def test_it_opens_in_a_real_browser(finished):
    from playwright.sync_api import sync_playwright

    folder, loop = finished()
    nas_app(["report", str(folder.path)], standalone_mode=False)
    problems, requests = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto((folder.path / "report.html").as_uri())
        page.wait_for_selector("#scatter .scatterlayer .point")
        good = sum(t.ok for t in loop.log.trials)
        points = page.locator("#scatter .scatterlayer .trace").first.locator(".point")
        assert points.count() == good
        finalist = page.locator("#scatter .scatterlayer .point").nth(good)
        finalist.hover(force=True)
        page.wait_for_selector("#scatter .hoverlayer .hovertext")
        assert "block 0: op" in page.locator("#scatter .hoverlayer").text_content()
        first = page.locator("#trials tr:nth-child(2) td:nth-child(2)")
        assert first.inner_text() == str(max(loop.log.trials, key=lambda t: t.reward).index)
        page.locator("#trials th:nth-child(2)").click()
        assert first.inner_text() == "22"
        page.locator("#trials th:nth-child(2)").click()
        assert first.inner_text() == "0"
        page.set_viewport_size({"width": 400, "height": 800})
        page.reload()
        page.wait_for_selector("#policy .heatmaplayer")
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        browser.close()
    assert problems == []
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
