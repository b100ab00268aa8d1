"""The parts of Optuna 3.1's TPE that take minutes to hours for thousands of trials, computed faster: the same draws.

Optuna computes normal distributions in plain Python, and for each of its draws the density of every earlier trial's kernel, and
collects all parameters of all trials anew. Here SciPy has the distributions; the mass that a kernel gives an integer is looked up
by their difference, since all kernels of a parameter of a multivariate sampler are equally wide, and finished trials are collected
once. tests/bench compares the draws.
"""
import numpy as np
from optuna.samplers._tpe import _truncnorm, parzen_estimator, sampler
from optuna.trial import TrialState
from scipy import special


optuna_log_pdf = parzen_estimator._ParzenEstimator.log_pdf


def log_pdf(self, samples):
    """(samples): log density of a _ParzenEstimator over integers of step 1 alone."""
    if not self._parameters.multivariate:
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
    prior = _truncnorm._log_gauss_mass((draws - 0.5 - prior_mean) / prior_width, (draws + 0.5 - prior_mean) / prior_width)
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
    """Parameters and scores of a study's trials, as sampler._get_observation_pairs gives them for one objective without pruning."""

    def __init__(self, otherwise):
        self.otherwise = otherwise  # for single parameters, which the first draws of a study ask for
        self.study, self.values, self.scores = None, None, []  # (finished trials from the first on)(parameters); their scores

    def __call__(self, study, names, constant_liar=False, constraints_enabled=False):
        if len(names) == 1:
            return self.otherwise(study, names, constant_liar, constraints_enabled)
        if study is not self.study:
            self.study, self.values, self.scores = study, np.empty((0, len(names))), []
        sign = 1 if study.direction.name == "MINIMIZE" else -1
        states = (TrialState.COMPLETE, TrialState.RUNNING) if constant_liar else (TrialState.COMPLETE,)
        trials = [trial for trial in study.get_trials(deepcopy=False)[len(self.scores):] if trial.state in states]
        values = np.array([[trial.params.get(name, np.nan) for name in names] for trial in trials], dtype=float)
        values = np.concatenate([self.values, values.reshape(-1, len(names))])
        finished = [trial.state == TrialState.COMPLETE for trial in trials]
        scores = self.scores + [(-float("inf"), [sign * trial.value]) if done else (float("inf"), [sign * float("inf")])
                                for trial, done in zip(trials, finished)]
        settled = len(self.scores) + (finished.index(False) if False in finished else len(finished))
        self.values, self.scores = values[:settled], scores[:settled]
        return dict(zip(names, values.T)), scores, None


def install():
    """Into Optuna, for all samplers of this process."""
    _truncnorm._log_ndtr, _truncnorm._ndtri_exp, _truncnorm.erf = special.log_ndtr, special.ndtri_exp, special.erf
    parzen_estimator._ParzenEstimator.log_pdf = log_pdf
    sampler._get_observation_pairs = Observations(sampler._get_observation_pairs)
