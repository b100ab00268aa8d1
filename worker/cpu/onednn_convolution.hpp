// Convolutions as oneDNN computes them, which appears nowhere else.
#pragma once

#include "worker/cpu/convolution.hpp"

#include <cstdint>
#include <memory>
#include <vector>

namespace triseg {

/// Keeps oneDNN, which runs on OpenMP, on the calling thread alone for the time of its life.
class OneThread {
 public:
  OneThread();
  ~OneThread();
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int threads_before_;
};

/// Runs any convolution, fully connected layers as inner products. oneDNN's failures are thrown as Error that names
/// operation and node.
class OneDnnConvolution final : public Convolution {
 public:
  /// CPUs without VNNI add pairs of products in 16 bits, which saturates for large weights. With in_halves the weights
  /// are w = a + b with |a|, |b| <= 64, two products that are always exact, and their sums are added.
  OneDnnConvolution(const QuantizedNetwork& network, std::size_t node, int most_images, bool in_halves);
  ~OneDnnConvolution() override;

  void load(const std::uint8_t* codes) override;
  const std::int32_t* rows(int image, int first, int count) override;

 private:
  class Product;
  struct Parts;

  OneDnnConvolution(int tile, Parts parts, const CodeLayout& output);
  static Parts make_parts(const QuantizedNetwork& network, std::size_t node, int tile, bool in_halves);

  std::unique_ptr<Parts> parts_;
  CodeLayout output_;
  std::vector<std::int32_t> sums_, second_sums_;  // (tile, output_); the latter of the second half
};

}  // namespace triseg
