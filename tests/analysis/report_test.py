"""Pages of triseg report: what they hold, by parsing them; and in Chromium, where every figure is to be seen, at two
widths, light and dark, and the pointer reads and zooms."""
import dataclasses
import doctest
import html
import importlib
import json
import os
import re
import shutil
import struct
import subprocess
import unittest
import unittest.mock

import h5py
import numpy

from report_runs import (COMPARED, FEW, FIGURES, PROGRAM, REPORT, SEARCH, SITES, Page, Pages, figures_of, program,
                         version_file)
from scripts import run_copied, seal
import triseg
from triseg import report, table
from triseg.report import browser, compare, sensitivity, series


SEEN = """[...document.querySelectorAll("figure")].map(figure => {
  const [plot, view, caption] = [".plot", ".marks", "figcaption"].map(
      name => figure.querySelector(name).getBoundingClientRect());
  const marks = [...figure.querySelectorAll(".marks path, .marks rect")].filter(mark => {
    const style = getComputedStyle(mark);
    return style.stroke !== "none" || style.fill !== "none";
  });
  const texts = [...figure.querySelectorAll(".plot text")].map(text => text.getBoundingClientRect());
  return {id: figure.id, plot: [plot.left, plot.right, plot.width, plot.height], view: [view.width, view.height],
          caption: caption.height, marks: marks.length,
          visible: figure.checkVisibility({opacityProperty: true, visibilityProperty: true}),
          size: Math.min(...texts.map(text => Math.min(text.height, text.width ? 99 : 0))),
          outside: texts.filter(text => text.left < plot.left - 2 || text.right > plot.right + 2).length};
})"""


class Report(Pages):
    def test_examples(self):
        for name in ("svg", "series", "figure"):
            done = doctest.testmod(importlib.import_module(f"triseg.report.{name}"))
            self.assertGreater(done.attempted, 0)
            self.assertEqual(done.failed, 0, name)

    def test_every_figure_of_a_run_is_there(self):
        page = Page(self.run_page)
        self.assertEqual(sorted(page.figures), sorted(figures_of(FIGURES)))
        for key, caption in page.captions.items():
            self.assertGreater(len(caption), 40, key)
        self.whole(page)

    def whole(self, page):
        """What holds of all pages: links lead somewhere on the page and nowhere else, ids are unique, no number is
        none."""
        self.assertEqual(len(page.ids), len(set(page.ids)))
        for link in page.links:
            self.assertTrue(link == "data:," or link.startswith("#") and link[1:] in page.ids, link)
        without_d3 = re.sub(r"<script>/\*!.*?</script>", "", page.source, flags=re.S)
        self.assertLess(len(without_d3), len(page.source) - 200_000)
        self.assertNotRegex(without_d3, r"https?://|@import|url\(")
        self.assertNotRegex(without_d3, r'="[^"]*\b(nan|inf|None)\b[^"]*"')
        self.assertNotRegex(page.text, r"\b(nan|inf|None)\b")

    def test_what_came_out(self):
        text, s = Page(self.run_page).text, self.the_run.selected
        for expected in (f"the selected student is right on {s['test']['accuracy']:.2f} %, the teacher on "
                         f"{s['test']['accuracy_teacher']:.2f} %",
                         f"a drop of {s['test']['accuracy_drop']:.2f} points", f"its KD is {s['test']['kd']:.4f} nats",
                         f"Its staircases replace {100 * s['cost']['coverage']:.1f} % of all activations",
                         "strategy ppo tried 192 sets of codes", "KD, the distillation term, says how far",
                         self.the_run.start_command, self.the_run.digest):
            self.assertIn(expected, text)

    def test_figures_have_the_numbers_of_the_run(self):
        page, run, s = Page(self.run_page), self.the_run, self.the_run.selected
        with h5py.File(self.run_file) as file:
            reward, iteration, kd = (file["episodes"][name][:] for name in ("reward", "iteration", "kd"))
            reference, loss = (file["updates"][name][:] for name in ("reference_reward", "policy_loss"))
            counts, codes = file["sites/histogram"][0], file["episodes/codes"][:, 0, 1]
            validation = file["evaluations/validation_kd"][:]
        each = lambda values: values.reshape(-1, 16)
        close = lambda found, expected: numpy.testing.assert_allclose(numpy.array(found, dtype=float), expected,
                                                                      rtol=1e-4, atol=1e-9)
        close(page.row("reward", "mean"), each(reward).mean(axis=1))
        close(page.row("reward", "start"), reference)
        close(page.row("reward", "best so far"),
              numpy.maximum.accumulate(reward)[(each(numpy.arange(192)).mean(axis=1)).round().astype(int)])
        close(page.row("gain", "mean"), each(reward - reference[iteration]).mean(axis=1))
        close(page.row("kd", "90 % are below"), numpy.quantile(each(kd), 0.9, axis=1))
        close(page.row("policy-loss", "Policy loss"), loss)
        close(page.row("validation-kd", "most probable codes"), validation)
        close(page.row("wander-conv1", "v1"), each(codes.astype(float)).mean(axis=1))
        shown = len(page.row("site-conv1", "share"))
        close(page.row("site-conv1", "share"), (counts / counts.sum())[:shown])
        close(page.row("site-conv1", "becomes"), triseg.staircase(s["codes"][0])[:shown])
        for i, site in enumerate(SITES):
            for name, text in (("zero", "becomes 0"), ("v1", "becomes v1"), ("v2", "becomes v2"), ("passed", "passes")):
                self.assertIn(f"{site}: {100 * s['site_cost'][name][site]:.2f} % {text}", page.tips["shares"])
            values = ", ".join(f"{name}\u00a0=\u00a0{code}" for name, code in zip(triseg.CODES, s["codes"][i]))
            self.assertIn(values, page.captions[f"site-{site}"])
        tips = page.data["front-energy"]["readout"]["tips"]
        self.assertEqual(len(tips), len(run.top))
        self.assertIn(f"KD {run.top.validation_kd[0]:.4f}", tips[0])
        found = run.top.validation_difference[1:][run.top.origin[1:] == "mse"].iloc[0]
        self.assertTrue(any(tip.startswith(f"MSE optimum: {found:.5f} ± ") for tip in page.tips["candidates"]),
                        page.tips["candidates"])

    def test_the_command_does_the_same_search(self):
        command = re.search(r'<pre class="command"><code>(.*?)</code>', Page(self.run_page).source, re.S)[1]
        done = subprocess.run(["bash", "-c", html.unescape(command)], cwd=self.folder, capture_output=True, text=True,
                              timeout=60, env=os.environ |
                              {"TRISEG_MODELS": FEW, "PATH": os.path.dirname(PROGRAM) + ":" + os.environ["PATH"]})
        self.assertEqual(done.returncode, 0, done.stderr)
        same = run_copied("analysis/compare_runs.py", self.run_file, self.at("again/tri_ppo_int_codes/lenet5.h5"))
        self.assertEqual(same.returncode, 0, same.stdout + same.stderr)

    def test_a_sweep(self):
        page, runs = Page(self.sweep_page), list(self.sweep)
        without = [key for key in FIGURES if not key.startswith("sensitivity")]
        figures = set(figures_of(COMPARED, "all-"))
        self.assertLessEqual(figures, set(page.figures))
        self.assertLessEqual(set(page.figures) - figures, set(figures_of(without + ["front-coverage"], "best-")),
                             "one run has a chapter")
        self.whole(page)
        means = table.means(table.tabulate([table.entry(run) for run in runs])).sort_values("validation-kd")
        rows = re.findall(r'<th scope="row">(\d+)</th><td>(strategy \w+, tmax-percentile '
                          r'\d+)</td><td>2</td><td>([\d.]+) ', page.source)
        self.assertEqual([(int(place), "lenet5, 4 sites, " + setting, kd) for place, setting, kd in rows],
                         [(i, row.run, f"{row['validation-kd']:.4f}")
                          for i, (_, row) in enumerate(means.iterrows(), 1)])
        for run in runs:
            strategy, percentile = (run.config[name] for name in ("strategy", "tmax-percentile"))
            kd = run.selected["validation"]["kd"]
            self.assertIn(f"strategy {strategy}, tmax-percentile {percentile}, seed {run['@seed']}: KD {kd:.4f}",
                          page.tips["all-parallel"])
        of = [run.selected["validation"]["kd"] for run in runs
              if run.config["strategy"] == "random" and run.config["tmax-percentile"] == 95]
        self.assertTrue(any("random" in tip and "95" in tip and f"mean KD {numpy.mean(of):.4f} of 2 runs" in tip
                            for tip in page.tips["all-heat"]))
        last = [series.gain(run).max() for run in runs
                if run.config["strategy"] == "ppo" and run.config["tmax-percentile"] == 80]
        self.assertAlmostEqual(page.row("all-budget-gain", "strategy ppo, tmax-percentile 80")[-1], numpy.mean(last),
                               places=4)

    def test_of_one_setting_and_seed_the_first_file_counts(self):
        found = compare.members(list(self.sweep))
        board = compare.leaderboard(found)
        for place in (0, 1):
            first = next(member for member in found if member.setting == board.run[place])
            twice = [*found, dataclasses.replace(first, figures=first.figures | {"validation-kd": 9.0})]
            self.assertEqual(compare.lead(twice, compare.leaderboard(twice)), compare.lead(found, board))

    def test_a_budget_ends_where_the_first_seed_does(self):
        runs = [run for run in self.sweep if run.config["strategy"] == "ppo" and run.config["tmax-percentile"] == 80]
        shorter = shutil.copy(runs[1].path, self.at("shorter.h5"))
        with h5py.File(shorter, "r+") as file:
            for group, count in (("episodes", 16), ("updates", 1), ("evaluations", 1), ("top", 0), ("pareto", 0)):
                for dataset in file[group].values():
                    dataset.resize(count, axis=0)
            file.attrs["status"] = numpy.bytes_("running")
            del file["selected"]
        seal(shorter)
        page, done = self.report(runs[0].path, shorter)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        expected = [numpy.maximum.accumulate(series.gain(run)[:16]) for run in runs]
        for figure, values in (("all-budget-gain", numpy.mean(expected, axis=0)),
                               ("all-budget-kd", [numpy.mean([run.evaluations.validation_kd[0] for run in runs])])):
            row = [value for value in page.row(figure, "the one setting") if value is not None]
            numpy.testing.assert_allclose(row, values, rtol=1e-4)
            self.assertEqual(page.data[figure]["readout"]["x"][15], 16)
            self.assertEqual(page.row(figure, "the one setting").index(row[-1]) if len(row) == 1 else len(row) - 1, 15)

    def test_the_spread_over_the_seeds_of_one_setting(self):
        runs = [run for run in self.sweep if run.config["strategy"] == "ppo" and run.config["tmax-percentile"] == 80]
        kd = {run["@seed"]: run.selected["validation"]["kd"] for run in runs}
        low, high = (f(kd, key=kd.get) for f in (min, max))
        page, _ = self.report(*(run.path for run in runs))
        self.assertIn("There is no other setting to compare it with; over its 2 seeds KD on validation goes from "
                      f"{kd[low]:.4f} (seed {low}) to {kd[high]:.4f} (seed {high}), with a standard deviation of "
                      f"{(kd[high] - kd[low]) / 2 ** 0.5:.4f}.", page.text)
        self.assertIn("has the one setting; its students", page.text)

    def test_several_files_have_a_chapter_each(self):
        files = [run.path for run in self.sweep][:2]
        page, done = self.report(*files, files[0])
        self.assertEqual(done.stderr, "")
        self.assertEqual([link for link in page.ids if link.endswith("-run")], ["run-1-run", "run-2-run"])
        self.whole(page)

    def test_more_than_eight_files_have_one_chapter(self):
        runs = [self.the_run] * 9
        title, content = report.body(runs, False, None)
        self.assertEqual((title, content.count('class="chapter"'), content.count("run-")),
                         ("LeNet-5 on few: 9 runs", 2, 0))
        self.assertEqual(report.body(runs[:8], False, None)[1].count('class="chapter"'), 9)

    def test_runs_of_all_kinds(self):
        for name, status, lacking in (("version-5-finished.h5", "On ", ""), ("version-4-finished.h5", "On ", ""),
                                      ("version-4-stopped.h5", "The run is not finished", "accuracy")):
            page, done = self.report(version_file(name))
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn(status, page.text)
            self.assertNotIn(lacking or "sensitivity-kd", page.figures)
            self.whole(page)

    def test_a_hundred_thousand_episodes_are_few_dots(self):
        path = shutil.copy(self.run_file, self.at("long.h5"))
        rows = {"episodes": 100_000, "updates": 6250}
        with h5py.File(path, "r+") as file:
            for group, count in rows.items():
                for name, dataset in file[group].items():
                    values = (numpy.arange(count) // (16 if group == "episodes" else 1) if name == "iteration" else
                              numpy.resize(dataset[()], (count, *dataset.shape[1:])))
                    attributes = dict(dataset.attrs)
                    del file[group][name]
                    file[group].create_dataset(name, data=values.astype(dataset.dtype)).attrs.update(attributes)
        seal(path)
        page, done = self.report(path)
        self.assertEqual(done.stderr, "")
        self.assertLess(len(page.source), 2_000_000)
        self.assertIn("one episode in 40 is drawn", page.captions["reward"])
        self.assertIn("16 neighbouring iterations", page.captions["reward"])
        drawn = re.search(r'<figure id="reward".*?</figure>', page.source, re.S)[0]
        self.assertEqual(re.search(r'd="([^"]*)" class="dots cloud"', drawn)[1].count("M"), 2500)
        self.assertEqual(len(page.row("wander-fc2", "v2")), 391)

    def test_sensitivity_files(self):
        beside = self.run_file.replace(".h5", ".sensitivity.json")
        alone = shutil.copy(self.run_file, self.at("alone.h5"))
        self.assertNotIn("sensitivity-kd", self.report(alone)[0].figures)
        self.assertIn("sensitivity-kd", self.report(alone, "--sensitivity", beside)[0].figures)
        with open(beside) as file:
            text = file.read()
        tips = Page(self.run_page).tips
        for site in json.loads(text)["sites"]:
            for figure, name, label in (("kd", "kd_alone", ", alone"),
                                        ("drop", "acc_drop_without", ", all but this site"), ("saved", "kd_saved", "")):
                ends = (site[name][end] for end in ("value", "low", "high"))
                self.assertIn("{}{}: {:.4g} [{:.4g}, {:.4g}]".format(site["site"], label, *ends),
                              tips[f"sensitivity-{figure}"])
        problem = self.the_run.problem
        another = f"it is of another student than the selected one of {self.run_file}: other "
        for old, new, said in (("triseg-sensitivity", "another", "expected a file of triseg sensitivity --out"),
                               ('"value"', '"other"', "'value'"), ("{", "", "expected a file of triseg"),
                               ('"t2"', '"t3"', "'t2'"), ('"conv1"', '"conv9"', another + "codes; "),
                               ('"v1": ', '"v1": 1', another + "codes; "),
                               ('"temperature": ', '"temperature": 1', another + "temperature; "),
                               ('"repair": "none"', '"repair": "layer"', another + "repair; "),
                               (problem.data_sha256, "f" * 64, another + "images; "),
                               (problem.model_sha256, "f" * 64, another + "teacher; ")):
            self.assertIn(old, text)
            with open(self.at("wrong.json"), "w") as file:
                file.write(text.replace(old, new))
            with self.assertRaisesRegex(triseg.Error, f"^{self.at('wrong.json')}: .*{said}"):
                sensitivity.read(self.at("wrong.json"), self.the_run)
        self.refused(self.at("wrong.json"), "other teacher", alone, "--sensitivity", self.at("wrong.json"))
        self.refused("nowhere.json", "No such file", alone, "--sensitivity", "nowhere.json")
        self.refused("--sensitivity is of one run", "", alone, next(iter(self.sweep)).path, "--sensitivity", beside)

    def test_a_measurement_of_an_earlier_result_is_left_out(self):
        path = self.at("earlier/tri_ppo_int_codes/run.h5")
        beside = path.replace(".h5", ".sensitivity.json")
        search = lambda episodes: program(*(episodes if word == "192" else word for word in SEARCH),
                                          "--out", self.at("earlier"))
        search("32")  # selects an analytic start
        program("sensitivity", path.replace(".h5", ".json"), "--out", beside)
        self.assertIn("sensitivity-kd", self.report(path)[0].figures)
        search("96")  # selects the policy's codes
        page, done = self.report(path)
        self.assertNotIn("sensitivity-kd", page.figures)
        self.assertEqual((done.returncode, done.stderr),
                         (0, f"triseg-report: left out: {beside}: it is of another student than the selected one of "
                             f"{path}: other codes; measure that with triseg sensitivity RESULT.json --out FILE\n"))

    def refused(self, start, said, *arguments):
        _, done = self.report(*arguments)
        self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (1, "", 1), done.stderr)
        self.assertTrue(done.stderr.startswith(f"triseg-report: error: {start}"), done.stderr)
        self.assertIn(said, done.stderr)

    def test_what_cannot_be_read_or_written(self):
        self.refused("nowhere.h5: No such file", "", "nowhere.h5")
        self.refused(f"{FEW}: expected the folder of a sweep", "", FEW)
        damaged = shutil.copy(self.run_file, self.at("damaged.h5"))
        with h5py.File(damaged, "r+") as file:
            file["episodes/reward"][3] += 1
        self.refused(f"{damaged}: its content", "", damaged)
        unwritable = run_copied(REPORT, self.run_file, "-o", self.at("no/such/folder.html"))
        self.assertEqual((unwritable.returncode, unwritable.stderr.count("\n")), (1, 1))
        self.assertIn("cannot write", unwritable.stderr)
        done = run_copied(REPORT, damaged, self.run_file, "-o", self.at("one.html"))
        self.assertEqual((done.returncode, Page(self.at("one.html")).figures[0]), (1, "accuracy"),
                         "what can be read is shown")

    def test_without_chromium(self):
        with unittest.mock.patch.dict(os.environ, PATH=self.folder):
            done = run_copied(REPORT, self.run_file, "-o", self.at("plain.html"), "--pdf", self.at("x.pdf"))
        self.assertEqual((done.returncode, done.stderr),
                         (1, "triseg-report: error: Chromium: it is not there (Debian package chromium)\n"))
        self.assertEqual(Page(self.at("plain.html")).figures, Page(self.run_page).figures,
                         "the page is there all the same")

    def test_names_of_files_and_runs_are_text(self):
        path = shutil.copy(self.run_file, self.at("<b>&'.h5"))
        page, _ = self.report(path)
        self.assertIn("<b>&'.h5", page.text)
        self.assertNotIn("<b>&'", page.source)
        self.whole(page)

    def test_the_page_is_the_same_again(self):
        page, _ = self.report(self.run_file)
        self.assertEqual(page.source, Page(self.run_page).source)

    def test_the_installation_has_all_it_needs(self):
        build = os.path.dirname(os.path.dirname(REPORT))
        done = subprocess.run(["cmake", "--install", build, "--prefix", self.at("installed"), "--component", "triseg"],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        path = self.at("installed/page.html")
        done = subprocess.run([self.at("installed/bin/triseg-report"), self.run_file, "-o", path], capture_output=True,
                              text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(Page(path).source, Page(self.run_page).source)


@unittest.skipUnless(browser.program(), "Chromium is not installed")
class Chromium(Pages):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.chromium = browser.Browser()
        cls.addClassCleanup(cls.chromium.close)

    def setUp(self):
        self.chromium.problems.clear()

    def test_every_figure_is_seen(self):
        sweep = set(figures_of(COMPARED, "all-"))
        for page, expected, windows in ((self.run_page, set(figures_of(FIGURES)),
                                         ((1280, "light", ""), (390, "dark", ""), (700, "dark", "print"))),
                                        (self.sweep_page, sweep,
                                         ((390, "light", ""), (1280, "dark", ""), (700, "light", "print")))):
            for width, scheme, media in windows:
                with self.subTest(os.path.basename(page), width=width, scheme=scheme, media=media):
                    self.chromium.open(page, width, 900, scheme, media)
                    self.assertEqual(self.chromium.evaluate("document.documentElement.scrollWidth"), width,
                                     "the page is not wider than its window")
                    seen = {figure["id"]: figure for figure in self.chromium.evaluate(SEEN)}
                    self.assertLessEqual(expected, set(seen))
                    for key, figure in seen.items():
                        self.figure_is_seen(key, figure, width)
                    background = self.chromium.evaluate("getComputedStyle(document.body).backgroundColor")
                    self.assertEqual(background, "rgb(21, 24, 27)"
                                     if scheme == "dark" and not media else "rgb(255, 255, 255)")
                    self.assertEqual(self.chromium.problems, [])

    def figure_is_seen(self, key, figure, width):
        left, right, wide, high = figure["plot"]
        self.assertTrue(figure["visible"] and 0 <= left < right <= width, key)
        self.assertGreater(min(wide - 250, high - 60), 0, key)
        self.assertGreater(figure["marks"], 0, key)
        self.assertGreater(max(figure["view"]), 20, key)
        self.assertGreater(min(figure["caption"] - 15, figure["size"] - 7.5), 0, f"{key}: text that can be read")
        self.assertEqual(figure["outside"], 0, f"{key}: text that is cut off")

    def box(self, selector):
        """x, y, width and height of an element in the window, once it is in view and the scrolling for it is over."""
        return self.chromium.evaluate(f"""(async () => {{
            const e = document.querySelector("{selector}"); e.scrollIntoView({{block: "center"}});
            await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
            const b = e.getBoundingClientRect(); return [b.x, b.y, b.width, b.height]; }})()""")

    def middle(self, selector, share=0.5):
        """A place within the element."""
        x, y, width, height = self.box(selector)
        return x + share * width, y + height / 2

    def read(self, x, y):
        """What the page says with the pointer there; None if nothing."""
        self.chromium.mouse("mouseMoved", x, y)
        return self.chromium.evaluate("""(() => {
            const r = document.querySelector(".readout"), b = r.getBoundingClientRect();
            return r.hidden || b.left < 0 || b.right > innerWidth || b.bottom > innerHeight ? null : r.innerText;
            })()""")

    def test_the_pointer_reads_every_figure(self):
        for page, figures in ((self.run_page, "figure"), (self.sweep_page, "figure[id^=all]")):
            self.chromium.open(page)
            across = self.chromium.evaluate("""[...document.querySelectorAll("%s script.data")]
                .filter(s => JSON.parse(s.text).readout?.kind === "across")
                .map(s => s.closest("figure").id)""" % figures)
            self.assertGreater(len(across), 1)
            for key in across:
                rows = self.chromium.evaluate(f'JSON.parse(document.querySelector("#{key} '
                                              'script.data").text).readout.rows.map(row => row.name)')
                said = self.read(*self.middle(f"#{key} .view"))
                for row in rows:
                    self.assertIn(f"{row}: ", said or "", key)
            others = self.chromium.evaluate(
                """[...new Set([...document.querySelectorAll("%s [data-tip]")].map(e => e.closest("figure").id))]""" %
                figures)
            self.assertGreater(len(others), 4)
            for key in others:
                tips = self.chromium.evaluate(f'[...document.querySelectorAll("#{key} [data-tip]")].map(e => '
                                              'e.dataset.tip)')
                self.box(f"#{key}")
                x, y = self.chromium.evaluate(f"""(() => {{
                    const e = document.querySelector("#{key} [data-tip]"), line = e.querySelector("path:last-child");
                    const b = e.getBoundingClientRect();
                    if (!line) return [b.x + b.width / 2, b.y + b.height / 2];
                    const p = line.getPointAtLength(0.98 * line.getTotalLength()).matrixTransform(line.getScreenCTM());
                    return [p.x, p.y]; }})()""")
                self.assertIn(self.read(x, y), tips, key)
        self.assertEqual(self.chromium.problems, [])

    def test_the_nearest_point_is_read(self):
        self.chromium.open(self.run_page)
        data = Page(self.run_page).data["front-energy"]
        left, top, width, height = self.box("#front-energy .view")
        share = lambda name: (data["readout"][name][0] - data["axes"][name][0]) / numpy.ptp(data["axes"][name])
        self.assertEqual(self.read(left + width * share("x") + 1, top + height * (1 - share("y")) + 1),
                         data["readout"]["tips"][0])

    def test_dragging_zooms_and_the_button_shows_all_again(self):
        self.chromium.open(self.run_page)
        ticks = lambda: self.chromium.evaluate(
            """[...document.querySelectorAll("#reward .axis.x .tick text")].map(t => t.textContent)""")
        whole = ticks()
        (x0, y), (x1, _) = self.middle("#reward .view", 0.25), self.middle("#reward .view", 0.5)
        self.chromium.mouse("mousePressed", x0, y, button="left", buttons=1, clickCount=1)
        self.chromium.mouse("mouseMoved", (x0 + x1) / 2, y, buttons=1)
        self.chromium.mouse("mouseMoved", x1, y, buttons=1)
        self.chromium.mouse("mouseReleased", x1, y, button="left", clickCount=1)
        low, high = (float(ticks()[i].replace(",", "")) for i in (0, -1))
        self.assertTrue(45 <= low < high <= 100, f"a quarter of 192 episodes from the 48th on: {ticks()}")
        self.assertIn("near episode 7", self.read((x0 + x1) / 2, y), "the middle of 48 and 97")
        self.chromium.evaluate("""document.querySelector("#reward .whole").click()""")
        self.assertEqual(ticks(), whole)
        self.assertEqual(self.chromium.problems, [])

    def test_figures_need_no_scripts(self):
        self.chromium.call("Emulation.setScriptExecutionDisabled", value=True)
        self.addCleanup(self.chromium.call, "Emulation.setScriptExecutionDisabled", value=False)
        self.chromium.open(self.run_page)
        self.assertIsNone(self.chromium.evaluate("document.documentElement.dataset.ready ?? null"))
        for figure in self.chromium.evaluate(SEEN):
            self.figure_is_seen(figure["id"], figure, 1280)

    def test_problems_are_noticed(self):
        with open(self.run_page) as file:
            source = file.read()
        for script, said in (("console.error('wrong')", "wrong"), ("nowhere()", "nowhere is not defined"),
                             ("fetch('http://127.0.0.1:9/x').catch(() => 0)", "a request to http://127.0.0.1:9/x")):
            with open(self.at("problem.html"), "w") as file:
                file.write(source.replace("</body>", f"<script>{script}</script></body>"))
            self.chromium.open(self.at("problem.html"))
            self.assertTrue(any(said in problem for problem in self.chromium.problems),
                            f"{script}: {self.chromium.problems}")
            self.chromium.problems.clear()

    def test_pictures_and_pdf(self):
        done = run_copied(REPORT, version_file("version-4-stopped.h5"), "-o", self.at("few.html"),
                          "--png", self.at("png/new"), "--pdf", self.at("run.pdf"))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(sorted(os.listdir(self.at("png/new"))),
                         sorted(f"{key}.png" for key in Page(self.at("few.html")).figures))
        for name in os.listdir(self.at("png/new")):
            with open(self.at(f"png/new/{name}"), "rb") as file:
                head = file.read(24)
            self.assertEqual(head[:8], b"\x89PNG\r\n\x1a\n")
            width, height = struct.unpack(">II", head[16:])
            self.assertTrue(600 < width < 1400 and height > 200, f"{name}: {width} x {height}")
        with open(self.at("run.pdf"), "rb") as file:
            pdf = file.read()
        self.assertTrue(pdf.startswith(b"%PDF-") and 3 <= pdf.count(b"/Type /Page\n") <= 20,
                        pdf.count(b"/Type /Page\n"))


if __name__ == "__main__":
    unittest.main()
