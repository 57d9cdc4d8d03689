"""The policy of a search, kept in its run's folder, with which another search can begin (`--policy`).

It is a torch file: containers, numbers and tensors alone.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field

from controllers import CanTransfer, Controller, SavedPolicy
from nas.atomic_files import write_whole
from nas.engine.folder.publishing import run_name
from nas.engine.folder.records import Record, parse_record
from nas.engine.folder.run_folder import RunFolder
from nas.engine.trial import Trial
from nas.engine.watching import Silent
from nas.formatting import counted
from nas.searching.plan import TRIALS
from nas.searching.results.metadata import PolicyMetadata, SpaceLabels, labels_of
from search_spaces import InputError, SearchSpace
from search_spaces.shell import quoted

FORMAT = "mobile-nas policy 1"
OWN = "policy.pt"
"""A run's file of its own policy."""

FIRST = "first-policy.pt"
"""A run's copy of the policy that it began with."""

WANTED = "the policy.pt of a search by rnn or screened, or the folder of its run"


class Origin(Record):
    """The search that a policy comes from.

    Attributes:
        run: Name of its run.
        space: Name of its space.
        labels: Name of each decision and of its choices.
        data: Name of its images.
        devices: Name of each device, and the target on it in milliseconds.
        trials: Number of candidates that the policy has learned from.
    """

    run: str
    space: str
    labels: SpaceLabels
    data: str
    devices: tuple[tuple[str, float], ...]
    trials: Annotated[int, Field(ge=0)] = 0

    def __str__(self) -> str:
        devices = " and ".join(f"{name} at {ms:.3g} ms" for name, ms in self.devices)
        return f"run {self.run}: {counted(self.trials, 'trial')} on {self.data}, for {devices}"


@dataclass(frozen=True)
class RunPolicy:
    """A policy, and the search that it comes from."""

    policy: SavedPolicy
    origin: Origin

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """Read a policy.

        Args:
            path: A `policy.pt`, or the folder of a run.

        Raises:
            InputError: There is none, or it is damaged.
        """
        from nas.checkpoints.torch_files import read_torch  # imports torch

        file = _policy_file(Path(path))
        content = read_torch(file, wanted=WANTED)
        if content.get("format") != FORMAT:
            raise InputError(f"{file}: is no policy of this version: give {WANTED}")
        origin = parse_record(Origin, content.get("origin"), where=file)
        try:
            return cls(_policy_of(content), origin)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{file}: damaged ({error!r}): restore it from a copy") from error

    def to_bytes(self) -> bytes:
        """Serialize it."""
        import torch

        policy = self.policy
        content = {
            "format": FORMAT,
            "arities": policy.arities,
            "options": dict(policy.options),
            "weights": dict(policy.weights),
            "origin": self.origin.to_dict(),
        }
        buffer = io.BytesIO()
        torch.save(content, buffer)
        return buffer.getvalue()

    def metadata(self) -> PolicyMetadata:
        """Return what identifies it."""
        from nas.checkpoints.torch_files import weights_digest  # imports torch

        return PolicyMetadata(run=self.origin.run, weights=weights_digest(self.policy.weights))

    def begin(self, controller: Controller, space: SearchSpace) -> None:
        """Begin a new controller with this policy.

        Raises:
            InputError: The controller has no policy, or this one is of another space or damaged.
        """
        if not isinstance(controller, CanTransfer):
            raise InputError(
                f"the controller {type(controller).__name__} has no policy to begin with that of "
                f"run {self.origin.run}: choose rnn or screened, or leave the policy out"
            )
        for ours, theirs in zip(labels_of(space), self.origin.labels, strict=False):
            if ours != theirs:
                raise InputError(
                    f"the policy of run {self.origin.run} is of another space, which has {_named(theirs)} "
                    f"where this one has {_named(ours)}: give that of a search of the same choices"
                )
        controller.begin_with(self.policy)


def _policy_of(content: dict[str, Any]) -> SavedPolicy:
    """Parse a policy.

    Raises:
        KeyError, TypeError, ValueError: It is damaged.
    """
    import torch

    weights = dict(content["weights"])
    if not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise TypeError("weights must be tensors")
    return SavedPolicy(tuple(content["arities"]), dict(content["options"]), weights)


def _named(decision: tuple[str, Sequence[str]]) -> str:
    """Format a decision.

    >>> _named(("block 0 op", ("conv", "sepconv")))
    'block 0 op (conv, sepconv)'
    """
    name, choices = decision
    return f"{name} ({', '.join(choices)})"


def _policy_file(path: Path) -> Path:
    """Return the file of a policy.

    Raises:
        InputError: A folder has none.
    """
    if not path.is_dir():
        return path
    file = path / OWN
    if file.is_file():
        return file
    if not (path / "trials.jsonl").is_file():
        raise InputError(f"{path} is not the folder of a search: give {WANTED}")
    raise InputError(
        f"{path} has no {OWN}: its controller has no policy, or no batch is finished, or the run is of an "
        f"earlier version; then nas-search --resume {quoted(str(path))} writes it"
    )


class KeptPolicy(Silent):
    """Saves the policy in the run's folder after each batch, if the controller has one.

    Args:
        folder: The run's folder.
        origin: The search; its number of trials is ignored.
    """

    def __init__(self, folder: RunFolder, origin: Origin) -> None:
        self._path, self._origin = folder / OWN, origin
        self._tried: set[int] = set()

    def finished(self, trial: Trial, *, replayed: bool) -> None:  # noqa: ARG002
        """Count the candidates."""
        if trial.kind in TRIALS:
            self._tried.add(trial.index)

    def told(self, batch: int, controller: Controller) -> None:  # noqa: ARG002
        """Replace the file."""
        if isinstance(controller, CanTransfer):
            origin = self._origin.model_copy(update={"trials": len(self._tried)})
            write_whole(self._path, RunPolicy(controller.saved_policy(), origin).to_bytes())


def origin_of(
    folder: RunFolder, space: SearchSpace, data: str, devices: Iterable[tuple[str, float]]
) -> Origin:
    """Describe a search for those that begin with its policy.

    Args:
        folder: Its folder.
        space: Its space.
        data: Name of its images.
        devices: Name of each device, and the target in milliseconds.
    """
    return Origin(
        run=run_name(folder),
        space=space.name,
        labels=labels_of(space),
        data=data,
        devices=tuple(devices),
    )
