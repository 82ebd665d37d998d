"""Few shapes: what is compiled for one number of timesteps, rows or tokens serves all that can be padded to it."""

SHORTEST = 32


def padded_length(length, fine=False, shortest=SHORTEST):
    """The power of two that holds so many timesteps: the fewer shapes, the less is compiled.

    Finely, also one and a half times a power of two: less padding to compute.

    >>> [padded_length(n) for n in (0, 32, 33, 700)]
    [32, 32, 64, 1024]
    >>> [padded_length(n, fine=True) for n in (0, 32, 33, 700)]
    [32, 32, 48, 768]
    """
    power = max(shortest, 1 << max(int(length) - 1, 0).bit_length())
    return power * 3 // 4 if fine and shortest < power and length <= power * 3 // 4 else power
