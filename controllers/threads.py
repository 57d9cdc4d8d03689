"""Results independent of the number of cores."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread: the last bits of its sums depend on the number of threads.

    A search resumed on a machine with more cores must propose the same networks, and a controller's
    matrices are too small to gain from threads anyway.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
