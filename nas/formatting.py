"""Format figures and choices for readers: percent, milliseconds, one line per block."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from decimal import ROUND_CEILING, Decimal
from itertools import groupby

import numpy as np

from latency import Latency
from search_spaces.errors import InputError

Labels = Sequence[tuple[str, Sequence[str]]]
"""Name of each decision and of its choices: ("block 0 op", ("conv", ...))."""


def percent(fraction: float) -> str:
    """Format a fraction as percent with one decimal.

    >>> percent(0.7644)
    '76.4%'
    """
    return f"{100 * fraction:.1f}%"


ACCURACY = "accuracy"
"""The metric that is a share of images: its figures need no name, and its error is binomial."""


def figure(value: float, metric: str) -> str:
    """Format a task's metric, 0..1, with its name unless that is accuracy.

    >>> figure(0.7644, "accuracy"), figure(0.412, "AP")
    ('76.4%', '41.2% AP')
    """
    return percent(value) if metric == ACCURACY else f"{percent(value)} {metric}"


def metric_title(metric: str) -> str:
    """Return a metric's name as a heading.

    >>> metric_title("accuracy"), metric_title("mIoU")
    ('Accuracy', 'mIoU')
    """
    return "Accuracy" if metric == ACCURACY else metric


def over_images(value: float, metric: str) -> str:
    """Return a metric's figure up to the images that it was read on.

    >>> over_images(0.7644, "accuracy"), over_images(0.412, "AP")
    ('76.4% of', '41.2% AP on')
    """
    return f"{percent(value)} of" if metric == ACCURACY else f"{figure(value, metric)} on"


def three_digits(value: float) -> str:
    """Format a positive number with three significant digits, without an exponent.

    >>> [three_digits(value) for value in (2.7, 0.0123, 42.04, 9.999, 1234.0)]
    ['2.70', '0.0123', '42.0', '10.0', '1230']
    """
    return _significant(value, 3)


def distinguished(value: float, other: float) -> tuple[str, str]:
    """Format two figures with three significant digits; with more if they would look equal.

    >>> distinguished(1.32, 1.12), distinguished(1.1234, 1.12), distinguished(1.12, 1.12)
    (('1.32', '1.12'), ('1.123', '1.120'), ('1.12', '1.12'))
    """
    if value != other:
        for digits in range(3, 7):
            texts = _significant(value, digits), _significant(other, digits)
            if texts[0] != texts[1]:
                return texts
    return three_digits(value), three_digits(other)


def _significant(value: float, digits: int) -> str:
    rounded = float(f"{value:.{digits}g}")
    if not 0 < rounded < math.inf:
        return f"{rounded:g}"
    return f"{rounded:.{max(0, digits - 1 - math.floor(math.log10(rounded)))}f}"


def four_digits(value: object) -> str:
    """Format a number for machine-readable tables: four significant digits, without an exponent.

    >>> [four_digits(value) for value in (0.78125, 2.3000000000000003, 12345.6, 0.0)]
    ['0.7812', '2.3', '12350', '0']
    """
    return np.format_float_positional(float(f"{value:.4g}"), trim="-")


def two_digits_up(value: float) -> str:
    """Round a positive number up to two significant digits, to suggest a target that can be met.

    >>> [two_digits_up(value) for value in (0.694, 0.70, 2.31, 99.1, 101.0, 0.00123)]
    ['0.70', '0.70', '2.4', '100', '110', '0.0013']
    """
    exact = Decimal(repr(float(value)))
    rounded = exact.quantize(Decimal((0, (1,), exact.adjusted() - 1)), rounding=ROUND_CEILING)
    return f"{rounded:f}"


def counted(number: int, thing: str, things: str = "") -> str:
    """Format a count with its noun.

    >>> counted(1, "trial"), counted(200, "trial"), counted(2, "latency", "latencies")
    ('1 trial', '200 trials', '2 latencies')
    """
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"


def epochs(number: float) -> str:
    """Format a number of epochs, which may be a fraction.

    >>> epochs(1.0), epochs(0.5), epochs(30)
    ('1 epoch', '0.5 epochs', '30 epochs')
    """
    return f"{number:g} epoch{'' if number == 1 else 's'}"


def networks(number: float) -> str:
    """Format the number of networks in a space.

    >>> networks(768), networks(2.81e18)
    ('768 networks', '2.8e+18 networks')
    """
    return counted(int(number), "network") if number < 1e6 else f"{number:.2g} networks"


def interval(latency: Latency) -> str:
    """Format the 95% interval; empty for an estimate, which has none.

    >>> reading = Latency(2.5, (2.4, 2.7), 2.1, 3.0, 90, "lab", "f0", estimate=False, stable=True)
    >>> interval(reading)
    '2.40 to 2.70'
    """
    if latency.estimate:
        return ""
    low, high = latency.ci95_ms
    return f"{three_digits(low)} to {three_digits(high)}"


def marked_interval(latency: Latency) -> str:
    """Format the 95% interval for a table, with a mark for estimates and unstable readings.

    >>> noisy = Latency(2.5, (2.4, 2.7), 2.1, 3.0, 90, "lab", "f0", estimate=False, stable=False)
    >>> marked_interval(noisy)
    '2.40 to 2.70 unstable'
    """
    text = "estimate" if latency.estimate else interval(latency)
    return text if latency.stable else f"{text} unstable"


def split_sizes(train: int, val: int, test: int) -> str:
    """Format the sizes of a data set's splits.

    >>> split_sizes(10_000, 2_500, 2_500)
    '10,000 training, 2,500 held-out and 2,500 test images'
    """
    return f"{train:,} training, {val:,} held-out and {test:,} test images"


def reading(latency: Latency) -> str:
    """Format a latency with its interval, and whether it is an estimate or unstable.

    >>> reading(Latency(2.5, (2.4, 2.7), 2.1, 3.0, 90, "lab", "f0", estimate=False, stable=False))
    '2.50 ms (95% interval 2.40 to 2.70), an unstable reading'
    >>> reading(Latency(30.0, (30.0, 30.0), 30.0, 30.0, 0, "m", "m", estimate=True, stable=True))
    '30.0 ms (an estimate, not measured)'
    """
    kind = "an estimate, not measured" if latency.estimate else f"95% interval {interval(latency)}"
    unstable = "" if latency.stable else ", an unstable reading"
    return f"{three_digits(latency.median_ms)} ms ({kind}){unstable}"


def short_names(names: Sequence[str]) -> list[str]:
    """Shorten device names to the first part that is different in all of them.

    >>> short_names(["AMD EPYC, 1 thread", "Pixel 1"]), short_names(["AMD EPYC, 1 thread", "AMD EPYC, 2"])
    (['AMD EPYC', 'Pixel 1'], ['1 thread', '2'])
    """
    for parts in zip(*(name.split(", ") for name in names), strict=False):
        if len(set(parts)) == len(names):
            return list(parts)
    return list(names)


def on_each(texts: Sequence[str], names: Sequence[str]) -> str:
    """Join one text per device; with several devices, each text names its device.

    >>> on_each(["7 ms"], ["AMD EPYC"]), on_each(["7 ms", "60 ms"], ["AMD EPYC, 1 thread", "Pixel 1"])
    ('7 ms', '7 ms on AMD EPYC and 60 ms on Pixel 1')
    """
    if len(texts) == 1:
        return texts[0]
    pairs = zip(texts, short_names(names), strict=True)
    return " and ".join(f"{text} on {name}" for text, name in pairs)


def in_short(latencies: Sequence[Latency]) -> str:
    """Format a network's latency on each device, marked if it is an estimate or unstable.

    >>> in_short([Latency(30.0, (30.0, 30.0), 30.0, 30.0, 0, "m", "m", estimate=True, stable=True)])
    '30.0 ms (estimate)'
    """
    texts = []
    for latency in latencies:
        marks = {"estimate": latency.estimate, "unstable": not latency.stable}
        found = ", ".join(mark for mark, is_so in marks.items() if is_so)
        texts.append(f"{three_digits(latency.median_ms)} ms" + (f" ({found})" if found else ""))
    return on_each(texts, [latency.device for latency in latencies])


def readings(latencies: Sequence[Latency]) -> str:
    """Format a latency on each device as `reading` does."""
    devices = [latency.device for latency in latencies]
    return on_each([reading(latency) for latency in latencies], devices)


def block_of(decision: str) -> tuple[str, str]:
    """Split the name of a decision into its block and the property decided.

    >>> block_of("block 0 op"), block_of("resolution")
    (('block 0', 'op'), ('', 'resolution'))
    """
    block, _, part = decision.rpartition(" ")
    return block, part


def choices_by_block(tokens: Sequence[int], labels: Labels) -> list[str]:
    """List a network's choices, one line per block.

    >>> choices_by_block((1, 0), [("block 0 op", ("conv", "sepconv")), ("block 0 out", ("8", "16"))])
    ['block 0: op sepconv, out 8']
    """
    named = [
        (*block_of(name), choices[token])
        for token, (name, choices) in zip(tokens, labels, strict=True)
    ]
    return [
        (f"{block}: " if block else "") + ", ".join(f"{part} {choice}" for _, part, choice in group)
        for block, group in groupby(named, key=lambda item: item[0])
    ]


def one_line(name: str) -> str:
    r"""Escape line ends and unprintable characters in a name.

    >>> print(one_line("caf\xe9"), one_line("a\nb"))
    café a\nb
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def duration(seconds: float) -> str:
    """Format a duration.

    >>> duration(42), duration(754), duration(9000)
    ('42 s', '12 min 34 s', '2 h 30 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def seconds(text: str) -> float:
    """Parse a duration such as 1h30m.

    >>> seconds("45m"), seconds("1h30m"), seconds("90s")
    (2700.0, 5400.0, 90.0)

    Raises:
        InputError: The text is not a duration.
    """
    found = re.fullmatch(r"(?:([\d.]+)h)?(?:([\d.]+)m)?(?:([\d.]+)s)?", text.replace(" ", ""))
    try:
        parts = [float(part or 0) for part in found.groups()] if found else []
    except ValueError:
        parts = []
    total = sum(part * unit for part, unit in zip(parts, (3600, 60, 1), strict=False))
    if total <= 0:
        raise InputError(f"{text!r} is not a duration: give for instance 45m, 1h30m or 90s")
    return total
