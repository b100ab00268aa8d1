// The engine contract: exact INT8 forwards of the teacher and of many students over one loaded image batch.
#pragma once

#include "core/codes.hpp"
#include "core/moments.hpp"
#include "core/score.hpp"
#include "network/problem.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace triseg {

/// A candidate: one table per site, in network order, and per convolution optionally its own requantization.
/// The teacher is `teacher(problem)`: identity tables and the model's own requantization.
struct Student {
  std::vector<Table> tables;  // (sites)
  Repair requantization;      // (nodes), or empty: the model's own everywhere

  /// What it requantizes a convolution with.
  const Requantization& requantization_of(const QuantizedNetwork& model, std::size_t node) const {
    const Requantization* const own = own_requantization(node);
    return own ? *own : model.nodes[node].requantization;
  }
  /// The same if it is the student's own, else null.
  const Requantization* own_requantization(std::size_t node) const {
    return requantization.empty() || !requantization[node] ? nullptr : &*requantization[node];
  }
};

Student teacher(const Problem& problem);
/// The student of some codes and its repair. codes: (sites), in network order.
Student student(const Problem& problem, std::span<const Codes> codes, Repair repair = {});

/// What scoring needs of one forward. Integers only; softmax, temperature and norms are not applied here.
/// Views of the engine's memory, valid until its next call.
struct ForwardResult {
  std::span<const std::uint8_t> logit_codes;  // (N, classes): real logit = scale * (code - zero_point)
  /// (attention layers)(N, map_positions()): sum over channels of squared codes, after the staircase.
  std::vector<std::span<const std::uint32_t>> attention;
};

/// Positions of a value's attention map: its own; a value of one position has one channel and a position per channel.
inline int map_positions(const Shape& shape) { return shape.positions() == 1 ? shape.channels : shape.positions(); }

/// The same with memory of its own.
struct OwnedForwardResult {
  std::vector<std::uint8_t> logit_codes;
  std::vector<std::vector<std::uint32_t>> attention;

  OwnedForwardResult() = default;
  explicit OwnedForwardResult(const ForwardResult& result);
  ForwardResult view() const;
  bool operator==(const OwnedForwardResult&) const = default;
};

/// One node as traced, before its staircase.
struct NodeTrace {
  std::size_t node = 0;
  int images = 0;
  int positions = 0;
  int channels = 0;
  std::span<const std::int32_t> accumulators;  // (images, positions, channels), bias included; convolutions only
  std::span<const std::uint8_t> codes;         // (images, positions, channels)
};
/// Called once or more a node, each call covering some of the images, the calls of a node in the order of the images.
using TraceSink = std::function<void(const NodeTrace&)>;

/// Scores on the engine's device, of which only records come back: the same bits as TeacherTarget's
/// (worker/distillation.hpp).
class DeviceScoring {
 public:
  virtual ~DeviceScoring() = default;
  /// The scores of all students against the teacher on the loaded images: one a student. labels: of these images.
  /// meanwhile: called once while the device works.
  virtual void score(std::span<const Student> students, std::span<const std::uint16_t> labels, double temperature,
                     std::span<Score> scores, const std::function<void()>& meanwhile) = 0;
};

/// Executes the network of one problem. Every engine gives the same integers, bit for bit (docs/int8-contract.md).
/// Not thread-safe: a thread needs an engine of its own. All calls block until their results are there.
class Engine {
 public:
  virtual ~Engine() = default;
  virtual std::string_view name() const = 0;
  /// How it executes, for logs: "int8 (AVX512-VNNI)".
  virtual std::string description() const = 0;
  /// What computes scores where the results of forwards are, or null: they are computed from forward()'s results, by
  /// several engines in several threads. One engine that scores by itself keeps its device busy.
  virtual DeviceScoring* device_scoring() { return nullptr; }

  /// Sets the images that the following calls run on, and copies them. codes: (images, channels, height, width)
  /// input codes. A device may still be at it when the call returns.
  virtual void load_images(std::span<const std::uint8_t> codes, int images) = 0;

  /// Forwards of all students over the loaded images. results: one per student.
  virtual void forward(std::span<const Student> students, std::span<ForwardResult> results) = 0;

  /// Adds to `moments` those of a student's accumulators without their bias, the sum of (q - z_in) * w, over the loaded
  /// images and all output positions. moments: (channels of all convolutions, in network order). Costs little more
  /// than a forward.
  virtual void add_moments(const Student& student, std::span<Moments> moments) = 0;

  /// One forward that shows every node to the sink. Slow; for calibration, statistics and tests.
  virtual void trace(const Student& student, const TraceSink& sink) = 0;
};

/// Makes an engine of one problem; called once for every thread that needs one, from several threads.
using EngineFactory = std::function<std::unique_ptr<Engine>()>;

}  // namespace triseg
