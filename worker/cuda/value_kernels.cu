#include "worker/cuda/value_kernels.hpp"

#include "worker/cuda/epilogue.inc"

#include <algorithm>

namespace triseg {
namespace {

constexpr int threads = 128;

unsigned blocks_for(long long items) {
  return static_cast<unsigned>(std::clamp<long long>((items + threads - 1) / threads, 1, 1 << 20));
}

/// Where a thread's 16 channels of one position belong.
struct Place {
  int instance, y, x, channel;
};

/// Sixteen codes in the order of their channels.
struct Codes16 {
  std::uint32_t words[4];
  __device__ std::uint8_t operator[](int i) const { return words[i / 4] >> (8 * (i % 4)) & 255; }
  __device__ void set(int i, std::uint32_t q) { words[i / 4] |= q << (8 * (i % 4)); }
};

__device__ __forceinline__ Codes16 unpack(uint4 q) { return {{q.x, q.y, q.z, q.w}}; }
__device__ __forceinline__ uint4 pack(const Codes16& q) { return {q.words[0], q.words[1], q.words[2], q.words[3]}; }

__device__ __forceinline__ const std::uint8_t* address(const Operand& o, int instance, int y, int x) {
  return o.codes + ((static_cast<long long>(instance % o.instances) * o.height + y) * o.width + x) * o.padded_channels;
}

__device__ __forceinline__ Codes16 load(const Operand& o, const Place& at) {
  const std::uint8_t* from = address(o, at.instance, o.height == 1 ? 0 : at.y, o.width == 1 ? 0 : at.x);
  if (o.channels == 1) {
    const std::uint32_t q = *from * 0x01010101u;
    return {{q, q, q, q}};
  }
  return unpack(*reinterpret_cast<const uint4*>(from + at.channel));
}

/// The part of one side that the window covers inside the input: [first, last) of its taps.
struct Inside {
  int first, last;
  __device__ Inside(int begin, int taps, int dilation, int side) {
    first = begin >= 0 ? 0 : (-begin + dilation - 1) / dilation;
    const int fit = begin >= side ? 0 : (side - 1 - begin) / dilation + 1;
    last = min(taps, fit);
    if (last < first) last = first;
  }
};

__device__ Codes16 codes_of(const Depthwise& op, const Place& at, const OutputShape& s, const Epilogue& e) {
  std::int32_t sums[channel_vector] = {};
  const WindowPlace& w = op.window;
  const int y0 = at.y * w.stride_y - w.pad_top, x0 = at.x * w.stride_x - w.pad_left;
  for (int dy = 0; dy < w.height; ++dy) {
    const int y = y0 + dy * w.dilation_y;
    if (y < 0 || y >= op.input.height) continue;
    for (int dx = 0; dx < w.width; ++dx) {
      const int x = x0 + dx * w.dilation_x;
      if (x < 0 || x >= op.input.width) continue;
      const Codes16 q = unpack(*reinterpret_cast<const uint4*>(address(op.input, at.instance, y, x) + at.channel));
      const Codes16 weights = unpack(
          __ldg(reinterpret_cast<const uint4*>(op.weights + (dy * w.width + dx) * s.padded_channels + at.channel)));
#pragma unroll
      for (int i = 0; i < channel_vector; ++i) sums[i] += q[i] * static_cast<std::int8_t>(weights[i]);
    }
  }
  if (op.sums) {
    const long long position = (static_cast<long long>(at.instance) * s.height + at.y) * s.width + at.x;
    int4* to = reinterpret_cast<int4*>(op.sums + position * s.padded_channels + at.channel);
    for (int i = 0; i < 4; ++i) to[i] = {sums[i * 4], sums[i * 4 + 1], sums[i * 4 + 2], sums[i * 4 + 3]};
  }
  Codes16 codes{};
  if (!e.output) return codes;
  const int from = s.by_images.quotient(at.instance) * e.requantization_stride + at.channel;
#pragma unroll
  for (int i = 0; i < channel_vector; ++i)
    codes.set(i, requantize(sums[i] + __ldg(e.bias + from + i), __ldg(e.multiplier + from + i), e));
  return codes;
}

__device__ Codes16 codes_of(const Maximum& op, const Place& at, const OutputShape&, const Epilogue&) {
  const WindowPlace& w = op.window;
  const int y0 = at.y * w.stride_y - w.pad_top, x0 = at.x * w.stride_x - w.pad_left;
  const Inside rows(y0, w.height, w.dilation_y, op.input.height), columns(x0, w.width, w.dilation_x, op.input.width);
  uint4 q{0, 0, 0, 0};
  for (int dy = rows.first; dy < rows.last; ++dy)
    for (int dx = columns.first; dx < columns.last; ++dx)
      q = maximum(q, *reinterpret_cast<const uint4*>(
                         address(op.input, at.instance, y0 + dy * w.dilation_y, x0 + dx * w.dilation_x) + at.channel));
  return unpack(q);
}

__device__ Codes16 codes_of(const Average& op, const Place& at, const OutputShape&, const Epilogue& e) {
  const WindowPlace& w = op.window;
  const int y0 = at.y * w.stride_y - w.pad_top, x0 = at.x * w.stride_x - w.pad_left;
  const Inside rows(y0, w.height, w.dilation_y, op.input.height), columns(x0, w.width, w.dilation_x, op.input.width);
  std::int32_t sums[channel_vector] = {};
  for (int dy = rows.first; dy < rows.last; ++dy)
    for (int dx = columns.first; dx < columns.last; ++dx) {
      const Codes16 q = unpack(*reinterpret_cast<const uint4*>(
          address(op.input, at.instance, y0 + dy * w.dilation_y, x0 + dx * w.dilation_x) + at.channel));
#pragma unroll
      for (int i = 0; i < channel_vector; ++i) sums[i] += q[i];
    }
  const int inside = (rows.last - rows.first) * (columns.last - columns.first);
  int count = inside;
  if (op.count_padding) {
    const Inside all_rows(at.y * w.stride_y, w.height, w.dilation_y, op.input.height + w.pad_top + w.pad_bottom);
    const Inside all_columns(at.x * w.stride_x, w.width, w.dilation_x, op.input.width + w.pad_left + w.pad_right);
    count = (all_rows.last - all_rows.first) * (all_columns.last - all_columns.first);
  }
  const float multiplier = __ldg(op.multipliers + count);
  Codes16 codes{};
#pragma unroll
  for (int i = 0; i < channel_vector; ++i)
    codes.set(i, requantize(sums[i] - inside * op.input.zero_point, multiplier, e));
  return codes;
}

__device__ Codes16 codes_of(const Addition& op, const Place& at, const OutputShape&, const Epilogue& e) {
  const Codes16 a = load(op.a, at), b = load(op.b, at);
  Codes16 codes{};
#pragma unroll
  for (int i = 0; i < channel_vector; ++i) {
    const std::int32_t sum = __ldg(op.table_a + a[i]) + __ldg(op.table_b + b[i]);
    const std::int32_t whole = sum >> op.fraction_bits, half = 1 << (op.fraction_bits - 1);
    const std::int32_t fraction = sum & (2 * half - 1);
    codes.set(i, min(max(whole + (fraction > half - (whole & 1)), e.lowest), e.highest));  // half to even
  }
  return codes;
}

__device__ Codes16 codes_of(const Multiplication& op, const Place& at, const OutputShape&, const Epilogue& e) {
  const Codes16 a = load(op.a, at), b = load(op.b, at);
  Codes16 codes{};
#pragma unroll
  for (int i = 0; i < channel_vector; ++i)
    codes.set(i, requantize((a[i] - op.a.zero_point) * (b[i] - op.b.zero_point), op.multiplier, e));
  return codes;
}

__device__ Codes16 codes_of(const Concatenation& op, const Place& at, const OutputShape& s, const Epilogue&) {
  Codes16 codes{};
  int k = 0;
  for (int i = 0; i < channel_vector && at.channel + i < s.channels; ++i) {
    const int channel = at.channel + i;
    while (channel >= op.pieces[k].first_channel + op.pieces[k].input.channels) ++k;
    const Piece& piece = op.pieces[k];
    const std::uint8_t q = address(piece.input, at.instance, at.y, at.x)[channel - piece.first_channel];
    codes.set(i, piece.map ? __ldg(piece.map + q) : q);
  }
  return codes;
}

template <class Operation>
__global__ void run_values(const Operation op, const OutputShape s, const Epilogue e) {
  const int vectors = s.padded_channels / channel_vector;
  const unsigned items = static_cast<unsigned>(s.instances) * s.positions() * vectors;
  for (unsigned item = blockIdx.x * blockDim.x + threadIdx.x; item < items; item += gridDim.x * blockDim.x) {
    const unsigned position = s.by_vectors.quotient(item);
    const int channel = static_cast<int>(item - position * vectors) * channel_vector;
    const Row row(s, position);
    const Codes16 before = codes_of(op, {row.instance, row.y, row.x, channel}, s, e);
    if (!e.output) continue;
    Codes16 after{};
    const int candidate = s.by_images.quotient(row.instance);
    for (int i = 0; i < channel_vector && channel + i < s.channels; ++i) after.set(i, look_up(before[i], candidate, e));
    const long long at = row.position(s) * s.padded_channels + channel;
    if (e.codes) *reinterpret_cast<uint4*>(e.codes + at) = pack(before);
    if (e.attention) add_attention(pack(after), row, channel, s, e);
    *reinterpret_cast<uint4*>(e.output + at) = pack(after);
  }
}

template <class Operation>
cudaError_t launch_values(const Operation& op, const OutputShape& s, const Epilogue& e, cudaStream_t stream) {
  const long long items = static_cast<long long>(s.instances) * s.positions() * (s.padded_channels / channel_vector);
  run_values<<<blocks_for(items), threads, 0, stream>>>(op, s, e);
  return cudaGetLastError();
}

__global__ void lay_out(const ImageLayout l) {
  const long long items = static_cast<long long>(l.images) * l.height * l.width * l.padded_channels;
  for (long long item = blockIdx.x * static_cast<long long>(blockDim.x) + threadIdx.x; item < items;
       item += static_cast<long long>(gridDim.x) * blockDim.x) {
    const int channel = static_cast<int>(item % l.padded_channels);
    const long long pixel = item / l.padded_channels, plane = static_cast<long long>(l.height) * l.width;
    const long long from = (pixel / plane * l.channels + channel) * plane + pixel % plane;
    l.to[item] = channel < l.channels ? l.from[from] : 0;
  }
}

__global__ void copy_with_border(const BorderedCopy c) {
  const int vectors = c.from.padded_channels / channel_vector;
  const std::uint32_t z = c.from.zero_point * 0x01010101u;
  const long long items = static_cast<long long>(c.from.instances) * c.height * c.width * vectors;
  for (long long item = blockIdx.x * static_cast<long long>(blockDim.x) + threadIdx.x; item < items;
       item += static_cast<long long>(gridDim.x) * blockDim.x) {
    const int channel = static_cast<int>(item % vectors) * channel_vector;
    const long long position = item / vectors;
    const int x = static_cast<int>(position % c.width) - c.left;
    const int y = static_cast<int>(position / c.width % c.height) - c.top;
    const int instance = static_cast<int>(position / c.width / c.height);
    uint4 q{z, z, z, z};
    if (x >= 0 && x < c.from.width && y >= 0 && y < c.from.height)
      q = *reinterpret_cast<const uint4*>(address(c.from, instance, y, x) + channel);
    *reinterpret_cast<uint4*>(c.to + position * c.from.padded_channels + channel) = q;
  }
}

}  // namespace

cudaError_t launch_image_layout(const ImageLayout& l, cudaStream_t stream) {
  const long long items = static_cast<long long>(l.images) * l.height * l.width * l.padded_channels;
  lay_out<<<blocks_for(items), threads, 0, stream>>>(l);
  return cudaGetLastError();
}

cudaError_t launch_bordered_copy(const BorderedCopy& c, cudaStream_t stream) {
  const long long items =
      static_cast<long long>(c.from.instances) * c.height * c.width * (c.from.padded_channels / channel_vector);
  copy_with_border<<<blocks_for(items), threads, 0, stream>>>(c);
  return cudaGetLastError();
}

cudaError_t launch_depthwise(const Depthwise& op, const OutputShape& s, const Epilogue& e, cudaStream_t stream) {
  return launch_values(op, s, e, stream);
}
cudaError_t launch_maximum(const Maximum& op, const OutputShape& s, const Epilogue& e, cudaStream_t stream) {
  return launch_values(op, s, e, stream);
}
cudaError_t launch_average(const Average& op, const OutputShape& s, const Epilogue& e, cudaStream_t stream) {
  return launch_values(op, s, e, stream);
}
cudaError_t launch_addition(const Addition& op, const OutputShape& s, const Epilogue& e, cudaStream_t stream) {
  return launch_values(op, s, e, stream);
}
cudaError_t launch_multiplication(const Multiplication& op, const OutputShape& s, const Epilogue& e,
                                  cudaStream_t stream) {
  return launch_values(op, s, e, stream);
}
cudaError_t launch_concatenation(const Concatenation& op, const OutputShape& s, const Epilogue& e,
                                 cudaStream_t stream) {
  return launch_values(op, s, e, stream);
}

}  // namespace triseg
