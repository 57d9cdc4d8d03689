"""How many images a trial is read on; `nas.searching.from_parent.trial_images` chooses them."""

READINGS = 1200
"""Images that a trial is read on, if there are enough."""

MOST_KEPT_BACK = 0.4
"""Largest fraction of the training images that trials do without."""


def kept_back(*, train: int, val: int) -> int:
    """Return how many training images trials are read on in addition to the held-out ones.

    >>> kept_back(train=2640, val=296), kept_back(train=500, val=100), kept_back(train=10**6, val=50_000)
    (904, 200, 0)
    """
    return max(0, min(READINGS - val, int(MOST_KEPT_BACK * train)))
