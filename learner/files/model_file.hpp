// Quantized networks as HDF5 files: int8 weights, s32 biases, scales, and where they come from. docs/run-file.md has
// the layout.
#pragma once

#include "network/quantized_network.hpp"

#include <cstdint>
#include <filesystem>
#include <string>

namespace triseg {

inline constexpr const char* model_format = "triseg-model";
/// Versions 1 to 3 hold chains of layers, which become nodes (network/chain.hpp). Versions 1 and 2 have no description
/// of the network, which is that of the recipe of its name; version 1 has no data_sha256 either, which is read as an
/// empty one.
inline constexpr int model_schema_version = 4;

/// How a model came to be. The data set is QuantizedNetwork::data.
struct Provenance {
  std::string command_line;
  std::uint64_t seed = 0;
  int epochs = 0;
  double float_accuracy = 0;      ///< of the float network on the test split [percent]
  double int8_test_accuracy = 0;  ///< of the quantized network on the test split [percent]
  // Filled in by save_model; what the caller puts here is not used.
  std::string creator, creator_version;
  std::string file_time;  ///< UTC, "2025-01-31T12:00:00Z"
};

struct ModelFile {
  QuantizedNetwork network;
  Provenance provenance;
  std::string sha256;          ///< of the file's bytes, 64 hexadecimal digits
  std::filesystem::path path;  ///< where it was read
};

/// Writes the model whole (commit_file). Throws Error if check(network) does or the file cannot be written.
void save_model(const std::filesystem::path& path, const QuantizedNetwork& network, const Provenance& provenance);

/// Reads and checks a model: the network is connected, every node's sizes are compared with it, all datasets'
/// checksums and the digest over all fields verified, and check() passed. Anything else throws Error naming the file
/// and what was expected of it.
ModelFile load_model_file(const std::filesystem::path& path);
QuantizedNetwork load_model(const std::filesystem::path& path);

}  // namespace triseg
