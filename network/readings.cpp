#include "network/readings.hpp"

#include <algorithm>

namespace triseg {
namespace {

class Readings {
 public:
  Readings(const Network& n, std::span<const std::size_t> stops) : n_(n), stops_(stops) {}

  /// at: where the channels of the value in question begin in `value`, and what lies before it.
  void follow(int value, const Reading& at) {
    for (const std::size_t i : n_.consumers(value)) {
      const Node& node = n_.nodes[i];
      if (node.operation == Operation::convolution) {
        found_.push_back(at);
        found_.back().node = i;
        continue;
      }
      if (std::find(stops_.begin(), stops_.end(), i) != stops_.end()) continue;
      int channels_before = 0;
      for (const int input : node.inputs) {
        Reading next = at;
        if (node.operation == Operation::concatenate) next.channel += channels_before;
        channels_before += n_.shape(input).channels;
        if (input == value && passes(node, input, next)) follow(static_cast<int>(i), next);
      }
    }
  }

  std::vector<Reading> take() {
    std::stable_sort(found_.begin(), found_.end(), [](const Reading& a, const Reading& b) { return a.node < b.node; });
    return std::move(found_);
  }

 private:
  bool passes(const Node& node, int input, Reading& reading) const {
    switch (node.operation) {
      case Operation::maximum:
      case Operation::concatenate: return true;
      case Operation::average:
        reading.direct = false;
        reading.averaged *= double(node.window.height) * node.window.width;
        return true;
      case Operation::add: reading.direct = false; return n_.shape(input) == node.shape;
      default: return false;
    }
  }

  const Network& n_;
  std::span<const std::size_t> stops_;
  std::vector<Reading> found_;
};

}  // namespace

std::vector<Reading> readings(const Network& n, std::size_t value, std::span<const std::size_t> stops) {
  Readings all(n, stops);
  all.follow(static_cast<int>(value), {});
  return all.take();
}

}  // namespace triseg
