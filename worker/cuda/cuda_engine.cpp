#include "worker/cuda/cuda_engine.hpp"

#include "worker/cuda/chain.hpp"
#include "worker/cuda/cuda_kernels.hpp"
#include "worker/cuda/cuda_memory.hpp"
#include "worker/cuda/score_kernels.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>

namespace triseg {
namespace {

int round_up(int value, int multiple) { return (value + multiple - 1) / multiple * multiple; }

/// One convolution on the device, and its pool.
struct DeviceLayer {
  std::size_t node = 0;
  int pool = -1;  // its node; -1: none
  Convolution convolution{};
  OutputShape shape{};
  Epilogue epilogue{};
  DeviceArray<std::int8_t> weights;
  DeviceArray<Tap> taps;
  Requantization own;                    // padded, bias corrected
  std::vector<std::int32_t> correction;  // (channels): -z_in * sum of the channel's weights
  DeviceArray<std::int32_t> device_correction;
  DeviceArray<float> own_multiplier;
  DeviceArray<std::int32_t> own_bias;
  DeviceArray<std::uint8_t> output;
  std::ptrdiff_t attention = -1;  // index of its map
  std::ptrdiff_t site = -1;

  std::size_t output_bytes() const {
    return std::size_t(shape.pooled_side) * shape.pooled_side * shape.padded_channels;
  }
  /// Elements of one image's attention map.
  std::size_t map_size() const {
    return epilogue.attention_per_channel ? shape.channels : std::size_t(shape.side) * shape.side;
  }
};

/// A stream and the graphs captured on it, on one device.
class Stream {
 public:
  Stream() { check_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "creation of a stream"); }
  Stream(const Stream&) = delete;
  ~Stream() {
    forget();
    cudaStreamDestroy(stream_);
  }
  operator cudaStream_t() const { return stream_; }
  void wait() { check_cuda(cudaStreamSynchronize(stream_), "execution"); }

  /// Enqueues what `work` enqueues, recorded at its first call with this key and replayed at the next ones.
  template <class Work>
  void replay(const std::vector<std::size_t>& key, const Work& work) {
    auto found = graphs_.find(key);
    if (found == graphs_.end()) {
      check_cuda(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "begin of a capture");
      cudaGraph_t graph = nullptr;
      try {
        work();
      } catch (...) {
        cudaStreamEndCapture(stream_, &graph);
        if (graph) cudaGraphDestroy(graph);
        throw;
      }
      check_cuda(cudaStreamEndCapture(stream_, &graph), "end of a capture");
      cudaGraphExec_t executable = nullptr;
      const cudaError_t code = cudaGraphInstantiate(&executable, graph, 0);
      cudaGraphDestroy(graph);
      check_cuda(code, "instantiation of a graph");
      found = graphs_.emplace(key, executable).first;
    }
    check_cuda(cudaGraphLaunch(found->second, stream_), "launch of a graph");
  }
  /// Drops all recordings: a buffer they name has moved.
  void forget() {
    for (auto& [key, graph] : graphs_) cudaGraphExecDestroy(graph);
    graphs_.clear();
  }

 private:
  cudaStream_t stream_ = nullptr;
  std::map<std::vector<std::size_t>, cudaGraphExec_t> graphs_;
};

/// What every call uploads per student or gets back, in device memory and its page-locked mirror.
template <class T>
struct Mirrored {
  DeviceArray<T> device;
  PinnedArray<T> host;
  std::size_t size() const { return std::min(host.size(), device.size()); }
  void reserve(std::size_t size) {
    host.reserve(size);
    device.reserve(size);
  }
  void upload(std::size_t count, cudaStream_t stream) {
    check_cuda(cudaMemcpyAsync(device.data(), host.data(), count * sizeof(T), cudaMemcpyHostToDevice, stream),
               "copy to the device");
  }
  void download(std::size_t count, cudaStream_t stream, std::size_t to = 0) {
    check_cuda(cudaMemcpyAsync(host.data() + to, device.data(), count * sizeof(T), cudaMemcpyDeviceToHost, stream),
               "copy from the device");
  }
};

class CudaEngine final : public Engine, public DeviceScoring {
 public:
  CudaEngine(const Problem& problem, int device, std::size_t activation_bytes)
      : problem_(problem),
        model_(problem.model),
        teacher_(teacher(problem)),
        device_((use(device), device)),
        activation_bytes_(activation_bytes) {
    cudaDeviceProp properties{};
    check_cuda(cudaGetDeviceProperties(&properties, device), "query of a device");
    description_ = fmt::format("int8 tensor cores ({}, GPU {})", properties.name, device);
    if (properties.major < 8)
      fail("engine cuda: GPU {} ({}) has compute capability {}.{}, at least 8.0 is needed", device, properties.name,
           properties.major, properties.minor);
    if (const cudaError_t code = find_kernels(); code != cudaSuccess)
      fail("engine cuda: this build has no code for GPU {} ({}): {}; configure with -DCMAKE_CUDA_ARCHITECTURES={}{}",
           device, properties.name, cudaGetErrorString(code), properties.major, properties.minor);
    for (const ChainStep& layer : chain_steps(problem)) layers_.push_back(make_layer(layer));
    for (const DeviceLayer& layer : layers_) {
      bytes_per_image_ += layer.output_bytes();
      if (layer.attention >= 0) maps_per_image_ += layer.map_size();
    }
    bytes_per_image_ += maps_per_image_ * sizeof(std::uint32_t);
    std::vector<MapPlace> places(problem.attention.size());
    for (std::size_t l = 0; l < layers_.size(); ++l)
      if (layers_[l].attention >= 0)
        places[layers_[l].attention] = {static_cast<int>(map_offset(l, 1)), static_cast<int>(layers_[l].map_size())};
    if (!places.empty()) places_ = on_device(std::span<const MapPlace>(places));
  }

  std::string_view name() const override { return "cuda"; }
  std::string description() const override { return description_; }
  DeviceScoring* device_scoring() override { return this; }

  void load_images(std::span<const std::uint8_t> codes, int images) override {
    use(device_);
    stream_.wait();
    DeviceLayer& first = layers_.front();
    const std::size_t positions = std::size_t(images) * first.shape.side * first.shape.side;
    grow(input_, codes.size());
    grow(windows_, positions * first.convolution.inner);
    grow(first_sums_, positions * first.shape.padded_channels);
    std::memcpy(input_.host.data(), codes.data(), codes.size());
    images_ = images;
    stream_.replay({0, std::size_t(images)}, [&] {
      input_.upload(codes.size(), stream_);
      const Node& node = model_.network.nodes[first.node];
      check_cuda(launch_input_windows(
                     {input_.device.data(), windows_.data(), images, model_.network.input.channels,
                      model_.network.input.height, node.window.height, node.window.stride_y, node.window.pad_top,
                      node.shape.height, first.convolution.inner, static_cast<std::uint8_t>(model_.input.zero_point)},
                     stream_),
                 "gathering of the input");
      // The gathered matrix is an image of out_side x out_side with a window a position; its sums are kept, not its
      // codes.
      Convolution product = first.convolution;
      product.input = windows_.data();
      product.sums = first_sums_.data();
      OutputShape plain = shape_for(first, images);
      plain.pool = 1;
      plain.windows = plain.side;
      check_cuda(launch_convolution(product, plain, Epilogue{}, stream_), "first product");
    });
  }

  void forward(std::span<const Student> students, std::span<ForwardResult> results) override {
    use(device_);
    if (images_ == 0) fail("engine cuda: no images are loaded");
    const std::size_t at_once = students_at_once();
    // The results of all parts stay on the host side by side: they are views until the next call.
    stream_.wait();
    const std::size_t instances = students.size() * images_;
    grow(logits_.host, instances * layers_.back().shape.padded_channels);
    grow(attention_.host, instances * maps_per_image_);
    logit_codes_.resize(std::max(logit_codes_.size(), instances * layers_.back().shape.channels));
    for (std::size_t begin = 0; begin < students.size(); begin += at_once) {
      const std::size_t count = std::min(at_once, students.size() - begin);
      run(students.subspan(begin, count), results.subspan(begin, count), begin * images_);
    }
  }

  void score(std::span<const Student> students, std::span<const std::uint16_t> labels, double temperature,
             std::span<Score> scores, const std::function<void()>& meanwhile) override {
    use(device_);
    if (images_ == 0) fail("engine cuda: no images are loaded");
    const std::size_t at_once = std::max<std::size_t>(2, students_at_once()) - 1;  // and the teacher
    const double logit_scale = model_.logits().scale / temperature;
    std::vector<const Student*> part;
    bool first = true;
    while (!students.empty()) {
      const std::size_t count = std::min(at_once, students.size());
      part.assign(1, &teacher_);
      for (const Student& student : students.first(count)) part.push_back(&student);
      prepare(part);
      const std::size_t instances = part.size() * images_;
      grow(labels_, labels.size());
      std::copy(labels.begin(), labels.end(), labels_.host.data());
      grow(factors_, instances * problem_.attention.size());
      grow(terms_, 2 * instances);
      grow(right_, instances);
      grow(sums_, part.size());
      std::vector<std::size_t> key{2, std::size_t(images_), part.size(), std::bit_cast<std::size_t>(temperature)};
      key.insert(key.end(), requantization_mask_.begin(), requantization_mask_.end());
      stream_.replay(key, [&] {
        upload();
        labels_.upload(labels.size(), stream_);
        for (std::size_t l = 0; l < layers_.size(); ++l) enqueue_layer(l, part.size(), nullptr, nullptr);
        check_cuda(launch_scoring({static_cast<int>(part.size()), images_, model_.network.classes,
                                   static_cast<int>(problem_.attention.size()), logit_scale, temperature,
                                   logits_.device.data(), layers_.back().shape.padded_channels,
                                   attention_.device.data(), places_.data(), labels_.device.data(), factors_.data(),
                                   terms_.data(), terms_.data() + instances, right_.data()},
                                  sums_.device.data(), stream_),
                   "scoring");
        sums_.download(part.size(), stream_);
      });
      if (first) meanwhile();
      first = false;
      stream_.wait();
      for (std::size_t i = 0; i < count; ++i) {
        const ScoreSums& sums = sums_.host.data()[1 + i];
        scores[i] = {sums.kd,         sums.attention,    std::uint64_t(images_),
                     sums.both_right, sums.teacher_only, sums.student_only};
      }
      students = students.subspan(count);
      scores = scores.subspan(count);
    }
  }

  void add_moments(const Student& student, std::span<Moments> moments) override {
    use(device_);
    if (images_ == 0) fail("engine cuda: no images are loaded");
    const Student* one = &student;
    prepare(std::span(&one, 1));
    std::size_t largest = 0;
    for (const DeviceLayer& layer : layers_)
      largest =
          std::max(largest, std::size_t(images_) * layer.shape.side * layer.shape.side * layer.shape.padded_channels);
    trace_sums_.device.reserve(largest);
    moments_.reserve(moments.size() * 3);
    check_cuda(cudaMemsetAsync(moments_.device.data(), 0, moments.size() * 3 * sizeof(unsigned long long), stream_),
               "clearing of moments");
    upload();
    std::size_t channels = 0;  // of the layers before
    for (std::size_t l = 0; l < layers_.size(); ++l) {
      const DeviceLayer& layer = layers_[l];
      enqueue_layer(l, 1, nullptr, trace_sums_.device.data());
      check_cuda(launch_moments({l == 0 ? first_sums_.data() : trace_sums_.device.data(),
                                 static_cast<long long>(images_) * layer.shape.side * layer.shape.side,
                                 layer.shape.channels, layer.shape.padded_channels, layer.device_correction.data(),
                                 moments_.device.data() + channels * 3},
                                stream_),
                 "sums of moments");
      channels += layer.shape.channels;
    }
    moments_.download(channels * 3, stream_);
    stream_.wait();
    const unsigned long long* from = moments_.host.data();
    for (const DeviceLayer& layer : layers_)
      for (int c = 0; c < layer.shape.channels; ++c, from += 3, moments = moments.subspan(1))
        moments.front() += {std::uint64_t(images_) * layer.shape.side * layer.shape.side,
                            static_cast<std::int64_t>(from[0]), from[1], from[2]};
  }

  void trace(const Student& student, const TraceSink& sink) override {
    use(device_);
    const Student* one = &student;
    prepare(std::span(&one, 1));
    upload();
    for (std::size_t l = 0; l < layers_.size(); ++l) {
      const DeviceLayer& layer = layers_[l];
      const std::size_t positions = std::size_t(images_) * layer.shape.side * layer.shape.side;
      const std::size_t padded = positions * layer.shape.padded_channels;
      trace_codes_.reserve(padded);
      trace_sums_.reserve(padded);
      enqueue_layer(l, 1, trace_codes_.device.data(), trace_sums_.device.data());
      if (l == 0)
        check_cuda(cudaMemcpyAsync(trace_sums_.device.data(), first_sums_.data(), padded * sizeof(std::int32_t),
                                   cudaMemcpyDeviceToDevice, stream_),
                   "copy of sums");
      trace_codes_.download(padded, stream_);
      trace_sums_.download(padded, stream_);
      stream_.wait();

      const int channels = layer.shape.channels, stride = layer.shape.padded_channels;
      const std::int32_t* bias =
          requantization_mask_[l] ? bias_.host.data() + requantization_offset_[l] : layer.own.bias.data();
      std::vector<std::int32_t> accumulators(positions * channels);
      std::vector<std::uint8_t> codes(positions * channels);
      for (std::size_t p = 0; p < positions; ++p)
        for (int c = 0; c < channels; ++c) {
          accumulators[p * channels + c] = trace_sums_.host.data()[p * stride + c] + bias[c];
          codes[p * channels + c] = trace_codes_.host.data()[p * stride + c];
        }
      sink({layer.node, images_, layer.shape.side * layer.shape.side, channels, accumulators, codes});
      if (layer.pool >= 0) show_pool(l, sink);
    }
  }

 private:
  static void use(int device) { check_cuda(cudaSetDevice(device), fmt::format("selection of GPU {}", device)); }

  /// The codes of one student's images behind the pool of layer l, which has just been enqueued.
  void show_pool(std::size_t l, const TraceSink& sink) {
    const OutputShape& shape = layers_[l].shape;
    const int positions = shape.pooled_side * shape.pooled_side;
    const std::size_t rows = std::size_t(images_) * positions, padded = rows * shape.padded_channels;
    const std::uint8_t* from = l + 1 < layers_.size() ? layers_[l].output.data() : logits_.device.data();
    trace_codes_.reserve(padded);
    check_cuda(cudaMemcpyAsync(trace_codes_.host.data(), from, padded, cudaMemcpyDeviceToHost, stream_),
               "copy from the device");
    stream_.wait();
    std::vector<std::uint8_t> codes;
    for (std::size_t row = 0; row < rows; ++row)
      codes.insert(codes.end(), trace_codes_.host.data() + row * shape.padded_channels,
                   trace_codes_.host.data() + row * shape.padded_channels + shape.channels);
    sink({static_cast<std::size_t>(layers_[l].pool), images_, positions, shape.channels, {}, codes});
  }

  DeviceLayer make_layer(const ChainStep& chain) const {
    const Node& node = model_.network.nodes[chain.node];
    const QuantizedNode& numbers = model_.nodes[chain.node];
    const CodeScale& input_scale = model_.input_scale(chain.node);
    DeviceLayer d;
    d.node = chain.node;
    d.pool = chain.pool;
    d.shape.side = node.shape.height;
    d.shape.pool = chain.pool_side;
    d.shape.windows = (d.shape.side + d.shape.pool - 1) / d.shape.pool;
    d.shape.pooled_side = d.shape.side / d.shape.pool;
    d.shape.channels = node.shape.channels;
    d.shape.padded_channels = round_up(node.shape.channels, channel_vector);

    // Order of the inner dimension: for the first layer as the weights have it, else by position and then channel, as
    // the activations lie. A fully connected layer is a convolution over the whole image before it.
    const bool first = layers_.empty();
    const int side = first ? node.shape.height : model_.network.input_shape(node).height;
    const int kernel = node.window.height, area = first ? 1 : kernel * kernel;
    const int in_channels = model_.network.fan_in(node) / area,
              padded_in = first ? round_up(in_channels, inner_block) : round_up(in_channels, channel_vector);
    d.convolution.side = side;
    d.convolution.channels = padded_in;
    d.convolution.stride = first ? 1 : node.window.stride_y;
    d.convolution.padding = first ? 0 : node.window.pad_top;
    d.convolution.inner = round_up(area * padded_in, inner_block);

    const int inner = d.convolution.inner;
    std::vector<std::int8_t> weights(std::size_t(d.shape.padded_channels + output_block) * inner, 0);
    for (int o = 0; o < node.shape.channels; ++o) {
      std::int32_t sum = 0;
      for (int i = 0; i < in_channels; ++i)
        for (int at = 0; at < area; ++at) {
          const std::int8_t w = numbers.weights[(std::size_t(o) * in_channels + i) * area + at];
          weights[std::size_t(o) * inner + at * padded_in + i] = w;
          sum += w;
        }
      d.correction.push_back(-input_scale.zero_point * sum);
    }
    std::vector<Tap> taps(inner / channel_vector, Tap{0, no_tap, no_tap});
    for (int v = 0; v * channel_vector < area * padded_in; ++v) {
      const int at = v * channel_vector / padded_in, channel = v * channel_vector % padded_in;
      const int dy = at / kernel, dx = at % kernel;
      if (first) taps[v] = {channel, 0, 0};
      else taps[v] = {(dy * side + dx) * padded_in + channel, static_cast<short>(dy), static_cast<short>(dx)};
    }
    d.weights = on_device(std::span<const std::int8_t>(weights));
    d.device_correction = on_device(std::span<const std::int32_t>(d.correction));
    d.taps = on_device(std::span<const Tap>(taps));
    d.convolution.weights = d.weights.data();
    d.convolution.taps = d.taps.data();

    d.own.multiplier.resize(d.shape.padded_channels);
    d.own.bias.resize(d.shape.padded_channels);
    fill(d, numbers.requantization, d.own.multiplier.data(), d.own.bias.data());
    d.own_multiplier = on_device(std::span<const float>(d.own.multiplier));
    d.own_bias = on_device(std::span<const std::int32_t>(d.own.bias));

    d.epilogue.zero_point = numbers.output.zero_point;
    d.epilogue.lowest = numbers.lowest;
    d.epilogue.highest = numbers.highest;
    d.epilogue.attention_per_channel = node.shape.positions() == 1;
    d.attention = problem_.attention_of(chain.node);
    d.site = problem_.site_of(chain.node);
    return d;
  }

  /// A requantization as the device has it: bias corrected for the input's zero point. The rest of the arrays stays 0.
  static void fill(const DeviceLayer& layer, const Requantization& from, float* multiplier, std::int32_t* bias) {
    std::copy(from.multiplier.begin(), from.multiplier.end(), multiplier);
    for (int c = 0; c < layer.shape.channels; ++c) bias[c] = from.bias[c] + layer.correction[c];
  }

  OutputShape shape_for(const DeviceLayer& layer, std::size_t instances) const {
    OutputShape shape = layer.shape;
    shape.images = images_;
    shape.instances = static_cast<int>(instances);
    return shape;
  }

  /// Students whose activations fit into the memory for them, at least 1.
  std::size_t students_at_once() const {
    return std::max<std::size_t>(1, activation_bytes_ / (bytes_per_image_ * images_));
  }

  /// Makes room. What was recorded on the stream names the old memory.
  template <class Array>
  void grow(Array& array, std::size_t size) {
    if (size <= array.size()) return;
    stream_.forget();
    array.reserve(size);
  }

  /// Writes tables and requantizations of the students into the page-locked buffers and sizes all buffers for them.
  void prepare(std::span<const Student* const> students) {
    stream_.wait();
    const std::size_t instances = students.size() * images_, sites = students.front()->tables.size();
    requantization_mask_.assign(layers_.size(), 0);
    requantization_offset_.assign(layers_.size(), 0);
    std::size_t requantizations = 0;
    const std::size_t maps = instances * maps_per_image_;
    for (std::size_t l = 0; l < layers_.size(); ++l) {
      requantization_mask_[l] = std::any_of(students.begin(), students.end(), [&](const Student* s) {
        return s->own_requantization(layers_[l].node) != nullptr;
      });
      requantization_offset_[l] = requantizations;
      if (requantization_mask_[l]) requantizations += students.size() * layers_[l].shape.padded_channels;
    }
    table_bytes_ = students.size() * sites * sizeof(Table);
    requantizations_ = requantizations;
    map_elements_ = maps;
    logit_bytes_ = instances * layers_.back().shape.padded_channels;

    grow(tables_, table_bytes_);
    grow(multiplier_, requantizations);
    grow(bias_, requantizations);
    grow(attention_.device, maps);
    grow(logits_.device, logit_bytes_);
    for (std::size_t l = 0; l + 1 < layers_.size(); ++l) grow(layers_[l].output, instances * layers_[l].output_bytes());

    for (std::size_t s = 0; s < students.size(); ++s) {
      std::memcpy(tables_.host.data() + s * sites * sizeof(Table), students[s]->tables.data(), sites * sizeof(Table));
      for (std::size_t l = 0; l < layers_.size(); ++l) {
        if (!requantization_mask_[l]) continue;
        const std::size_t at = requantization_offset_[l] + s * layers_[l].shape.padded_channels;
        std::fill_n(multiplier_.host.data() + at, layers_[l].shape.padded_channels, 0.0f);
        std::fill_n(bias_.host.data() + at, layers_[l].shape.padded_channels, 0);
        fill(layers_[l], students[s]->requantization_of(model_, layers_[l].node), multiplier_.host.data() + at,
             bias_.host.data() + at);
      }
    }
  }

  void upload() {
    if (table_bytes_ > 0) tables_.upload(table_bytes_, stream_);
    if (requantizations_ > 0) {
      multiplier_.upload(requantizations_, stream_);
      bias_.upload(requantizations_, stream_);
    }
    if (map_elements_ > 0)
      check_cuda(cudaMemsetAsync(attention_.device.data(), 0, map_elements_ * sizeof(std::uint32_t), stream_),
                 "clearing of maps");
  }

  /// codes and sums: where to store them untabled and unfinished, or null.
  void enqueue_layer(std::size_t l, std::size_t students, std::uint8_t* codes, std::int32_t* sums) {
    const DeviceLayer& layer = layers_[l];
    const std::size_t sites = table_bytes_ / sizeof(Table) / students;
    const OutputShape shape = shape_for(layer, students * images_);
    Epilogue epilogue = layer.epilogue;
    const bool replaced = requantization_mask_[l];
    epilogue.multiplier =
        replaced ? multiplier_.device.data() + requantization_offset_[l] : layer.own_multiplier.data();
    epilogue.bias = replaced ? bias_.device.data() + requantization_offset_[l] : layer.own_bias.data();
    epilogue.requantization_stride = replaced ? shape.padded_channels : 0;
    epilogue.tables = layer.site >= 0 ? tables_.device.data() + layer.site * sizeof(Table) : nullptr;
    epilogue.table_stride = static_cast<int>(sites * sizeof(Table));
    epilogue.output = l + 1 < layers_.size() ? layer.output.data() : logits_.device.data();
    epilogue.codes = codes;
    if (layer.attention >= 0) epilogue.attention = attention_.device.data() + map_offset(l, students * images_);
    if (l == 0) {
      check_cuda(launch_epilogue(first_sums_.data(), shape, epilogue, stream_), "first layer");
    } else {
      Convolution product = layer.convolution;
      product.input = layers_[l - 1].output.data();
      product.sums = sums;
      check_cuda(launch_convolution(product, shape, epilogue, stream_), model_.network.nodes[layer.node].name);
    }
  }

  /// Maps lie one after the other in the order of the layers.
  std::size_t map_offset(std::size_t layer, std::size_t instances) const {
    std::size_t offset = 0;
    for (std::size_t l = 0; l < layer; ++l)
      if (layers_[l].attention >= 0) offset += instances * layers_[l].map_size();
    return offset;
  }

  /// before: instances of this call in parts that came earlier.
  void run(std::span<const Student> students, std::span<ForwardResult> results, std::size_t before) {
    std::vector<const Student*> all;
    for (const Student& student : students) all.push_back(&student);
    prepare(all);
    const OutputShape& last = layers_.back().shape;
    const std::size_t logits_before = before * last.padded_channels, maps_before = before * maps_per_image_;
    std::vector<std::size_t> key{1, std::size_t(images_), students.size(), before};
    key.insert(key.end(), requantization_mask_.begin(), requantization_mask_.end());
    stream_.replay(key, [&] {
      upload();
      for (std::size_t l = 0; l < layers_.size(); ++l) enqueue_layer(l, students.size(), nullptr, nullptr);
      logits_.download(logit_bytes_, stream_, logits_before);
      if (map_elements_ > 0) attention_.download(map_elements_, stream_, maps_before);
    });
    stream_.wait();

    for (std::size_t s = 0; s < students.size(); ++s) {
      for (int i = 0; i < images_; ++i)
        std::copy_n(logits_.host.data() + logits_before + (s * images_ + i) * last.padded_channels, last.channels,
                    logit_codes_.begin() + (before + s * images_ + i) * last.channels);
      results[s].logit_codes =
          std::span(logit_codes_).subspan((before + s * images_) * last.channels, std::size_t(images_) * last.channels);
      results[s].attention.resize(problem_.attention.size());
      for (std::size_t l = 0; l < layers_.size(); ++l) {
        if (layers_[l].attention < 0) continue;
        const std::size_t size = images_ * layers_[l].map_size();
        const std::uint32_t* map =
            attention_.host.data() + maps_before + map_offset(l, students.size() * images_) + s * size;
        results[s].attention[layers_[l].attention] = {map, size};
      }
    }
  }

  const Problem& problem_;
  const QuantizedNetwork& model_;
  Student teacher_;
  int device_;
  std::size_t activation_bytes_;
  std::string description_;
  Stream stream_;
  std::vector<DeviceLayer> layers_;
  std::size_t bytes_per_image_ = 0;  // on the device, of one student
  std::size_t maps_per_image_ = 0;   // elements of its attention maps
  int images_ = 0;
  Mirrored<std::uint8_t> input_;
  DeviceArray<std::uint8_t> windows_;
  DeviceArray<std::int32_t> first_sums_;  // (images, positions, padded_channels)

  // What the students of the current call bring along.
  Mirrored<std::uint8_t> tables_;                   // (students, sites, 256)
  std::vector<std::uint8_t> requantization_mask_;   // (layers): whether any student has its own
  std::vector<std::size_t> requantization_offset_;  // (layers): into multiplier_ and bias_
  Mirrored<float> multiplier_;
  Mirrored<std::int32_t> bias_;
  Mirrored<std::uint32_t> attention_;
  Mirrored<std::uint8_t> logits_;
  std::vector<std::uint8_t> logit_codes_;  // without padding
  std::size_t table_bytes_ = 0, requantizations_ = 0, map_elements_ = 0, logit_bytes_ = 0;
  DeviceArray<MapPlace> places_;  // (attention layers)
  Mirrored<std::uint16_t> labels_;
  DeviceArray<double> factors_;      // (attention layers, instances)
  DeviceArray<double> terms_;        // (2, instances): divergences and distances
  DeviceArray<std::uint8_t> right_;  // (instances)
  Mirrored<ScoreSums> sums_;         // (students), of which the first is the teacher
  Mirrored<std::uint8_t> trace_codes_;
  Mirrored<std::int32_t> trace_sums_;
  Mirrored<unsigned long long> moments_;  // (channels of all convolutions, 3)
};

}  // namespace

bool cuda_engine_runs_here() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) return false;
  for (int device = 0; device < count; ++device)
    if (cudaSetDevice(device) == cudaSuccess && find_kernels() == cudaSuccess) return true;
  return false;
}

void start_gpu(int device) {
  if (cudaSetDevice(device) == cudaSuccess) cudaFree(nullptr);
}

std::unique_ptr<Engine> make_cuda_engine(const Problem& problem, int device, std::size_t activation_bytes) {
  int count = 0;
  if (const cudaError_t code = cudaGetDeviceCount(&count); code != cudaSuccess)
    fail("engine cuda: no GPU can be used: {}", cudaGetErrorString(code));
  if (device >= count) fail("engine cuda: there is no GPU {}: {} can be used", device, count);
  if (const auto why = cuda_engine_refusal(problem)) fail("engine cuda: {}", *why);
  return std::make_unique<CudaEngine>(problem, device, activation_bytes);
}

}  // namespace triseg
