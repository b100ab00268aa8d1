#!/usr/bin/env python3
"""Searches the codes with a sampler of Optuna, at triseg's budget and by triseg's rules, and prints the outcome as
JSON.

    optuna_search.py --program build/cpu/bin/triseg --sampler tpe --episodes 2000 --seed 1 [-- options of triseg search]

What is the same as in `triseg search`: calibration, the images of each iteration, its size, the start (--warm-start
best) and as the reference on every iteration's images that start, the gain over it as what is maximized, the finalists
(those of largest gain with distinct codes, all analytic starts, and for cma-es, as for triseg's strategies, what it
holds best at the end: the mean of the better half of its last population), their choice on validation, the one report
on test.

Search space: four integers in 1..tmax-2 a site, which sorted are (t1, v1-1, t2-1, v2-2). So every draw is legal, every
legal draw has its place, and the space is static, as CMA-ES needs it. The start is told as a finished trial of gain 0;
then each iteration asks for all its trials before it tells one.

  tpe       TPESampler(constant_liar=True), its other options Optuna's defaults; --multivariate. With Optuna 3.1 and
            SciPy, parts of it are computed faster (fast_tpe.py): 10,000 episodes multivariate within minutes instead of
            hours
  cma-es    CmaEsSampler(x0=the start, sigma0=2 codes, popsize=an iteration's episodes, with_margin=True);
            --sigma0 [codes], --no-margin, --separable. Optuna's own sigma0, a sixth of the smallest range, is worse
            here: with it a search of 1000 episodes of LeNet-5 (seed 1) ended at 0.94 times the MSE optimum's KD instead
            of 0.87, and where nothing passes at 1.00 instead of 0.81

Needs Optuna 3.1 (Debian's python3-optuna; see README.md).
"""
import importlib.util
import json
import os
import sys
import time
import warnings

try:
    import optuna
except ModuleNotFoundError as error:
    print(f"needs {error.name}: install Debian's package python3-optuna, or see bench/quality/README.md",
          file=sys.stderr)
    sys.exit(2)

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "analysis"))
from triseg import command_line  # noqa: E402  behind its folder
from triseg.scorer import Scorer, best_distinct, choose  # noqa: E402


def numbers_of(site, codes):
    """The numbers by name that stand for a site's codes."""
    t1, v1, t2, v2 = codes
    return {f"{site['name']}.{i}": x for i, x in enumerate((t1, v1 - 1, t2 - 1, v2 - 2))}


def codes_of(site, numbers):
    a, b, c, d = sorted(numbers[f"{site['name']}.{i}"] for i in range(4))
    return [a, b + 1, c + 1, d + 2]


def fast():
    """True if fast_tpe can take its parts of the sampler: it changes no draw, and turns hours into minutes."""
    return optuna.__version__.startswith("3.1.") and importlib.util.find_spec("scipy") is not None


def make_sampler(o, start, population):
    if o.sampler == "tpe":
        if fast():
            import fast_tpe
            fast_tpe.install()
        return optuna.samplers.TPESampler(seed=o.seed, constant_liar=True, multivariate=o.multivariate)
    sigma0 = 2.0 if o.sigma0 is None else o.sigma0
    return optuna.samplers.CmaEsSampler(x0=start, sigma0=sigma0, popsize=population, seed=o.seed,
                                        use_separable_cma=o.separable, with_margin=not (o.no_margin or o.separable),
                                        warn_independent_sampling=False)


def make_study(o, sites, population):
    """The study, with the start of triseg's own strategies as its first trial, and the distributions of its numbers."""
    distributions = {f"{site['name']}.{i}": optuna.distributions.IntDistribution(1, site["tmax"] - 2)
                     for site in sites for i in range(4)}
    start = {name: x for site in sites for name, x in numbers_of(site, site["start"]).items()}
    study = optuna.create_study(direction="maximize", sampler=make_sampler(o, start, population))
    study.add_trial(optuna.trial.create_trial(params=start, distributions=distributions, value=0.0))
    return study, distributions


def search(o, scorer):
    """Spends the budget. Episodes (gain, codes) in order, and the seconds that Optuna itself took."""
    sites, population = scorer.problem["sites"], scorer.problem["episodes_per_update"]
    study, distributions = make_study(o, sites, population)
    reference = [site["start"] for site in sites]
    episodes, seconds = [], 0.0
    for iteration in range(-(-o.episodes // population)):
        started = time.monotonic()
        trials = [study.ask(distributions) for _ in range(min(population, o.episodes - len(episodes)))]
        candidates = [[codes_of(site, trial.params) for site in sites] for trial in trials]
        seconds += time.monotonic() - started
        *rewards, reference_reward = scorer.iteration(iteration, candidates + [reference])["reward"]
        started = time.monotonic()
        for trial, codes, reward in zip(trials, candidates, rewards):
            episodes.append((reward - reference_reward, codes))
            study.tell(trial, reward - reference_reward)
        seconds += time.monotonic() - started
    return episodes, seconds


def last_mean(episodes, sites, population):
    """The mean of the better half of the last population as codes."""
    better = sorted(episodes[-population:], key=lambda episode: -episode[0])[:(population + 1) // 2]
    numbers = [[numbers_of(site, codes) for site, codes in zip(sites, candidate)] for _, candidate in better]
    return [codes_of(site, {name: round(sum(of[i][name] for of in numbers) / len(better)) for name in numbers[0][i]})
            for i, site in enumerate(sites)]


def outcome(o, scorer):
    episodes, sampler_seconds = search(o, scorer)
    sites = scorer.problem["sites"]
    mse = [site["mse"] for site in sites]
    finalists = (best_distinct(episodes, scorer.problem["top_k"]) +
                 [start["codes"] for start in scorer.problem["starts"]])
    if o.sampler == "cma-es" and episodes:
        finalists.append(last_mean(episodes, sites, scorer.problem["episodes_per_update"]))
    codes = choose(finalists, scorer.split("validation", finalists), scorer.problem["max_acc_drop"])
    test = scorer.split("test", [codes, mse])
    return {"kd": test["kd"][0], "kd_mse_codes": test["kd"][1], "acc_teacher": test["teacher_accuracy"][0],
            "acc_student": test["student_accuracy"][0], "acc_mse_codes": test["student_accuracy"][1],
            "acc_drop": test["accuracy_drop"][0], "student_images": scorer.student_images,
            "sampler_seconds": sampler_seconds, "optuna": optuna.__version__,
            "codes": {site["name"]: c for site, c in zip(sites, codes)}}


def main():
    parser = command_line.parser(__doc__)
    parser.add_argument("--program", default="build/cpu/bin/triseg")
    parser.add_argument("--sampler", choices=("tpe", "cma-es"), required=True)
    parser.add_argument("--episodes", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--multivariate", action="store_true", help="of tpe: all numbers drawn together")
    parser.add_argument("--sigma0", type=float, help="of cma-es: first deviation [codes], 2 unless given")
    parser.add_argument("--no-margin", action="store_true", help="of cma-es: without the margin for integers")
    parser.add_argument("--separable", action="store_true", help="of cma-es: a diagonal covariance, without the margin")
    parser.add_argument("options", nargs="*", help="of triseg search, for the problem")
    o = parser.parse_args()
    if o.sampler == "cma-es" and o.multivariate:
        parser.error("--multivariate is of --sampler tpe")
    if o.sampler == "tpe" and (o.sigma0 is not None or o.no_margin or o.separable):
        parser.error("--sigma0, --no-margin and --separable are of --sampler cma-es")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    with Scorer(o.program, ["--seed", str(o.seed), *o.options]) as scorer:
        print(json.dumps(outcome(o, scorer)))


if __name__ == "__main__":
    command_line.run(main)
