"""Bad input: one line that names the thing, a non-zero exit, and files left as they were."""
import os
import re
import resource
import shutil
import unittest

from program import (FEW_DATA, SOURCE, ProgramTest, errors_in, quick, result_file, run, run_file,
                     run_with_one_broken_rank, start, write_few_images)

MODEL = os.path.join(SOURCE, "models", "lenet5-fashion-mnist.h5")
README = os.path.join(SOURCE, "README.md")


class BadInput(ProgramTest):
    def refused(self, arguments, *fragments, ranks=None):
        done = run(arguments, ranks, cwd=self.folder)
        self.assert_one_line_error(done, *fragments)

    def test_command_lines(self):
        search = ["search", "--out", self.out("a")]
        with open(self.out("lag.toml"), "w") as file:
            file.write("lag = 1\n")
        for arguments, fragments in (
                ([], ["subcommand", "search, sweep, evaluate, sensitivity, analyze, score, train, repair, import, "
                      "pick, validate, verify, replay, compare, show, doctor, completion", "none"]),
                (["surch"], ["subcommand", "search, sweep, evaluate, sensitivity, analyze, score, train, repair, "
                             "import, pick, validate, verify, replay, compare, show, doctor, completion",
                             "found 'surch': did you mean 'search'?"]),
                (["analyze"], ["analyze: expected a subcommand, one of percentiles, variance, coverage; found none"]),
                (["analyze", "percentile"], ["found 'percentile': did you mean 'percentiles'?"]),
                (search + ["--modle", "alexnet"],
                 ["unknown option '--modle': did you mean '--model'? triseg search --help-all lists them"]),
                (search + ["--seed", "2", "--modle=alexnet", "--foo"], ["unknown option '--modle'"]),
                (search + ["-x"], ["unknown option '-x'"]),
                (search + ["alexnet"], ["unexpected argument 'alexnet'"]),
                (search + ["--model", "resnet"],
                 ["no model resnet-fashion-mnist.h5", "alexnet-fashion-mnist.h5, lenet5-fashion-mnist.h5"]),
                (search + ["--backend", "tensorrt"], ["unknown backend 'tensorrt'"]),
                (search + ["--backend", "qnnpack"], ["alexnet-fashion-mnist-qnnpack.h5", "--teacher"]),
                (search + ["--data", "imagenet"], ["unknown data set 'imagenet'"]),
                (search + ["--episodes", "0"], ["--episodes"]),
                (search + ["--episodes", "many"], ["--episodes"]),
                (search + ["--lr", "-1"], ["--lr"]),
                (search + ["--lr", "nan"], ["--lr", "nan"]),
                (search + ["--attention-weight", "nan"], ["--attention-weight", "nan"]),
                (search + ["--clip", "0"], ["--clip: expected a number from 1e-12 to 1, found '0'"]),
                (search + ["--data", 300 * "x"], ["xxx: File name too long"]),
                (search + ["--teacher", 300 * "x"], ["xxx: File name too long"]),
                (search + ["--config", 300 * "x"], ["xxx: File name too long"]),
                (search + ["--max-acc-drop", "inf"], ["--max-acc-drop", "inf"]),
                (search + ["--seed", "-1"],
                 ["--seed: expected a whole number from 0 to 18446744073709551615, found '-1'"]),
                (search + ["--seed", "1.5"],
                 ["--seed: expected a whole number from 0 to 18446744073709551615, found '1.5'"]),
                (search + ["--seed", "010"], ["--seed: expected a whole number from 0 to ", "found '010'"]),
                (search + ["--threads", "1.5"], ["--threads: expected a whole number from 0 to 4096, found '1.5'"]),
                (search + ["--model", "lenet5", "--model", "lenet5"], ["--model: given twice"]),
                (["evaluate", "a.json", "--split", "test", "--split", "test", "--split", "test"],
                 ["--split: given 3 times"]),
                (["search", "--out", ""], ["--out: expected a folder, found ''"]),
                (search + ["--batch-size", "60000"], ["--batch-size", "50000"]),
                (search + ["--batch-size", "1000", "--calib-batches", "51"],
                 ["--calib-batches: 51 batches of 1000 images", "choose at most 50"]),
                (search + ["--sites", "conv9"], ["conv9", "conv1"]),
                (search + ["--sites", "fc3"], ["'fc3' of AlexNet makes the logits", "expected names from conv1, conv2, "
                                               "conv3, conv4, conv5, fc1, fc2"]),
                (search + ["--sites", "conv1, conv2"],
                 ["--sites: 'conv1, conv2': expected names separated by commas, without blanks"]),
                (search + ["--sites", "conv1,", "conv2"],
                 ["unexpected argument 'conv2' behind 'conv1,'", "without blanks"]),
                (search + ["--dedicated-learner=5"], ["--dedicated-learner: expected no value"]),
                (search + ["--dedicated-learner=false"], ["--dedicated-learner: expected no value"]),
                (["validate", "--schema=2"], ["--schema: expected no value"]),
                (["train", "--flip=2"], ["--flip: expected no value"]),
                (["train", "--flip", "--no-flip"], ["--no-flip excludes --flip"]),
                (["repair", "a.json", "--no-flip", "--flip"], ["excludes"]),
                (["evaluate", "a.json", "--repair-images", "5"],
                 ["--repair-images: has no effect here: it needs --repair layer or channel"]),
                (["evaluate", "a.json", "--repair", "none", "--repair-images", "5"],
                 ["--repair-images: has no effect here"]),
                (["pick"], ["pick: expected run, the name of a run file"]),
                (["train", "--out", 300 * "x"], ["--out: expected a name of at most 200 bytes, found 300"]),
                (["repair", "a.json", "--out", 300 * "x"], ["--out: expected a name of at most 200 bytes, found 300"]),
                (["repair", "a.json", "--checkpoint", 300 * "x"],
                 ["--checkpoint: expected a name of at most 200 bytes, found 300"]),
                (["train", "--out", "a.h5", "--checkpoint", 300 * "x"],
                 ["--checkpoint: expected a name of at most 200 bytes, found 300"]),
                (search + ["--sites", ""], ["--sites"]),
                (search + ["--attention-layers", "conv3,conv3"], ["twice"]),
                (search + ["--tmax-mode", "guess"],
                 ["--tmax-mode: expected one of percentile, fixed, search, found 'guess'"]),
                (search + ["--tmax-fixed", "100"], ["--tmax-fixed: has no effect here: it needs --tmax-mode fixed"]),
                (search + ["--tmax-mode", "fixed", "--tmax-percentile", "50"],
                 ["--tmax-percentile", "--tmax-mode percentile or search"]),
                (search + ["--strategy", "cma-es", "--clip", "0.2"], ["--clip", "--strategy ppo"]),
                (search + ["--warm-start", "none", "--mean-rate", "0.2"], ["--mean-rate", "warm start"]),
                (search + ["--lag", "2"], ["--lag: expected a whole number from 0 to 1, found '2'"]),
                (search + ["--strategy", "random", "--lag", "1"],
                 ["--lag: has no effect here: it needs --strategy ppo"]),
                (search + ["--strategy", "cma-es", "--config", "lag.toml"],
                 ["--lag 1: cma-es learns from an iteration before it draws the next: expected --strategy ppo, or "
                  "--lag 0"]),
                (search + ["--tmax-mode", "search", "--lag", "1"],
                 ["--lag 1: a search for tmax learns from an iteration before"]),
                (search + ["--strategy", "coordinate", "--warm-start-tolerance", "1"],
                 ["--warm-start-tolerance", "cma-es"]),
                (search + ["--strategy", "mse", "--warm-start", "init"], ["--warm-start"]),
                (search + ["--repair-images", "100"], ["--repair-images", "--repair layer or channel"]),
                (search + ["--tmax-mode", "search", "--repair", "layer"],
                 ["--repair layer", "expected --tmax-mode percentile or fixed"]),
                (["doctor", "--tmax-fixed", "100"], ["--tmax-fixed: has no effect here"]),
                (["score", "--tmax-mode", "search"], ["--tmax-mode search", "expected percentile or fixed"]),
                (search + ["--objective", "fame"],
                 ["--objective: expected one of accuracy, coverage, pareto, found 'fame'"]),
                (search + ["--objective", "pareto"], ["--objective pareto", "expected --tmax-mode search"]),
                (search + ["--tmax-mode", "search", "--objective", "pareto", "--final-scoring", "race"],
                 ["--final-scoring race", "expected all"]),
                (search + ["--pass-shares", "1"],
                 ["--pass-shares: --tmax-mode percentile says what passes", "expected --tmax-mode search"]),
                (search + ["--tmax-mode", "search", "--pass-shares", "1,,2"], ["--pass-shares", "separated by commas"]),
                (search + ["--tmax-mode", "search", "--pass-shares", "5,101"],
                 ["--pass-shares: '101' in '5,101'", "0 to 100"]),
                (search + ["--tmax-mode", "search", "--pass-shares", "1,2,"], ["--pass-shares", "no comma at the end"]),
                (search + ["--model", "lenet5", "--tmax-mode", "search", "--objective", "pareto", "--episodes", "448"],
                 ["8 shares need as many iterations, found 7 (448 episodes in iterations of 64)"]),
                (search + ["--seed", "2", "--foo", "2"], ["unknown option '--foo'"]),
                (["score", "--tmax-fixed", "100"], ["--tmax-fixed: has no effect here"]),
                (search + ["--tmax-mode", "search", "--pass-shares", "1,1.0"], ["--pass-shares", "twice"]),
                (search + ["--tmax-mode", "search", "--pass-shares", ""], ["--pass-shares", "found 0"]),
                (search + ["--tmax-mode", "fixed", "--tmax-fixed", "2"],
                 ["--tmax-fixed: expected a whole number from 3 to 255, found '2'"]),
                (search + ["--tmax-mode", "fixed", "--tmax-fixed", "256"], ["--tmax-fixed"]),
                (search + ["--warm-start", "hot"], ["--warm-start"]),
                (search + ["--strategy", "luck"],
                 ["--strategy: expected one of ppo, cma-es, coordinate, random, mse, ste, found 'luck'"]),
                (search + ["--strategy", "random", "--warm-start", "none"], ["--warm-start none", "random"]),
                (search + ["--engine", "tpu"], ["--engine: expected one of auto, ", "reference, found 'tpu'"]),
                (search + ["--transport", "pigeon"],
                 ["--transport: expected one of auto, local, mpi, nccl, found 'pigeon'"]),
                (search + ["--episodes-per-update", "8", "--update-timestep", "8"], ["--update-timestep"]),
                (search + ["--result-file", "a/b.json"], ["--result-file", "--out"]),
                (search + ["--result-file", "../b.json"], ["--result-file"]),
                (search + ["--result-file", "b.h5"], ["--result-file", ".json"]),
                (search + ["--result-file", ""], ["--result-file", ".json"]),
                (search + ["--result-file", 196 * "x" + ".json"],
                 ["--result-file: expected a name of at most 200 bytes, found 201"]),
                (search + ["--teacher", ""], ["--teacher: expected a model file, found ''"]),
                (search + ["--teacher", "/tmp"], ["--teacher: /tmp: expected a model file, found a folder"]),
                (search + ["--teacher", "nowhere.h5"], ["nowhere.h5"]),
                (search + ["--model", "alexnet", "--teacher", MODEL], [MODEL, "lenet5", "alexnet"]),
                (search + ["--config", "nowhere.toml"], ["--config: nowhere.toml: no such file"]),
                (search + ["--energy-table", "nowhere.toml", "--model", "lenet5"],
                 ["--energy-table: nowhere.toml: no such file"]),
                (search + ["--energy-table", "/tmp", "--model", "lenet5"], ["--energy-table: /tmp: expected a file"]),
                (search + ["--energy-table", README, "--model", "lenet5"],
                 [f"--energy-table: {README}: line ", "cannot be read as TOML"]),
                (search + ["--config", ""], ["--config: expected a file, found ''"]),
                (search + ["--config", "/tmp"], ["--config: /tmp: expected a file, found a folder"])):
            with self.subTest(arguments=arguments[-2:]):
                self.refused(arguments, *fragments)
        self.assertFalse(os.path.exists(self.out("a")), "a search that does not start leaves nothing behind")

    def test_numbers_are_decimal_and_messages_repeat_them(self):
        options = [("pick", None, "top_index")]
        for command in ("search", "evaluate", "score", "train", "repair"):
            text = run([command, "--help-all" if command == "search" else "--help"]).stdout
            options += [(command, option, option)
                        for option in re.findall(r"^  (--\S+) (?:INT|UINT|FLOAT)", text, re.MULTILINE)]
        self.assertGreater(len(options), 60)
        words = ("0x1", "+1", " 1", "1 ", "1_0", "1,5", "", "-")
        for command, option, name in options[:1] + options[1::len(words) + 1]:
            for word in words[:2] if command in ("train", "repair") else words:  # those two load LibTorch each time
                with self.subTest(command=command, option=name, word=word):
                    done = run([command, "a.h5", word] if option is None else [command, option, word])
                    self.assertEqual(done.returncode, 2, done.stderr)
                    self.assert_one_line_error(done, f"{name}: expected a", f", found '{word}'")
        self.assert_one_line_error(run(["pick", "a.h5", "-1"]), "found '-1'")
        for arguments in (["search", "--seed"], ["search", "--seed="]):
            self.assert_one_line_error(run(arguments), "--seed: expected a value")

    def test_messages_are_one_line_that_a_terminal_can_show(self):
        name = "a\rtriseg: ok\x1b[2J\nb"
        done = run(["validate", name])
        self.assert_one_line_error(done, "a\\x0dtriseg: ok\\x1b[2J b")
        with open(self.out("c.toml"), "w") as file:
            file.write('"ab\\u0000cd" = 1\n')
        self.assert_one_line_error(run(["search", "--config", self.out("c.toml")]), "unknown key 'ab\\x00cd'")

    def test_exit_codes_tell_the_command_line_from_the_rest(self):
        for arguments, code in ((["search", "--modle", "lenet5"], 2), (["search", "--episodes", "0"], 2),
                                (["surch"], 2), (["evaluate"], 2), (["validate"], 2),
                                (["search", "--teacher", "nowhere.h5"], 1), (["evaluate", "nowhere.json"], 1)):
            with self.subTest(arguments=arguments):
                self.assertEqual(run(arguments, cwd=self.folder).returncode, code)

    def test_names_of_200_bytes_are_not_too_long(self):
        name = 195 * "x"
        self.search("a", "--result-file", name + ".json")
        self.assertTrue(os.path.exists(run_file(self.out("a"), name)))

    def test_every_rank_fails_alike(self):
        done = run(quick("--teacher", "nowhere.h5", "--out", self.out("a")), ranks=3, cwd=self.folder)
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(sum(line.startswith("triseg: error: ") for line in done.stderr.splitlines()), 1, done.stderr)

    def test_a_failure_of_one_rank_alone_ends_all(self):
        for broken in (0, 1):
            with self.subTest(rank=broken):
                done = run_with_one_broken_rank(quick("--data", "fashion-mnist", "--out", self.out("a")), broken,
                                                {"TRISEG_FASHION_MNIST": self.out("nowhere")})
                self.assertNotEqual(done.returncode, 0)
                errors = [line for line in done.stderr.splitlines() if line.startswith("triseg: error: ")]
                self.assertEqual(len(errors), 1, done.stderr)
                self.assertIn(self.out("nowhere"), errors[0])

    def test_ranks_that_differ_are_refused(self):
        for more, difference in ((["--seed", "2"], "--seed (2 instead of 1)"),
                                 (["--dedicated-learner"], "--dedicated-learner (true instead of "),
                                 (["--rank-timeout", "5"], "--rank-timeout (5 instead of 600)")):
            with self.subTest(more):
                done = run_with_one_broken_rank(quick("--out", self.out("a")), 1, {}, more)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(f"rank 1 has other options or files than rank 0: {difference}", done.stderr)
                self.assertIn("--transport local", done.stderr)

    def test_a_folder_in_the_place_of_the_result(self):
        os.makedirs(result_file(self.out("a")))
        self.refused(quick("--out", self.out("a")), "is a folder")

    def test_model_and_data_that_do_not_fit(self):
        self.refused(["search", "--model", "lenet5", "--teacher", MODEL, "--data", "shapes", "--out", self.out("a")],
                     "fashion-mnist", "shapes")

    def test_damaged_and_foreign_models(self):
        with open(MODEL, "rb") as file:
            good = file.read()
        damaged = bytearray(good)
        damaged[len(good) // 2] ^= 0x40
        for name, content in (("empty.h5", b""), ("text.h5", b"not HDF5 at all\n" * 100),
                              ("half.h5", good[:len(good) // 2]), ("flipped.h5", bytes(damaged))):
            with self.subTest(name):
                with open(self.out(name), "wb") as file:
                    file.write(content)
                self.refused(quick("--teacher", self.out(name), "--out", self.out("a")), name)

    def test_a_damaged_run_says_what_to_do(self):
        self.search("a")
        with open(run_file(self.out("a")), "rb+") as file:
            file.truncate(1000)
        self.refused(quick("--out", self.out("a")), run_file(self.out("a")), "remove it to start again",
                     "restore a copy")

    def test_a_pipe_or_device_is_no_input(self):
        """It would be read for ever, and no signal could end that."""
        pipe = self.out("pipe")
        os.mkfifo(pipe)
        data = self.out("data")
        write_few_images(data, 600, 100)
        labels = next(os.path.join(data, name) for name in os.listdir(data) if "train-labels" in name)
        os.remove(labels)
        os.mkfifo(labels)
        out = ["--out", self.out("out")]
        for arguments in (quick("--teacher", pipe, *out), quick("--data", data, *out), quick("--config", pipe, *out),
                          quick("--energy-table", pipe, *out), ["evaluate", pipe], ["validate", pipe],
                          ["pick", pipe + ".h5", "0"], ["train", "--data", data, "--out", self.out("model.h5")],
                          ["train", "--model", "lenet5", "--data", FEW_DATA, "--out", self.out("m.h5"),
                           "--checkpoint", pipe],
                          quick("--teacher", "/dev/zero", *out)):
            with self.subTest(arguments):
                if arguments[0] == "pick" and not os.path.exists(pipe + ".h5"):
                    os.mkfifo(pipe + ".h5")
                done = run(arguments, timeout=60)
                self.assertNotIn(done.returncode, (0, 85))
                self.assert_one_line_error(done, "expected ", "file")

    def test_files_beyond_the_limit_on_their_size_are_an_error(self):
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
        process = start(quick("--out", self.out("a")), prepare=limit)
        _, log = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 1, log)
        self.assertIn("File too large", errors_in(log)[0])
        self.assertEqual(os.listdir(os.path.dirname(run_file(self.out("a")))), [])

    def test_unwritable_out_is_found_before_the_search(self):
        with open(self.out("file"), "w") as file:
            file.write("in the way\n")
        done = run(quick("--out", self.out("file")))
        self.assert_one_line_error(done, self.out("file"))
        with open(self.out("file")) as file:
            self.assertEqual(file.read(), "in the way\n")

    def test_foreign_run_file_is_left_alone(self):
        os.makedirs(os.path.dirname(run_file(self.out("a"))))
        shutil.copy(MODEL, run_file(self.out("a")))
        self.refused(quick("--out", self.out("a")), run_file(self.out("a")))
        with open(MODEL, "rb") as x, open(run_file(self.out("a")), "rb") as y:
            self.assertEqual(x.read(), y.read())

    def test_evaluate_and_validate(self):
        for arguments, fragments in ((["evaluate"], ["evaluate: expected the name of a result file (NAME.json)"]),
                                     (["evaluate", MODEL], [MODEL, "expected a result file", "found a model file"]),
                                     (["evaluate", "nowhere.h5"], ["nowhere.h5", "found the name of a run file"]),
                                     (["evaluate", "nowhere.json"], ["nowhere.json"]),
                                     (["evaluate", "bad.json"], ["bad.json"]),
                                     (["evaluate", "alien.json"], ["alien.json", "layers"]),
                                     (["validate", "nowhere.h5"], ["nowhere.h5"]),
                                     (["validate", "--schema", "x.h5"], ["--schema", "x.h5"]),
                                     (["evaluate", "hot.json"], ["hot.json: temperature", '"hot"']),
                                     (["evaluate", "cold.json"], ["cold.json: temperature", "-1"]),
                                     (["evaluate", "cold.json", "--kd-T", "nan"],
                                      ["--kd-T: expected a number", "'nan'"]),
                                     (["evaluate", "cold.json", "--kd-T", "-1"], ["--kd-T: expected a number", "'-1'"]),
                                     (["evaluate", "cold.json", "--teacher", ""], ["--teacher: expected a model file"]),
                                     (["validate"], ["run file"])):
            for name, text in (("bad.json", '{"layers": '), ("alien.json", '{"a": 1}'),
                               ("hot.json", '{"temperature": "hot"}'), ("cold.json", '{"temperature": -1}')):
                with open(self.out(name), "w") as file:
                    file.write(text)
            with self.subTest(arguments=arguments):
                self.refused(arguments, *fragments)
        self.search("a")
        self.refused(["evaluate", run_file(self.out("a"))], run_file(self.out("a")), result_file(self.out("a")))
        self.refused(["evaluate", result_file(self.out("a")), "--split", "training"], "training")
        self.refused(["evaluate", result_file(self.out("a")), "--model", "alexnet"], "alexnet")
        self.refused(["evaluate", result_file(self.out("a")), "--format", "xml"], "xml")
        self.refused(["evaluate", result_file(self.out("a")), "--backend", "foo"], "unknown backend 'foo'")
        self.refused(["evaluate", result_file(self.out("a")), "--backend", "qnnpack", "--teacher", MODEL], "fbgemm",
                     "qnnpack")
        self.refused(["evaluate", result_file(self.out("a")), "--data", "shapes", "--teacher", MODEL], "shapes")
        with open(result_file(self.out("a"))) as file:
            text = file.read()
        with open(self.out("resnet.json"), "w") as file:
            file.write(text.replace('"model": "lenet5"', '"model": "resnet"'))
        done = run(["evaluate", self.out("resnet.json")])
        self.assert_one_line_error(done, "no model resnet-few.h5")
        self.assertTrue(done.stderr.endswith(": name its file with --teacher\n"), "triseg train makes no resnet")


if __name__ == "__main__":
    unittest.main()
