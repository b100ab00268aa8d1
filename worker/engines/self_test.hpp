// What an engine has to pass before its first use.
#pragma once

#include "worker/engine.hpp"

#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

namespace triseg {

/// One image of random codes, through every node and through the whole engine, with staircases, and its score. From the
/// codes in front of a node that the engine shows, the reference computes those behind it: at all positions, or at some
/// where that would take long. Thread-safe.
class SelfTest {
 public:
  /// `problem` must outlive it.
  explicit SelfTest(const Problem& problem);

  /// Throws Error naming engine and node if a result is not the reference's. The first engine is compared with the
  /// reference; others with the first.
  void check(Engine& engine);

 private:
  /// A node of the engine.
  struct Traced {
    std::vector<std::int32_t> accumulators;  // (positions, channels)
    std::vector<std::uint8_t> codes;         // (positions, channels)
    bool operator==(const Traced&) const = default;
  };

  std::vector<Traced> trace(Engine& engine) const;
  /// Behind the staircase, (positions, channels).
  std::vector<std::vector<std::uint8_t>> values_of(const std::vector<Traced>& traced) const;
  /// The name of the first node that differs from the reference.
  std::optional<std::string> first_difference(const std::vector<Traced>& traced) const;
  OwnedForwardResult result_of(const std::vector<Traced>& traced) const;

  const Problem& problem_;
  std::vector<std::uint8_t> image_;  // (channels, height, width)
  Student candidate_;
  std::mutex mutex_;
  std::vector<Traced> right_;  // of the first engine, once it has passed
};

}  // namespace triseg
