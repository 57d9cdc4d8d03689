"""Results that do not depend on how many cores the machine has."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread: its sums depend, in the last bits, on how many share them.

    A resumed search must ask the same questions on a machine with more cores; and a controller's
    matrices are too small to share anyway.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
