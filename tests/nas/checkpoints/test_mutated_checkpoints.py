"""Thousands of damaged and tampered checkpoints: each is loaded or refused in one line, and soon.

MUTATIONS sets how many: `MUTATIONS=10000 pytest tests/nas/checkpoints/test_mutated_checkpoints.py`.
"""

import contextlib
import io
import json
import os
import random
import resource
import signal
import zipfile
from collections import Counter

import pytest
import torch
from safetensors.torch import save

from nas.checkpoints.checkpoint import Checkpoint, checkpoint_bytes, load_checkpoint
from nas.checkpoints.importing.pretrained import import_checkpoint
from nas.checkpoints.usage import Usage
from search_spaces import ArchSpec, BlockSpec, HeadSpec, InputError, StemSpec
from search_spaces.network import build

MUTATIONS = int(os.environ.get("MUTATIONS", "150"))
ONE_LOAD_S = 20  # of this process's CPU time for a few kilobytes: far more than any takes
MEMORY = 2 << 30  # more than what is mapped already; a tampered file may claim 2^60 bytes

SPEC = ArchSpec(
    resolution=32,
    bn_eps=1e-3,
    stem=StemSpec(out=8, kernel=3, stride=2, act="relu6"),
    blocks=(
        BlockSpec(
            op="mbconv", kernel=3, stride=2, expand=16, out=8, se=0, gate="none", act="relu6",
            linear=True, skip="none",
        ),
    ),
    head=HeadSpec(conv=16, hidden=0, act="relu6", dropout=0.0, classes=3),
)  # fmt: skip
STATE = dict(build(SPEC).state_dict())
USAGE = Usage(("a", "b", "c"), 32, (0.5,) * 3, (0.5,) * 3)


def saved(content, **options):
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


# -- What is damaged in the content, before it is saved ---------------------------------------------


def cast(state, rng):
    kinds = (torch.int8, torch.float16, torch.float64, torch.bool, torch.complex64, torch.int64)
    return state | {(name := rng.choice(sorted(state))): state[name].to(rng.choice(kinds))}


def poisoned(state, rng):
    name = rng.choice(sorted(state))
    value = rng.choice((float("nan"), float("inf"), -1.0, 1e38, 0.0))
    return state | {name: torch.full_like(state[name], value, dtype=torch.float32)}


def reshaped(state, rng):
    name = rng.choice(sorted(state))
    shape = rng.choice(((0,), (1,), (2**20, 2**20), (2**40,), (3, 0, 2), (1,) * 9))
    return state | {name: torch.zeros(1).expand(shape)}


def huge_classes(state, rng):
    classes = rng.choice((0, 2**30, 2**40))
    return state | {"head.classifier.1.bias": torch.zeros(1).expand(classes)}


def renamed(state, rng):
    items = list(state.items())
    strange = (
        "",
        ".",
        "\udcff",
        "x" * 10_000,
        "module." * 500,
        "a\nb",
        "ema." * 9,
        7,
        None,
        ("a",),
    )
    items[rng.randrange(len(items))] = (rng.choice(strange), torch.zeros(2))
    return dict(items)


def nested(state, rng):
    for _ in range(rng.choice((1, 3, 9, 60))):
        state = {rng.choice(("model", "state_dict", "ema", "optimizer", "x")): state, "epoch": 1}
    return state


def dropped(state, rng):
    kept = rng.sample(sorted(state), rng.randrange(len(state)))
    return {name: state[name] for name in kept}


def replaced(state, rng):
    others = (None, 3, "text", [1], {"a": 1}, torch.zeros(2).to_sparse(), {1, 2}, b"x", -(2**70))
    return state | {rng.choice(sorted(state)): rng.choice(others)}


def same(state, rng):
    return state


CONTENT = (cast, poisoned, reshaped, huge_classes, renamed, nested, dropped, replaced, same, same)


# -- What is damaged in the bytes -------------------------------------------------------------------


def truncated(content, rng):
    return content[: rng.randrange(len(content))]


def flipped(content, rng):
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 4, 64))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def swapped(content, rng):
    one, two, three = sorted(rng.sample(range(len(content)), 3))
    return content[:one] + content[two:three] + content[one:two] + content[three:]


def overwritten(content, rng):
    at = rng.randrange(len(content))
    return content[:at] + rng.randbytes(rng.choice((1, 8, 200))) + content[at + 8 :]


def beginning(content, rng):
    """The first bytes say what a file is, and for safetensors how long its header is."""
    length = rng.choice((2**60, 2**63, 2**31, 0, 1, len(content), len(content) - 8))
    return length.to_bytes(8, "little") + content[8:]


def repacked(content, rng):
    """An archive with other bytes in one entry, or without it, and check sums that fit again."""
    if not content.startswith(b"PK\x03"):
        return flipped(content, rng)
    source, target = zipfile.ZipFile(io.BytesIO(content)), io.BytesIO()
    at = rng.choice([*source.namelist(), *[n for n in source.namelist() if n.endswith(".pkl")] * 4])
    with zipfile.ZipFile(
        target, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    ) as out:
        for name in source.namelist():
            data = source.read(name)
            if name == at and data:
                data = rng.choice((flipped, truncated, overwritten, swapped))(data + b"    ", rng)
            if name != at or rng.random() < 0.9:
                out.writestr(name, data)
    return target.getvalue()


def rewritten_header(content, rng):
    """A safetensors file whose header says something else than it did."""
    length = int.from_bytes(content[:8], "little")
    if content[8:9] != b"{" or length > len(content):
        return flipped(content, rng)
    header = json.loads(content[8 : 8 + length])
    entry = header[rng.choice(sorted(header))]
    strange = {
        "dtype": ("F16", "U8", "F4", "BOOL", "X", 3),
        "shape": ([2**60], [2**32, 2**32], [], [-1], [0], "x"),
        "data_offsets": ([0, 2**60], [8, 4], [0, 0], [-1, 1], [2**63, 2**63], None),
    }
    key = rng.choice(sorted(strange))
    entry[key] = rng.choice(strange[key])
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


BYTES = (truncated, flipped, swapped, overwritten, beginning, repacked, repacked, rewritten_header)


# -- The files ------------------------------------------------------------------------------------


def checkpoint(rng, *, intact):
    content = STATE if intact else rng.choice(CONTENT)(STATE, rng)
    kind = rng.choice((".pt", ".pth", ".safetensors"))
    if kind != ".safetensors":
        return kind, saved(content, _use_new_zipfile_serialization=rng.random() < 0.7)
    tensors = {
        name: tensor.contiguous()
        for name, tensor in content.items()
        if isinstance(name, str)
        and "\udcff" not in name
        and isinstance(tensor, torch.Tensor)
        and tensor.layout == torch.strided
        and tensor.numel() < 10_000
    }
    return kind, save(tensors)


def seed(rng, *, intact):
    content = torch.load(
        io.BytesIO(checkpoint_bytes(Checkpoint(SPEC, STATE, USAGE))), weights_only=True
    )
    if not intact:
        content["weights"] = rng.choice(CONTENT)(STATE, rng)
        part = rng.choice((content, content["spec"], content["usage"], content["spec"]["head"]))
        strange = (None, -1, 0, 2**40, float("nan"), "x", [], {}, [1, 2, 3], ["a"] * 5, True)
        part[rng.choice(sorted(part))] = rng.choice(strange)
    return ".pt", saved(content)


def mutated(rng):
    """A file's suffix, its bytes, and what reads it."""
    made, load = rng.choice(((checkpoint, imported), (seed, load_checkpoint)))
    in_bytes = rng.random() < 0.6
    suffix, content = made(rng, intact=in_bytes)
    if in_bytes:
        content = rng.choice(BYTES)(content, rng)
    return suffix, content, load


def imported(path):
    return import_checkpoint(SPEC, path)


@contextlib.contextmanager
def bounded():
    """Ends a load that takes for ever, and refuses it more memory than a small file can need."""

    def late(_signal, _frame):
        raise TimeoutError

    before = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
        mapped = int(file.read().split()[0]) * resource.getpagesize()
    previous = signal.signal(signal.SIGPROF, late)
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY, before[1]))
    signal.setitimer(signal.ITIMER_PROF, ONE_LOAD_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, previous)
        resource.setrlimit(resource.RLIMIT_AS, before)


def refused(message, path):
    assert message.startswith(str(path))
    assert "Spec(" not in message
    assert len(message) < 1000
    return "refused"


def outcome(path, load):
    """What comes of a file: loaded, or refused."""
    try:
        loaded = load(path)
    except InputError as error:
        return refused(str(error), path)
    assert all(bool(torch.isfinite(tensor).all()) for tensor in loaded.weights.values())
    with torch.inference_mode():
        assert loaded.network()(torch.zeros(1, 3, 32, 32)).shape == (1, len(loaded.usage.classes))
    return "loaded"


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads Linux's /proc")  # noqa: PTH110
def test_mutated_checkpoints_are_loaded_or_refused(tmp_path):
    rng = random.Random(18)
    outcomes = Counter()
    for number in range(MUTATIONS):
        suffix, content, load = mutated(rng)
        path = tmp_path / f"mutated{suffix}"
        path.write_bytes(content)
        try:
            with bounded():
                outcomes[outcome(path, load)] += 1
        except Exception as error:
            said = f"mutation {number}, {len(content)} bytes of {suffix}: {error!r}"
            raise AssertionError(said) from error
    assert outcomes["refused"] > MUTATIONS / 2
    assert outcomes["loaded"] > 0


@pytest.mark.parametrize("count", [2**30, 2**40])
def test_a_seed_that_claims_more_than_it_holds_is_refused_at_once(tmp_path, count):
    """A check for NaN, or a comparison with the network, would go through all that is claimed."""
    weights = STATE | {"head.classifier.1.bias": torch.zeros(1).expand(count)}
    (tmp_path / "seed.pt").write_bytes(checkpoint_bytes(Checkpoint(SPEC, weights, USAGE)))
    with bounded(), pytest.raises(InputError, match="of which 1 values are stored"):
        load_checkpoint(tmp_path / "seed.pt")


def test_files_that_are_whole_are_loaded(tmp_path):
    rng = random.Random(0)
    for number, (made, load) in enumerate([(checkpoint, imported)] * 6 + [(seed, load_checkpoint)]):
        suffix, content = made(rng, intact=True)
        (tmp_path / f"{number}{suffix}").write_bytes(content)
        assert outcome(tmp_path / f"{number}{suffix}", load) == "loaded"
