#include "learner/files/run_file.hpp"

#include "core/atomic_file.hpp"
#include "core/error.hpp"
#include "tests/learner/files/examples.hpp"
#include "core/hdf5/content_digest.hpp"
#include "core/hdf5/hdf5.hpp"
#include "learner/files/run_schema.hpp"
#include "network/recipes.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <sstream>

namespace triseg {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(RunFile, ReadsBackExactlyWhatWasWritten) {
  const TemporaryFolder folder;
  for (const bool finished : {false, true}) {
    for (const std::size_t episodes : {0, 1, 40}) {
      const RunData run = example_run(finished, episodes);
      write_run(folder / "run.h5", run);
      EXPECT_EQ(difference(read_run(folder / "run.h5"), run), "") << finished << episodes;
      EXPECT_THAT(validate_run(folder / "run.h5"), IsEmpty()) << finished << episodes;
    }
  }
}

/// Batch scripts see by it that a part of a run has got on: it grows with whichever finalist is scored.
TEST(RunFile, ProgressCountsTheImagesOfAllFinalists) {
  const TemporaryFolder folder;
  const RunData run = example_run(false);
  write_run(folder / "run.h5", run);
  const RunProgress progress = read_progress(folder / "run.h5");
  EXPECT_FALSE(progress.finished);
  EXPECT_EQ(progress.episodes, run.episodes.size());
  EXPECT_EQ(progress.episodes_total, run.episodes_total);
  EXPECT_EQ(progress.finalist_images, 2000u + 1000 + 2000);
  EXPECT_FALSE(is_finished_run(folder / "run.h5"));
  write_run(folder / "run.h5", example_run(true));
  EXPECT_EQ(read_progress(folder / "run.h5").finalist_images, 0u);
  EXPECT_TRUE(is_finished_run(folder / "run.h5"));
  EXPECT_FALSE(is_finished_run(folder / "nowhere.h5"));
}

TEST(RunFile, EveryMemberMatters) {
  const TemporaryFolder folder;
  const RunData run = example_run();
  RunData other = run;
  other.sites[3].histogram.counts[255] ^= 1;
  write_run(folder / "run.h5", other);
  EXPECT_EQ(difference(read_run(folder / "run.h5"), run), "sites");
  other = run;
  other.episodes[17].score.attention = std::nextafter(other.episodes[17].score.attention, 1);
  write_run(folder / "run.h5", other);
  EXPECT_EQ(difference(read_run(folder / "run.h5"), run), "episodes");
}

TEST(RunFile, EqualContentGivesEqualBytesButForTheTime) {
  const TemporaryFolder folder;
  const RunData run = example_run();
  // Two writes within one second of the file's time stamp.
  for (int attempt = 0; attempt < 5; ++attempt) {
    write_run(folder / "a.h5", run);
    write_run(folder / "b.h5", run);
    if (read_file(folder / "a.h5") == read_file(folder / "b.h5")) return;
  }
  FAIL() << "five times different bytes";
}

TEST(RunFile, TheOldFileSurvivesContentThatContradictsItself) {
  const TemporaryFolder folder;
  const RunData run = example_run();
  write_run(folder / "run.h5", run);
  RunData bad = run;
  bad.episodes[5].codes.pop_back();
  EXPECT_THAT(error_of([&] { write_run(folder / "run.h5", bad); }), HasSubstr("codes for 6 sites in a run of 7"));
  bad = run;
  bad.sites[2].tmax_searched = false;
  bad.episodes[5].codes[2].tmax = std::uint8_t(bad.sites[2].tmax - 1);
  EXPECT_THAT(error_of([&] { write_run(folder / "run.h5", bad); }), HasSubstr("site conv3"));
  bad = run;
  bad.checkpoint.tensors["policy//x"] = {{1}, {0.f}};
  EXPECT_THAT(error_of([&] { write_run(folder / "run.h5", bad); }), HasSubstr("policy//x"));
  bad = run;
  bad.checkpoint.tensors["x"] = {{2, 2}, {0.f}};
  EXPECT_THAT(error_of([&] { write_run(folder / "run.h5", bad); }), HasSubstr("1 values for f32 [2,2]"));
  EXPECT_EQ(difference(read_run(folder / "run.h5"), run), "");
}

TEST(RunFile, ForeignFilesAreNamedAsSuch) {
  const TemporaryFolder folder;
  EXPECT_THAT(error_of([&] { read_run(folder / "none.h5"); }), HasSubstr("No such file"));
  write_bytes(folder / "text.h5", std::as_bytes(std::span("no HDF5 file at all")));
  EXPECT_THAT(error_of([&] { read_run(folder / "text.h5"); }), HasSubstr("text.h5: expected a whole HDF5 file"));
  write_bytes(folder / "empty.h5", {});
  EXPECT_THAT(error_of([&] { read_run(folder / "empty.h5"); }), HasSubstr("found an empty file"));
  EXPECT_THAT(error_of([&] { read_run(folder.path()); }), HasSubstr("it is a folder, expected a file"));

  hdf5::File plain = hdf5::File::create();
  plain.write_dataset("/data", Values::scalar(1.0));
  write_bytes(folder / "plain.h5", plain.close());
  EXPECT_THAT(error_of([&] { read_run(folder / "plain.h5"); }),
              HasSubstr("without the attribute format = \"triseg-run\""));

  hdf5::File model = hdf5::File::create();
  model.write_attribute("/", "format", Values::string("triseg-model"));
  write_bytes(folder / "model.h5", model.close());
  EXPECT_THAT(error_of([&] { read_run(folder / "model.h5"); }), HasSubstr("found format \"triseg-model\""));

  hdf5::File newer = hdf5::File::create();
  newer.write_attribute("/", "format", Values::string(run_format));
  newer.write_attribute("/", "schema_version", Values::scalar<std::int32_t>(run_schema_version + 1));
  write_bytes(folder / "newer.h5", newer.close());
  EXPECT_THAT(error_of([&] { read_run(folder / "newer.h5"); }), HasSubstr("this program reads versions 4 to 7"));

  hdf5::File older = hdf5::File::create();
  older.write_attribute("/", "format", Values::string(run_format));
  older.write_attribute("/", "schema_version", Values::scalar<std::int32_t>(1));
  write_bytes(folder / "older.h5", older.close());
  EXPECT_THAT(error_of([&] { read_run(folder / "older.h5"); }), HasSubstr("has schema version 1"));

  hdf5::File bare = hdf5::File::create();
  bare.write_attribute("/", "format", Values::string(run_format));
  bare.write_attribute("/", "schema_version", Values::scalar<std::int32_t>(run_schema_version));
  write_bytes(folder / "bare.h5", bare.close());
  EXPECT_THAT(error_of([&] { read_run(folder / "bare.h5"); }), HasSubstr("/@creator: missing: expected string"));
  EXPECT_GT(validate_run(folder / "bare.h5").size(), 50);
}

/// Its digest is right: it was written so.
TEST(RunFile, ImpossibleContentIsNotRead) {
  const TemporaryFolder folder;
  const auto refusal = [&](auto change) {
    RunData run = example_run();
    change(run);
    write_run(folder / "run.h5", run);
    EXPECT_FALSE(validate_run(folder / "run.h5").empty());
    return error_of([&] { read_run(folder / "run.h5"); });
  };
  EXPECT_THAT(refusal([](RunData& r) {
                r.episodes[9].codes[1] = {254, 254, 254, 254, r.episodes[9].codes[1].tmax};
              }),
              HasSubstr("run.h5: /episodes/codes: row 9, site conv2: illegal"));
  EXPECT_THAT(refusal([](RunData& r) { r.checkpoint.optimizer_steps = ~std::uint64_t{0}; }),
              HasSubstr("/checkpoint/optimizer_steps: 18446744073709551615 is no count"));
  EXPECT_THAT(refusal([](RunData& r) { r.checkpoint.next_iteration = ~std::uint64_t{0}; }),
              HasSubstr("/checkpoint/next_iteration"));
  EXPECT_THAT(refusal([](RunData& r) { r.checkpoint.tensors["adam/step"].values[0] = NAN; }),
              HasSubstr("/checkpoint/tensors/adam/step: element 0 is nan"));
  EXPECT_THAT(refusal([](RunData& r) { r.sites[2].histogram.counts[3] = ~std::uint64_t{0}; }),
              HasSubstr("/sites/histogram: conv3"));
  EXPECT_THAT(refusal([](RunData& r) { r.sites[2].tmax = -5; }), HasSubstr("conv3"));
  EXPECT_THAT(refusal([](RunData& r) {
                r.sites.clear();
                for (auto& e : r.episodes) e.codes.clear();
                for (auto& e : r.evaluations) e.codes.clear();
                for (auto& c : r.top) c.codes.clear();
              }),
              HasSubstr("/sites: expected at least one site"));
}

TEST(RunFile, ValidatorFindsWrongContent) {
  const TemporaryFolder folder;
  const auto violations = [&](auto change) {
    RunData run = example_run();
    change(run);
    write_run(folder / "run.h5", run);
    return validate_run(folder / "run.h5");
  };
  const auto nan = std::nan("");
  EXPECT_THAT(violations([](RunData& r) { r.episodes[9].codes[1].v1 = 0; }),
              Contains(HasSubstr("/episodes/codes: row 9, site conv2: illegal")));
  EXPECT_THAT(violations([](RunData& r) { r.episodes[9].iteration = 7; }),
              Contains(HasSubstr("/episodes/iteration: row 10: 1 after 7")));
  EXPECT_THAT(violations([](RunData& r) { r.episodes[9].reward += 1; }),
              Contains(HasSubstr("/episodes/reward: row 9")));
  EXPECT_THAT(violations([&](RunData& r) { r.updates[2].entropy = nan; }),
              Contains(HasSubstr("/updates/entropy: element 2 is nan")));
  EXPECT_THAT(violations([&](RunData& r) { r.checkpoint.tensors["adam/step"].values[0] = INFINITY; }),
              Contains(HasSubstr("/checkpoint/tensors/adam/step: element 0 is inf")));
  EXPECT_THAT(violations([](RunData& r) { r.updates[2].iteration = 0; }),
              Contains(HasSubstr("/updates/iteration: row 2")));
  EXPECT_THAT(violations([](RunData& r) { r.top[0].episode = 40; }),
              Contains(HasSubstr("/top/episode: row 0: episode 40 of 40")));
  EXPECT_THAT(violations([](RunData& r) { r.top[0].codes[0].v2 = r.top[0].codes[0].t2; }),
              Contains(HasSubstr("/top/codes: row 0")));
  EXPECT_THAT(violations([](RunData& r) { r.top[0].reward = -9; }),
              Contains(HasSubstr("/top: row 0: codes or reward")));
  EXPECT_THAT(violations([](RunData& r) { r.repair = "glue"; }),
              Contains(HasSubstr("/@repair: unknown repair 'glue'")));
  EXPECT_THAT(violations([](RunData& r) { r.repair = "none"; }),
              Contains(HasSubstr("/selected/repair_layer: expected the convolutions behind the sites ()")));
  EXPECT_THAT(violations([](RunData& r) { r.selected.repair.erase(r.selected.repair.begin()); }),
              Contains(HasSubstr("found (conv3,")));
  EXPECT_THAT(violations([](RunData& r) {
                r.selected.repair[1].requantization = {{1.f}, {1}};
              }),
              Contains(HasSubstr("node conv3: expected 384 multipliers")));
  EXPECT_THAT(violations([](RunData& r) { r.selected.repair[1].requantization.multiplier[7] = 0; }),
              Contains(HasSubstr("/selected/repair_multiplier: conv3")));
  EXPECT_THAT(violations([](RunData& r) { r.selected.test_mse_repaired.images = 0; }),
              Contains(HasSubstr("/selected/test_mse_repaired")));
  EXPECT_THAT(violations([](RunData& r) { r.top[2].origin = "luck"; }), Contains(HasSubstr("/top/origin: row 2")));
  EXPECT_THAT(violations([](RunData& r) { r.evaluations[1].validation.both_right = 600; }),
              Contains(HasSubstr("/evaluations: row 1")));
  EXPECT_THAT(violations([](RunData& r) {
                r.finished = false, r.top.clear(), r.finalists = {{{0, 0, 5, 6, 0, 0}, {0}}};
              }),
              Contains(HasSubstr("/finalists: row 0: 6 + 0")));
  EXPECT_THAT(violations([](RunData& r) {
                r.finalists = {{{0, 0, 10000, 1}, std::vector<double>(80)}};
              }),
              Contains(HasSubstr("/finalists: 1 rows in a finished run")));
  EXPECT_THAT(violations([](RunData& r) { r.top[2].record_rewards[7] += 1; }),
              Contains(HasSubstr("/top/validation_record_rewards: row 2: their sum is")));
  EXPECT_THAT(violations([&](RunData& r) { r.top[2].record_rewards[7] = nan; }),
              Contains(HasSubstr("/top/validation_record_rewards: row 2: their sum is nan")));
  EXPECT_THAT(violations([](RunData& r) { r.top[3].record_rewards.push_back(0); }),
              Contains(HasSubstr("/top/validation_record_rewards: row 3: 9 records of 1000 images: expected 8")));
  EXPECT_THAT(violations([](RunData& r) { std::swap(r.top[2], r.top[3]); }),
              Contains(HasSubstr("/top/validation_images: row 3: 10000 after 1000")));
  EXPECT_THAT(violations([](RunData& r) { r.selected.top_index = 3; }),
              Contains(HasSubstr("/selected/top_index: row 3 of /top, which has 3 scored on all images")));
  EXPECT_THAT(violations([](RunData& r) {
                for (Candidate& c : r.top) c.record_rewards.pop_back();
              }),
              Contains(HasSubstr("/top/validation_record_rewards: row 0: 79 records of 10000 images: expected 80")));
  EXPECT_THAT(violations([](RunData& r) {
                r.finished = false, r.top.clear(), r.finalists = {{{0, 0, 5, 1}, {1}}};
              }),
              Contains(HasSubstr("/finalists/record_rewards: row 0: their sum is 1, that of the score")));
  EXPECT_THAT(violations([](RunData& r) { r.finished = false, r.top.clear(), r.sites[1].name = "conv9"; }),
              Contains(HasSubstr("/sites/name: 'conv9'")));
  EXPECT_THAT(violations([](RunData& r) { std::swap(r.sites[0].name, r.sites[1].name); }),
              Contains(HasSubstr("/sites/name")));
  EXPECT_THAT(violations([](RunData& r) { r.sites[1].record_key = "conv2"; }),
              Contains(HasSubstr("/sites/record_key: expected 'block_output.conv2'")));
  EXPECT_THAT(violations([](RunData& r) { r.finished = false, r.top.clear(), r.network.nodes[1].window.height = 17; }),
              Contains(HasSubstr("node conv1.pool: a window of 17 x 2")));
  EXPECT_THAT(violations([](RunData& r) { r.episodes_total = 39; }), Contains(HasSubstr("40 episodes in a run of 39")));
  EXPECT_THAT(violations([](RunData& r) { r.checkpoint.next_iteration = 4; }),
              Contains(HasSubstr("/checkpoint/next_iteration")));
  EXPECT_THAT(error_of([&] { violations([](RunData& r) { r.selected.top_index = 4; }); }),
              HasSubstr("selected row 4 of /top"));
}

/// Edits a run file as a user with h5py could, and returns what the validator says.
std::vector<std::string> after_edit(const std::string& edit) {
  const TemporaryFolder folder;
  write_run(folder / "run.h5", example_run());
  std::string output;
  EXPECT_EQ(run_python("edit_file.py", {(folder / "run.h5").string(), edit}, output), 0) << output;
  return validate_run(folder / "run.h5");
}

TEST(RunFile, ValidatorFindsEdits) {
  EXPECT_THAT(after_edit("del f['episodes/reward']"),
              Contains(HasSubstr("/episodes/reward: missing: expected f64 [N] with N = 40")));
  EXPECT_THAT(after_edit("f['episodes/extra'] = 1"), Contains(HasSubstr("/episodes/extra: unexpected")));
  EXPECT_THAT(after_edit("f.create_group('notes')"), Contains(HasSubstr("/notes: unexpected")));
  EXPECT_THAT(after_edit("f['link'] = h5py.SoftLink('/sites')"), Contains(HasSubstr("/link: unexpected")));
  EXPECT_THAT(after_edit("f.attrs['note'] = 1"), Contains(HasSubstr("/@note: unexpected")));
  EXPECT_THAT(after_edit("f['sites'].attrs['note'] = 1"), Contains(HasSubstr("/sites: unexpected attribute note")));
  EXPECT_THAT(after_edit("f['sites/scale'].attrs['note'] = 1"),
              Contains(HasSubstr("/sites/scale: unexpected attribute note")));
  EXPECT_THAT(after_edit("f['sites/scale'].attrs.modify('units', numpy.bytes_('m'))"),
              Contains(HasSubstr("/sites/scale: expected the attribute units = \"1\"")));
  EXPECT_THAT(after_edit("f['episodes/reward'].resize((39,))"),
              Contains(HasSubstr("/episodes/reward: expected f64 [N] with N = 40, found f64 [39]")));
  EXPECT_THAT(after_edit("x = f['sites/tmax'][()]; del f['sites/tmax']; f['sites/tmax'] = x.astype('i8')"),
              Contains(HasSubstr("/sites/tmax: expected u8, s8, s32")));
  EXPECT_THAT(after_edit("f['episodes/reward'][3] += 1"), Contains(HasSubstr("does not have the digest")));
  EXPECT_THAT(after_edit("f['selected/repair_channels'][1] = 2147483647"),
              Contains(HasSubstr("/selected/repair_channels: row 1: 2147483647 channels")));
  EXPECT_THAT(after_edit("f['episodes/kd'][3] += 1"),
              Contains(HasSubstr("/episodes/kd: element 3 is not what the stored fields make it")));
  EXPECT_THAT(after_edit("f['selected/codes'][3, 1] += 1"), Contains(HasSubstr("/selected/codes: element 13")));
  EXPECT_THAT(after_edit("f['selected/test_accuracy_student_low'][()] += 1"),
              Contains(HasSubstr("/selected/test_accuracy_student_low")));
  EXPECT_THAT(after_edit("f['selected/test_accuracy_drop_low'][()] += 1"),
              Contains(HasSubstr("/selected/test_accuracy_drop_low")));
  EXPECT_THAT(
      after_edit(
          "x = h5py.string_dtype(); del f['sites/kind']; f.create_dataset('sites/kind', data=['conv']*7, dtype=x)"),
      Contains(HasSubstr("/sites/kind: expected u8, s8")));
  EXPECT_THAT(after_edit("f.attrs.modify('status', numpy.bytes_('running'))"),
              Contains(HasSubstr("/selected: unexpected")));
  EXPECT_THAT(after_edit("f['checkpoint/tensors/adam/step'].attrs['x'] = 1"), IsEmpty());
}

/// h5py reads strings as UTF-8, and raises on anything else.
TEST(RunFile, TextOfOtherBytesIsSpelledOut) {
  const TemporaryFolder folder;
  RunData run = example_run();
  run.data = "/images/caf\xe9";
  run.command_line = "triseg search --data /images/caf\xe9 --out \xff";
  run.config = "out = \"\xff\"\n";
  write_run(folder / "run.h5", run);
  EXPECT_THAT(validate_run(folder / "run.h5"), IsEmpty());
  const RunData read = read_run(folder / "run.h5");
  EXPECT_EQ(read.data, "/images/caf\\xe9");
  EXPECT_EQ(read.command_line, "triseg search --data /images/caf\\xe9 --out \\xff");
  std::string output;
  EXPECT_EQ(run_python("analysis/read_run.py", {(folder / "run.h5").string()}, output), 0) << output;
}

TEST(RunFile, ReadsWhatH5pyWroteByTheDocumentation) {
  const TemporaryFolder folder;
  std::string output;
  ASSERT_EQ(run_python("write_run.py", {TRISEG_SOURCE_DIR "/docs/run-file.md", (folder / "run.h5").string()}, output),
            0)
      << output;
  EXPECT_THAT(validate_run(folder / "run.h5"), IsEmpty());
  const RunData run = read_run(folder / "run.h5");
  Network lenet = make_recipe("lenet5").network;
  lenet.default_attention.clear();  // a run file names those of the run
  EXPECT_EQ(run.network, lenet);
  EXPECT_EQ(run.seed, 1ull << 63);
  EXPECT_EQ(run.attention_layers, (std::vector<std::string>{"conv1", "conv2"}));
  ASSERT_EQ(run.sites.size(), 4);
  ASSERT_EQ(run.episodes.size(), 6);
  ASSERT_EQ(run.updates.size(), 3);
  EXPECT_EQ(run.sites[2].record_key, "classifier.fc1.out");
  EXPECT_EQ(run.sites[2].kind, "fc");
  EXPECT_EQ(run.sites[2].histogram.counts[255], 2 * 256 + 255);
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(run.episodes[i].iteration, i / 2);
    EXPECT_EQ(run.episodes[i].score.kd, double(i + 1) / 3);
    for (std::size_t s = 0; s < 4; ++s) {
      const auto t1 = std::uint8_t(1 + i + s);
      EXPECT_EQ(run.episodes[i].codes[s],
                (Codes{t1, std::uint8_t(t1 + 1), std::uint8_t(t1 + 2), std::uint8_t(t1 + 3), 40}));
    }
  }
  EXPECT_EQ(run.updates[1].clip_fraction, 0.25);
  EXPECT_EQ(run.selected.top_index, 1);
  EXPECT_EQ(run.checkpoint.tensors.at("a/b").shape, (std::vector<std::uint64_t>{2, 3}));
  EXPECT_EQ(run.checkpoint.tensors.at("a/b").values[5], 2.5f);
}

TEST(RunFile, DocumentationHoldsTheSchemaTable) {
  std::ifstream stream(TRISEG_SOURCE_DIR "/docs/run-file.md");
  std::stringstream text;
  text << stream.rdbuf();
  EXPECT_TRUE(text.str().find("<!-- schema begin -->\n" + run_schema_markdown() + "<!-- schema end -->\n") !=
              std::string::npos)
      << "paste this between the markers of docs/run-file.md:\n"
      << run_schema_markdown();
}

/// A program of the Python folder that compares runs.
TEST(RunFile, CompareRunsIgnoresOnlyWhatMayDiffer) {
  const TemporaryFolder folder;
  const RunData run = example_run();
  write_run(folder / "a.h5", run);
  const auto compare = [&](auto change, std::string& output) {
    RunData other = run;
    change(other);
    write_run(folder / "b.h5", other);
    return run_python("analysis/compare_runs.py", {(folder / "a.h5").string(), (folder / "b.h5").string()}, output);
  };
  std::string output;
  EXPECT_EQ(compare([](RunData&) {}, output), 0) << output;
  EXPECT_EQ(compare(
                [](RunData& r) {
                  r.ranks = 9;
                  r.engine = "cuda";
                  r.command_line += " x";
                  r.data = "/moved";
                  r.updates[1].update_seconds = 5;
                  r.updates[0].iteration_seconds = 6;
                },
                output),
            0)
      << output;
  EXPECT_EQ(compare([](RunData& r) { r.updates[1].entropy *= 1 + 1e-15; }, output), 1);
  EXPECT_THAT(output, HasSubstr("/updates/entropy"));
  EXPECT_EQ(compare([](RunData& r) { r.seed += 1; }, output), 1);
  EXPECT_THAT(output, HasSubstr("/@seed"));
  EXPECT_EQ(compare([](RunData& r) { r.checkpoint.tensors.erase("adam/step"); }, output), 1);
  EXPECT_THAT(output, HasSubstr("/checkpoint/tensors/adam/step"));
  EXPECT_EQ(compare([](RunData& r) { r.episodes.pop_back(); }, output), 1);
  EXPECT_EQ(compare([](RunData& r) { r.finished = false, r.top.clear(); }, output), 1);
  EXPECT_EQ(run_python("analysis/compare_runs.py", {(folder / "a.h5").string(), (folder / "none.h5").string()}, output),
            2);
}

/// The same digest by the documentation alone.
TEST(RunFile, DigestInPython) {
  const TemporaryFolder folder;
  for (const bool finished : {true, false})
    for (const std::size_t episodes : {0, 40}) {
      write_run(folder / "run.h5", example_run(finished, episodes));
      std::string output;
      EXPECT_EQ(run_python("content_digest.py", {(folder / "run.h5").string()}, output), 0) << output;
      EXPECT_THAT(output, testing::MatchesRegex("[0-9a-f]+\n"));
      EXPECT_EQ(output.size(), 65);
    }
}

TEST(RunFile, ReadRunPrintsASummary) {
  const TemporaryFolder folder;
  std::string output;
  for (const bool finished : {true, false}) {
    write_run(folder / "run.h5", example_run(finished));
    EXPECT_EQ(run_python("analysis/read_run.py", {(folder / "run.h5").string()}, output), 0) << output;
    EXPECT_THAT(output, HasSubstr("AlexNet"));
    EXPECT_THAT(output, HasSubstr("classifier.fc2.out"));
  }
}

}  // namespace
}  // namespace triseg
