"""The policy of NASNet: an LSTM that generates an architecture one decision at a time.

Zoph et al. 2018 ("Learning Transferable Architectures"), whose controller MnasNet reuses: one
layer, 100 hidden units, one softmax per decision, weights uniform in [-0.1, 0.1]. Each sampled token
is embedded and fed into the next step, so that a choice can depend on all choices before it:

    p(tokens) = prod_t p(token_t | token_1 .. token_{t-1})
"""

import torch
from torch import Tensor, nn

from controllers.checks import checked_real, checked_whole

MASKED = -1e9  # logit of a missing choice; finite, so that 0 * log 0 is 0
SOFTENING = 0.9  # factor of the logits in a step of ``soften``
SOFTENING_STEPS = 100  # maximum; leaves 3e-5 of the logits


class RnnPolicy(nn.Module):
    """Autoregressive distribution over token sequences.

    Decisions differ in arity; heads and embeddings are padded to the largest ("choices" below), so
    that all decisions of a batch form one tensor.
    """

    has_choice: Tensor

    def __init__(
        self,
        arities: tuple[int, ...],
        generator: torch.Generator,
        *,
        hidden: int = 100,
        init_range: float = 0.1,
        temperature: float | None = None,
        tanh_constant: float | None = None,
    ) -> None:
        """Draw the initial weights from ``generator``.

        Args:
            arities: number of choices of each decision.
            generator: source of the initial weights, advanced by the draw.
            hidden: LSTM units, and the size of an embedding (NASNet: 100).
            init_range: weights start uniform in +-this (NASNet: 0.1).
            temperature: divides the logits if given (Bello et al. 2017; ENAS has it, unused).
            tanh_constant: then bounds them to +-this (ENAS: 1.5 macro, 1.10 micro).

        Raises:
            InputError: an option is out of range.
        """
        super().__init__()
        checked_whole("hidden", hidden)
        checked_real("init_range", init_range)
        for name, value in (("temperature", temperature), ("tanh_constant", tanh_constant)):
            if value is not None:
                checked_real(name, value, low=1e-6)
        self.temperature = temperature
        self.tanh_constant = tanh_constant
        decisions, choices = len(arities), max(arities)
        self.start = nn.Parameter(torch.empty(hidden))
        self.embeddings = nn.Parameter(torch.empty(decisions, choices, hidden))
        # Built without values: the constructor would use the global generator.
        self.lstm = nn.LSTM(hidden, hidden, batch_first=True, device="meta").to_empty(device="cpu")
        self.head_weight = nn.Parameter(torch.empty(decisions, hidden, choices))
        self.head_bias = nn.Parameter(torch.empty(decisions, 1, choices))
        arity = torch.tensor(arities)[:, None, None]
        self.register_buffer("has_choice", torch.arange(choices) < arity, persistent=False)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.uniform_(-init_range, init_range, generator=generator)

    @torch.no_grad()
    def sample(self, count: int, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Sample ``count`` sequences, all one decision at a time.

        Returns:
            tokens (count, decisions), int64, and the probabilities that each token was drawn from
            (count, decisions, choices), 0 where a decision has no such choice.
        """
        step_input, state = self.start.expand(count, 1, -1), None
        tokens, probabilities = [], []
        for decision in range(len(self.embeddings)):
            output, state = self.lstm(step_input, state)  # (count, 1, hidden)
            log_p = self._log_softmax(output, slice(decision, decision + 1))[:, 0]
            probabilities.append(log_p.exp())  # (count, choices)
            tokens.append(torch.multinomial(probabilities[-1], 1, generator=generator)[:, 0])
            step_input = self.embeddings[decision, tokens[-1]][:, None]
        return torch.stack(tokens, dim=1), torch.stack(probabilities, dim=1)

    def entropy(self, count: int, *, generator: torch.Generator) -> float:
        """Estimate the entropy in nats from ``count`` sequences; the generator stays as it is."""
        same = torch.Generator().set_state(generator.get_state())
        _, p = self.sample(count, generator=same)
        return -torch.xlogy(p, p).sum().item() / count

    @torch.no_grad()
    def soften(self, least: float, *, count: int, generator: torch.Generator) -> None:
        """Scale the logits down until the entropy is at least ``least`` nats; see ``entropy``."""
        for _ in range(SOFTENING_STEPS):
            if self.entropy(count, generator=generator) >= least:
                return
            self.head_weight.mul_(SOFTENING)
            self.head_bias.mul_(SOFTENING)

    def log_prob(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the log-probability of sequences (teacher forcing: one LSTM call per batch).

        Args:
            tokens: (batch, decisions), int64, in range.

        Returns:
            log p(tokens) in nats, (batch,), and the entropy in nats of the conditional
            distributions along each sequence, summed over its decisions, (batch,).
        """
        batch, decisions = tokens.shape
        chosen = self.embeddings[torch.arange(decisions), tokens]  # (batch, decisions, hidden)
        start = self.start.expand(batch, 1, -1)
        output, _ = self.lstm(torch.cat([start, chosen[:, :-1]], dim=1))
        log_p = self._log_softmax(output, slice(None))  # (batch, decisions, choices)
        token_log_p = log_p.gather(2, tokens[..., None])[..., 0]  # (batch, decisions)
        entropies = -(log_p.exp() * log_p).sum(dim=2)  # (batch, decisions)
        return token_log_p.sum(dim=1), entropies.sum(dim=1)

    def _log_softmax(self, output: Tensor, decisions: slice) -> Tensor:
        """Map (batch, steps, hidden) to log-probabilities (batch, steps, choices)."""
        by_decision = output.transpose(0, 1)  # (steps, batch, hidden)
        logits = torch.baddbmm(self.head_bias[decisions], by_decision, self.head_weight[decisions])
        if self.temperature is not None:
            logits = logits / self.temperature
        if self.tanh_constant is not None:
            logits = self.tanh_constant * torch.tanh(logits)
        logits = logits.masked_fill(~self.has_choice[decisions], MASKED)
        return logits.log_softmax(dim=2).transpose(0, 1)
