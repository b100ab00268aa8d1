"""What happened in the search: rewards, KD and attention over episodes, evaluations, and how the policy learned."""
import numpy

from triseg.report import series
from triseg.report.figure import Figure, Section
from triseg.report.svg import Plot, span
from triseg.score import wilson_95

BRANCHES = ("c-blue", "c-green", "c-purple", "c-v1")


def sections(run):
    """The sections "search" and "learning"; empty where a run has scored nothing."""
    if not len(run.episodes):
        return [Section("search", "Search", "<p>The run has scored no episodes: its strategy searches nothing, or it "
                                            "has "
                        "only begun.</p>")]
    steps = series.Iterations(run.episodes.iteration)
    figures = [reward(run, steps), gain(run, steps),
               over_episodes(run, steps, "kd", "KD of the drawn codes", "KD [nats]"),
               over_episodes(run, steps, "attention", "Attention distance of the drawn codes", "attention distance")]
    figures += evaluations(run)
    text = ("<p>An episode is one draw of codes for all sites, scored on one batch of images; the episodes of an "
            "iteration share their images, and each iteration has others. So rewards of two iterations differ by their "
            "images, too, and the <em>gain</em>, the reward less that of the start on the same images, is what "
            "compares.</p>")
    if not len(run.evaluations):
        text += "<p>The policy was not evaluated on validation images (<code>--eval-every</code>).</p>"
    return [Section("search", "Search", text, figures), learning(run)]


def width_of(rows):
    """The range of an axis of episodes, with room for a mark at its end."""
    return 0, 1.015 * max(1, len(rows))


def reward(run, steps):
    rewards = run.episodes.reward.to_numpy()
    rows, thinning = series.thinned(len(rewards))
    mean = steps.mean(rewards)
    best_at, best = series.best_so_far(rewards)
    reference = steps.mean(rewards - series.gain(run))
    plot = Plot(width_of(rewards), span(rewards[rows], best, reference), "episode", "reward", zoom="x", whole="x")
    plot.dots(rows, rewards[rows], "cloud" if len(rows) > 500 else "cloud few")
    plot.line(best_at, best, "c-orange", step=True)
    plot.line(steps.at, reference, "c-grey dashed")
    plot.line(steps.at, mean, "c-blue")
    plot.read_across("near episode", steps.at, [("mean", "c-blue", mean), ("start", "c-grey", reference),
                                           ("best so far", "c-orange",
                                            best[numpy.searchsorted(best_at, steps.at, side="right") - 1])])
    caption = (f"Reward, −(KD + w · attention distance); higher is better. Dots are single episodes ({thinning}), "
               f"lines means of {steps.text}. The best so far is the best of all episodes, lucky images included.")
    return Figure("reward", "Reward", plot.svg("Reward over episodes"), caption, size="half",
                  legend=(("dot cloud", "episode"), ("c-blue", "mean"), ("c-grey dashed", "start, same images"),
                          ("c-orange", "best so far")))


def gain(run, steps):
    gains = series.gain(run)
    mean, best = steps.mean(gains), steps.best(gains)
    best_at, record = series.best_so_far(gains)
    low, high = steps.quantile(gains, 0.1), steps.quantile(gains, 0.9)
    plot = Plot(width_of(gains), span(low, high, best, record, [0]), "episode", "gain over the start", zoom="x",
                whole="x")
    plot.level(0, "c-grey dashed")
    plot.band(steps.at, low, high, "c-blue")
    plot.line(best_at, record, "c-orange", step=True)
    rows = [("best so far", "c-orange", record[numpy.searchsorted(best_at, steps.at, side="right") - 1])]
    legend = [("c-orange", "best so far"), ("band c-blue", "80 % of episodes"), ("c-grey dashed", "the start")]
    for css, name, mine in branches_of(run, steps.index if steps.together == 1 else None, len(mean)):
        plot.line(steps.at[mine], mean[mine], css)
        rows.insert(0, (name, css, numpy.where(mine, mean, numpy.nan)))
        legend.insert(0, (css, name))
    plot.read_across("near episode", steps.at, rows + [("best of the iteration", "c-blue", best)])
    caption = (f"Reward less that of the start's codes on the same images: above 0 the drawn codes beat the start. "
               f"Lines are means of {steps.text}; the band holds the middle 80 % of its episodes.")
    return Figure("gain", "Gain over the start", plot.svg("Gain over the start, over episodes"), caption, tuple(legend),
                  "half")


def branches_of(run, iterations, count):
    """(css, name, which of `count` rows) of each branch of the search, by the rows' iterations; all rows are one where
    those are not known."""
    updates = run.updates
    shares = dict(zip(updates.branch, updates.pass_share))
    if len(shares) < 2 or iterations is None:
        return [("c-blue", "mean", numpy.ones(count, dtype=bool))]
    of = dict(zip(updates.iteration, updates.branch))
    which = numpy.array([of.get(iteration, -1) for iteration in iterations])
    return [(BRANCHES[i % len(BRANCHES)], f"branch {branch} (up to {100 * shares[branch]:.3g} % pass)", which == branch)
            for i, branch in enumerate(sorted(shares))]


def over_episodes(run, steps, name, title, axis):
    values = run.episodes[name].to_numpy()
    mean, low, high = steps.mean(values), steps.quantile(values, 0.1), steps.quantile(values, 0.9)
    plot = Plot(width_of(values), span(low, high, zero=True), "episode", axis, zoom="x", whole="x")
    plot.band(steps.at, low, high, "c-blue")
    plot.line(steps.at, mean, "c-blue")
    plot.read_across("near episode", steps.at, [("mean", "c-blue", mean), ("10 % are below", "c-grey", low),
                                                ("90 % are below", "c-grey", high)])
    caption = (f"Mean of {steps.text}, and the band of the middle 80 % of its episodes; lower is better. It moves with "
               f"the images of an iteration, too.")
    return Figure(name, title, plot.svg(f"{title} over episodes"), caption,
                  (("c-blue", "mean"), ("band c-blue", "80 % of episodes")))


def evaluations(run):
    """KD and accuracy of the most probable codes on validation images."""
    frame = run.evaluations
    if not len(frame):
        return []
    at = run.episodes.groupby("iteration").size().cumsum().reindex(frame.iteration, method="ffill").to_numpy()
    images = int(frame.validation_images.iloc[0])
    low, high = wilson_95(frame.validation_accuracy.to_numpy(), images)
    teacher = frame.validation_accuracy_teacher.iloc[0]
    where = f"the policy's most probable codes, on the first {images:,} validation images, which are the same each time"
    lines = [(css if name != "mean" else "c-green", "most probable codes" if name == "mean" else name, mine)
             for css, name, mine in branches_of(run, frame.iteration, len(frame))]
    right = lambda plot: (plot.interval(at, low, high, "c-grey thin"), plot.level(teacher, "c-grey dashed"))
    return [evaluated(run, "validation-kd", "KD on validation", "KD [nats]", at, frame.validation_kd, lines,
                      span(frame.validation_kd, zero=True),
                      f"KD of {where}; lower is better."),
            evaluated(run, "validation-accuracy", "Accuracy on validation", "accuracy [%]", at,
                      frame.validation_accuracy, lines,
                      span(low, high, [teacher]), f"Share of images classified right by {where}, with Wilson's 95 % "
                                                  f"intervals; dashed: the "
                      f"teacher, {teacher:.2f} %.", right)]


def evaluated(run, key, title, axis, at, values, lines, y, caption, below=None):
    """A figure of the evaluations, a line a branch; below(plot) draws what is to lie under the lines."""
    plot = Plot(width_of(run.episodes), y, "episode", axis, zoom="x", whole="x")
    if below:
        below(plot)
    for css, _, mine in lines:
        plot.line(at[mine], values[mine], css)
        plot.dots(at[mine], values[mine], "middling " + css)
    plot.read_across("after episode", at, [(name, css, numpy.where(mine, values, numpy.nan)) for css, name,
                                           mine in lines])
    return Figure(key, title, plot.svg(f"{title} over episodes"), caption, tuple((css, name) for css, name, _ in lines))


LEARNING = (("policy_loss", "Policy loss", "loss", "PPO's clipped surrogate in the last pass of an update: the lower, "
                                                   "the more the update "
             "favours draws that did well. It says nothing of how good the codes are."),
            ("value_loss", "Value loss", "loss", "Squared error of the policy's own forecast of a draw's rank, last "
                                                 "pass."),
            ("entropy", "Entropy", "entropy [nats]", "How undecided the policy is, in the mean. It falls as the search "
                                                     "settles."),
            ("approx_kl", "KL divergence", "KL [nats]", "How far an update moved the policy: approximate KL divergence "
                                                        "of the old from "
             "the new one. This is not the KD of the reward."),
            ("clip_fraction", "Clip fraction", "share", "Share of probability ratios that PPO's clip "
                                                        "(<code>--clip</code>) cut off; "
             "near 0 the clip does nothing, above about 0.3 updates are too large."))


def learning(run):
    """How the policy learned, a figure a column of /updates."""
    updates = run.updates
    strategy = run.config.get("strategy", "ppo")
    learned = len(updates) and updates[[name for name, *_ in LEARNING]].to_numpy().any()
    if not learned:
        return Section("learning", "Learning", f"<p>The strategy of this run, <code>{strategy}</code>, updates no "
                                               f"policy network by "
                       "gradients, so there are no losses to show.</p>")
    together = max(1, -(-len(updates) // series.STEPS))
    means = updates.groupby(numpy.arange(len(updates)) // together)[["iteration",
                                                                     *(name for name, *_ in LEARNING)]].mean()
    branches = branches_of(run, updates.iteration if together == 1 else None, len(means))
    text = "each update" if together == 1 else f"the mean of {together} neighbouring updates"
    figures = []
    for name, title, axis, caption in LEARNING:
        plot = Plot((0, max(1, int(updates.iteration.max()) + 1)),
                    span(means[name], zero=name in ("clip_fraction", "approx_kl", "value_loss")),
                    "iteration", axis, zoom="x", whole="x")
        for css, _, mine in branches:
            plot.line(means.iteration[mine], means[name][mine], css)
        plot.read_across("iteration", means.iteration, [(title if branch == "mean" else branch, css,
                                                         numpy.where(mine, means[name], numpy.nan))
                                                        for css, branch, mine in branches])
        figures.append(Figure(name.replace("_", "-"), title, plot.svg(f"{title} over iterations"),
                              f"{caption} A point is {text}.",
                              tuple((css, branch) for css, branch, _ in branches) if len(branches) > 1 else ()))
    return Section("learning", "Learning", "<p>What PPO, the reinforcement learning behind the search, says of "
                                           "itself.</p>", figures)
