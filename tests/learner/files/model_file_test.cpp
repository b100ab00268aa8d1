#include "learner/files/model_file.hpp"

#include "core/atomic_file.hpp"
#include "core/error.hpp"
#include "core/sha256.hpp"
#include "network/recipes.hpp"
#include "tests/learner/files/examples.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace triseg {
namespace {

using testing::HasSubstr;

TEST(ModelFile, ReadsBackExactlyWhatWasWritten) {
  const TemporaryFolder folder;
  for (const std::string& name : recipe_names()) {
    for (const Scheme scheme : {Scheme::fbgemm, Scheme::qnnpack}) {
      const QuantizedNetwork model = example_model(name, scheme);
      save_model(folder / "model.h5", model,
                 {"triseg train --model " + name, 0xffffffffffffffffu, 30, 92.75, 92.5, {}, {}, {}});
      const ModelFile read = load_model_file(folder / "model.h5");
      EXPECT_EQ(difference(read.network, model), "") << name;
      EXPECT_EQ(difference(load_model(folder / "model.h5"), model), "") << name;
      EXPECT_EQ(read.provenance.command_line, "triseg train --model " + name);
      EXPECT_EQ(read.provenance.seed, 0xffffffffffffffffu);
      EXPECT_EQ(read.provenance.epochs, 30);
      EXPECT_EQ(read.provenance.float_accuracy, 92.75);
      EXPECT_EQ(read.provenance.int8_test_accuracy, 92.5);
      EXPECT_EQ(read.provenance.creator, "triseg");
      EXPECT_FALSE(read.provenance.creator_version.empty());
      EXPECT_THAT(read.provenance.file_time, testing::MatchesRegex("20..-..-..T..:..:..Z"));
      EXPECT_EQ(read.sha256, sha256_hex(read_file(folder / "model.h5")));
    }
  }
}

TEST(ModelFile, BadModelsAreNotWritten) {
  const TemporaryFolder folder;
  QuantizedNetwork model = example_model();
  model.nodes[2].requantization.multiplier[3] *= 2;
  EXPECT_THAT(error_of([&] { save_model(folder / "model.h5", model, {}); }),
              HasSubstr("conv2: multiplier of channel 3"));
  EXPECT_FALSE(std::filesystem::exists(folder / "model.h5"));
}

/// Edits a model file as a user with h5py could, and returns what load_model says.
std::string after_edit(const std::string& edit) {
  const TemporaryFolder folder;
  save_model(folder / "model.h5", example_model(), {});
  std::string output;
  EXPECT_EQ(run_python("edit_file.py", {(folder / "model.h5").string(), edit}, output), 0) << output;
  const std::string error = error_of([&] { load_model(folder / "model.h5"); });
  if (!error.empty()) {
    EXPECT_EQ(error.find((folder / "model.h5").string() + ": "), 0) << error;
  }
  return error;
}

TEST(ModelFile, EditsAreFound) {
  EXPECT_EQ(after_edit("pass"), "");
  EXPECT_THAT(after_edit("f['nodes/conv1/weights'][0, 0, 0, 0] ^= 1"), HasSubstr("does not have the digest"));
  EXPECT_THAT(after_edit("f.attrs.modify('seed', numpy.uint64(9))"), HasSubstr("does not have the digest"));
  EXPECT_THAT(after_edit("del f['nodes/conv2/bias']"), HasSubstr("/nodes/conv2/bias: expected a dataset of this name"));
  EXPECT_THAT(after_edit("del f['nodes/fc1']"), HasSubstr("/nodes/fc1"));
  EXPECT_THAT(after_edit("del f.attrs['seed']"), HasSubstr("attribute seed: expected an attribute of this name"));
  EXPECT_THAT(after_edit("f['nodes/fc1/bias'].resize((119,))"),
              HasSubstr("/nodes/fc1/bias: expected s32 [120], found s32 [119]"));
  EXPECT_THAT(after_edit("f['network/nodes/channels'][0] = 7"),
              HasSubstr("node conv1.pool: it is said to make 6 x 14 x 14, but makes 7 x 14 x 14"));
  EXPECT_THAT(after_edit("f['network/nodes/pad_top'][0] = 2; f['network/nodes/height'][0] = 30;"
                         "f['network/nodes/height'][1] = 15; f['network/nodes/height'][2] = 11"),
              HasSubstr("does not have the digest"));
  EXPECT_THAT(after_edit("f['network/nodes/groups'][4] = 4"), HasSubstr("/nodes/fc1/weights: expected s8 [120,4,5,5]"));
  EXPECT_THAT(after_edit("f['network/nodes/operation'][1] = b'lstm'"), HasSubstr("unknown operation 'lstm'"));
  EXPECT_THAT(after_edit("f['network/nodes/operation'].resize((4,))"),
              HasSubstr("/network/nodes/operation: expected 7 operations, found 4"));
  EXPECT_THAT(after_edit("f['network/nodes/stride_x'].resize((4,))"),
              HasSubstr("/network/nodes/stride_x: expected s32 [7], found s32 [4]"));
  EXPECT_THAT(after_edit("f['network/nodes/inputs'].resize((4, 1))"),
              HasSubstr("/network/nodes/inputs: expected s32 [7,1], found s32 [4,1]"));
  EXPECT_THAT(after_edit("f['network/nodes/inputs'][3] = 3"),
              HasSubstr("node conv2.pool: its input 3 does not come before it"));
  EXPECT_THAT(after_edit("f['nodes/fc1'].attrs.modify('highest', numpy.int32(99))"),
              HasSubstr("does not have the digest"));
  EXPECT_THAT(after_edit("f['network/nodes/relu'][0] = 7"),
              HasSubstr("/network/nodes/relu: node conv1: expected 0 or 1, found 7"));
  EXPECT_THAT(after_edit("f['network'].attrs.modify('classes', numpy.int32(9))"),
              HasSubstr("makes 10 logits for 9 classes"));
  EXPECT_THAT(after_edit("f.attrs['backend'] = numpy.bytes_('int4')"), HasSubstr("unknown backend 'int4'"));
  EXPECT_THAT(after_edit("f.attrs['format'] = numpy.bytes_('triseg-run')"),
              HasSubstr("expected a model file (format \"triseg-model\")"));
  EXPECT_THAT(after_edit("f.attrs.modify('schema_version', numpy.int32(5))"), HasSubstr("has schema version 5"));
  EXPECT_THAT(after_edit("f.attrs.modify('data_sha256', numpy.bytes_('e' * 64))"),
              HasSubstr("does not have the digest"));
  EXPECT_THAT(after_edit("del f.attrs['format']"), HasSubstr("without the attribute format"));
}

/// Versions 1 and 2 name their network, and version 1 had no data_sha256.
TEST(ModelFile, ReadsTheVersionsBefore) {
  const TemporaryFolder folder;
  QuantizedNetwork model = example_model();
  save_model(folder / "model.h5", model, {});
  std::string output;
  for (const char* version : {"3", "2", "1"}) {
    ASSERT_EQ(
        run_python("rewrite_model.py", {(folder / "model.h5").string(), (folder / "old.h5").string(), version}, output),
        0)
        << output;
    if (std::string_view(version) == "1") model.data_sha256.clear();
    EXPECT_EQ(difference(load_model(folder / "old.h5"), model), "") << version;
  }
  const std::filesystem::path shipped = TRISEG_SOURCE_DIR "/models/lenet5-fashion-mnist.h5";
  EXPECT_EQ(load_model(shipped).network, make_recipe("lenet5").network) << "a file that the version before wrote";
}

/// A network that no recipe knows passes through a file.
TEST(ModelFile, CarriesAnyNetwork) {
  const TemporaryFolder folder;
  QuantizedNetwork model = example_model();
  model.network.name = "mine";
  model.network.display_name = "Mine, all mine";
  model.network.nodes[0].name = "stem";
  model.network.default_attention = {"conv2"};
  save_model(folder / "model.h5", model, {});
  EXPECT_EQ(load_model(folder / "model.h5").network, model.network);
  model.network.default_attention.clear();
  save_model(folder / "model.h5", model, {});
  EXPECT_EQ(difference(load_model(folder / "model.h5"), model), "");
}

/// Every operation and every member passes through a file.
TEST(ModelFile, CarriesGraphs) {
  const TemporaryFolder folder;
  const QuantizedNetwork model = example_graph();
  save_model(folder / "model.h5", model, {});
  EXPECT_EQ(difference(load_model(folder / "model.h5"), model), "");
  std::string output;
  ASSERT_EQ(run_python("rewrite_model.py", {(folder / "model.h5").string(), (folder / "theirs.h5").string()}, output),
            0)
      << output;
  EXPECT_EQ(difference(load_model(folder / "theirs.h5"), model), "");
}

TEST(ModelFile, ForeignFilesAreNamedAsSuch) {
  const TemporaryFolder folder;
  EXPECT_THAT(error_of([&] { load_model(folder / "none.h5"); }), HasSubstr("none.h5: No such file"));
  write_bytes(folder / "model.pt", std::as_bytes(std::span("PK a torch archive")));
  EXPECT_THAT(error_of([&] { load_model(folder / "model.pt"); }), HasSubstr("model.pt: expected a whole HDF5 file"));
}

}  // namespace
}  // namespace triseg
