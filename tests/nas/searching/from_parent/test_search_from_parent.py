"""A search from a parent, whole: its first trials, its finals, its result, and what resuming repeats."""

import json
from dataclasses import replace

import pandas
import pytest
import torch

from controllers import make_controller
from latency import DeviceLostError, open_device
from nas.checkpoints.checkpoint import load_checkpoint
from nas.checkpoints.scoring import score
from nas.data.image_files.unreadable import Unreadable, UnreadableError
from nas.data.images import ArraySplit
from nas.engine.folder.run_folder import RunFolder
from nas.engine.job import Outcome
from nas.engine.runner import RunStoppedError
from nas.engine.trial import read_trials
from nas.engine.watching import Silent
from nas.run_search import search
from nas.searching import defaults
from nas.searching.config import FidelityConfig, FinalsConfig
from nas.searching.from_parent.searched_parent import SearchedParent
from nas.searching.from_parent.training import SubNetworkTraining
from nas.searching.results import conclusion
from nas.searching.results.metadata import ParentMetadata, RivalMetadata
from nas.searching.results.record import RunRecord
from nas.tasks.classification import Classification
from nas.training import train as training
from nas.training.named_recipes import read_recipe
from nas.training.recipe import Recipe
from netadapt.channel_selection import channel_order
from netadapt.sub_networks import sub_network
from netadapt.uniform import distinct_networks
from search_spaces import ElasticSpace, InputError, load_space
from tests.nas.searching.from_parent.conftest import IMAGES
from tests.nas.small_parent import small_parent

RECIPE = Recipe(steps=2, batch_size=16)
SOURCE = open_device("madds:1")


def run_search(space, start, folder, **changes):
    arguments = {
        "controller": make_controller("uniform", space.arities, seed=0),
        "latency": SOURCE,
        "data": IMAGES[64],
        "final_data": IMAGES,
        "target_ms": SOURCE.latency(start.spec).median_ms / 2,
        "folder": folder,
        "recipe": RECIPE,
        "trials": 6,
        "batch_size": 3,
        "finals": FinalsConfig(count=1, repeats=1, recipe=Recipe(steps=3, batch_size=16)),
        "parent": SearchedParent(start, recipe=RECIPE),
        "watcher": Silent(),
    }
    return search(space, **{**arguments, **changes})


@pytest.fixture(scope="module")
def done(space, parent, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return run_search(space, parent, folder)


def test_the_first_trials_are_the_rivals(done, space) -> None:
    first, second = done.trials[:2]
    assert space.decode(first.tokens).resolution == 64
    assert second.tokens == space.uniform(1.0, 32)
    assert [rival.opener for rival in done.rivals] == [first.tokens, second.tokens]


def test_every_network_trains_and_is_read_at_its_own_size(done, space) -> None:
    for trial in done.trials:
        assert trial.px == space.decode(trial.tokens).resolution


def test_finalists_and_rivals_train_alike_and_one_of_them_ships(done) -> None:
    kinds = [trial.kind for trial in done.finals]
    assert kinds == ["rival", "rival", "rival-trial", "rival-trial", "final", "repeat"]
    openers = {rival.opener for rival in done.rivals}
    assert done.finals[4].tokens not in openers
    shipped = load_checkpoint(done.folder / "seed.pt")
    assert shipped.spec == done.spec
    assert shipped.usage.trained_px == done.spec.resolution
    assert all(load_checkpoint(done.folder / file).from_parent for file in ("seed.pt", "parent.pt"))
    assert done.onnx is not None
    assert done.onnx.accuracy == pytest.approx(done.winner.accuracy, abs=0.05)


def test_every_network_that_was_trained_for_longer_can_be_deployed(done) -> None:
    table = pandas.read_csv(done.folder / "pareto.csv")
    long = table[table["checkpoint"].notna()]
    assert len(long) == 3  # a finalist and two rivals
    assert set(long["name"].dropna()) == {rival.name for rival in done.rivals}
    for row in long.itertuples():
        network = load_checkpoint(done.folder / row.checkpoint)
        assert network.spec.resolution == row.latency_px
        data = IMAGES[row.latency_px]
        assert score(network, data, ("val",)).accuracy == pytest.approx(
            row.longer_accuracy, abs=1e-4
        )
    assert long["winner"].sum() == 1
    assert long["deploy"].any()


def test_the_verdict_is_about_the_best_of_each(done) -> None:
    verdict = done.verdict
    assert verdict is not None
    assert verdict.images == len(IMAGES[64].test)
    assert verdict.points == pytest.approx(
        100 * (verdict.finalist.accuracy - verdict.rival.accuracy)
    )
    assert verdict.low <= verdict.points <= verdict.high
    assert (verdict.ships == "rival") == (done.winner.kind == "rival")
    report = (done.folder / "report.html").read_text()
    assert f"{verdict.points:+.1f} points (95% interval" in report


def test_the_other_one_of_the_two_is_kept_as_well(done) -> None:
    name = "finalist.pt" if done.winner.kind == "rival" else "rival.pt"
    other = load_checkpoint(done.folder / name)
    assert other.spec == done.runner_up.spec
    assert other.usage.trained_px == other.spec.resolution
    accuracy = {"rival.pt": done.verdict.rival, "finalist.pt": done.verdict.finalist}[name].accuracy
    data = IMAGES[other.spec.resolution]
    assert score(other, data, ("test",)).accuracy == pytest.approx(accuracy)


def test_a_run_is_read_back_with_its_rivals(done) -> None:
    record = RunRecord.read(done.folder)
    assert record.rivals == done.rivals
    assert record.sizes.searched
    assert record.result.verdict == done.verdict


def test_resuming_a_finished_run_repeats_nothing(done, space, parent, monkeypatch) -> None:
    before = (done.folder / "trials.jsonl").read_text()

    def never(self, job):
        pytest.fail("trained again")

    monkeypatch.setattr(SubNetworkTraining, "__call__", never)
    again = run_search(space, parent, done.folder.path)
    assert (done.folder / "trials.jsonl").read_text() == before
    assert again.winner == done.winner
    assert again.verdict == done.verdict


def test_a_parent_of_other_classes_is_tuned_first_and_kept(space, parent, tmp_path) -> None:
    stranger = parent.with_classes(("north", "south", "east"))
    searched = SearchedParent(stranger, recipe=RECIPE, kept=tmp_path / "parents")
    result = run_search(space, parent, tmp_path / "one", parent=searched, trials=3)
    tuned = load_checkpoint(tmp_path / "one" / "parent.pt")
    assert tuned.usage.classes == IMAGES[64].classes
    assert not torch.equal(tuned.weights["stem.0.weight"], parent.weights["stem.0.weight"])
    whole = (tmp_path / "one" / "parent.pt").read_bytes()
    files = list((tmp_path / "parents").iterdir())
    assert len(files) == 2  # the parent, and that of the trials
    (kept,) = (file for file in files if file.read_bytes() == whole)
    assert json.loads((result.folder / "run.json").read_text())["parent"]["recipe"]["steps"] == 2

    marked = load_checkpoint(kept)
    marked.weights["stem.0.weight"][0] = 7.0  # to tell it from one that is tuned anew
    from nas.checkpoints.checkpoint import checkpoint_bytes

    kept.write_bytes(checkpoint_bytes(marked))
    run_search(space, parent, tmp_path / "two", parent=searched, trials=3)
    used = load_checkpoint(tmp_path / "two" / "parent.pt")
    assert torch.equal(used.weights["stem.0.weight"], marked.weights["stem.0.weight"])


def test_trials_are_ranked_on_images_that_their_parent_has_not_seen(
    space, parent, tmp_path, monkeypatch
) -> None:
    seen = {}

    def watched(network, data, recipe, **settings):
        seen.setdefault((recipe.steps, data.resolution_px), (data.train.labels, data.val.labels))
        return train(network, data, recipe, **settings)

    train = training.train
    monkeypatch.setattr(training, "train", watched)
    stranger = SearchedParent(parent.with_classes(("north", "south", "east")), recipe=RECIPE)
    run_search(space, parent, tmp_path, parent=stranger, trials=3)
    whole, held_out = IMAGES[64].train.labels, IMAGES[64].val.labels
    (stay, ranked_on) = seen[2, 64]
    assert len(stay) + len(ranked_on) == len(whole) + len(held_out)
    assert len(held_out) < len(ranked_on) <= len(held_out) + len(whole) / 3
    (final_train, final_val) = next(seen[at] for at in seen if at[0] == 3)
    assert (final_train == whole).all()
    assert (final_val == held_out).all()
    parents = [load_checkpoint(tmp_path / f"{name}.pt") for name in ("parent", "ranking-parent")]
    assert not torch.equal(*(one.weights["stem.0.weight"] for one in parents))


def test_a_look_trains_nothing_and_the_better_half_trains(
    space, parent, tmp_path, monkeypatch
) -> None:
    trained = []

    def counted(network, data, recipe, **settings):
        trained.append(data.resolution_px)
        return train(network, data, recipe, **settings)

    train = training.train
    monkeypatch.setattr(training, "train", counted)
    result = run_search(
        space,
        parent,
        tmp_path,
        trials=24,
        batch_size=12,
        fidelity=FidelityConfig(first=0, keep=0.25),
    )
    log = read_trials(tmp_path / "trials.jsonl")
    looks = [trial for trial in log if trial.kind == "rung"]
    assert len(looks) == 24
    assert len(result.trials) < 24
    assert all(look.px in (32, 64) for look in looks)
    kinds = [trial.kind for trial in result.finals]
    assert kinds.count("rival-rung") == kinds.count("rival-trial") == 2
    every = [*log, *read_trials(tmp_path / "finals.jsonl")]
    once = [one for one in every if one.kind not in ("rung", "rival-rung") and one.train_s > 0]
    assert len(trained) == len(once)


@pytest.mark.parametrize("weight", [0, 0.3])
def test_the_parent_teaches_unless_its_weight_is_0(
    space, parent, tmp_path, monkeypatch, weight
) -> None:
    teachers = []

    def watched(network, data, recipe, **settings):
        teachers.append(settings.get("teacher"))
        return train(network, data, recipe, **settings)

    train = training.train
    monkeypatch.setattr(training, "train", watched)
    searched = SearchedParent(parent, recipe=RECIPE, teacher_weight=weight)
    run_search(space, parent, tmp_path, trials=3, parent=searched)
    assert len(teachers) >= 8
    assert {None if one is None else one.weight for one in teachers} == {weight or None}


def test_a_device_that_is_lost_before_the_first_trial_stops_the_run(space, parent, tmp_path):
    class Unplugged:
        device = SOURCE.device

        def latency(self, spec):
            raise DeviceLostError("no phone on the cable")

    with pytest.raises(RunStoppedError, match=r"no phone on the cable.*bring the device back"):
        run_search(space, parent, tmp_path, latency=Unplugged())
    assert run_search(space, parent, tmp_path).verdict is not None


def test_accepted_changes_of_the_images_may_change_the_lengths(space, parent, tmp_path):
    finals = FinalsConfig(count=1, repeats=1, recipe=Recipe(epochs=1, batch_size=16))
    run_search(space, parent, tmp_path, finals=finals, trials=3)
    fewer = {
        px: replace(
            data,
            train=ArraySplit(data.train.images[:40], data.train.labels[:40]),
            changes=("24 images were removed from train",),
        )
        for px, data in IMAGES.items()
    }
    unchanged = {px: replace(data, changes=()) for px, data in fewer.items()}
    with pytest.raises(InputError, match=r"data\.train was 64"):
        run_search(
            space, parent, tmp_path, finals=finals, trials=3, data=unchanged[64],
            final_data=unchanged,
        )  # fmt: skip
    again = run_search(
        space, parent, tmp_path, finals=finals, trials=3, data=fewer[64], final_data=fewer
    )
    assert again.verdict is not None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"teacher": "big.pt"}, "teacher applies to a search from scratch"),
        ({"evaluate": lambda job: None}, "evaluate applies to a search from scratch"),
        ({"final_data": {64: IMAGES[64]}}, "are deployed at 32 px"),
        ({"data": IMAGES[32]}, "give those of 64 px, the largest"),
        ({"parent": None}, "which trials from scratch do not"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(space, parent, tmp_path, changes, reason) -> None:
    with pytest.raises(InputError, match=reason):
        run_search(space, parent, tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_a_space_of_another_network_is_refused(space, parent, tmp_path) -> None:
    other = replace(parent, spec=replace(parent.spec, bn_eps=0.5))
    with pytest.raises(InputError, match="derived from another network"):
        run_search(space, parent, tmp_path / "run", parent=SearchedParent(other))
    mnasnet = load_space("mnasnet", resolution=64, classes=2)
    with pytest.raises(InputError, match="not derived from a parent"):
        run_search(
            mnasnet, parent, tmp_path / "run", final_data=IMAGES[64], target_ms=1.0,
            controller=make_controller("uniform", mnasnet.arities, seed=0),
        )  # fmt: skip


def test_trials_of_different_resolutions_are_made_comparable(
    space, parent, tmp_path, monkeypatch
) -> None:
    scripted = {(64, 3): 0.8, (64, 2): 0.5, (32, 3): 0.6, (32, 2): 0.5}

    def read(network, data, recipe, **settings):
        result = train(network, data, recipe, **settings)
        return replace(result, accuracy=scripted[data.resolution_px, recipe.steps])

    train = training.train
    monkeypatch.setattr(training, "train", read)
    result = run_search(space, parent, tmp_path, trials=6)
    large, small = ([t for t in result.trials if t.px == px] for px in (64, 32))
    assert large
    assert small
    assert {(trial.accuracy, trial.read) for trial in large} == {(0.5, None)}
    # Long training multiplies the odds by 4 at 64 px and by 1.5 at 32 px; the reading has odds of 1.
    (adjusted,) = {trial.accuracy for trial in small}
    assert adjusted == pytest.approx(0.375 / 1.375)
    assert {trial.read for trial in read_trials(tmp_path / "trials.jsonl") if trial.px == 32} == {
        0.5
    }
    assert {trial.accuracy for trial in result.finals if trial.kind == "rival"} == {0.8, 0.6}


def failing(monkeypatch, key, *, interrupt_at=None):
    """Let one training fail, and the process be interrupted at another."""

    def train(self, job):
        if job.key == interrupt_at:
            raise KeyboardInterrupt
        return Outcome(None, "diverged") if job.key == key else whole(self, job)

    whole = SubNetworkTraining.__call__
    monkeypatch.setattr(SubNetworkTraining, "__call__", train)


@pytest.mark.parametrize("interrupt_at", [("search", 4), ("repeat", 0), None])
def test_the_failure_of_a_rival_stays_once_trials_rest_on_it(
    space, parent, tmp_path, interrupt_at
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        failing(patched, ("rival", 0), interrupt_at=interrupt_at)
        if interrupt_at is None:
            run_search(space, parent, tmp_path)
        else:
            with pytest.raises(KeyboardInterrupt):
                run_search(space, parent, tmp_path)
    result = run_search(space, parent, tmp_path)
    failed = [trial.key for trial in result.finals if not trial.ok]
    assert failed == [("rival", 0)]
    assert result.verdict is not None
    assert len(result.trials) == 6


def test_the_failure_of_a_rival_is_tried_again_before_the_first_trial(
    space, parent, tmp_path, monkeypatch
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        failing(patched, ("rival", 0), interrupt_at=("search", 0))
        with pytest.raises(KeyboardInterrupt):
            run_search(space, parent, tmp_path)
    assert all(trial.ok for trial in run_search(space, parent, tmp_path).finals)


def test_what_was_prepared_is_not_used_for_another_search(
    space, parent, tmp_path, monkeypatch
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        failing(patched, None, interrupt_at=("rival", 0))
        with pytest.raises(KeyboardInterrupt):
            run_search(space, parent, tmp_path)
    assert not RunFolder(tmp_path).search_begun
    with pytest.raises(InputError, match=r"target_ms was .* when this run started"):
        run_search(space, parent, tmp_path, target_ms=SOURCE.latency(parent.spec).median_ms / 3)
    other = SearchedParent(parent, recipe=RECIPE, rivals={"mine": small_parent()})
    with pytest.raises(InputError, match=r"parent\.rivals was \[\]"):
        run_search(space, parent, tmp_path, parent=other)
    assert run_search(space, parent, tmp_path).verdict is not None


def test_one_resolution_has_one_rival(parent, tmp_path) -> None:
    space = ElasticSpace(name="elastic", parent=parent.spec, resolutions=(64,))
    result = run_search(space, parent, tmp_path, final_data={64: IMAGES[64]})
    assert [rival.spec.resolution for rival in result.rivals] == [64]
    assert result.verdict is not None


def test_a_target_below_every_width_leaves_a_search_without_rivals(space, parent, tmp_path) -> None:
    _, narrowest = distinct_networks(replace(space.parent, resolution=32))[0]
    below = 0.9 * SOURCE.latency(narrowest).median_ms
    result = run_search(space, parent, tmp_path, target_ms=below, trials=3)
    assert result.rivals == ()
    assert result.verdict is None
    assert load_checkpoint(tmp_path / "seed.pt").spec == result.spec


def test_of_several_devices_each_has_its_target(space, parent, tmp_path) -> None:
    half = SOURCE.latency(parent.spec).median_ms / 2
    slower = open_device("madds:0.5")
    result = run_search(
        space, parent, tmp_path, latency=[SOURCE, slower], target_ms=[half, 1.5 * half], trials=6
    )
    assert result.verdict is not None
    assert all(len(rival.latencies) == 2 for rival in result.rivals)
    with pytest.raises(InputError, match="narrow makes a rival for one device, and there are 2"):
        run_search(
            space, parent, tmp_path / "other", latency=[SOURCE, slower], target_ms=[half, half],
            parent=SearchedParent(parent, recipe=RECIPE, narrow=lambda *given: parent),
        )  # fmt: skip


def test_test_images_that_cannot_be_read_any_more_cost_the_verdict_only(
    space, parent, tmp_path, monkeypatch
) -> None:
    def gone(self, trial):
        raise UnreadableError([Unreadable("dark/one.png", "No such file or directory")])

    monkeypatch.setattr("nas.searching.results.conclusion.TestScores.evidence", gone)
    result = run_search(space, parent, tmp_path)
    assert result.verdict is None
    assert "dark/one.png" in result.test_problem
    assert load_checkpoint(tmp_path / "seed.pt").spec == result.spec


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"recipe": Recipe(steps=2, batch_size=128)}, "batch_size is 128"),
        ({"parent": "stranger"}, "batch_size is 100"),
        ({"fidelity": FidelityConfig(first=0.25)}, "fidelity"),
    ],
)
def test_what_cannot_train_is_refused_before_the_parent_is_tuned(
    space, parent, tmp_path, changes, reason
) -> None:
    if "parent" in changes:
        stranger = parent.with_classes(("north", "south", "east"))
        changes = {"parent": SearchedParent(stranger, recipe=Recipe(steps=2, batch_size=100))}
    with pytest.raises(InputError, match=reason):
        run_search(space, parent, tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_a_search_from_a_parent_has_its_own_defaults(space, parent, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(Classification, "usual", Classification.usual._replace(trial_steps=1))
    left_out = dict.fromkeys(("recipe", "reward", "finals"))
    run_search(space, parent, tmp_path, trials=2, **left_out)
    metadata = json.loads((tmp_path / "run.json").read_text())
    assert metadata["reward"]["kind"] == "hard"
    assert metadata["training"]["recipe"]["steps"] == 1
    assert metadata["parent"]["final_recipe"]["epochs"] == read_recipe("finetune").epochs


def test_finals_train_by_the_usual_recipe_unless_they_say_how_long() -> None:
    usual = defaults.Defaults.from_parent("classify")
    assert usual.completed(None) == usual.finals
    assert usual.completed(FinalsConfig(count=5)).recipe == usual.finals.recipe
    assert usual.completed(FinalsConfig(epochs_factor=2)).recipe is None
    assert usual.completed(FinalsConfig(recipe=RECIPE)).recipe == RECIPE
    assert (
        defaults.Defaults.from_scratch("classify").completed(FinalsConfig(count=5)).recipe is None
    )


def test_a_run_of_an_earlier_version_is_read_and_resumed(space, parent, tmp_path) -> None:
    before = run_search(space, parent, tmp_path, trials=3)
    path = tmp_path / "run.json"
    metadata = json.loads(path.read_text())
    metadata["parent"]["rivals"] = {}  # a mapping then
    path.write_text(json.dumps(metadata))
    assert RunRecord.read(before.folder).metadata.parent.rivals == ()
    assert run_search(space, parent, tmp_path, trials=3).winner == before.winner
    old = ParentMetadata.model_validate(metadata["parent"] | {"rivals": {"v3": "abc"}})
    assert old.rivals == (RivalMetadata(name="v3", weights="abc"),)


def test_a_named_rival_is_tuned_with_its_own_weights_and_normalization(
    space, parent, tmp_path
) -> None:
    named = small_parent()
    named.weights["stem.0.weight"] += 1.0
    searched = SearchedParent(parent, recipe=RECIPE, rivals={"mine": named})
    lenient = SOURCE.latency(parent.spec).median_ms
    result = run_search(space, parent, tmp_path, parent=searched, trials=3, target_ms=lenient)
    assert result.rivals[0].name == "mine at 64 px"
    kinds = [(trial.kind, trial.index) for trial in result.finals]
    assert kinds[:5] == [
        ("rival", 0), ("rival", 1), ("rival", 2), ("rival-trial", 1), ("rival-trial", 2),
    ]  # fmt: skip
    weights = torch.load(tmp_path / "weights" / "rival-0.pt", weights_only=True)
    moved = weights["stem.0.weight"] - named.weights["stem.0.weight"]
    assert 0 < moved.abs().max() < 0.1
    (recorded,) = json.loads((tmp_path / "run.json").read_text())["parent"]["rivals"]
    assert recorded["name"] == "mine"
    assert recorded["weights"] == result.rivals[0].weights


def test_a_named_rival_that_wins_ships_with_its_own_normalization(
    space, parent, tmp_path, monkeypatch
) -> None:
    named = small_parent()
    searched = SearchedParent(parent, recipe=RECIPE, rivals={"mine": named})

    def first_rival(finals, *, targets_ms, kinds=("final", "rival")):
        wanted = "rival" if "rival" in kinds else "final"
        return next(trial for trial in finals if trial.kind == wanted)

    monkeypatch.setattr(conclusion, "choose_winner", first_rival)
    lenient = SOURCE.latency(parent.spec).median_ms
    result = run_search(space, parent, tmp_path, parent=searched, trials=3, target_ms=lenient)
    shipped = load_checkpoint(tmp_path / "seed.pt")
    assert shipped.usage.mean == named.usage.mean
    assert load_checkpoint(tmp_path / "finalist.pt").usage.mean == parent.usage.mean
    data = replace(IMAGES[64], mean=named.usage.mean, std=named.usage.std)
    assert score(shipped, data, ("test",)).accuracy == pytest.approx(result.test_accuracy)


def test_the_curve_has_networks_at_further_latencies(space, parent, tmp_path) -> None:
    searched = SearchedParent(parent, recipe=RECIPE, curve=3)
    result = run_search(
        space, parent, tmp_path, parent=searched, trials=30, batch_size=10,
        finals=FinalsConfig(count=1, repeats=0, recipe=Recipe(steps=2, batch_size=16)),
    )  # fmt: skip
    whole_ms = SOURCE.latency(parent.spec).median_ms
    finals = [trial for trial in result.finals if trial.kind == "final"]
    parts = [trial.latencies_ms[0] / whole_ms for trial in finals]
    bands = [sum(low < part <= high for part in parts) for low, high in
             ((0.39, 0.63), (0.25, 0.39), (0.15, 0.25))]  # fmt: skip
    assert all(bands)
    assert len({trial.fingerprint for trial in finals}) == len(finals)
    assert result.within_target


def test_a_network_that_is_made_from_the_tuned_parent_is_a_rival_too(
    space, parent, tmp_path
) -> None:
    asked = []

    def narrow(start, data, target_ms, folder, notify):
        asked.append((start.spec, target_ms, folder))
        notify("narrowing")
        spec = space.decode(space.uniform(0.5, 64))
        order = channel_order(start.spec, start.weights)
        weights = sub_network(start.spec, start.weights, spec, order=order)
        return replace(start, spec=spec, weights=weights)

    searched = SearchedParent(parent, recipe=RECIPE, narrow=narrow)
    result = run_search(space, parent, tmp_path, parent=searched, trials=3)
    target_ms = SOURCE.latency(parent.spec).median_ms / 2
    assert asked == [(parent.spec, target_ms, tmp_path / "netadapt")]
    assert [rival.name for rival in result.rivals][2:] == ["NetAdapt at 64 px"]
    kinds = [(trial.kind, trial.index) for trial in result.finals]
    assert kinds[:5] == [
        ("rival", 0), ("rival", 1), ("rival", 2), ("rival-trial", 0), ("rival-trial", 1),
    ]  # fmt: skip
    again = run_search(space, parent, tmp_path, parent=searched, trials=3)
    assert again.rivals == result.rivals
    assert [trial.accuracy for trial in again.finals] == [t.accuracy for t in result.finals]
