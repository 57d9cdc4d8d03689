"""A controller of your own: hill climbing from the best token sequence so far.

    python examples/own_controller.py --trials 12

For `--controller climb`, install a package beside mobile-nas with this in its pyproject.toml:

    [project.entry-points."mobile_nas.controllers"]
    climb = "my_package.my_module:HillClimbing"
"""

import argparse
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from controllers import Tokens, check_controller, checks
from controllers.evolution import mutate
from latency import open_device
from nas import search
from nas.data.load import load_dataset
from nas.searching.config import FinalsConfig
from nas.training.recipe import Recipe
from search_spaces import load_space


class HillClimbing:
    """Changes one decision of the best sequence; a part of the draws starts anywhere."""

    def __init__(self, arities: Sequence[int], *, seed: int, restart: float = 0.2) -> None:
        self.arities = checks.checked_arities(arities)
        self._restart = checks.checked_real("restart", restart, high=1.0)
        self._stamp = {"controller": "climb", "arities": self.arities, "restart": restart}
        self._rng = random.Random(seed)
        self._best: list[tuple[Tokens, float]] = []  # none, or one

    def ask(self, n: int) -> list[Tokens]:
        """Neighbours of the best."""
        return [self._propose() for _ in range(checks.checked_count(n))]

    def tell(self, scored: Sequence[tuple[Tokens, float]]) -> None:
        """Move to the best of the batch if it is better; on a tie stay."""
        pairs = [*self._best, *checks.checked_scored(scored, self.arities)]
        self._best = sorted(pairs, key=lambda pair: -pair[1])[:1]

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next calls depend on."""
        return checks.stamped(self._stamp, {"best": self._best, "rng": self._rng.getstate()})

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict`."""
        content = checks.checked_state(state, self._stamp)
        self._best = content["best"]
        self._rng.setstate(content["rng"])

    def _propose(self) -> Tokens:
        if not self._best or self._rng.random() < self._restart:
            return tuple(self._rng.randrange(arity) for arity in self.arities)
        return mutate(self._best[0][0], self.arities, rng=self._rng)


def main(argv: Sequence[str] | None = None) -> None:
    """Check the controller, search with it, print the winner."""
    parser = argparse.ArgumentParser(description="Search with a controller of one's own.")
    parser.add_argument("--space", default="mnasnet", help="mnasnet or a YAML file")
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--steps", type=int, default=30, help="training steps a trial")
    parser.add_argument("--folder", type=Path, default=Path("runs/own-controller"))
    args = parser.parse_args(argv)
    check_controller(lambda arities, seed: HillClimbing(arities, seed=seed))
    data = load_dataset("fashion-mnist-subset")
    space = load_space(args.space, resolution=data.resolution_px, classes=len(data.classes))
    result = search(
        space,
        controller=HillClimbing(space.arities, seed=0),
        latency=open_device("madds:10"),
        data=data,
        target_ms=30.0,
        folder=args.folder,
        recipe=Recipe(steps=args.steps, batch_size=64),
        trials=args.trials,
        batch_size=4,
        finals=FinalsConfig(count=1, repeats=0),
    )
    print(f"winner: trial {result.winner.index}, see {result.folder.path}")


if __name__ == "__main__":
    main()
