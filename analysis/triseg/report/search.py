"""What happened in the search: rewards, KD and attention over episodes, evaluations, and how the policy learned."""
import numpy

from triseg.report import series
from triseg.report.figure import Figure, Section
from triseg.report.svg import Plot, span
from triseg.score import wilson_95

BRANCHES = ("c-blue", "c-orange", "c-green", "c-purple")


def sections(run):
    """The sections "search" and "learning"; empty where a run has scored nothing."""
    if not len(run.episodes):
        return [Section("search", "Search", "<p>The run has scored no episodes: its strategy searches nothing, or it has "
                        "only begun.</p>")]
    steps = series.Iterations(run.episodes.iteration)
    figures = [reward(run, steps), gain(run, steps),
               over_episodes(run, steps, "kd", "KD of the drawn codes", "KD [nats]"),
               over_episodes(run, steps, "attention", "Attention distance of the drawn codes", "attention distance")]
    figures += evaluations(run)
    text = ("<p>An episode is one draw of codes for all sites, scored on one batch of images; the episodes of an iteration share "
            "their images, and each iteration has others. So rewards of two iterations differ by their images, too, and "
            "the <em>gain</em>, the reward less that of the start on the same images, is what compares.</p>")
    if not len(run.evaluations):
        text += "<p>The policy was not evaluated on validation images during this search (<code>--eval-every</code>).</p>"
    return [Section("search", "Search", text, figures), learning(run)]


def reward(run, steps):
    rewards = run.episodes.reward.to_numpy()
    rows, thinning = series.thinned(len(rewards))
    mean = steps.mean(rewards)
    best_at, best = series.best_so_far(rewards)
    reference = steps.mean(rewards - series.gain(run))
    plot = Plot((0, max(1, len(rewards))), span(rewards[rows], best, reference), "episode", "reward", zoom="x")
    plot.dots(rows, rewards[rows], "cloud")
    plot.line(best_at, best, "c-orange", step=True)
    plot.line(steps.at, reference, "c-grey dashed")
    plot.line(steps.at, mean, "c-blue")
    plot.read_across("episode", steps.at, [("mean", "c-blue", mean), ("start", "c-grey", reference),
                                           ("best so far", "c-orange", best[numpy.searchsorted(best_at, steps.at, side="right") - 1])])
    caption = (f"Reward, −(KD + w · attention distance); higher is better. Dots are single episodes ({thinning}), lines means of "
               f"{steps.text}. The best so far is the best of all episodes, lucky images included.")
    return Figure("reward", "Reward", plot.svg("Reward over episodes"), caption, size="half",
                  legend=(("dot cloud", "episode"), ("c-blue", "mean"), ("c-grey dashed", "start, same images"),
                          ("c-orange", "best so far")))


def gain(run, steps):
    gains = series.gain(run)
    mean, best = steps.mean(gains), steps.best(gains)
    best_at, record = series.best_so_far(gains)
    low, high = steps.quantile(gains, 0.1), steps.quantile(gains, 0.9)
    plot = Plot((0, max(1, len(gains))), span(low, high, best, record, zero=True), "episode", "gain over the start", zoom="x")
    plot.level(0, "c-grey dashed")
    plot.band(steps.at, low, high, "c-blue")
    plot.line(best_at, record, "c-orange", step=True)
    rows = [("best so far", "c-orange", record[numpy.searchsorted(best_at, steps.at, side="right") - 1])]
    legend = [("c-orange", "best so far"), ("band c-blue", "80 % of episodes"), ("c-grey dashed", "the start")]
    for css, name, values in branch_lines(run, steps, mean):
        plot.line(steps.at, values, css)
        rows.insert(0, (name, css, values))
        legend.insert(0, (css, name))
    plot.read_across("episode", steps.at, rows + [("best of the iteration", "c-blue", best)])
    caption = (f"Reward less that of the start's codes on the same images: above 0 the drawn codes beat the start. Lines are means "
               f"of {steps.text}; the band holds the middle 80 % of its episodes.")
    return Figure("gain", "Gain over the start", plot.svg("Gain over the start, over episodes"), caption, tuple(legend), "half")


def branch_lines(run, steps, mean):
    """(css, name, values) of each branch; one of all where there is one, or where several iterations are together."""
    updates = run.updates
    branches = sorted(updates.branch.unique()) if len(updates) else []
    if len(branches) < 2 or steps.together > 1:
        return [("c-blue", "mean", mean)]
    of = dict(zip(updates.iteration, updates.branch))
    which = numpy.array([of.get(i, -1) for i in steps.index])
    shares = dict(zip(updates.branch, updates.pass_share))
    return [(BRANCHES[i % len(BRANCHES)], f"mean, branch of pass share {shares[b]:.3g}",
             numpy.where(which == b, mean, numpy.nan)) for i, b in enumerate(branches)]


def over_episodes(run, steps, name, title, axis):
    values = run.episodes[name].to_numpy()
    mean, low, high = steps.mean(values), steps.quantile(values, 0.1), steps.quantile(values, 0.9)
    plot = Plot((0, max(1, len(values))), span(low, high, zero=True), "episode", axis, zoom="x")
    plot.band(steps.at, low, high, "c-blue")
    plot.line(steps.at, mean, "c-blue")
    plot.read_across("episode", steps.at, [("mean", "c-blue", mean), ("10 % are below", "c-grey", low), ("90 % are below", "c-grey", high)])
    caption = (f"Mean of {steps.text}, and the band of the middle 80 % of its episodes; lower is better. It moves with the images of "
               "an iteration, too.")
    return Figure(name, title, plot.svg(f"{title} over episodes"), caption, (("c-blue", "mean"), ("band c-blue", "80 % of episodes")))


def evaluations(run):
    """KD and accuracy of the most probable codes on validation images."""
    frame = run.evaluations
    if not len(frame):
        return []
    steps = run.episodes.groupby("iteration").size().cumsum()
    at = steps.reindex(frame.iteration, method="ffill").to_numpy()
    images = int(frame.validation_images.iloc[0])
    low, high = wilson_95(frame.validation_accuracy.to_numpy(), images)
    kd = Plot((0, len(run.episodes)), span(frame.validation_kd, zero=True), "episode", "KD [nats]", zoom="x")
    kd.line(at, frame.validation_kd, "c-green")
    kd.dots(at, frame.validation_kd, "big c-green")
    kd.read_across("episode", at, [("KD", "c-green", frame.validation_kd)])
    right = Plot((0, len(run.episodes)), span(low, high, frame.validation_accuracy_teacher), "episode", "accuracy [%]", zoom="x")
    right.band(at, low, high, "c-green")
    right.line(at, frame.validation_accuracy_teacher, "c-grey dashed")
    right.line(at, frame.validation_accuracy, "c-green")
    right.read_across("episode", at, [("student", "c-green", frame.validation_accuracy),
                                      ("teacher", "c-grey", frame.validation_accuracy_teacher)])
    where = f"the policy's most probable codes, on the first {images:,} validation images, which are the same each time"
    return [Figure("validation-kd", "KD on validation", kd.svg("Validation KD over episodes"), f"KD of {where}; lower is better.",
                   (("c-green", "most probable codes"),)),
            Figure("validation-accuracy", "Accuracy on validation", right.svg("Validation accuracy over episodes"),
                   f"Share of images classified right by {where}; the band is Wilson's 95 % interval.",
                   (("c-green", "student"), ("c-grey dashed", "teacher")))]


LEARNING = (("policy_loss", "Policy loss", "loss", "PPO's clipped surrogate loss in the last pass of an update. It hovers around 0 by "
             "construction: it says whether updates explode, not how good the policy is."),
            ("value_loss", "Value loss", "loss", "Squared error of the policy's own forecast of a draw's rank, last pass."),
            ("entropy", "Entropy", "entropy [nats]", "How undecided the policy is, mean over sites. It falls as the search settles."),
            ("approx_kl", "KL divergence", "KL [nats]", "How far an update moved the policy: approximate KL divergence of the old from "
             "the new one. This is not the KD of the reward."),
            ("clip_fraction", "Clip fraction", "share", "Share of probability ratios that PPO's clip (<code>--clip</code>) cut off; "
             "near 0 the clip does nothing, above about 0.3 updates are too large."))


def learning(run):
    """How the policy learned, a figure a column of /updates."""
    updates = run.updates
    strategy = run.config.get("strategy", "ppo")
    learned = len(updates) and updates[[name for name, *_ in LEARNING]].to_numpy().any()
    if not learned:
        return Section("learning", "Learning", f"<p>The strategy of this run, <code>{strategy}</code>, updates no policy network by "
                       "gradients, so there are no losses to show.</p>")
    together = max(1, -(-len(updates) // series.STEPS))
    bins = numpy.arange(len(updates)) // together
    text = "each update" if together == 1 else f"the mean of {together} neighbouring updates"
    figures = []
    for name, title, axis, caption in LEARNING:
        means = updates.groupby(bins)[["iteration", name]].mean()
        plot = Plot((0, max(1, int(updates.iteration.max()) + 1)), span(means[name], zero=name in ("clip_fraction", "approx_kl", "value_loss")),
                    "iteration", axis, zoom="x")
        plot.line(means.iteration, means[name], "c-blue")
        plot.read_across("iteration", means.iteration, [(title, "c-blue", means[name])])
        figures.append(Figure(name.replace("_", "-"), title, plot.svg(f"{title} over iterations"), f"{caption} A point is {text}."))
    return Section("learning", "Learning", "<p>What PPO, the reinforcement learning behind the search, says of itself.</p>", figures)
