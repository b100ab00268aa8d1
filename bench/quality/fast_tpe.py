"""The parts of Optuna 3.1's multivariate TPE that take hours for thousands of trials, computed faster: up to rounding
the same draws.

Optuna computes normal distributions in plain Python, and for each of its draws the density of every earlier trial's
kernel, and collects all parameters of all trials anew. Here SciPy has the distributions; the mass that a kernel gives
an integer is looked up by their difference, since all kernels of a parameter are equally wide; and finished trials are
collected once. A univariate sampler gains the distributions alone. tests/bench compares the draws.
"""
import numpy as np
from optuna.distributions import IntDistribution
from optuna.samplers._tpe import _truncnorm, parzen_estimator, sampler
from optuna.trial import TrialState
from scipy import special


optuna_log_pdf = parzen_estimator._ParzenEstimator.log_pdf


def log_pdf(self, samples):
    """(samples): log density of a _ParzenEstimator."""
    integers = all(isinstance(d, IntDistribution) and d.step == 1 and not d.log for d in self._search_space.values())
    if not self._parameters.multivariate or not integers:
        return optuna_log_pdf(self, samples)
    names = list(self._search_space)
    draws = np.array([samples[name] for name in names], dtype=int)          # (parameters)(samples)
    means = np.array([self._mus[name][:-1] for name in names], dtype=int)   # (parameters)(kernels but the prior)
    low, high = (np.array([side[name] for name in names])[:, None] for side in (self._low, self._high))
    width, prior_width = (np.array([self._sigmas[name][i] for name in names])[:, None] for i in (0, -1))
    span = int((high - low).max())
    differences = np.arange(-span, span + 1)
    by_difference = _truncnorm._log_gauss_mass((differences - 0.5) / width, (differences + 0.5) / width)
    every_mean = (low + 0.5).astype(int) + np.arange(span)                  # (parameters)(means)
    legal = _truncnorm._log_gauss_mass((low - every_mean) / width, (high - every_mean) / width)

    prior_mean = (low + high) * 0.5
    prior = _truncnorm._log_gauss_mass((draws - 0.5 - prior_mean) / prior_width,
                                       (draws + 0.5 - prior_mean) / prior_width)
    prior = prior - _truncnorm._log_gauss_mass((low - prior_mean) / prior_width, (high - prior_mean) / prior_width)
    total = np.zeros((means.shape[1] + 1, draws.shape[1]))                  # (kernels, the prior last)(samples)
    for p in range(len(names)):
        by_mean = by_difference[p][draws[p] - every_mean[p][:, None] + span] - legal[p][:, None]  # (means)(samples)
        total[:-1] += by_mean[means[p] - every_mean[p, 0]]
        total[-1] += prior[p]
    total = np.ascontiguousarray(total.T) + np.log(self._weights)
    largest = total.max(axis=1)
    return np.log(np.exp(total - largest[:, None]).sum(axis=1)) + largest


class Observations:
    """Parameters and scores of a study's trials, as sampler._get_observation_pairs gives them for one objective without
    pruning or constraints."""

    def __init__(self, otherwise):
        self.otherwise = otherwise  # for single parameters, which the first draws of a study ask for
        self.study = None

    def start(self, study, names):
        self.study, self.seen = study, 0  # trials from the first on that are finished, however they ended
        self.values, self.scores = np.empty((0, len(names))), []  # (those that are complete)(parameters); their scores

    def __call__(self, study, names, constant_liar=False, constraints_enabled=False):
        if len(names) == 1 or constraints_enabled:
            return self.otherwise(study, names, constant_liar, constraints_enabled)
        if study is not self.study:
            self.start(study, names)
        sign = 1 if study.direction.name == "MINIMIZE" else -1
        trials = study.get_trials(deepcopy=False)[self.seen:]
        if any(trial.state == TrialState.PRUNED for trial in trials):
            raise NotImplementedError("fast_tpe knows no pruned trials")
        unfinished = [i for i, trial in enumerate(trials) if not trial.state.is_finished()]
        settled = unfinished[0] if unfinished else len(trials)
        values, scores = self.observed(trials[:settled], names, sign, False)
        self.values, self.scores, self.seen = (np.concatenate([self.values, values]), self.scores + scores,
                                               self.seen + settled)
        values, scores = self.observed(trials[settled:], names, sign, constant_liar)
        return dict(zip(names, np.concatenate([self.values, values]).T)), self.scores + scores, None

    @staticmethod
    def observed(trials, names, sign, constant_liar):
        states = (TrialState.COMPLETE, TrialState.RUNNING) if constant_liar else (TrialState.COMPLETE,)
        trials = [trial for trial in trials if trial.state in states]
        values = np.array([[trial.params.get(name, np.nan) for name in names] for trial in trials], dtype=float)
        scores = [(-float("inf"), [sign * trial.value])
                  if trial.state == TrialState.COMPLETE else (float("inf"), [sign * float("inf")])
                  for trial in trials]
        return values.reshape(-1, len(names)), scores


def install():
    """Into Optuna, for all samplers of this process."""
    _truncnorm._log_ndtr, _truncnorm._ndtri_exp, _truncnorm.erf = special.log_ndtr, special.ndtri_exp, special.erf
    parzen_estimator._ParzenEstimator.log_pdf = log_pdf
    sampler._get_observation_pairs = Observations(sampler._get_observation_pairs)
