"""A `triseg score` process as a Python object, and the choice that triseg makes of a search's finalists."""
import json
import subprocess


class ScoreError(Exception):
    """What the program said in one line."""


class Scorer:
    """Scores candidates, each a list of [t1, v1, t2, v2] a site. `problem` is the program's description of the problem."""

    def __init__(self, program, options):
        self._process = subprocess.Popen([program, "score", *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         stderr=subprocess.PIPE, text=True)
        self.problem = self._read()
        self.student_images = self.problem["start_images"]  # as a run file counts them: what the finalists cost is not in it

    def __enter__(self):
        return self

    def __exit__(self, *_):
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
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._read()
        if "error" in answer:
            raise ScoreError(answer["error"])
        return answer

    def _read(self):
        line = self._process.stdout.readline()
        if not line:
            raise ScoreError(self._process.communicate()[1].strip() or f"triseg score ended with {self._process.returncode}")
        return json.loads(line)


def best_distinct(episodes, count):
    """Codes of the `count` episodes (gain, codes) of largest gain with distinct codes, best first; of equal ones the earlier."""
    best = {}
    for _, codes in sorted(episodes, key=lambda episode: -episode[0]):
        best.setdefault(json.dumps(codes), codes)
        if len(best) == count:
            break
    return list(best.values())


def choose(candidates, validation, max_acc_drop):
    """Of candidates scored on validation: that of best reward whose accuracy drop is at most `max_acc_drop` points, else that of
    best reward, as learner/judging/selection.hpp has it."""
    order = sorted(range(len(candidates)), key=lambda i: -validation["reward"][i])
    return candidates[next((i for i in order if validation["accuracy_drop"][i] <= max_acc_drop), order[0])]
