"""triseg score from outside: what it answers is what a search stores and what evaluate reports."""
import json
import subprocess
import unittest

import h5py

from program import (FEW_DATA, TEST_IMAGES, VALIDATION_IMAGES, ProgramTest, command, environment, result_file, run,
                     run_file)

OPTIONS = ["--seed", "3"]
# The problem of quick().
PROBLEM = ["--data", FEW_DATA, "--model", "lenet5", "--episodes-per-update", "32", "--batch-size", "16",
           "--calib-batches", "4", "--top-k", "2", *OPTIONS]


class Score(ProgramTest):
    def score(self, *requests, options=()):
        """The program's description of the problem, and its answers."""
        lines = "".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in requests)
        done = subprocess.run(command(["score", *PROBLEM, *options], None), input=lines, env=environment(),
                              capture_output=True, text=True, timeout=120)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        problem, *answers = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(len(answers), len(requests))
        return problem, answers

    def test_scores_are_those_of_a_search(self):
        self.search("a", *OPTIONS)
        with h5py.File(run_file(self.out("a"))) as file:
            iterations, codes = file["/episodes/iteration"][()], file["/episodes/codes"][()]
            stored = {k: file["/episodes/" + k][()] for k in ("reward", "kd", "attention")}
            references = file["/updates/reference_reward"][()]
            sites = {k: file["/sites/" + k][()] for k in ("name", "tmax", "init_codes", "mse_codes", "start_codes")}
        asked = (0, 5, 2)
        problem, answers = self.score(*[{"iteration": i,
                                         "codes": [*codes[iterations == i].tolist(), sites["start_codes"].tolist()]}
                                        for i in asked])
        self.assertEqual(problem["sites"],
                         [{"name": n.decode(), "tmax": t, "init": i.tolist(), "mse": m.tolist(), "start": s.tolist()}
                          for n, t, i, m, s in zip(*sites.values())])
        starts = {start["name"]: start["codes"] for start in problem["starts"]}
        self.assertEqual((len(starts), starts["init"], starts["mse"]),
                         (6, sites["init_codes"].tolist(), sites["mse_codes"].tolist()))
        self.assertIn(sites["start_codes"].tolist(), starts.values())
        self.assertEqual([problem[k] for k in ("seed", "batch_size", "episodes_per_update", "top_k")], [3, 16, 32, 2])
        for iteration, answer in zip(asked, answers):
            with self.subTest(iteration=iteration):
                for name, values in stored.items():
                    self.assertEqual(answer[name][:-1], values[iterations == iteration].tolist(), "to the last bit")
                self.assertEqual(answer["reward"][-1], references[iteration])
                self.assertEqual(answer["images"], 16)

    def test_the_test_split_is_that_of_evaluate(self):
        self.search("a", *OPTIONS)
        with open(result_file(self.out("a"))) as file:
            result = json.load(file)
        four = [[c[k] for k in ("t1_code", "v1_code", "t2_code", "v2_code")] for c in result["layers"].values()]
        five = [[*codes, c["tmax_code"]] for codes, c in zip(four, result["layers"].values())]
        longer = [[*codes, c["tmax_code"] + 40] for codes, c in zip(four, result["layers"].values())]
        _, (answer, validation) = self.score({"split": "test", "codes": [four, five, longer]},
                                             {"split": "validation", "codes": [four]})
        evaluated = json.loads(run(["evaluate", result_file(self.out("a")), "--format", "json"]).stdout)
        for column, key in (("kd", "kd"), ("attention", "attention"), ("teacher_accuracy", "acc_teacher"),
                            ("student_accuracy", "acc_student"), ("accuracy_drop", "acc_drop")):
            self.assertEqual(answer[column][:2], [evaluated[key]] * 2, column)
        self.assertNotEqual(answer["kd"][2], answer["kd"][0], "another tmax is another student")
        self.assertEqual((answer["images"], validation["images"]), (TEST_IMAGES, VALIDATION_IMAGES))
        self.assertEqual(validation["kd"], [result["selected"]["kd"]])

    def test_a_bad_line_is_answered_and_the_next_one_too(self):
        good = {"iteration": 0, "codes": [[[1, 2, 3, 4]] * 4]}
        late = [[1, 2, 3, 4], [1, 2, 3, 4], [9, 5, 16, 25], [1, 2, 3, 4]]
        bad = {
            100000 * "[" + 100000 * "]": ["nested more than 64 deep"],
            '{"iteration": 0, "iteration": 1, "codes": []}': ['the key "iteration" is given twice'],
            "no json": ["expected a line of JSON", "no json"],
            "": ["expected a line of JSON"],
            "[1]": ["expected the keys", "[1]"],
            '{"codes": []}': ["expected the keys"],
            '{"iteration": 0, "split": "test", "codes": []}': ["expected the keys"],
            '{"iteration": -1, "codes": [[[1,2,3,4],[1,2,3,4],[1,2,3,4],[1,2,3,4]]]}': ["iteration: expected a whole "
                                                                                        "number from 0, found -1"],
            '{"split": "search", "codes": []}': ["split: expected", "validation", '"search"'],
            '{"iteration": 0, "codes": []}': ["codes: expected candidates, found []"],
            '{"iteration": 0, "codes": [[[1,2,3,4]]]}': ["candidate 0: expected those of 4 sites"],
            json.dumps({"iteration": 0, "codes": [good["codes"][0], late]}): ["candidate 1, site fc1",
                                                                              "t1=9, v1=5, t2=16", "not legal"],
            json.dumps({"iteration": 0, "codes": [[[1, 2, 3, 4, 3]] * 4]}): ["candidate 0, site conv1", "tmax=3",
                                                                             "not legal"],
            json.dumps({"iteration": 0,
                        "codes": [[[1, 2, 3, 256]] * 4]}): ["site conv1: expected whole numbers 0..255"],
            json.dumps({"iteration": 0,
                        "codes": [[[1, 2, 3, 4.5]] * 4]}): ["site conv1: expected whole numbers 0..255"],
            json.dumps({"iteration": 0,
                        "codes": [[[1, 2, 3]] * 4]}): ["site conv1: expected t1, v1, t2, v2 and perhaps tmax"],
        }
        _, answers = self.score(*(line for request in bad for line in (request, good)))
        for (request, fragments), answer, next_answer in zip(bad.items(), answers[::2], answers[1::2]):
            with self.subTest(request):
                self.assertEqual(list(answer), ["error"])
                for fragment in fragments:
                    self.assertIn(fragment, answer["error"])
                self.assertEqual(next_answer, answers[1])
                self.assertIn("reward", next_answer)

    def test_what_it_does_not_do_is_no_option_of_it(self):
        named = run(["score", "--help"]).stdout
        for option, value in (("--repair", "layer"), ("--transport", "local"), ("--lr", "1"), ("--out", "x"),
                              ("--strategy", "ppo")):
            with self.subTest(option):
                done = run(["score", option, value])
                self.assert_one_line_error(done, f"unknown option '{option}'")
                self.assertEqual(done.stdout, "", "no problem is described")
                self.assertNotIn(option + " ", named)

    def test_it_takes_the_configuration_of_a_search(self):
        config = self.out("c.toml")
        with open(config, "w") as file:
            file.write('model = "lenet5"\nseed = 9\nlr = 0.1\nstrategy = "mse"\nout = "elsewhere"\n')
        done = subprocess.run(command(["score", "--config", config], None), input="", env=environment(),
                              capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        problem = json.loads(done.stdout)
        self.assertEqual(problem["seed"], 9)
        self.assertGreater(problem["start_images"], 0, "the start is chosen whatever strategy the file names")
        with open(config, "a") as file:
            file.write('repair = "layer"\n')
        self.assert_one_line_error(run(["score", "--config", config]), "--repair layer: score repairs no candidate")


if __name__ == "__main__":
    unittest.main()
