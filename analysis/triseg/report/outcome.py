"""What came out of a run: sentences, figures with intervals, the front, cost, and how to do it again."""
import html
import math

import numpy

from triseg.report.figure import Figure, Section, table
from triseg.report.svg import Plot, span
from triseg.score import Z_975, wilson_95

KD_IS = ("<dfn>KD</dfn>, the distillation term, says how far the student's answers are from the teacher's: T² times "
         "the Kullback-Leibler divergence of the class probabilities at temperature T, mean over images, in nats; 0 is "
         "equal, lower is better")
DATA_NAMES = {"fashion-mnist": "Fashion-MNIST", "shapes": "the shapes data set"}
ORIGINS = {"mse": "MSE optimum", "init": "initial codes", "policy": "most probable codes", "start": "start"}


def data_name(run):
    return DATA_NAMES.get(run.problem.data, run.problem.data.rstrip("/").rsplit("/", 1)[-1])


def origin_name(origin, episode=None):
    """Where a row of /top comes from."""
    if origin == "episode" and episode is not None:
        return f"episode {int(episode):,}"
    return ORIGINS.get(origin) or (f"balanced start, {origin.split('-')[1]}" if origin.startswith("balanced-")
                                   else origin)


def sentences(run):
    """What was searched, and what came out, in three sentences of HTML."""
    problem, options = run.problem, run.config
    count, total = len(run.episodes), int(run["@episodes_total"])
    strategy = html.escape(str(options.get("strategy", "ppo")))
    sets = "sets" if run.finished else f"of {total:,} sets"
    tried = (f"tried {count:,} {sets} of codes" if count or not run.finished else
             "took codes from the histograms of activations alone")
    first = (f"For each of {len(run.sites)} places behind layers of <b>{html.escape(problem.display_name)}</b>, an "
             f"8-bit network for {html.escape(data_name(run))}, triseg looked for a staircase of three levels that "
             f"stands in for the activations there; strategy <b>{strategy}</b> {tried}, and codes are scored by how "
             f"little the network with staircases, the <em>student</em>, differs from the exact one, the "
             f"<em>teacher</em>.")
    if not run.finished:
        return [first, f"The run is not finished, so nothing is selected or scored on test images yet: what follows is "
                       f"as of episode {count:,}."]
    s = run.selected
    test, mse, cost = s["test"], s["mse"], s["cost"]
    low, high = run["selected/test_accuracy_drop_low"], run["selected/test_accuracy_drop_high"]
    second = (f"On {test['images']:,} test images the selected student is right on <b>{test['accuracy']:.2f} %</b>, "
              f"the teacher on {test['accuracy_teacher']:.2f} %: a drop of <b>{test['accuracy_drop']:.2f} points</b> "
              f"(95 % interval {low:.2f} to {high:.2f}); its KD is <b>{test['kd']:.4f}</b> "
              f"nats{_against(test['kd'], mse['kd'])}.")
    third = (f"Its staircases replace <b>{100 * cost['coverage']:.1f} %</b> of all activations behind a ReLU, and an "
             f"inference is estimated to take <b>{cost['energy'] / 1e6:.3g} µJ</b> instead of "
             f"{cost['energy_exact'] / 1e6:.3g} µJ of the exact network.")
    if not s["within_max_acc_drop"]:
        third = third[:-1] + (f"; no candidate kept the limit of {run.config.get('max-acc-drop', 1)} points of "
                              f"accuracy on validation, so this is the best of those that did not.")
    return [first, second, third]


def _against(kd, mse):
    if not mse:
        return ""
    return (f", <b>{kd / mse:.2f} times</b> that of the MSE optimum, the codes of least mean square error on each "
            f"site's histogram alone")


def section(run):
    """The section "outcome"."""
    if not run.finished:
        return Section("outcome", "Outcome", "<p>Nothing is selected until the run is finished.</p>")
    return Section("outcome", "Outcome", "", [accuracies(run), kds(run), candidates(run)], scores_table(run))


def students(run):
    """(name, css, scores) of what was scored on the test split."""
    s = run.selected
    found = [("selected student", "c-blue", s["test"]), ("MSE optimum", "c-orange", s["mse"])]
    return found + ([("MSE optimum, repaired", "c-purple", s["mse_repaired"])] if s["mse_repaired"] else [])


def accuracies(run):
    test = run.selected["test"]
    rows = [("teacher", "c-grey", test["accuracy_teacher"], *wilson_95(test["accuracy_teacher"], test["images"]))]
    rows += [(name, css, s["accuracy"], s["accuracy_low"], s["accuracy_high"]) for name, css, s in students(run)]
    plot = Plot.rows(span([row[3] for row in rows], [row[4] for row in rows]), [row[0] for row in rows],
                     "accuracy on test images [%]")
    for i, (name, css, value, low, high) in enumerate(rows):
        plot.whisker(i, value, low, high, css, f"{name}: {value:.2f} % [{low:.2f}, {high:.2f}]")
    return Figure("accuracy", "Accuracy", plot.svg("Accuracy of teacher and students on test images"),
                  f"Share of {test['images']:,} test images classified right, with Wilson's 95 % intervals. The images "
                  f"are the same for all, so differences are surer than the overlap of the lines suggests.")


def kds(run):
    found = students(run)
    plot = Plot.rows(span([s["kd"] for *_, s in found], zero=True), [name for name, *_ in found],
                     "KD on test images [nats]")
    for i, (name, css, s) in enumerate(found):
        plot.box_of(0, s["kd"], i - 0.3, i + 0.3, css, f"{name}: {s['kd']:.5f} nats")
    return Figure("test-kd", "KD", plot.svg("KD of the students on test images"),
                  "KD on the test images; lower is better, the teacher has 0. Run "
                  "files keep the sum over images alone, so it has no interval here.")


def candidates(run):
    """Selected, policy, starts: reward on validation compared with the best, on the images both were scored on."""
    top = run.top
    selected = run.selected["top_index"]
    rows = [i for i in range(len(top)) if i == selected or top.origin[i] != "episode"]
    several = top.origin[top.origin.duplicated()].unique()
    names = ["selected" if i == selected else origin_name(top.origin[i]) +
             (f", {100 * top.passed[i]:.2g} % pass" if top.origin[i] in several else "") for i in rows]
    value, error = (top[n].to_numpy() for n in ("validation_difference", "validation_difference_error"))
    half = Z_975 * error
    low, high = value - half, value + half
    plot = Plot.rows(span(low[rows], high[rows], [0]), names, "validation reward less the best's")
    plot.upright(0, "c-grey dashed")
    for y, (i, name) in enumerate(zip(rows, names)):
        tip = (f"{name}: {value[i]:.5f} ± {half[i]:.5f} on {int(top.validation_images[i]):,} images, "
               f"KD {top.validation_kd[i]:.4f}")
        plot.whisker(y, value[i], low[i], high[i], "c-blue" if i == selected else "c-grey", tip)
    return Figure("candidates", "Selected codes and starts",
                  plot.svg("Validation reward of starts, less that of the best candidate"),
                  "Reward of the selected codes, of the policy's most probable ones and of all analytic starts less "
                  "that of the best candidate, on the validation images that both were scored on (a race drops losers "
                  "early); with 95 % intervals of the paired difference. Further right is better.")


def scores_table(run):
    s = run.selected
    rows = [[name, f"{v['accuracy']:.2f} [{v['accuracy_low']:.2f}, {v['accuracy_high']:.2f}]",
             f"{v['accuracy_drop']:.2f}", f"{v['kd']:.5f}",
             f"{v['attention']:.5f}", f"{v['images']:,}"] for name, v in
            [("selected, test", s["test"]), *((f"{n}, test", v) for n, _, v in students(run)[1:]),
             ("selected, validation", s["validation"])]]
    return table(["student, images of", "accuracy % [95 %]", "drop [points]", "KD [nats]", "attention distance",
                  "images"], rows,
                 caption="The same as numbers")


def front(run):
    """The section "front": what else could have been selected."""
    if not run.finished or not len(run.pareto):
        return None
    figures = [scatter(run, "energy", 1e-6, "energy of an inference [µJ]", "Energy against KD")]
    for name, factor, axis, title in (("coverage", 100, "coverage [%]", "Coverage against KD"),
                                      ("validation_accuracy", 1, "accuracy [%]", "Accuracy against KD")):
        if numpy.ptp(run.top[name]) > 1e-9:
            figures.append(scatter(run, name, factor, axis, title))
    rows = [[str(i), origin_name(run.top.origin[i], run.top.episode[i]), f"{run.top.validation_kd[i]:.5f}",
             f"{run.top.validation_accuracy[i]:.2f}",
             f"{100 * run.top.coverage[i]:.2f}", f"{run.top.energy[i] / 1e6:.4f}"]
            for i in run.pareto.top_index.astype(int)]
    after = table(["row of /top", "from", "KD [nats]", "accuracy %", "coverage %", "energy [µJ]"], rows,
                  caption="The front, on validation images")
    text = ("<p>A candidate is on the <em>Pareto front</em> if no other is at least as good in coverage, KD, accuracy "
            "and energy and better in one of them. <code>triseg pick RUN.h5 ROW</code> makes a result of any other "
            "candidate.</p>")
    return Section("front", "Pareto front", text, figures, after)


def scatter(run, name, factor, axis, title):
    top, selected = run.top, run.selected["top_index"]
    x, y = factor * top[name].to_numpy(), top.validation_kd.to_numpy()
    on = run.pareto.top_index.astype(int).to_numpy()
    other = numpy.setdiff1d(numpy.arange(len(top)), on)
    plot = Plot(span(x), span(y), axis, "KD on validation [nats]", zoom="xy")
    plot.dots(x[other], y[other], "big c-faint")
    plot.dots(x[on], y[on], "big c-blue")
    plot.dots(x[[selected]], y[[selected]], "huge c-orange")
    plot.read_points(x, y, [f"row {i}, {origin_name(top.origin[i], top.episode[i])}: {axis.split(' [')[0]} {x[i]:.4g}, "
                            f"KD {y[i]:.4f}, accuracy {top.validation_accuracy[i]:.2f} %, "
                            f"{int(top.validation_images[i]):,} images" for i in range(len(top))])
    caption = (f"All {len(top)} candidates scored on validation images; lower is better. A point of the front that "
               f"looks beaten here is better in one of the other figures. Those off the front may have been scored on "
               f"fewer images.")
    return Figure("front-" + name.removeprefix("validation_"), title, plot.svg(title), caption,
                  (("dot c-blue", "front"), ("dot c-faint", "others"), ("dot c-orange", "selected")))


def cost(run):
    """The section "cost": of an inference, and of the search."""
    figures, after = [], ""
    if run.finished:
        figures.append(site_energies(run))
        c = run.selected["cost"]
        rows = [["energy of an inference [µJ]", f"{c['energy'] / 1e6:.4g}", f"{c['energy_exact'] / 1e6:.4g}"],
                ["the same, hardware that leaves out zeros [µJ]", f"{c['energy'] / 1e6:.4g}",
                 f"{c['energy_exact_skipping'] / 1e6:.4g}"],
                ["multiplications", f"{c['multiplications']:,.0f}", f"{c['multiplications']:,.0f}"],
                ["of them skipped, as an operand is 0 [%]", f"{100 * c['skipped']:.1f}", "-"],
                ["of them with v1 or v2: additions [%]", f"{100 * c['constant']:.1f}", "-"],
                ["bits an activation, in a 2-bit code with escapes", f"{c['coded_bits']:.2f}", "8"],
                ["entropy of an activation [bits]", f"{c['entropy_bits']:.2f}", "-"],
                ["activations that a staircase replaces [%]", f"{100 * c['coverage']:.2f}", "0"]]
        after = table(["of an inference", "selected student", "exact network"], rows,
                      caption="What an inference costs, by the cost model")
    figures += wall_clock(run)
    seconds = float(run.updates.iteration_seconds.sum()) if len(run.updates) else 0.0
    rows = [["wall clock of the iterations", f"{seconds:,.1f} s"],
            ["of that policy updates", f"{run.updates.update_seconds.sum() if len(run.updates) else 0:,.1f} s"],
            ["images that students were run on", f"{int(run['@student_images']):,}"],
            ["ranks × threads", f"{run['@ranks']} × {run['@threads_per_rank']}"], ["engine", str(run["@engine"])]]
    after += table(["of the search", ""], rows, caption="What the search cost")
    text = ("<p>Energies are estimates of a model that counts operations, for comparing codes with each other, not for "
            "predicting a chip.</p>")
    return Section("cost", "Cost", text, figures, after)


def site_energies(run):
    sites = run.selected["site_cost"]
    names = list(sites.index)
    plot = Plot.rows(span(sites.energy_exact / 1e6, sites.energy / 1e6, zero=True), names,
                     "energy of what reads it [µJ]")
    for i, name in enumerate(names):
        for offset, column, css, text in ((-0.18, "energy_exact", "c-faint", "exact"),
                                          (0.18, "energy", "c-blue", "selected")):
            value = sites[column].iloc[i] / 1e6
            plot.box_of(0, value, i + offset - 0.17, i + offset + 0.17, css, f"{name}, {text}: {value:.4g} µJ")
    return Figure("energy", "Energy by site", plot.svg("Energy of the convolutions behind each site"),
                  "Estimated energy of the convolutions that read each site's activations, of one inference.",
                  (("c-faint", "exact network"), ("c-blue", "selected student")))


def wall_clock(run):
    updates = run.updates
    if not len(updates):
        return []
    together = max(1, math.ceil(len(updates) / 400))
    frame = updates.groupby(numpy.arange(len(updates)) // together)[["iteration", "iteration_seconds",
                                                                     "update_seconds"]].mean()
    plot = Plot((0, int(updates.iteration.max()) + 1), span(frame.iteration_seconds, zero=True), "iteration", "seconds",
                zoom="x", whole="x")
    plot.line(frame.iteration, frame.iteration_seconds, "c-blue")
    plot.line(frame.iteration, frame.update_seconds, "c-orange")
    plot.read_across("iteration", frame.iteration, [("iteration", "c-blue", frame.iteration_seconds),
                                                    ("update", "c-orange", frame.update_seconds)])
    return [Figure("seconds", "Time of the iterations", plot.svg("Wall clock of the iterations"),
                   "Wall clock of an iteration, and of the policy update in "
                   "it" + (f"; means of {together} neighbouring iterations." if together > 1 else "."),
                   (("c-blue", "iteration"), ("c-orange", "of that the update")))]


def command(run):
    """What does the same search, for a shell: all options that change results are in the file that it writes."""
    options = run["@config"].split("\n# ")[0].strip()
    return f"cat > again.toml << 'END'\n{options}\nEND\ntriseg search --config again.toml --out again"


def reproduction(run):
    """The section "configuration"."""
    rows = [["seed", str(run["@seed"])], ["teacher", run.problem.model_sha256],
            ["data", f"{run.problem.data}, {run.problem.data_sha256}"],
            ["configuration", run["@config_hash"]], ["content of the file", run.digest],
            ["written by", f"{run['@creator']} {run['@creator_version']}"],
            ["schema", str(run.schema_version)], ["file", run.path]]
    text = ("<p>These lines do the same search, which ends with the same content on any number of ranks and "
            "threads:</p>"
            f'<pre class="command"><code>{html.escape(command(run))}</code></pre>'
            f"<p>The one that started or last continued it "
            f"was:</p><pre><code>{html.escape(run.start_command)}</code></pre>")
    after = (table([], rows, "wide") +
             f"<details><summary>All "
             f"options</summary><pre><code>{html.escape(run['@config'])}</code></pre></details>\n")
    return Section("configuration", "Configuration", text, after=after)
