"""A `triseg score` process as a Python object, and the choice that triseg makes of a search's finalists."""
import contextlib
import json
import subprocess

from triseg.files import Error


class Scorer:
    """Scores candidates, each a list of [t1, v1, t2, v2] a site, bit for bit as a search does: for searchers of one's
    own.

    program: path of `triseg`; options: those of a search that make its problem. `problem` is the program's description
    of it (docs/search-reference.md, foreign searchers). Raises Error with what the program says in one line.

    >>> with Scorer(program, ["--model", "lenet5", "--data", data, "--calib-batches", "2"]) as scorer:
    ...     sites = scorer.problem["sites"]
    ...     start, init = [site["start"] for site in sites], [site["init"] for site in sites]
    ...     scores = scorer.iteration(0, [start, init])  # the images that the first iteration of a search sees
    >>> len(sites), scores["images"], len(scores["reward"])
    (4, 32, 2)
    """

    def __init__(self, program, options):
        try:
            self._process = subprocess.Popen([program, "score", *options], text=True, stdin=subprocess.PIPE,
                                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        except OSError as error:
            raise Error(f"{program}: {error.strerror}") from error
        try:
            self.problem = self._read()
        except Error:
            self._process.kill()
            self.close()
            raise
        # As a run file counts them: what the finalists cost is not in it.
        self.student_images = self.problem["start_images"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends the process."""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._process.stderr.close()

    def iteration(self, number, candidates):
        """Columns reward, kd, attention (candidates) on the images that a search's iteration of this number sees."""
        scores = self._ask({"iteration": number, "codes": candidates})
        self.student_images += scores["images"] * len(candidates)
        return scores

    def split(self, name, candidates):
        """The same and accuracies, in percent, on all images of the split "validation" or "test"."""
        return self._ask({"split": name, "codes": candidates})

    def _ask(self, request):
        if self._process.stdin.closed or self._process.stdout.closed:
            raise Error("triseg score has ended")
        try:
            text = json.dumps(request, default=_plain)
        except (TypeError, ValueError) as error:
            raise Error(f"candidates: {error}") from error
        with contextlib.suppress(BrokenPipeError):  # it has ended: _read() says why
            self._process.stdin.write(text + "\n")
            self._process.stdin.flush()
        answer = self._read()
        if "error" in answer:
            raise Error(answer["error"])
        return answer

    def _read(self):
        line = self._process.stdout.readline()
        if not line:
            raise Error(self._process.communicate()[1].strip() or f"triseg score ended with {self._process.returncode}")
        try:
            return json.loads(line)
        except ValueError as error:
            raise Error(f"expected an answer of triseg score, found {line.strip()[:60]!r}") from error


def _plain(value):
    """Numbers and arrays of numpy as JSON takes them."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"expected codes, found {type(value).__name__}")


def best_distinct(episodes, count):
    """Codes of the `count` episodes (gain, codes) of largest gain with distinct codes, best first; of equal ones the
    earlier."""
    best = {}
    for _, codes in sorted(episodes, key=lambda episode: -episode[0]):
        best.setdefault(json.dumps(codes), codes)
        if len(best) == count:
            break
    return list(best.values())


def choose(candidates, validation, max_acc_drop):
    """The candidate of best reward among those scored on validation whose accuracy drop is at most `max_acc_drop`
    points, else that of best reward, as learner/judging/selection.hpp has it."""
    order = sorted(range(len(candidates)), key=lambda i: -validation["reward"][i])
    return candidates[next((i for i in order if validation["accuracy_drop"][i] <= max_acc_drop), order[0])]
