"""`nas compare RUN`: what a search from a parent found beside its rivals, all trained again as it did."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from latency import LatencySource, MeasurementError
from nas.checkpoints.checkpoint import Checkpoint, load_checkpoint
from nas.checkpoints.torch_files import read_torch, weights_digest
from nas.cli.compare.networks import ORDER, PARENT, Named, inherited, numbered
from nas.cli.compare.opening import open_sources
from nas.cli.compare.options import Asked
from nas.cli.compare.settings import checked_config
from nas.cli.machine import require_machine
from nas.cli.options.data import found_again
from nas.cli.search.parent import rival_file
from nas.cli.trained import network_name, open_trained
from nas.comparing.config import CompareConfig
from nas.comparing.latencies import read_together
from nas.engine.folder.run_folder import RunFolder
from nas.searching.config import ParentConfig, SearchConfig, load_config
from nas.searching.from_parent.rivals import Rival, read_standing
from nas.searching.results.record import RunRecord
from nas.searching.results.search_result import choose_winner
from nas.searching.results.table import network_file
from netadapt.sub_networks import sub_network
from search_spaces import ArchSpec, InputError
from search_spaces.shell import quoted
from search_spaces.spaces.elastic import total_stride


def is_search_from_parent(given: str) -> bool:
    """Return whether a name is the folder of a search from a parent."""
    return all((Path(given) / name).is_file() for name in (PARENT, "trials.jsonl"))


def open_search(names: Sequence[str], asked: Asked) -> tuple[list[Named], CompareConfig]:
    """Return the best finalist of a search and its rivals, and the settings of their final trainings.

    The finalist comes first, even where a rival is what the search recommends.

    Args:
        names: The run's folder, and trained networks that are further rivals.
        asked: The other options.

    Raises:
        InputError: The search is not finished, was begun in Python, or a file of it is damaged; a setting
            is invalid; or a further rival has no weights, or is over the target at every resolution.
    """
    run = Path(names[0])
    if not is_search_from_parent(names[0]):
        raise InputError(
            f"--as-searched: {run} is not a search from a parent: give its folder as the first network"
        )
    if not (run / "config.yaml").is_file():
        raise InputError(f"{run} was begun in Python: name the networks to compare it with")
    search = load_config(run / "config.yaml")
    own, recipe = search.parent, search.finals.recipe
    record = RunRecord.read(RunFolder(run))
    best = choose_winner(record.finals, targets_ms=record.targets_ms, kinds=("final",))
    if record.result is None or best is None or own is None or recipe is None:
        raise InputError(
            f"{run} has no finalist to compare: nas-search --resume {quoted(run)} finishes it"
        )
    heirs = _Heirs(run, own)
    found = load_checkpoint(run / network_file(best))
    title = f"trial {best.index} of {run.resolve().name}"
    named = [heirs.named(title, found.spec), *map(heirs.rival, record.rivals)]
    config = _settings(run, search, own, asked)
    if further := names[1:]:
        if config.devices != tuple(search.targets):
            raise InputError(
                "further rivals are as fast as the search wanted on its own devices: leave --device out"
            )
        sizing = _Sizing.of(run, record, config)
        named += [heirs.further(one, sizing) for one in further]
    return numbered(named), config


def _settings(run: Path, search: SearchConfig, own: ParentConfig, asked: Asked) -> CompareConfig:
    """Return the settings of a search's final trainings, with the options that may differ."""
    teacher = {
        "path": str((run / PARENT).absolute()),
        "temperature": own.temperature,
        "weight": own.teacher_weight,
    }
    recipe = search.finals.recipe
    assert recipe is not None
    data = found_again(search.data, run).model_copy(update={"proxy_resolution": None})
    given = {"devices": tuple(search.targets)} | asked.what.settings()
    config = checked_config(
        data=data,
        finetune=recipe,
        from_scratch=recipe,
        teacher=teacher if own.teacher_weight else None,
        schedule=asked.schedule.settings(),
        **given,
    )
    require_machine(config.schedule, recipe)
    return config


class _Heirs:
    """Opens the networks of a search with the weights that their final trainings begin with.

    Args:
        run: The search's folder.
        own: The settings of its parent.
    """

    def __init__(self, run: Path, own: ParentConfig) -> None:
        self._run, self._own = run, own
        self._parent = load_checkpoint(run / PARENT)
        self._order = dict(read_torch(run / ORDER, wanted="an intact copy of the run"))
        self._files = {weights_digest(one.weights): one for one in self._named()}

    def _named(self) -> Iterator[Checkpoint]:
        """Yield the networks that the user named, and NetAdapt's."""
        for path in [*sorted((self._run / "rivals").glob("*.pt")), self._run / "netadapt.pt"]:
            if path.is_file():
                yield load_checkpoint(path)

    def named(self, name: str, spec: ArchSpec) -> Named:
        """Return a network that inherits from the parent."""
        parent = self._parent
        weights = sub_network(parent.spec, parent.weights, spec, order=self._order)
        start = replace(parent, spec=spec, weights=weights)
        file = self._run / PARENT
        return Named(name, name, spec, spec.resolution, start, inherited=True, file=file)

    def rival(self, rival: Rival) -> Named:
        """Return a rival; one with other classes is fine-tuned first, as it was in the search.

        Raises:
            InputError: Its file is missing.
        """
        if rival.weights is None:
            return self.named(rival.name, rival.spec)
        given = self._files.get(rival.weights)
        if given is None:  # the search gave it a head for boxes or masks, which the file is without
            path = self._run / rival_file(rival.name.rpartition(" at ")[0])
            given = load_checkpoint(path) if path.is_file() else None
        if given is None:
            raise InputError(
                f"{self._run} lacks the file of {rival.name}: give an intact copy of the run"
            )
        return self._guest(rival.name, rival.name, given, rival.spec.resolution)

    def further(self, given: str, sizing: _Sizing) -> Named:
        """Return a trained network as one more rival, on the largest images at which it meets the target.

        Raises:
            InputError: It has no weights, or is over the target at every resolution.
        """
        found = inherited(Path(given)) if Path(given).is_dir() else None
        start = found or open_trained(given, mend="give a network with weights")
        px = sizing.largest_px(start.spec, named=given)
        return self._guest(f"{network_name(given)} at {px} px", given, start, px)

    def _guest(self, name: str, given: str, start: Checkpoint, px: int) -> Named:
        """Return a network with weights of its own, which sees the same part of an image as the others."""
        usage = replace(start.usage, crop=self._parent.usage.crop)
        start = replace(start, usage=usage)
        file = Path(given) if Path(given).is_file() else None
        return Named(name, given, start.spec, px, start, file=file, first=self._own.recipe)


@dataclass(frozen=True)
class _Sizing:
    """Finds the largest images on which a network is as fast as a search wants.

    Attributes:
        parent: The search's parent, at the largest resolution.
        sides: The search's resolutions in pixels, the largest first.
        parts: The target relative to the parent's latency, on each device.
        sources: The devices.
    """

    parent: ArchSpec
    sides: Sequence[int]
    parts: Sequence[float]
    sources: Sequence[LatencySource]

    @classmethod
    def of(cls, run: Path, record: RunRecord, config: CompareConfig) -> Self:
        """Return that of a search; relative latencies hold on another day, too."""
        whole = read_standing(RunFolder(run)).parent
        parts = [
            target / latency.median_ms
            for target, latency in zip(record.targets_ms, whole, strict=True)
        ]
        sides = record.metadata.resolutions or (record.sizes.deployed_px,)
        parent = replace(load_checkpoint(run / PARENT).spec, resolution=max(sides))
        return cls(parent, sorted(sides, reverse=True), parts, open_sources(config.devices))

    def largest_px(self, spec: ArchSpec, *, named: str) -> int:
        """Return the side of these images.

        Args:
            spec: The network.
            named: How it was named.

        Raises:
            InputError: It is over the target at every resolution, or a device refuses it.
        """
        fitting = [px for px in self.sides if px % total_stride(spec) == 0]
        head = replace(spec.head, classes=self.parent.head.classes)
        sized = [replace(spec, head=head, resolution=px) for px in fitting]
        try:
            reads = [read_together(source, [self.parent, *sized]) for source in self.sources]
        except MeasurementError as error:
            raise InputError(f"{named} cannot be measured: {error}: leave it out") from error
        for place, px in enumerate(fitting, start=1):
            pairs = zip(reads, self.parts, strict=True)
            if all(of[place].of_first <= part for of, part in pairs):
                return px
        raise InputError(
            f"{named} is over the target at every resolution of the search: give a smaller network"
        )
