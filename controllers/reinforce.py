"""REINFORCE on the RNN policy of NASNet and MnasNet, and the policy in ``screened.py``.

    ask:   tokens_i ~ p_theta
    tell:  theta <- theta + Adam(g),  g an estimate of  grad ( E[A] + beta * H(p_theta) )

with A the advantage over a moving-average baseline (``baseline.py``) and H the policy's entropy.
Williams 1992 (REINFORCE), Zoph & Le 2017 (NAS). NASNet (Zoph et al. 2018) and MnasNet (Tan et al. 2019)
update the same policy by PPO, which bounds several steps on one batch; here each batch gets one step.

Start with ``Reinforce.tell``: it is the algorithm.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from statistics import median
from typing import Any

import torch
from torch import Tensor

from controllers.baseline import Baseline
from controllers.checks import (
    checked_arities,
    checked_count,
    checked_real,
    checked_scored,
    checked_seed,
    checked_state,
    plain,
    stamped,
)
from controllers.controller import Scored, Tokens
from controllers.policy import RnnPolicy
from controllers.saved_policy import SavedPolicy
from controllers.threads import one_thread

WARM_UP_BATCH = 50  # sequences per step of ``warm_up``
WARM_UP_STEPS = 40  # maximum; MnasNet's space needs 2 to 6
WARM_UP_ENTROPY = 0.5  # minimum, relative to a uniform policy: leave decisions to the trials
MARGINAL_SAMPLES = 256  # sequences per choice_probabilities: standard error at most 0.03
TRANSFER_ENTROPY = 0.5  # minimum of ``begin_with``, relative to a uniform policy


class Reinforce:
    """An RNN policy trained by policy gradient with a baseline and an entropy bonus."""

    def __init__(
        self,
        arities: Sequence[int],
        *,
        seed: int,
        learning_rate: float = 1.5e-2,
        entropy_weight: float = 0.5,
        baseline_decay: float = 0.95,
        advantage_clip: float = 2.0,
        normalize: bool = True,
        warmup: int = 10,
        hidden: int = 100,
        init_range: float = 0.1,
        temperature: float | None = None,
        tanh_constant: float | None = None,
    ) -> None:
        """Draw the initial policy.

        The defaults are for 100-1000 trials in batches of about 10; see
        ``benchmarks/controllers/compare_controllers.py``. With the published constants, which are for far
        longer searches, the policy would hardly move.

        Args:
            arities: number of choices of each decision.
            seed: of the initial weights and of every sequence drawn.
            learning_rate: of Adam, one step per batch. NASNet: 3.5e-4 for 20,000 trials; ENAS:
                1e-3 macro, 3.5e-3 micro; TuNAS: 3e-4 x batch / 256. At 3e-2 the policy converges
                too early when rewards are noisy.
            entropy_weight: beta is this / sqrt(decisions): with rewards scaled to a spread of 1,
                each of D independent decisions contributes about 1 / sqrt(D), so the policy
                gets as sharp on 42 decisions as on 8. NASNet: beta 1e-5, ENAS: 1e-4, on plain accuracies.
            baseline_decay: weight of the past at each reward (NASNet and TuNAS: 0.95; ENAS: 0.99).
            advantage_clip: limit of an advantage in spreads, against failed trials; the papers have
                none. With one failure in ten trials, 2 is best.
            normalize: divide advantages by the rewards' moving spread; the papers do not.
            warmup: trials that only initialize the baseline (TuNAS: the first 25%).
            hidden: LSTM units (NASNet: 100; ENAS: 64).
            init_range: initial weights are uniform in +-this (NASNet, ENAS: 0.1).
            temperature: divides the logits (ENAS; off there and here).
            tanh_constant: bounds the logits to +-this (ENAS: 1.5 macro, 1.10 micro; off here).

        Raises:
            InputError: an arity or option is out of range.
        """
        self.arities = checked_arities(arities)
        seed = checked_seed(seed)
        of_policy: dict[str, Any] = {
            "hidden": hidden,
            "init_range": init_range,
            "temperature": temperature,
            "tanh_constant": tanh_constant,
        }
        of_baseline: dict[str, Any] = {
            "decay": baseline_decay,
            "clip": advantage_clip,
            "normalize": normalize,
            "warmup": warmup,
        }
        of_update = {
            "learning_rate": checked_real("learning_rate", learning_rate),
            "entropy_weight": checked_real("entropy_weight", entropy_weight),
        }
        own = {"controller": "rnn", "arities": self.arities}
        of_policy, of_baseline = plain(of_policy), plain(of_baseline)
        self._stamp = {**own, **of_policy, **of_baseline, **of_update}
        self._entropy_weight = of_update["entropy_weight"] / math.sqrt(len(self.arities))
        self._generator = torch.Generator().manual_seed(seed)
        self._policy = RnnPolicy(self.arities, self._generator, **of_policy)
        del of_policy["init_range"]  # has no effect on weights that are given
        self._of_policy = of_policy
        self._learning_rate = of_update["learning_rate"]
        self._optimizer = self._new_optimizer()
        self._baseline = Baseline(**of_baseline)
        self._past_entropy = self._uniform_entropy

    @property
    def _uniform_entropy(self) -> float:
        return sum(math.log(arity) for arity in self.arities)

    def _new_optimizer(self) -> torch.optim.Adam:
        return torch.optim.Adam(self._policy.parameters(), lr=self._learning_rate)

    @one_thread()
    def ask(self, n: int) -> list[Tokens]:
        """Sample ``n`` sequences from the policy; they may repeat."""
        tokens, _ = self._policy.sample(checked_count(n), generator=self._generator)
        return [tuple(row) for row in tokens.tolist()]

    @one_thread()
    def tell(self, scored: Scored) -> None:
        """Take one policy-gradient step, as if the current policy had drawn the batch.

        The first trials, at least ``warmup`` and until two differ, only initialize the baseline.
        """
        batch = checked_scored(scored, self.arities)
        while batch and not self._baseline.is_set:
            self._baseline = self._baseline.after([batch.pop(0)[1]])
        if not batch:
            return
        rewards = [reward for _, reward in batch]
        self._step([tokens for tokens, _ in batch], self._baseline.advantages(rewards))
        # The baseline uses past batches only; with this batch in it the gradient is biased.
        self._baseline = self._baseline.after(rewards)

    @one_thread()
    def warm_up(self, score: Callable[[Tokens], float], *, enough: float) -> float:
        """Take policy-gradient steps on a free score (see CanWarmUp).

        Stop once ``enough`` is reached: further steps would only discard choices that no trial has judged
        yet. If it is out of reach, stop at half of the entropy.
        """
        baseline = replace(self._baseline, warmup=WARM_UP_BATCH)
        least_entropy = WARM_UP_ENTROPY * self._past_entropy
        reached = -math.inf
        for _ in range(WARM_UP_STEPS):
            batch = self.ask(WARM_UP_BATCH)
            scores = [score(tokens) for tokens in batch]
            reached = median(scores)
            if reached >= enough or self._past_entropy < least_entropy:
                break
            if baseline.is_set:
                self._step(batch, baseline.advantages(scores))
            baseline = baseline.after(scores)
        self._optimizer = self._new_optimizer()  # its momentum belongs to these scores
        return reached

    def saved_policy(self) -> SavedPolicy:
        """Return a copy of the policy (see CanTransfer)."""
        weights = {name: value.clone() for name, value in self._policy.state_dict().items()}
        return SavedPolicy(self.arities, dict(self._of_policy), weights)

    @one_thread()
    def begin_with(self, policy: SavedPolicy) -> None:
        """Take over a policy, with new baseline and optimizer (see CanTransfer).

        A policy that has nearly decided could not find out that other data or another device wants
        something else. So its logits are scaled down to ``TRANSFER_ENTROPY`` where its entropy is lower: it
        prefers the same choices, less firmly.
        """
        policy.require(self.saved_policy())
        self._policy.load_state_dict(policy.weights)
        least = TRANSFER_ENTROPY * self._uniform_entropy
        self._policy.soften(least, count=MARGINAL_SAMPLES, generator=self._generator)
        self._past_entropy = self._policy.entropy(MARGINAL_SAMPLES, generator=self._generator)

    @one_thread()
    def choice_probabilities(self) -> list[list[float]]:
        """Estimate the marginals from a sampled batch (see HasPolicy).

        Conditional probabilities along the samples are averaged, which has less variance than counting.
        """
        # A copy of the generator, so that the next proposals do not change.
        generator = torch.Generator().set_state(self._generator.get_state())
        _, probabilities = self._policy.sample(MARGINAL_SAMPLES, generator=generator)
        rows = probabilities.mean(dim=0).tolist()  # (decisions, choices)
        return [row[:arity] for row, arity in zip(rows, self.arities, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """See Controller."""
        content = {
            "policy": self._policy.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "generator": self._generator.get_state(),
            "baseline": asdict(self._baseline),
            "past_entropy": self._past_entropy,
        }
        return stamped(self._stamp, content)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See Controller."""
        content = checked_state(state, self._stamp)
        self._policy.load_state_dict(content["policy"])
        self._optimizer.load_state_dict(content["optimizer"])
        self._generator.set_state(content["generator"])
        self._baseline = Baseline(**content["baseline"])
        self._past_entropy = content["past_entropy"]

    def _step(self, tokens: list[Tokens], advantages: list[float]) -> None:
        log_prob, entropy = self._policy.log_prob(torch.tensor(tokens))  # both (batch,)
        loss = policy_loss(
            log_prob,
            entropy,
            advantage=torch.tensor(advantages),
            entropy_weight=self._entropy_weight,
            past_entropy=self._past_entropy,
        )
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self._past_entropy = entropy.mean().item()


def policy_loss(
    log_prob: Tensor,
    entropy: Tensor,
    *,
    advantage: Tensor,
    entropy_weight: float,
    past_entropy: float = 0.0,
) -> Tensor:
    """Return the scalar whose gradient is minus an unbiased estimate of grad ( E[A] + beta * E[H] ).

    H depends on the policy in two ways: through its value on each sequence, and through the probability of
    that sequence. So it is differentiated, and also added to the reward:

        g = mean_i [ (A_i + beta * (H_i - H_past)) * grad log p(tokens_i) + beta * grad H_i ]

    Args:
        log_prob: log p(tokens_i), (batch,).
        entropy: H_i, of the conditional distributions along sequence i, (batch,).
        advantage: A_i, (batch,).
        entropy_weight: beta.
        past_entropy: H_past, any number independent of this batch; reduces the variance.
    """
    score = advantage + entropy_weight * (entropy.detach() - past_entropy)
    return -(score * log_prob + entropy_weight * entropy).mean()
