"""Batches that a thread makes while the device computes, so that it does not wait for them."""

from collections import deque
from concurrent.futures import ThreadPoolExecutor

AHEAD = 2  # batches


def prefetched(sequence, start=0):
    """Iterates over `sequence[start:]`, whose next items are made meanwhile.

    What goes wrong while an item is made is raised where the item would have come.

    >>> list(prefetched("abcdef", start=2))
    ['c', 'd', 'e', 'f']
    """
    with ThreadPoolExecutor(1) as thread:
        coming = deque()
        for i in range(start, len(sequence) + AHEAD):
            if i < len(sequence):
                coming.append(thread.submit(sequence.__getitem__, i))
            if i >= start + AHEAD:
                yield coming.popleft().result()
