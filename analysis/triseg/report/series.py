"""Columns over episodes and iterations, few enough to draw, and what a caption says of how they were made fewer."""
import numpy
import pandas

DOTS, STEPS = 2500, 400  # the most dots of a cloud, and the most iterations of a line, that are drawn one by one


def thinned(count, limit=DOTS):
    """(rows to draw, what a caption says of them).

    >>> rows, text = thinned(10000, 2500)
    >>> rows[:3].tolist(), len(rows), text
    ([0, 4, 8], 2500, 'one episode in 4 is drawn')
    >>> thinned(3)[1]
    'every episode is drawn'
    """
    stride = -(-count // limit) if count else 1
    return numpy.arange(0, count,
                        stride), "every episode is drawn" if stride == 1 else f"one episode in {stride} is drawn"


class Iterations:
    """The iterations of a run, or equally many neighbouring ones together where there are more than a figure can show.

    turns: so many branches of the search that take turns are always together.
    bins: a number for each episode, ascending; at: the episode in the middle of each bin; text: what a caption says.
    """

    def __init__(self, iterations, limit=STEPS, turns=1):
        iterations = numpy.asarray(iterations, dtype=int)
        count = len(numpy.unique(iterations))
        self.together = turns * max(1, -(-count // (turns * limit)))
        self.bins = iterations // self.together
        self.index = numpy.unique(self.bins)
        self.at = pandas.Series(numpy.arange(len(iterations))).groupby(self.bins).mean().round().to_numpy()
        self.text = "an iteration" if self.together == 1 else f"{self.together} neighbouring iterations"

    def mean(self, values):
        return self._each(values, lambda groups: groups.mean())

    def best(self, values):
        return self._each(values, lambda groups: groups.max())

    def quantile(self, values, share):
        return self._each(values, lambda groups: groups.quantile(share))

    def _each(self, values, what):
        return what(pandas.Series(numpy.asarray(values, dtype=float)).groupby(self.bins)).to_numpy()


def best_so_far(values):
    """(rows, values) at which the best so far changes, the first and the last row included.

    >>> best_so_far([3.0, 1.0, 4.0, 2.0])
    (array([0, 2, 3]), array([3., 4., 4.]))
    """
    values = numpy.asarray(values, dtype=float)
    if not len(values):
        return numpy.zeros(0, dtype=int), values
    best = numpy.fmax.accumulate(values)
    rows = numpy.flatnonzero(numpy.append(True, best[1:] > best[:-1]))
    rows = rows if rows[-1] == len(values) - 1 else numpy.append(rows, len(values) - 1)
    return rows, best[rows]


def gain(run):
    """The reward of every episode less the start's on the same images; NaN where the run has no update of the
    iteration yet."""
    updates = run.updates
    reference = pandas.Series(updates.reference_reward.to_numpy(), index=updates.iteration.to_numpy())
    reference = reference[~reference.index.duplicated()]
    return run.episodes.reward.to_numpy() - reference.reindex(run.episodes.iteration.to_numpy()).to_numpy()
