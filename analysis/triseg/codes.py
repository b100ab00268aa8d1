"""The codes of a site and the staircase they stand for."""
import numpy

CODES = ("t1", "v1", "t2", "v2", "tmax")


def staircase(codes):
    """The tables of codes (..., 5), as (..., 256): 0 up to t1, v1 up to t2, v2 up to tmax, behind it the code itself.
    Raises ValueError, naming the codes, unless t1 <= t2 <= tmax and the table is monotone.

    >>> staircase([2, 5, 6, 9, 10])[:13].tolist()
    [0, 0, 0, 5, 5, 5, 5, 9, 9, 9, 9, 11, 12]
    >>> staircase([2, 9, 6, 5, 10])
    Traceback (most recent call last):
    ValueError: t1=2, v1=9, t2=6, v2=5, tmax=10 make no monotone staircase
    """
    codes = numpy.asarray(codes)
    t1, v1, t2, v2, tmax = (codes[..., i, None] for i in range(len(CODES)))
    q = numpy.arange(256)
    tables = numpy.select([q <= t1, q <= t2, q <= tmax], [0, v1, v2], q).astype("u1")
    wrong = (numpy.diff(tables.astype(int)) < 0).any(axis=-1) | ~((t1 <= t2) & (t2 <= tmax))[..., 0]
    if wrong.any():
        first = codes[wrong][0] if codes.ndim > 1 else codes
        named = ", ".join(f"{name}={code}" for name, code in zip(CODES, first))
        raise ValueError(f"{named} make no monotone staircase")
    return tables
