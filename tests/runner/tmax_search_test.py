"""A search for tmax from outside: shares, objectives, and that kills and ranks change nothing."""
import csv
import json
import unittest

import h5py

from program import ProgramTest, episodes_in, let_go, passed, quick, result_file, run, run_file, wait_for_end


class TmaxSearch(ProgramTest):
    SEARCH = ["--tmax-mode", "search", "--strategy", "cma-es"]

    def test_every_part_keeps_its_share(self):
        shares = [0, 0.01, 0.08]
        self.search("a", *self.SEARCH, "--objective", "pareto", "--pass-shares", "0,1,8.0")
        with h5py.File(run_file(self.out("a"))) as file:
            part = file["/updates/branch"][()]
            self.assertEqual(list(part), [0, 1, 2, 0, 1, 2])
            tmax, share = file["/episodes/tmax"][()], passed(file, file["/episodes/tmax"][()])
            for p, limit in enumerate(shares):
                own = part[file["/episodes/iteration"][()]] == p
                self.assertLessEqual(share[own].max(), limit)
                self.assertGreater(share[own].min(), 0.5 * limit - 1e-9)
                if p:
                    self.assertGreater(len({tuple(t - t[0]) for t in tmax[own].astype(int)}), 10,
                                       "sites are moved apart")
            self.assertEqual(list(file["/updates/pass_share"][()]), [*shares, *shares])
            self.assertLess(abs(file["/top/passed"][()] - passed(file, file["/top/tmax"][()])).max(), 1e-12)
            self.assertTrue((file["/sites/tmax_searched"][()] == 1).all())
            origins = list(file["/top/origin"])
            self.assertEqual([origins.count(o) for o in (b"start", b"policy", b"episode")], [3, 3, 3])
            self.assertEqual(len(origins), 9)
            self.assertLessEqual(file["/top/passed"][()].max(), 0.08)
            self.assertTrue((file["/selected/tmax"][()] == file["/top/tmax"][file["/selected/top_index"][()]]).all())
            covered = file["/pareto/coverage"][()]
            self.assertGreater(covered.max() - covered.min(), 0.04)
            with open(result_file(self.out("a"))) as text:
                layers = json.load(text)["layers"].values()
            self.assertEqual([codes["tmax_code"] for codes in layers], list(file["/selected/tmax"][()]))
        self.assertEqual(run(["validate", run_file(self.out("a"))]).returncode, 0)
        evaluated = json.loads(run(["evaluate", result_file(self.out("a")), "--format", "json"]).stdout)
        with h5py.File(run_file(self.out("a"))) as file:
            self.assertAlmostEqual(evaluated["kd"], file["/selected/test_kd"][()], places=9)

    def test_every_point_of_the_front_becomes_a_result(self):
        self.search("a", *self.SEARCH, "--objective", "pareto", "--pass-shares", "0,1,8.0")
        with open(result_file(self.out("a")).replace(".json", ".pareto.csv")) as file:
            front = list(csv.DictReader(file))
        self.assertGreater(len(front), 1)
        for row in front:
            with self.subTest(row["top_index"]):
                done = run(["pick", run_file(self.out("a")), row["top_index"]])
                self.assertEqual(done.returncode, 0, done.stderr)
                picked = run_file(self.out("a")).replace(".h5", f".top{row['top_index']}.json")
                evaluated = json.loads(run(["evaluate", picked, "--split", "validation", "--format", "json"]).stdout)
                self.assertAlmostEqual(evaluated["kd"], float(row["validation_kd"]), places=9)
        with h5py.File(run_file(self.out("a"))) as file:
            selected = str(file["/selected/top_index"][()])
        with open(result_file(self.out("a"))) as file:
            result = json.load(file)
        run(["pick", run_file(self.out("a")), selected, "--out", self.out("same.json")])
        with open(self.out("same.json")) as file:
            picked = json.load(file)
        self.assertEqual(picked.pop("selection"), f"candidate {selected} of /top, chosen by hand")
        del result["metrics"], result["selection"], result["selected"]["within_max_acc_drop"]
        self.assertEqual(picked, result)
        for arguments, fragments in (([run_file(self.out("a")), "9"], ["top_index from 0 to 8", "found 9"]),
                                     ([run_file(self.out("a")), selected, "--out", self.out("same.json")],
                                      ["same.json", "--out"]),
                                     ([result_file(self.out("a")), "0"], ["expected a run file"])):
            self.assert_one_line_error(run(["pick", *arguments]), *fragments)

    def test_without_a_search_there_is_the_mse_optimum_of_every_share(self):
        self.search("a", "--tmax-mode", "search", "--strategy", "mse", "--pass-shares", "0,1")
        self.search("b", "--tmax-mode", "fixed", "--tmax-fixed", "255", "--strategy", "mse")
        with h5py.File(run_file(self.out("a"))) as a, h5py.File(run_file(self.out("b"))) as b:
            self.assertEqual(list(a["/top/origin"]), [b"start", b"start"])
            nothing_passes = list(a["/top/passed"][()]).index(0)
            self.assertTrue((a["/top/codes"][nothing_passes] == b["/sites/mse_codes"][()]).all())

    def test_objectives_choose_differently(self):
        """Coverage takes the widest within the limit, accuracy and pareto the best reward."""
        more = [*self.SEARCH, "--pass-shares", "0.5,5", "--max-acc-drop", "100"]
        for objective in ("coverage", "pareto"):
            self.search(objective, *more, "--objective", objective)
            with h5py.File(run_file(self.out(objective))) as file:
                self.assertIn(b'\nfinal-scoring = "all"\n', file.attrs["config"], "what was done, not the default")
        with h5py.File(run_file(self.out("coverage"))) as a, h5py.File(run_file(self.out("pareto"))) as b:
            self.assertEqual(a["/top/reward"][()].tobytes(), b["/top/reward"][()].tobytes())
            self.assertEqual(a["/selected/top_index"][()], a["/top/coverage"][()].argmax())
            self.assertEqual(b["/selected/top_index"][()], 0)
            self.assertGreater(a["/selected/coverage"][()], b["/selected/coverage"][()])
            self.assertEqual(a.attrs["selection"], b"largest coverage with --max-acc-drop 100")

    def test_accuracy_keeps_the_calibrated_share(self):
        self.search("a", "--tmax-mode", "search")
        with h5py.File(run_file(self.out("a"))) as file:
            self.assertEqual(set(file["/updates/branch"][()]), {0})
            self.assertLessEqual(passed(file, file["/episodes/tmax"][()]).max(),
                                 passed(file, file["/sites/tmax"][()])[0] + 1e-12)

    def test_nothing_selected_passes_more_than_it_may(self):
        """Also where a start at the calibrated tmax would be better and within the drop."""
        self.search("a", "--tmax-mode", "search", "--pass-shares", "0", "--max-acc-drop", "0.5")
        with h5py.File(run_file(self.out("a"))) as file:
            self.assertEqual(list(file["/selected/tmax"][()]), [255] * 4)
            self.assertEqual(file["/top/passed"][()].max(), 0)

    def test_evaluations_take_turns(self):
        """Whatever number of shares divides --eval-every."""
        self.search("a", *self.SEARCH, "--pass-shares", "0,5", "--eval-every", "2")
        with h5py.File(run_file(self.out("a"))) as file:
            nothing = (file["/evaluations/tmax"][()] == 255).all(axis=1)
            self.assertEqual(list(nothing), [True, False, True])

    def test_default_shares_are_multiples_of_the_calibrated_one(self):
        self.search("a", *self.SEARCH, "--objective", "pareto", "--episodes", "256")
        with h5py.File(run_file(self.out("a"))) as file:
            part, share = file["/updates/branch"][()], passed(file, file["/episodes/tmax"][()])
            calibrated = passed(file, file["/sites/tmax"][()])[0]
            self.assertEqual(list(part), list(range(8)))
            for p, factor in enumerate((0, 0.125, 0.25, 0.5, 1, 2, 4, 8)):
                self.assertLessEqual(share[part[file["/episodes/iteration"][()]] == p].max(),
                                     factor * calibrated + 1e-12)

    def test_kills_and_ranks_change_no_byte(self):
        more = [*self.SEARCH, "--objective", "pareto", "--pass-shares", "0,2", "--episodes", "640",
                "--checkpoint-every", "0"]
        self.search("whole", *more)
        process, ranks = self.hold("killed", 96, 640, *more, ranks=2)
        process.kill()
        let_go(ranks)
        process.communicate()
        wait_for_end(ranks)  # they outlive mpirun by a moment
        self.assertLess(episodes_in(run_file(self.out("killed"))), 640)
        self.search("killed", *more, ranks=3)
        self.assert_same_run(self.out("whole"), self.out("killed"))


if __name__ == "__main__":
    unittest.main()
