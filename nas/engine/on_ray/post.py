"""Messages from the workers of a training to the process that began it, by way of an actor."""

from __future__ import annotations

import io
from typing import Any

import torch

from nas.training.keeping import Due
from nas.training.progress import Progress


class Post:
    """An actor that passes messages from the workers to the process that began the training.

    Args:
        state: The state to begin with, serialized.
        step: Finished steps of that state.
    """

    def __init__(self, state: bytes | None, step: int) -> None:
        self._state = state
        self._step = step
        self._messages: list[tuple[str, Any]] = []
        self._begun = False

    def begin(self) -> None:
        """Note that the workers begin, for the first time or anew."""
        if self._begun:
            self._messages.append(("restarted", self._step))
        self._begun = True

    def send(self, kind: str, content: Any) -> None:
        """Store a message."""
        if kind == "state":
            self._state, self._step = content[0], content[1].step
        self._messages.append((kind, content))

    def take(self) -> list[tuple[str, Any]]:
        """Return all messages since the last call."""
        messages, self._messages = self._messages, []
        return messages

    def state(self) -> bytes | None:
        """Return the last state."""
        return self._state


class Reporting:
    """Reports progress through the actor."""

    def __init__(self, post: Any) -> None:
        self._post = post

    def __call__(self, progress: Progress) -> None:
        """Report."""
        import ray

        ray.get(self._post.send.remote("progress", progress))


class Posting:
    """Keeps states in the actor; only one worker does, all of them have the same."""

    def __init__(self, post: Any, *, keeps: bool) -> None:
        self._post, self._keeps = post, keeps
        self._due = Due()

    def load(self) -> dict[str, Any] | None:
        """Return the last state that was kept; None at the beginning."""
        import ray

        state = ray.get(self._post.state.remote())
        return None if state is None else from_bytes(state)

    def due(self, step: int, epoch_steps: int) -> bool:
        """Return whether this worker keeps the state after this many steps."""
        return self._keeps and self._due(step, epoch_steps)

    def keep(self, state: dict[str, Any], progress: Progress) -> None:
        """Keep a state, if this worker is the one that does."""
        import ray

        if not self._keeps:
            return
        ray.get(self._post.send.remote("state", (to_bytes(state), progress)))
        self._due.kept()


def to_bytes(content: Any) -> bytes:
    """Serialize, so that tensors of a GPU can be read elsewhere."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def from_bytes(content: bytes, *, trusted: bool = False) -> Any:
    """Inverse of `to_bytes`, on the CPU; `trusted` also reads other objects than containers and tensors."""
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=not trusted)
