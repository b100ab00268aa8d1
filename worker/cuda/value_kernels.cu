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

/// What a block looks codes up in.
struct BlockTables {
  std::uint8_t staircase[256];
  std::int32_t a[256], b[256];  // of an addition
};
template <class Operation>
__device__ void load_tables(const Operation&, BlockTables&) {}

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

/// Four codes of four channels each become four channels of four codes each.
__device__ __forceinline__ void transpose(std::uint32_t (&words)[4]) {
  const std::uint32_t low01 = __byte_perm(words[0], words[1], 0x5140), low23 = __byte_perm(words[2], words[3], 0x5140),
                      high01 = __byte_perm(words[0], words[1], 0x7362),
                      high23 = __byte_perm(words[2], words[3], 0x7362);
  words[0] = __byte_perm(low01, low23, 0x5410);
  words[1] = __byte_perm(low01, low23, 0x7632);
  words[2] = __byte_perm(high01, high23, 0x5410);
  words[3] = __byte_perm(high01, high23, 0x7632);
}

/// sum + codes (4, u8) * weights (4, s8)
__device__ __forceinline__ std::int32_t dot(std::uint32_t codes, std::uint32_t weights, std::int32_t sum) {
  asm("dp4a.u32.s32 %0, %1, %2, %0;" : "+r"(sum) : "r"(codes), "r"(weights));
  return sum;
}

__device__ Codes16 codes_of(const Depthwise& op, const Place& at, const OutputShape& s, const Epilogue& e,
                            const BlockTables&) {
  std::int32_t sums[channel_vector] = {};
  const WindowPlace& w = op.window;
  const int y0 = at.y * w.stride_y - w.pad_top, x0 = at.x * w.stride_x - w.pad_left;
  const std::uint8_t* const input = address(op.input, at.instance, 0, 0) + at.channel;
  int dy = 0, dx = 0;
  for (int first = 0; first < w.height * w.width; first += 4) {  // four positions of the window
    std::uint32_t words[4][4] = {};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int y = y0 + dy * w.dilation_y, x = x0 + dx * w.dilation_x;
      if (dy < w.height && y >= 0 && y < op.input.height && x >= 0 && x < op.input.width) {
        const uint4 q = *reinterpret_cast<const uint4*>(input + (y * op.input.width + x) * op.input.padded_channels);
        words[0][i] = q.x;
        words[1][i] = q.y;
        words[2][i] = q.z;
        words[3][i] = q.w;
      }
      if (++dx == w.width) {
        dx = 0;
        ++dy;
      }
    }
    const uint4* const weights =
        reinterpret_cast<const uint4*>(op.weights + first * s.padded_channels + at.channel * 4);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      transpose(words[i]);
      const uint4 of_channels = __ldg(weights + i);
      sums[i * 4] = dot(words[i][0], of_channels.x, sums[i * 4]);
      sums[i * 4 + 1] = dot(words[i][1], of_channels.y, sums[i * 4 + 1]);
      sums[i * 4 + 2] = dot(words[i][2], of_channels.z, sums[i * 4 + 2]);
      sums[i * 4 + 3] = dot(words[i][3], of_channels.w, sums[i * 4 + 3]);
    }
  }
  if (op.sums) {
    const long long position = (static_cast<long long>(at.instance) * s.height + at.y) * s.width + at.x;
    int4* to = reinterpret_cast<int4*>(op.sums + position * s.padded_channels + at.channel);
#pragma unroll
    for (int i = 0; i < 4; ++i) to[i] = {sums[i * 4], sums[i * 4 + 1], sums[i * 4 + 2], sums[i * 4 + 3]};
  }
  if (!e.output) return {};
  return unpack(requantize(sums, s.by_images.quotient(at.instance) * e.requantization_stride + at.channel, e));
}

__device__ Codes16 codes_of(const Maximum& op, const Place& at, const OutputShape&, const Epilogue&,
                            const BlockTables&) {
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

__device__ Codes16 codes_of(const Average& op, const Place& at, const OutputShape&, const Epilogue& e,
                            const BlockTables&) {
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

__device__ void load_tables(const Addition& op, BlockTables& tables) {
  for (int i = threadIdx.x; i < 256; i += blockDim.x) {
    tables.a[i] = op.table_a[i];
    tables.b[i] = op.table_b[i];
  }
}

__device__ Codes16 codes_of(const Addition& op, const Place& at, const OutputShape&, const Epilogue& e,
                            const BlockTables& tables) {
  return unpack(add_codes(pack(load(op.a, at)), pack(load(op.b, at)), tables.a, tables.b, e.lowest, e.highest));
}

__device__ Codes16 codes_of(const Multiplication& op, const Place& at, const OutputShape&, const Epilogue& e,
                            const BlockTables&) {
  const Codes16 a = load(op.a, at), b = load(op.b, at);
  Codes16 codes{};
#pragma unroll
  for (int i = 0; i < channel_vector; ++i)
    codes.set(i, requantize((a[i] - op.a.zero_point) * (b[i] - op.b.zero_point), op.multiplier, e));
  return codes;
}

__device__ Codes16 codes_of(const Concatenation& op, const Place& at, const OutputShape& s, const Epilogue&,
                            const BlockTables&) {
  int k = 0;
  while (at.channel >= op.pieces[k].first_channel + op.pieces[k].input.channels) ++k;
  const int within = at.channel - op.pieces[k].first_channel;
  if (within % channel_vector == 0 && within + channel_vector <= op.pieces[k].input.channels) {
    const std::uint8_t* const map = op.pieces[k].map;
    const uint4 q =
        *reinterpret_cast<const uint4*>(address(op.pieces[k].input, at.instance, at.y, at.x) + within);
    return unpack(map ? map_codes(q, [&](std::uint32_t code) { return std::uint32_t{__ldg(map + code)}; }) : q);
  }
  Codes16 codes{};
#pragma unroll
  for (int i = 0; i < channel_vector; ++i) {
    const int channel = at.channel + i;
    if (channel >= s.channels) break;
    while (channel >= op.pieces[k].first_channel + op.pieces[k].input.channels) ++k;
    const Piece& piece = op.pieces[k];
    const std::uint8_t q = address(piece.input, at.instance, at.y, at.x)[channel - piece.first_channel];
    codes.set(i, piece.map ? __ldg(piece.map + q) : q);
  }
  return codes;
}

/// Blocks of each candidate follow each other.
template <class Operation>
__global__ void run_values(const Operation op, const OutputShape s, const Epilogue e, int blocks_per_candidate) {
  __shared__ BlockTables tables;
  const int candidate = blockIdx.x / blocks_per_candidate, block = blockIdx.x % blocks_per_candidate;
  load_tables(op, tables);
  if (e.tables)
    for (int i = threadIdx.x; i < 256; i += blockDim.x)
      tables.staircase[i] = e.tables[static_cast<long long>(candidate) * e.table_stride + i];
  __syncthreads();
  const int vectors = s.padded_channels / channel_vector;
  const unsigned items = static_cast<unsigned>(s.images) * s.positions() * vectors;  // of a candidate
  for (unsigned i = block * blockDim.x + threadIdx.x; i < items; i += blocks_per_candidate * blockDim.x) {
    const unsigned item = candidate * items + i, position = s.by_vectors.quotient(item);
    const int channel = static_cast<int>(item - position * vectors) * channel_vector;
    const Row row(s, position);
    const uint4 before = pack(codes_of(op, {row.instance, row.y, row.x, channel}, s, e, tables));
    if (!e.output) continue;
    uint4 after = before;
    if (e.tables) after = map_codes(before, [&](std::uint32_t q) { return std::uint32_t{tables.staircase[q]}; });
    after = only_channels(after, s.channels - channel);
    const long long at = static_cast<long long>(position) * s.padded_channels + channel;
    if (e.codes) *reinterpret_cast<uint4*>(e.codes + at) = before;
    if (e.attention) add_attention(after, position, channel, s, e);
    *reinterpret_cast<uint4*>(e.output + at) = after;
  }
}

template <class Operation>
cudaError_t launch_values(const Operation& op, const OutputShape& s, const Epilogue& e, cudaStream_t stream) {
  constexpr int items_per_thread = 4;
  const long long items = static_cast<long long>(s.images) * s.positions() * (s.padded_channels / channel_vector);
  const unsigned blocks = blocks_for((items + items_per_thread - 1) / items_per_thread);
  run_values<<<blocks * (s.instances / s.images), threads, 0, stream>>>(op, s, e, static_cast<int>(blocks));
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
