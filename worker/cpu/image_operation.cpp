#include "worker/cpu/image_operation.hpp"

#include "worker/cpu/operation_kernels.hpp"
#include "worker/cpu/requantize_kernels.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace triseg {
namespace {

const OperationKernels& kernels() { return operation_kernels().front(); }

PoolPass pool_pass(const CodeLayout& in, const CodeLayout& out, const Window& window) {
  return {in.height, in.width, out.height, out.width, out.lanes, window};
}

ImageOperation make_average(const QuantizedNetwork& network, std::size_t number, const CodeLayout& in,
                            const CodeLayout& out) {
  const Node& node = network.network.nodes[number];
  const QuantizedNode& numbers = network.nodes[number];
  PoolPass pass = pool_pass(in, out, node.window);
  pass.count_padding = node.count_padding;
  pass.zero_point_in = network.input_scale(number).zero_point;
  pass.zero_point = numbers.output.zero_point;
  pass.lowest = numbers.lowest;
  pass.highest = numbers.highest;
  pass.multiplier.push_back(0);
  for (int count = 1; count <= node.window.height * node.window.width; ++count)
    pass.multiplier.push_back(average_multiplier(network, number, count));
  return [pass](auto inputs, std::uint8_t* to) { kernels().average(pass, inputs[0], to); };
}

OperandPass operand_pass(const CodeLayout& operand, const CodeLayout& out) {
  return {operand.height == 1 ? 0 : std::size_t(operand.width) * operand.lanes,
          operand.width == 1 ? 0 : std::size_t(operand.lanes), operand.channels == 1 && out.channels > 1};
}

ImageOperation make_binary(const QuantizedNetwork& network, std::size_t number, const CodeLayout& out) {
  const Node& node = network.network.nodes[number];
  const QuantizedNode& numbers = network.nodes[number];
  const CodeLayout a = layout_of(network.network, node.inputs[0]), b = layout_of(network.network, node.inputs[1]);
  BinaryPass pass{out.height, out.width, out.lanes, operand_pass(a, out), operand_pass(b, out)};
  if (a.size() == out.size() && b.size() == out.size() &&
      a.channels == b.channels)  // nothing is broadcast: one long row
    pass = {1, 1, static_cast<int>(out.size()), {}, {}};
  pass.lowest = numbers.lowest;
  pass.highest = numbers.highest;
  if (node.operation == Operation::add) {
    pass.table_a = add_table(network, number, 0);
    pass.table_b = add_table(network, number, 1);
    find_slopes(pass);
    return [pass](auto inputs, std::uint8_t* to) { kernels().add(pass, inputs[0], inputs[1], to); };
  }
  pass.zero_point_a = network.scale(node.inputs[0]).zero_point;
  pass.zero_point_b = network.scale(node.inputs[1]).zero_point;
  pass.zero_point = numbers.output.zero_point;
  pass.multiplier = multiply_multiplier(network, number);
  return [pass](auto inputs, std::uint8_t* to) { kernels().multiply(pass, inputs[0], inputs[1], to); };
}

/// Without a call where channels come in sixteens, as they mostly do.
inline void copy(std::uint8_t* to, const std::uint8_t* from, int count) {
  if (count % 16 != 0) std::memcpy(to, from, count);
  else
    for (int c = 0; c < count; c += 16) std::memcpy(to + c, from + c, 16);
}

ImageOperation make_concatenate(const QuantizedNetwork& network, std::size_t number, const CodeLayout& out) {
  std::vector<CodeLayout> layouts;
  std::size_t largest = 0;
  for (const int input : network.network.nodes[number].inputs) {
    layouts.push_back(layout_of(network.network, input));
    largest = std::max(largest, layouts.back().size());
  }
  const std::vector<CodeMap>& maps = network.nodes[number].maps;
  return [layouts, out, &maps, mapped = std::vector<std::uint8_t>(maps.empty() ? 0 : largest)](
             auto inputs, std::uint8_t* to) mutable {
    int channel = 0;
    for (std::size_t k = 0; k < layouts.size(); ++k) {
      const CodeLayout& in = layouts[k];
      const std::uint8_t* from = inputs[k];
      if (!maps.empty()) {
        requantize_kernels().front().apply_table(maps[k], from, in.size(), mapped.data());
        from = mapped.data();
      }
      for (int p = 0; p < out.positions(); ++p)
        copy(to + std::size_t(p) * out.lanes + channel, from + std::size_t(p) * in.lanes, in.channels);
      channel += in.channels;
    }
    for (int p = 0; p < out.positions() && out.lanes > out.channels; ++p)
      std::memset(to + std::size_t(p) * out.lanes + out.channels, 0, out.lanes - out.channels);
  };
}

ImageOperation make_constant(const QuantizedNetwork& network, std::size_t number, const CodeLayout& out) {
  std::vector<std::uint8_t> codes(out.size(), 0);
  const std::uint8_t* from = network.nodes[number].codes.data();
  for (int c = 0; c < out.channels; ++c)
    for (int p = 0; p < out.positions(); ++p) codes[std::size_t(p) * out.lanes + c] = *from++;
  return [codes](auto, std::uint8_t* to) { std::memcpy(to, codes.data(), codes.size()); };
}

}  // namespace

CodeLayout layout_of(const Network& network, int value) {
  const Shape& shape = network.shape(value);
  const auto consumers = network.consumers(value);
  const bool narrow = value == image_value && std::all_of(consumers.begin(), consumers.end(), [&](std::size_t i) {
                        return network.nodes[i].operation == Operation::convolution && network.nodes[i].groups == 1;
                      });
  const int multiple = narrow ? 4 : 8;
  return {shape.channels, shape.height, shape.width, (shape.channels + multiple - 1) / multiple * multiple};
}

ImageOperation make_maximum(const CodeLayout& in, const CodeLayout& out, const Window& window) {
  return [pass = pool_pass(in, out, window)](auto inputs, std::uint8_t* to) { kernels().maximum(pass, inputs[0], to); };
}

ImageOperation make_image_operation(const QuantizedNetwork& network, std::size_t number) {
  const Node& node = network.network.nodes[number];
  const CodeLayout out = layout_of(network.network, static_cast<int>(number));
  const CodeLayout in = node.inputs.empty() ? out : layout_of(network.network, node.inputs[0]);
  switch (node.operation) {
    case Operation::convolution: break;
    case Operation::average: return make_average(network, number, in, out);
    case Operation::maximum: return make_maximum(in, out, node.window);
    case Operation::add:
    case Operation::multiply: return make_binary(network, number, out);
    case Operation::concatenate: return make_concatenate(network, number, out);
    case Operation::table:
      return [map = network.nodes[number].maps[0], size = out.size()](auto inputs, std::uint8_t* to) {
        requantize_kernels().front().apply_table(map, inputs[0], size, to);
      };
    case Operation::constant: return make_constant(network, number, out);
  }
  return {};
}

}  // namespace triseg
