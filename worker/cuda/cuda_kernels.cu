#include "worker/cuda/cuda_kernels.hpp"
#include "worker/cuda/epilogue.inc"
#include "worker/cuda/instructions.inc"

#include <algorithm>

namespace triseg {
namespace {

__global__ void run_epilogue(const std::int32_t* sums, const OutputShape s, const Epilogue e) {
  const int vectors = s.padded_channels / channel_vector, in_window = s.pool * s.pool;
  const unsigned items = static_cast<unsigned>(s.instances) * s.windows_y * s.windows_x * vectors;
  for (unsigned item = blockIdx.x * blockDim.x + threadIdx.x; item < items; item += gridDim.x * blockDim.x) {
    const unsigned window = s.by_vectors.quotient(item), first = window * in_window;
    const int channel = static_cast<int>(item - window * vectors) * channel_vector;
    uint4 pooled{0, 0, 0, 0};
    for (int at = 0; at < in_window; ++at) {
      const Row row(s, first + at);
      if (!row.valid(s)) continue;
      const int candidate = s.by_images.quotient(row.instance), image = row.instance - candidate * s.images;
      const long long position = (static_cast<long long>(image) * s.height + row.y) * s.width + row.x;
      const int4* from = reinterpret_cast<const int4*>(sums + position * s.padded_channels + channel);
      std::int32_t acc[channel_vector];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int4 four = __ldg(from + i);
        acc[i * 4] = four.x;
        acc[i * 4 + 1] = four.y;
        acc[i * 4 + 2] = four.z;
        acc[i * 4 + 3] = four.w;
      }
      uint4 q = requantize(acc, candidate * e.requantization_stride + channel, e);
      if (e.codes) *reinterpret_cast<uint4*>(e.codes + row.position(s) * s.padded_channels + channel) = q;
      q = only_channels(look_up(q, candidate, e), s.channels - channel);
      if (e.attention) add_attention(q, row.position(s), channel, s, e);
      pooled = maximum(pooled, q);
    }
    store_pooled(pooled, Row(s, first), channel, s, e);
  }
}

/// A row of a tile: where its window begins in the input, and where it belongs in the output.
struct __align__(16) RowPlace {
  int source;    // vectors from the input's begin; before it where the window hangs over the border
  int y, x;      // of the window's first position
  int position;  // in the output, of all instances; -1: the row is not used

  __device__ RowPlace(const Convolution& c, const OutputShape& s, unsigned number, bool in_tile) {
    const Row row(s, number);
    const bool used = in_tile && row.valid(s);
    position = used ? static_cast<int>(row.position(s)) : -1;
    const int from = c.input_instances == s.instances ? row.instance : row.instance % c.input_instances;
    y = row.y * c.stride_y - c.pad_top;
    x = row.x * c.stride_x - c.pad_left;
    source = ((from * c.height + y) * c.width + x) * (c.channels / channel_vector);
    if (!used) y = -2 * no_tap;
  }
  __device__ int candidate(const OutputShape& s) const { return s.by_candidate.quotient(position); }
};

/// What the blocks of a product share.
struct Tiling {
  Divisor columns;    // tiles of all channels
  int rows, windows;  // that a tile uses: whole pooling windows
};

/// A block computes M rows x N channels, 128 of the inner dimension a step. Blocks is how many share a
/// multiprocessor.
template <int M_, int N_, int Stages_, int Blocks_>
struct Tile {
  static constexpr int M = M_, N = N_, K = 128, Stages = Stages_, Blocks = Blocks_;
  static constexpr int threads = M * 2;
  static constexpr int chunks = K / channel_vector;  // of a row
  static constexpr int stage_bytes = (M + N) * K;
#if TRISEG_WARPGROUPS
  static constexpr int warps_n = 1;         // a warp computes 16 rows x all channels
  static constexpr int ahead = Stages - 2;  // steps that copies run ahead: one step more is still being read
#else
  static constexpr int warps_n = N >= 128 ? 4 : N >= 32 ? 2 : 1;
  static constexpr int ahead = Stages - 1;
#endif
  static constexpr int WM = M / (threads / 32 / warps_n), WN = N / warps_n;  // of a warp
  static constexpr bool cached = false;
  static constexpr int code_stride = N < 32 ? 48 : N + 16;  // a multiple of 16 that spreads rows over the banks
  // Shared memory: the rows' places; then the stages, over which the epilogue lays a tile of codes and behind it the
  // tables of an addition.
  static constexpr int place_bytes = M * sizeof(RowPlace), code_bytes = M * code_stride, table_bytes = 2 * 256 * 4;
  static_assert(place_bytes % 1024 == 0 && stage_bytes % 1024 == 0);
  /// Of a block whose inner dimension has so many steps.
  static int shared_bytes(int steps) {
    return place_bytes + std::max(std::min(Stages, steps) * stage_bytes, code_bytes + table_bytes);
  }

  /// Where 16-byte chunk `chunk` of row `row` lies; rotated so that a chunk of 8 rows lies in 8 different groups of
  /// banks.
  __device__ static int offset(int row, int chunk) { return row * K + ((chunk ^ (row & 7)) << 4); }
};

template <class T>
__global__ void __launch_bounds__(T::threads, T::Blocks)
    convolve(const Convolution c, const OutputShape s, const Epilogue e, const Tiling tiling) {
  constexpr int M = T::M, N = T::N, WM = T::WM, WN = T::WN;
  constexpr int load_rows = T::threads / T::chunks;  // that all threads load at once
  static_assert(M % load_rows == 0 && inner_block == T::K);
  extern __shared__ __align__(1024) std::uint8_t shared[];
  RowPlace* const places = reinterpret_cast<RowPlace*>(shared);
  std::uint8_t* const stages = shared + T::place_bytes;

  const unsigned thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
  const unsigned tile = tiling.columns.quotient(blockIdx.x), row0 = tile * tiling.rows;
  const int n0 = static_cast<int>(blockIdx.x - tile * tiling.columns.value) * N;
  if (thread < M) places[thread] = RowPlace(c, s, row0 + thread, thread < tiling.rows);
  __syncthreads();

  // Each thread loads the same chunk of some rows, for every step of the inner dimension.
  const unsigned chunk = thread % T::chunks, load_row = thread / T::chunks;
  int source[M / load_rows], first_y[M / load_rows], first_x[M / load_rows];
#pragma unroll
  for (int i = 0; i < M / load_rows; ++i) {
    const int4 place = *reinterpret_cast<const int4*>(places + load_row + i * load_rows);
    source[i] = place.x;
    first_y[i] = place.y;
    first_x[i] = place.z;
  }
  const uint4* const input = reinterpret_cast<const uint4*>(c.input);
  const std::int8_t* weights = c.weights + static_cast<long long>(n0 + load_row) * c.inner + chunk * channel_vector;
  const Tap* taps = c.taps + chunk;
  Tap tap = *taps;  // of the next load
  const int steps = static_cast<unsigned>(c.inner) / T::K;
  const auto copy = [&](std::uint8_t* to, int from, int y, int x, const Tap& t) {
    const bool inside = static_cast<unsigned>(y + t.dy) < c.height && static_cast<unsigned>(x + t.dx) < c.width;
    copy_async<T::cached>(to, input + (from + t.offset), inside);
  };
  const auto load = [&](int step) {
    std::uint8_t* a = stages + step % T::Stages * T::stage_bytes;
    std::uint8_t* b = a + M * T::K;
    if (step + 1 == steps && c.last_vectors <= 2) {  // few chunks: each row's are other threads' work
#pragma unroll 1
      for (unsigned item = thread; item < M * c.last_vectors; item += T::threads) {
        const unsigned row = item >> (c.last_vectors - 1), of_row = item & (c.last_vectors - 1);
        const RowPlace place = places[row];
        const Tap last = c.taps[step * T::chunks + of_row];
        copy(a + T::offset(row, of_row), place.source, place.y, place.x, last);
      }
    } else {
      // Where a chunk has no weights, it does not matter what lies there.
#pragma unroll
      for (int i = 0; i < M / load_rows; ++i) {
        if (tap.dy == no_tap) break;
        copy(a + T::offset(load_row + i * load_rows, chunk), source[i], first_y[i], first_x[i], tap);
      }
    }
#pragma unroll
    for (int i = 0; i < (N + load_rows - 1) / load_rows; ++i)
      if (N % load_rows == 0 || load_row + i * load_rows < N)
        copy_async<T::cached>(b + T::offset(load_row + i * load_rows, chunk),
                              weights + i * load_rows * c.inner + step * T::K, true);
    if (step + 1 < steps) tap = taps[(step + 1) * T::chunks];
  };

  std::int32_t acc[WM / 16][WN / 8][4] = {};
  const int warp_m = warp / T::warps_n * WM, warp_n = warp % T::warps_n * WN;
  for (int step = 0; step < T::ahead; ++step) {
    if (step < steps) load(step);
    commit_copies();
  }
  for (int step = 0; step < steps; ++step) {
    wait_for_copies<T::ahead - 1>();
    const std::uint8_t* a = stages + step % T::Stages * T::stage_bytes;
    const std::uint8_t* b = a + M * T::K;
#if TRISEG_WARPGROUPS
    publish_copies();
    wait_for_warpgroup_products<1>();  // those of the step whose stage is overwritten next
    __syncthreads();
    pin(acc[0]);
    begin_warpgroup_products();
    const std::uint64_t da = descriptor(a + warp_m / 64 * 64 * T::K), db = descriptor(b);
#pragma unroll
    for (int k = 0; k < T::K / 32; ++k) warpgroup_multiply<N>(acc[0], da + k * 2, db + k * 2);
    commit_warpgroup_products();
    if (step + T::ahead < steps) load(step + T::ahead);
    commit_copies();
#else
    __syncthreads();
    if (step + T::ahead < steps) load(step + T::ahead);
    commit_copies();
#pragma unroll
    for (int k = 0; k < T::K / 32; ++k) {
      std::uint32_t fa[WM / 16][4], fb[WN / 16][4];
#pragma unroll
      for (int i = 0; i < WM / 16; ++i)
        load_matrices(fa[i], a + T::offset(warp_m + i * 16 + lane % 16, k * 2 + lane / 16));
#pragma unroll
      for (int j = 0; j < WN / 16; ++j)
        load_matrices(fb[j], b + T::offset(warp_n + j * 16 + lane / 16 * 8 + lane % 8, k * 2 + lane / 8 % 2));
#pragma unroll
      for (int i = 0; i < WM / 16; ++i)
#pragma unroll
        for (int j = 0; j < WN / 8; ++j) multiply(acc[i][j], fa[i], fb[j / 2][j % 2 * 2], fb[j / 2][j % 2 * 2 + 1]);
    }
#endif
  }
#if TRISEG_WARPGROUPS
  wait_for_warpgroup_products<0>();
  pin(acc[0]);
#endif
  wait_for_copies<0>();
  __syncthreads();

  // A thread holds rows g and g + 8 of each 16 x 8 product, two channels each.
  const int pair = lane % 4 * 2, row_in_warp = lane / 4;
  const int channels_left = s.padded_channels - n0 - warp_n;  // a multiple of 8, as are those of a product
  if (c.sums) {
#pragma unroll
    for (int i = 0; i < WM / 16; ++i)
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        const RowPlace place = places[warp_m + i * 16 + h * 8 + row_in_warp];
        if (place.position < 0) continue;
        std::int32_t* to = c.sums + static_cast<long long>(place.position) * s.padded_channels + n0 + warp_n + pair;
#pragma unroll
        for (int j = 0; j < WN / 8; ++j)
          if (j * 8 < channels_left) *reinterpret_cast<int2*>(to + j * 8) = {acc[i][j][h * 2], acc[i][j][h * 2 + 1]};
      }
  }
  if (!e.output) return;

  // Accumulators to codes, into shared memory.
  std::uint8_t* const codes = stages;
  std::int32_t* const add_tables = reinterpret_cast<std::int32_t*>(codes + T::code_bytes);
  if (e.addend.codes)
    for (unsigned i = thread; i < 256; i += T::threads) {
      add_tables[i] = e.addend.product_table[i];
      add_tables[256 + i] = e.addend.table[i];
    }
#pragma unroll
  for (int i = 0; i < WM / 16; ++i)
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int in_tile = warp_m + i * 16 + h * 8 + row_in_warp;
      int from = n0 + warp_n + pair;
      if (e.requantization_stride > 0 && places[in_tile].position >= 0)
        from += places[in_tile].candidate(s) * e.requantization_stride;
      const float* multiplier = e.multiplier + from;
      const std::int32_t* bias = e.bias + from;
      std::uint8_t* to = codes + in_tile * T::code_stride + warp_n + pair;
#pragma unroll
      for (int j = 0; j < WN / 8; ++j) {
        if (j * 8 >= channels_left) break;
        const float2 m = __ldg(reinterpret_cast<const float2*>(multiplier + j * 8));
        const int2 b = __ldg(reinterpret_cast<const int2*>(bias + j * 8));
        const std::uint32_t q =
            requantize(acc[i][j][h * 2] + b.x, m.x, e) | requantize(acc[i][j][h * 2 + 1] + b.y, m.y, e) << 8;
        *reinterpret_cast<std::uint16_t*>(to + j * 8) = static_cast<std::uint16_t>(q);
      }
    }
  __syncthreads();

  // Whole vectors of 16 channels of one window: addition, table, attention, pooling, store.
  const int in_window = s.by_window.value;
  for (unsigned item = thread; item < tiling.windows * (N / channel_vector); item += T::threads) {
    const int first = item / (N / channel_vector) * in_window, in_tile_n = item % (N / channel_vector) * channel_vector;
    const int channel = n0 + in_tile_n;
    if (channel >= s.padded_channels || places[first].position < 0) continue;
    uint4 pooled{0, 0, 0, 0};
    for (int in_tile = first; in_tile < first + in_window; ++in_tile) {
      const RowPlace place = places[in_tile];
      if (place.position < 0) continue;
      const int candidate = place.candidate(s);
      uint4 q = *reinterpret_cast<const uint4*>(codes + in_tile * T::code_stride + in_tile_n);
      const long long at = static_cast<long long>(place.position) * s.padded_channels + channel;
      if (e.codes) *reinterpret_cast<uint4*>(e.codes + at) = q;
      if (e.addend.codes) {
        const long long before = static_cast<long long>(candidate) * s.by_candidate.value * s.padded_channels;
        const long long from = e.addend.of_images ? at - before : at;
        const uint4 other = __ldg(reinterpret_cast<const uint4*>(e.addend.codes + from));
        q = add_codes(q, other, add_tables, add_tables + 256, e.addend.lowest, e.addend.highest);
      }
      q = only_channels(look_up(q, candidate, e), s.channels - channel);
      if (e.attention) add_attention(q, place.position, channel, s, e);
      pooled = maximum(pooled, q);
    }
    if (s.pool == 1)
      *reinterpret_cast<uint4*>(e.output + static_cast<long long>(places[first].position) * s.padded_channels +
                                channel) = pooled;
    else store_pooled(pooled, Row(s, row0 + first), channel, s, e);
  }
}

// Chosen by measurement (bench/results/forward-cuda.md).
using Narrowest = Tile<64, 16, 4, 8>;
using Narrow = Tile<64, 32, 4, 8>;
using Medium = Tile<128, 64, 4, 2>;
using Wide = Tile<128, 128, 3, 2>;
using Wider = Tile<128, 192, 4, 1>;

template <class T>
cudaError_t launch_tiles(const Convolution& c, const OutputShape& s, const Epilogue& e, cudaStream_t stream) {
  const auto kernel = convolve<T>;
  const int bytes = T::shared_bytes(c.inner / T::K);
  const cudaError_t code =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, T::shared_bytes(T::Stages));
  if (code != cudaSuccess) return code;
  const unsigned columns = (s.padded_channels + T::N - 1) / T::N;
  const int windows = T::M / (s.pool * s.pool);
  const Tiling tiling{Divisor(columns), windows * s.pool * s.pool, windows};
  const long long all_windows = static_cast<long long>(s.instances) * s.windows_y * s.windows_x;
  const long long tiles = (all_windows + windows - 1) / windows * columns;
  kernel<<<static_cast<unsigned>(tiles), T::threads, bytes, stream>>>(c, s, e, tiling);
  return cudaGetLastError();
}

constexpr int moment_columns = 32, moment_rows = 8;  // of a block: a warp reads 32 channels of a row

__global__ void sum_moments(const MomentSums m) {
  const int channel = static_cast<int>(blockIdx.y) * moment_columns + static_cast<int>(threadIdx.x);
  unsigned long long parts[3] = {0, 0, 0};
  if (channel < m.channels) {
    const std::int32_t offset = m.offset[channel];
    for (long long row = blockIdx.x * static_cast<long long>(moment_rows) + threadIdx.y; row < m.rows;
         row += static_cast<long long>(gridDim.x) * moment_rows) {
      const long long x = m.sums[row * m.padded_channels + channel] + offset;
      const auto square = static_cast<unsigned long long>(x * x);
      parts[0] += static_cast<unsigned long long>(x);
      parts[1] += square & 0xffffffffu;
      parts[2] += square >> 32;
    }
  }
  __shared__ unsigned long long shared[3][moment_rows][moment_columns];
  for (int part = 0; part < 3; ++part) shared[part][threadIdx.y][threadIdx.x] = parts[part];
  __syncthreads();
  if (threadIdx.y >= 3 || channel >= m.channels) return;
  unsigned long long total = 0;
  for (int row = 0; row < moment_rows; ++row) total += shared[threadIdx.y][row][threadIdx.x];
  atomicAdd(m.moments + static_cast<long long>(channel) * 3 + threadIdx.y, total);
}

__global__ void repeat(const std::uint32_t* from, std::uint32_t* to, long long elements) {
  to += blockIdx.x * elements;
  for (long long i = threadIdx.x; i < elements; i += blockDim.x) to[i] = from[i];
}

unsigned blocks_for(long long items, int threads) {
  return static_cast<unsigned>(std::clamp<long long>((items + threads - 1) / threads, 1, 1 << 20));
}

}  // namespace

cudaError_t find_kernels() {
  cudaFuncAttributes attributes;
  const cudaError_t code = cudaFuncGetAttributes(&attributes, convolve<Wide>);
  cudaGetLastError();  // a failure here is an answer, not an error of the next call
  return code;
}

cudaError_t launch_convolution(const Convolution& c, const OutputShape& s, const Epilogue& e, cudaStream_t stream) {
  const bool fits_narrow = s.pool * s.pool <= Narrow::M;
  if (s.padded_channels <= 16 && fits_narrow) return launch_tiles<Narrowest>(c, s, e, stream);
  if (s.padded_channels <= 32 && fits_narrow) return launch_tiles<Narrow>(c, s, e, stream);
  if (s.padded_channels % Wide::N == 0) return launch_tiles<Wide>(c, s, e, stream);
  if (s.padded_channels % Wider::N == 0) {
    int device = 0, shared_limit = 0;  // of a block: less than on data centre cards in others
    cudaError_t code = cudaGetDevice(&device);
    if (code == cudaSuccess)
      code = cudaDeviceGetAttribute(&shared_limit, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
    if (code != cudaSuccess) return code;
    if (Wider::shared_bytes(Wider::Stages) <= shared_limit) return launch_tiles<Wider>(c, s, e, stream);
  }
  return launch_tiles<Medium>(c, s, e, stream);
}

cudaError_t launch_epilogue(const std::int32_t* sums, const OutputShape& s, const Epilogue& e, cudaStream_t stream) {
  const long long items =
      static_cast<long long>(s.instances) * s.windows_y * s.windows_x * (s.padded_channels / channel_vector);
  run_epilogue<<<blocks_for(items, 128), 128, 0, stream>>>(sums, s, e);
  return cudaGetLastError();
}

cudaError_t launch_repetition(const std::uint32_t* from, std::uint32_t* to, long long elements, int candidates,
                              cudaStream_t stream) {
  repeat<<<static_cast<unsigned>(candidates), 512, 0, stream>>>(from, to, elements);
  return cudaGetLastError();
}

cudaError_t launch_moments(const MomentSums& m, cudaStream_t stream) {
  const long long row_blocks = (m.rows + moment_rows - 1) / moment_rows;
  const dim3 blocks(static_cast<unsigned>(std::clamp<long long>(row_blocks, 1, 256)),
                    static_cast<unsigned>((m.channels + moment_columns - 1) / moment_columns));
  sum_moments<<<blocks, dim3(moment_columns, moment_rows), 0, stream>>>(m);
  return cudaGetLastError();
}

}  // namespace triseg
