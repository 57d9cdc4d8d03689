import json
import re

import pytest

from controllers import make_controller
from latency import Device, Latency, MeasurementError, open_device
from nas.cli.main import nas_app
from nas.data.image_files.preparation import PLAIN
from nas.engine.folder.run_folder import RunFolder
from nas.engine.job import Outcome
from nas.engine.runner import RunStoppedError, run_serially
from nas.engine.watching import PolicyRecord
from nas.export.evaluation.examined import Examined, keep_examined
from nas.report.search.report import chart_id, render, write_report
from nas.searching.results.metadata import search_metadata
from nas.searching.results.search_result import SearchResult, choose_winner
from nas.searching.results.table import pareto_front
from nas.searching.sizes import Sizes
from nas.statistics.noise import fastest_of_the_best, measure_noise
from search_spaces import InputError, count, load_space
from tests.nas.conftest import Told, accuracy_of
from tests.nas.report.pages import figures_in, text_of, traces

LAB = Device("a <b>lab</b> device", "lab")
TARGET_MS = 30.0
ATTACK = "</script><script>window.attacked = 1</script><img src=x onerror='window.attacked = 1'>"


class Photos:
    name, classes, resolution_px, task = "photos & more", ("a", "b"), 32, "classify"
    train = val = test = ()
    mean = std = (0.5, 0.5, 0.5)
    left_out = changes = ()
    contents = None
    preparation = PLAIN


SIZES = Sizes(32, 64)


def measured(spec):
    ms = count(spec).madds / 1e6
    stable = int(spec.fingerprint, 16) % 4 > 0
    return Latency(ms, (ms * 0.9, ms * 1.2), ms * 0.8, ms * 1.3, 9, LAB.name, "lab", False, stable)


def some_fail(job):
    if job.kind == "search" and job.index % 5 == 3:
        return Outcome(None, f"RuntimeError: {ATTACK}")
    return Outcome(accuracy_of(job))


def all_alike(job):
    """Chance alone, but for the longer training: there the slower networks are better."""
    if job.kind == "final":
        return Outcome(0.7 + count(job.spec).madds / 1e9)
    return Outcome(0.6 + (job.seed % 100) / 1e3)


@pytest.fixture
def make_run(make_loop, tmp_path):
    """A run folder as a search leaves it, without the training."""

    def make(
        *,
        evaluate=some_fail,
        controller="rnn",
        device=LAB,
        measure=measured,
        beside=(),
        finished=True,
        target_ms=TARGET_MS,
        **budget,
    ):
        folder = RunFolder(tmp_path / "run")
        folder.path.mkdir()
        space = load_space("mnasnet", resolution=64, classes=4)
        targets_ms = [target_ms, *(ms for _, ms in beside)]
        sources = [Told(measure, device), *(source for source, _ in beside)]
        loop = make_loop(
            folder=folder.path,
            targets_ms=targets_ms,
            space=space,
            controller=make_controller(controller, space.arities, seed=0),
            sources=sources,
            watcher=PolicyRecord(folder / "policy.jsonl"),
            **budget,
        )
        facts = search_metadata(
            space,
            [s.device for s in sources],
            Photos,
            targets_ms=targets_ms,
            budget=loop.plan.budget,
        )
        (folder / "run.json").write_text(json.dumps(facts.to_dict()))
        try:
            run_serially(loop, evaluate)
        except RunStoppedError:
            return folder, loop
        if finished:
            result = result_of(folder, loop)
            (folder / "result.json").write_text(json.dumps(result.to_dict()))
        else:
            (folder / "finals.jsonl").unlink()
        return folder, loop

    return make


def result_of(folder, loop):
    trials, finals = tuple(loop.logs.trials), tuple(loop.logs.finals)
    winner = choose_winner(finals, targets_ms=loop.plan.targets_ms)
    within = winner.within(loop.plan.targets_ms)
    spec, noise = loop.plan.space.decode(winner.tokens), measure_noise(trials, finals)
    return SearchResult(
        folder, winner, spec, within, loop.plan.targets_ms, 0.8125, trials, finals, noise, SIZES
    )


def test_plotly_knows_every_property_of_the_charts(make_run):
    from plotly.graph_objects import Figure

    figures = figures_in(render(make_run()[0]))
    assert len(figures) == 2 + 7
    for figure in figures.values():
        Figure(figure)  # raises on what it does not know


def test_the_scatter_holds_what_the_log_holds(make_run):
    folder, loop = make_run()
    html = render(folder)
    scatter = traces(html, "scatter")
    good = [t for t in loop.logs.trials if t.ok]
    stable = [t for t in good if t.latency.stable]
    assert 0 < len(stable) < len(good)
    assert scatter["trial"]["x"] == [t.latency_ms for t in stable]
    assert scatter["trial"]["y"] == [100 * t.accuracy for t in stable]
    assert len(scatter["trial, unstable latency"]["x"]) == len(good) - len(stable)
    bars = scatter["trial"]["error_x"]
    assert bars["array"][0] == pytest.approx(0.2 * stable[0].latency_ms)
    assert bars["arrayminus"][0] == pytest.approx(0.1 * stable[0].latency_ms)
    front = pareto_front(loop.logs.trials)
    assert scatter["Pareto front of the trials"]["x"] == [t.latency_ms for t in front]
    assert scatter["Pareto front of the trials"]["line"]["shape"] == "hv"
    finals = loop.logs.finals
    for name, kind in (("finalist, trained longer", "final"), ("trained again", "repeat")):
        drawn = list(zip(scatter[name]["x"], scatter[name]["y"], strict=True))
        assert drawn == [(t.latency_ms, 100 * t.accuracy) for t in finals if t.kind == kind]


def test_the_scatter_shows_the_target_and_the_noise(make_run):
    folder, loop = make_run()
    shapes = {s["name"]: s for s in figures_in(render(folder))["scatter"]["layout"]["shapes"]}
    assert shapes["target"]["x0"] == shapes["target"]["x1"] == TARGET_MS
    noise = measure_noise(loop.logs.trials, loop.logs.finals)
    in_band = [
        t
        for t in loop.logs.trials
        if t.ok and shapes["noise"]["y0"] <= 100 * t.accuracy <= shapes["noise"]["y1"]
    ]
    assert min(in_band, key=lambda t: t.latency_ms) == fastest_of_the_best(loop.logs.trials, noise)


def test_over_a_point_stands_the_trial_with_its_choices(make_run):
    folder, loop = make_run()
    first = next(t for t in loop.logs.trials if t.ok and t.latency.stable)
    hover = traces(render(folder), "scatter")["trial"]["hovertext"][0]
    assert f"trial {first.index}<" in hover
    assert f"accuracy {100 * first.accuracy:.1f}% at 32 px, reward {first.reward:.3f}" in hover
    assert "95% interval" in hover
    name, choices = loop.plan.space.labels[0]
    assert hover.count("<br>block ") == 7
    assert f"{name.replace(' op', ': op')} {choices[first.tokens[0]]}, kernel" in hover


def test_the_reward_chart_has_the_running_best_and_the_failures(make_run):
    folder, loop = make_run()
    rewards = traces(render(folder), "rewards")
    good = [t for t in loop.logs.trials if t.ok]
    assert rewards["trial"]["y"] == [t.reward for t in good]
    best = rewards["best so far"]["y"]
    assert best == sorted(best)
    assert best[-1] == max(t.reward for t in good)
    assert rewards["failed"]["x"] == [3, 8, 13, 18]
    assert max(rewards["failed"]["y"]) < min(rewards["trial"]["y"])


def test_the_policy_over_time_is_the_controllers(make_run):
    folder, loop = make_run()
    html = render(folder)
    assert "The controller's probability of each choice" in html
    recorded = [
        json.loads(line)["probabilities"]
        for line in (folder / "policy.jsonl").read_text().splitlines()
    ]
    heat = figures_in(html)["policy-0"]["data"][0]
    assert heat["x"] == list(range(len(recorded)))
    assert len(heat["y"]) == sum(loop.plan.space.arities[:6])
    assert f"{100 * recorded[4][1][0]:.1f}%" in heat["hovertext"][4][4]  # kernel 3, last batch


def test_controllers_without_a_policy_show_frequencies(make_run):
    folder, loop = make_run(controller="evolution")
    html = render(folder)
    assert "as this controller has no probabilities" in html
    heat = figures_in(html)["policy-0"]["data"][0]
    first_batch = [t.tokens[0] for t in loop.logs.trials[:5]]
    for choice in range(4):
        share = 100 * first_batch.count(choice) / 5
        assert heat["hovertext"][choice][0].endswith(f": {share:.1f}%")


def test_the_headline_says_what_won(make_run):
    folder, loop = make_run()
    winner = result_of(folder, loop).winner
    text = text_of(render(folder))
    assert (
        f"Trial {winner.index} wins: {100 * winner.accuracy:.1f}% on held-out images of 64 px"
        in text
    )
    assert "Test accuracy: 81.2% at 64 px." in text
    assert "(95% interval " in text
    assert ("reading is unstable" in text) == (not winner.latency.stable)


@pytest.mark.parametrize(
    ("target_ms", "words"),
    [(1.0, "It is not within the target of 1.00 ms: no finalist is"), (1e4, "It is within the")],
)
def test_the_headline_says_whether_the_target_is_met(make_run, target_ms, words):
    assert words in text_of(render(make_run(target_ms=target_ms)[0]))


def test_a_run_within_its_noise_says_that_the_fastest_is_the_answer(make_run):
    folder, loop = make_run(evaluate=all_alike, trials=40, finalists=6, repeats=10, target_ms=1e4)
    text = text_of(render(folder))
    assert "The networks do not differ by more than the noise" in text
    fast = fastest_of_the_best(loop.logs.trials, measure_noise(loop.logs.trials, loop.logs.finals))
    assert f"within the noise of the best is trial {fast.index}:" in text
    winner = result_of(folder, loop).winner
    assert winner.index != fast.index
    assert f"Prefer it to the winner, trial {winner.index}." in text


def test_a_run_beyond_its_noise_says_so(make_run):
    text = text_of(render(make_run(repeats=4)[0]))
    assert "The networks differ by more than the noise" in text
    assert re.search(r"Given this noise, the best of \d+ trials is expected", text)
    assert "proposed 23 networks in batches of" in text
    assert "in place of the winner" not in text


def test_two_pairs_are_too_few_to_say_how_many_trials_are_worth_it(make_run):
    text = text_of(render(make_run()[0]))
    assert "No advice on the number of trials" in text
    assert "from only 2 pairs (95% interval" in text
    assert "Given this noise" not in text


def test_a_second_look_at_the_test_images_is_no_first_one(make_run):
    folder, _ = make_run()
    path = folder / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"test_looks": 2}))
    text = text_of(render(folder))
    assert "Test accuracy: 81.2% at 64 px, evaluated 2 times." in text
    assert "looked at once" not in text


def test_an_estimate_is_called_one_wherever_it_is_shown(make_run):
    source = open_device("madds:10")
    html = render(make_run(device=source.device, measure=source.latency)[0])
    text, scatter = text_of(html), figures_in(html)["scatter"]
    assert re.search(r"wins: [\d.]+% on .* ms \(an estimate, not measured\)", text)
    assert "estimates, not measurements" in text
    assert "Latency, ms, 64 px (estimate)" in text
    assert scatter["layout"]["xaxis"]["title"]["text"] == (
        "Latency at 64 px (ms, estimated, not measured)"
    )
    points = traces(html, "scatter")["trial"]
    assert points["error_x"]["visible"] is False
    assert all("(an estimate, not measured)" in hover for hover in points["hovertext"])


def test_every_device_has_its_place(make_run):
    pixel = open_device("pixel1")
    folder, loop = make_run(beside=[(pixel, 15.0)])
    html = render(folder)
    text = text_of(html)
    figures = figures_in(html)
    good = [t for t in loop.logs.trials if t.ok]
    for chart, place, target_ms in (("scatter", 0, TARGET_MS), ("scatter-2", 1, 15.0)):
        drawn = traces(html, chart)
        ringed = drawn["Pareto front of the trials"]["x"]
        assert ringed == [t.latencies_ms[place] for t in pareto_front(good, device=place)]
        points = drawn["trial"]["x"] + drawn.get("trial, unstable latency", {"x": []})["x"]
        assert sorted(points) == sorted(t.latencies_ms[place] for t in good)
        shapes = {s["name"]: s for s in figures[chart]["layout"]["shapes"]}
        assert shapes["target"]["x0"] == target_ms
    assert "Accuracy against latency on a <b>lab</b> device" not in html  # it is escaped
    assert "Accuracy against estimated latency on Pixel 1" in text
    assert traces(html, "scatter-2")["trial"]["error_x"]["visible"] is False
    assert "Pixel 1, ms, 64 px (estimate)" in text
    assert re.search(
        r"wins: .* ms \(95% interval .* and [\d.]+ ms \(an estimate, .*\) on Pixel 1\.", text
    )
    assert "the target of 15.0 ms on Pixel 1" in text
    winner = result_of(folder, loop).winner
    hover = " ".join(traces(html, "scatter")["finalist, trained longer"]["hovertext"])
    assert f"{winner.latencies[1].median_ms:.3g}" in hover


def test_a_winner_may_miss_one_target_of_several(make_run):
    text = text_of(render(make_run(beside=[(open_device("pixel1"), 0.1)], target_ms=1e4)[0]))
    assert "It is not within the target of 0.100 ms on Pixel 1." in text
    assert "No finalist is within all targets, so the one with the best reward was chosen." in text


def test_a_log_of_other_devices_is_refused(make_run):
    folder, _ = make_run()
    facts = json.loads((folder / "run.json").read_text())
    second = facts["device"] | {"target_ms": 3.0}
    (folder / "run.json").write_text(json.dumps(facts | {"other_devices": [second]}))
    with pytest.raises(InputError, match=r"trial 0 does not fit the devices in run\.json"):
        render(folder)


def test_a_run_of_before_there_were_several_devices_is_read(make_run):
    folder, _ = make_run()
    before = render(folder)
    facts = json.loads((folder / "run.json").read_text())
    del facts["other_devices"], facts["device"]["make"]
    (folder / "run.json").write_text(json.dumps(facts))
    assert render(folder) == before


def test_an_unfinished_run_says_so(make_run):
    folder, _ = make_run(finished=False)
    with (folder / "trials.jsonl").open("ab") as log:
        log.write(b'{"index": 23, "ki')  # the search is writing it just now
    text = text_of(render(folder))
    assert "Not finished: 23 of the 23 trials have ended, and 0 of the 4 final trainings" in text
    assert "has the best reward so far" in text
    assert "the noise of accuracies is unknown" in text
    assert (folder / "trials.jsonl").read_bytes().endswith(b'"ki')  # and is left alone


def test_a_result_of_before_the_run_was_gone_on_with_is_not_the_runs(make_run):
    folder, _ = make_run()
    seen = Examined("accuracy", 0.5, (0.4, 0.6), 9, 64, (), (), "probability", (), ())
    keep_examined(folder, seen)
    of_it = "seed.pt on the test images 50.0% accuracy (95% interval 40.0% to 60.0%) on 9 images at 64 px."
    assert of_it in text_of(render(folder))
    lines = (folder / "trials.jsonl").read_text().splitlines(keepends=True)
    (folder / "trials.jsonl").write_text("".join(lines[:-1]))
    text = text_of(render(folder))
    assert "Not finished: 22 of the 23" in text
    assert "on the test images" not in text


def test_a_run_that_has_just_begun(make_run):
    folder, _ = make_run(finished=False)
    (folder / "trials.jsonl").unlink()
    (folder / "policy.jsonl").unlink()
    html = render(folder)
    assert "none of the 23 trials has ended yet" in text_of(html)
    assert 'class="chart"' not in html


def fail(spec):
    raise MeasurementError("the device <i>is</i> away")


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"evaluate": lambda job: Outcome(None, "OutOfMemoryError: 2 GiB")}, "OutOfMemoryError: 2"),
        ({"measure": fail}, "latency: the device &lt;i&gt;is&lt;/i&gt; away"),
    ],
)
def test_a_run_of_failures_counts_their_reasons(make_run, parts, reason):
    text = text_of(render(make_run(**parts)[0]))
    assert "All failed, so there is no result" in text
    assert f"5 \N{MULTIPLICATION SIGN} {reason}" in text
    assert "5 ended, 5 of them failed" in text


def test_what_others_wrote_cannot_become_markup(make_run):
    html = render(make_run()[0])
    assert "<script>window.attacked" not in html
    assert "<img" not in html.split("<script>")[0]
    assert "<b>lab" not in html
    assert "photos &amp; more" in html
    (failed, *_) = traces(html, "rewards")["failed"]["hovertext"]
    assert "&lt;script&gt;" in failed


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("run.json", None, r"run\.json cannot be read"),
        ("run.json", "{", r"run\.json cannot be read"),
        ("run.json", '{"space": "mine"}', r"lacks budget, data, device, labels, target_ms"),
        ("trials.jsonl", "{}\n", r"trials\.jsonl, line 1: damaged"),
        ("policy.jsonl", '{"probabilities": [[1.0]]}\n', r"policy\.jsonl does not fit the space"),
    ],
)
def test_a_folder_that_is_no_whole_run_is_refused_in_a_line(make_run, name, content, message):
    folder, _ = make_run()
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        write_report(folder)
    assert "\n" not in str(caught.value)
    assert not (folder / "report.html").exists()


def test_trials_of_another_space_are_refused(make_run):
    folder, _ = make_run()
    facts = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(facts | {"labels": facts["labels"][:6]}))
    with pytest.raises(InputError, match=r"trial 0 does not fit the space in run\.json"):
        render(folder)


@pytest.mark.slow
def test_a_real_browser_draws_it(make_run, open_page):
    folder, loop = make_run()
    nas_app(["report", str(folder.path)], standalone_mode=False)
    page = open_page(folder / "report.html")
    page.wait_for_selector("#scatter .scatterlayer .point")
    drawn = traces((folder / "report.html").read_text(), "scatter").values()
    points = page.locator("#scatter .scatterlayer .point")
    assert points.count() == sum(len(trace["x"]) for trace in drawn)
    assert page.locator("#rewards .scatterlayer .point").count() == len(loop.logs.trials)
    assert page.locator(".blocks .heatmaplayer image").count() == 7

    buttons = page.locator(".modebar-btn").evaluate_all("found => found.map(b => b.dataset.title)")
    assert buttons  # and none uploads the chart
    assert not any("hare" in button or "loud" in button for button in buttons)

    first = next(t for t in loop.logs.trials if t.ok and t.latency.stable)
    page.locator("#scatter .trace:has(.point)").first.locator(".point").first.hover(force=True)
    page.wait_for_selector("#scatter .hoverlayer .hovertext")
    hover = page.locator("#scatter .hoverlayer").text_content()
    assert f"trial {first.index}" in hover
    assert "block 0: op" in hover
    page.locator("#rewards .point").last.hover(force=True)  # a failed trial
    page.wait_for_selector("#rewards .hoverlayer .hovertext")
    assert "<script>" in page.locator("#rewards .hoverlayer").text_content()  # as text
    assert page.evaluate("window.attacked") is None


@pytest.mark.slow
def test_a_real_browser_sorts_the_table(make_run, open_page):
    folder, loop = make_run()
    page = open_page(write_report(folder))

    def column(number):
        return page.locator(f"#trials tbody td:nth-child({number})").all_inner_texts()

    ranked = sorted(loop.logs.trials, key=lambda t: (not t.ok, -t.reward, t.index))
    assert column(1) == [str(t.index) for t in ranked]
    page.get_by_role("button", name="Trial", exact=True).click()
    assert column(1) == [str(index) for index in reversed(range(23))]
    page.get_by_role("button", name="Trial", exact=True).click()
    assert column(1) == [str(index) for index in range(23)]
    page.get_by_role("button", name="Accuracy, 32 px", exact=True).click()
    shown = column(2)
    assert shown[-4:] == [""] * 4  # the failed ones
    accuracies = [float(text.rstrip("%")) for text in shown[:-4]]
    assert accuracies == sorted(accuracies, reverse=True)
    page.locator("#trial-0 summary").click()
    assert "block 6: op" in page.locator("#trial-0").inner_text()


@pytest.mark.slow
@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("beside", [[], [(open_device("pixel1"), 15.0)]])
def test_a_real_browser_fits_it_on_a_phone(make_run, open_page, finished, beside):
    page = open_page(write_report(make_run(finished=finished, beside=beside)[0]), width=400)
    for place in range(1 + len(beside)):
        page.wait_for_selector(f"#{chart_id(place)} .scatterlayer .point")
    assert page.evaluate("document.documentElement.scrollWidth") == 400
