#include "worker/cuda/cuda_engine.hpp"

#include "network/quantized_network.hpp"
#include "worker/cuda/cuda_stream.hpp"
#include "worker/cuda/device_step.hpp"
#include "worker/cuda/score_kernels.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

namespace triseg {
namespace {

static_assert(add_fraction == add_fraction_bits);

int round_up(int value, int multiple) { return (value + multiple - 1) / multiple * multiple; }

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
    steps_ = make_device_steps(problem);
    arena_ = place_values(steps_);
    fixed_.resize(steps_.size());
    sums_.resize(steps_.size());
    fixed_maps_.resize(steps_.size());
    pieces_.resize(steps_.size());
    shared_.resize(steps_.size());
    image_channels_ = round_up(model_.network.input.channels, channel_vector);
    std::vector<MapPlace> places(problem.attention.size());
    for (const DeviceStep& step : steps_) {
      border_per_image_ = std::max(border_per_image_, step.border_bytes());
      if (step.attention < 0) continue;
      places[step.attention] = {static_cast<int>(maps_per_image_), static_cast<int>(step.map_size())};
      maps_per_image_ += step.map_size();
    }
    if (!places.empty()) places_ = on_device(std::span<const MapPlace>(places));
    map_places_ = std::move(places);
  }

  std::vector<StepTime> time_steps(std::span<const Student> students, int repetitions) {
    use(device_);
    std::vector<const Student*> all;
    for (const Student& student : students) all.push_back(&student);
    prepare(all);
    std::vector<Event> events(steps_.size() + 1);
    std::vector<std::vector<float>> milliseconds(steps_.size());
    for (int repetition = 0; repetition < repetitions; ++repetition) {
      upload();
      events.front().record(stream_);
      for (std::size_t k = 0; k < steps_.size(); ++k) {
        enqueue(k, students.size());
        events[k + 1].record(stream_);
      }
      stream_.wait();
      for (std::size_t k = 0; k < steps_.size(); ++k) milliseconds[k].push_back(events[k + 1].milliseconds(events[k]));
    }
    std::vector<StepTime> times;
    for (std::size_t k = 0; k < steps_.size(); ++k) {
      if (shared_[k] || together(k)) continue;
      const auto middle = milliseconds[k].begin() + repetitions / 2;
      std::nth_element(milliseconds[k].begin(), middle, milliseconds[k].end());
      times.push_back({name_of(steps_[k]), *middle * 1e-3});
    }
    return times;
  }

  std::string_view name() const override { return "cuda"; }
  std::string description() const override { return description_; }
  DeviceScoring* device_scoring() override { return this; }

  void load_images(std::span<const std::uint8_t> codes, int images) override {
    use(device_);
    stream_.wait();
    const Shape& in = model_.network.input;
    images_ = images;
    grow(input_, codes.size());
    grow(image_, std::size_t(images) * in.positions() * image_channels_);
    grow(border_, images * border_per_image_);
    for (std::size_t k = 0; k < steps_.size(); ++k) {
      const DeviceStep& step = steps_[k];
      if (step.value_fixed && step.operation != Operation::constant) grow(fixed_[k], images * step.output_bytes());
      if (step.value_fixed && step.attention >= 0) grow(fixed_maps_[k], images * step.map_size());
      if (step.keeps_sums()) grow(sums_[k], std::size_t(images) * step.shape.positions() * step.shape.padded_channels);
    }
    std::memcpy(input_.host.data(), codes.data(), codes.size());
    for (std::size_t k = 0; k < steps_.size(); ++k) shared_[k] = steps_[k].value_fixed;
    prepare_pieces(images);
    stream_.replay({0, std::size_t(images)}, [&] {
      input_.upload(codes.size(), stream_);
      check_cuda(launch_image_layout(
                     {input_.device.data(), image_.data(), images, in.channels, image_channels_, in.height, in.width},
                     stream_),
                 "layout of the images");
      for (std::size_t k = 0; k < steps_.size(); ++k)
        if (steps_[k].value_fixed || steps_[k].keeps_sums()) enqueue_fixed(k);
    });
  }

  void forward(std::span<const Student> students, std::span<ForwardResult> results) override {
    use(device_);
    if (images_ == 0) fail("engine cuda: no images are loaded");
    const std::size_t at_once = students_at_once();
    // The results of all parts stay on the host side by side: they are views until the next call.
    stream_.wait();
    const std::size_t instances = students.size() * images_;
    grow(logits_.host, instances * logits().padded_channels);
    grow(attention_.host, instances * maps_per_image_);
    logit_codes_.resize(std::max(logit_codes_.size(), instances * logits().channels));
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
      grow(score_sums_, part.size());
      std::vector<std::size_t> key{2, std::size_t(images_), part.size(), std::bit_cast<std::size_t>(temperature)};
      key.insert(key.end(), own_requantization_.begin(), own_requantization_.end());
      stream_.replay(key, [&] {
        upload();
        labels_.upload(labels.size(), stream_);
        enqueue(part.size());
        check_cuda(launch_scoring(
                       {static_cast<int>(part.size()), images_, model_.network.classes,
                        static_cast<int>(problem_.attention.size()), logit_scale, temperature, logits_.device.data(),
                        logits().padded_channels, attention_.device.data(), places_.data(), labels_.device.data(),
                        factors_.data(), terms_.data(), terms_.data() + instances, right_.data()},
                       score_sums_.device.data(), stream_),
                   "scoring");
        score_sums_.download(part.size(), stream_);
      });
      if (first) meanwhile();
      first = false;
      stream_.wait();
      for (std::size_t i = 0; i < count; ++i) {
        const ScoreSums& sums = score_sums_.host.data()[1 + i];
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
    prepare(std::span(&one, 1), false);
    std::size_t largest = 0;
    for (const DeviceStep& step : steps_) largest = std::max(largest, elements(step));
    trace_sums_.device.reserve(largest);
    moments_.reserve(moments.size() * 3);
    check_cuda(cudaMemsetAsync(moments_.device.data(), 0, moments.size() * 3 * sizeof(unsigned long long), stream_),
               "clearing of moments");
    upload();
    std::size_t channels = 0;  // of the convolutions before
    for (std::size_t k = 0; k < steps_.size(); ++k) {
      const DeviceStep& step = steps_[k];
      enqueue_step(k, 1, nullptr, trace_sums_.device.data());
      if (step.operation != Operation::convolution) continue;
      check_cuda(launch_moments({trace_sums_.device.data(), static_cast<long long>(images_) * step.shape.positions(),
                                 step.shape.channels, step.shape.padded_channels, step.device_correction.data(),
                                 moments_.device.data() + channels * 3},
                                stream_),
                 "sums of moments");
      channels += step.shape.channels;
    }
    moments_.download(channels * 3, stream_);
    stream_.wait();
    const unsigned long long* from = moments_.host.data();
    for (const DeviceStep& step : steps_) {
      if (step.operation != Operation::convolution) continue;
      for (int c = 0; c < step.shape.channels; ++c, from += 3, moments = moments.subspan(1))
        moments.front() +=
            {std::uint64_t(images_) * step.shape.positions(), static_cast<std::int64_t>(from[0]), from[1], from[2]};
    }
  }

  void trace(const Student& student, const TraceSink& sink) override {
    use(device_);
    const Student* one = &student;
    prepare(std::span(&one, 1), false);
    upload();
    std::vector<Traced> nodes(model_.network.nodes.size());
    for (std::size_t k = 0; k < steps_.size(); ++k) {
      trace_step(k, nodes[steps_[k].node]);
      if (steps_[k].pool >= 0) trace_pool(k, nodes[steps_[k].pool]);
    }
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      const Shape& shape = model_.network.nodes[i].shape;
      sink({i, images_, shape.positions(), shape.channels, nodes[i].accumulators, nodes[i].codes});
    }
  }

 private:
  struct Traced {
    std::vector<std::int32_t> accumulators;  // (images, positions, channels), or empty
    std::vector<std::uint8_t> codes;         // likewise
  };

  static void use(int device) { check_cuda(cudaSetDevice(device), fmt::format("selection of GPU {}", device)); }

  const OutputShape& logits() const { return steps_.back().shape; }
  /// Of all loaded images, before pooling, with padding.
  std::size_t elements(const DeviceStep& step) const {
    return std::size_t(images_) * step.shape.positions() * step.shape.padded_channels;
  }

  void trace_step(std::size_t k, Traced& traced) {
    const DeviceStep& step = steps_[k];
    const std::size_t padded = elements(step), rows = std::size_t(images_) * step.shape.positions();
    if (step.operation == Operation::constant) {
      for (int image = 0; image < images_; ++image)
        for (int at = 0; at < step.shape.positions(); ++at)
          for (int c = 0; c < step.shape.channels; ++c)
            traced.codes.push_back(model_.nodes[step.node].codes[std::size_t(c) * step.shape.positions() + at]);
      return;
    }
    const bool sums = step.operation == Operation::convolution;
    trace_codes_.reserve(padded);
    trace_sums_.reserve(padded);
    enqueue_step(k, 1, trace_codes_.device.data(), sums ? trace_sums_.device.data() : nullptr);
    trace_codes_.download(padded, stream_);
    if (sums) trace_sums_.download(padded, stream_);
    stream_.wait();
    const int channels = step.shape.channels, stride = step.shape.padded_channels;
    const std::int32_t* bias =
        own_requantization_[k] ? bias_.host.data() + requantization_offset_[k] : step.own.bias.data();
    for (std::size_t row = 0; row < rows; ++row)
      for (int c = 0; c < channels; ++c) {
        if (sums) traced.accumulators.push_back(trace_sums_.host.data()[row * stride + c] + bias[c]);
        traced.codes.push_back(trace_codes_.host.data()[row * stride + c]);
      }
  }

  /// The codes behind the pool of step k, which has just been enqueued.
  void trace_pool(std::size_t k, Traced& traced) {
    const DeviceStep& step = steps_[k];
    const std::size_t padded = images_ * step.output_bytes(), stride = step.shape.padded_channels;
    trace_codes_.reserve(padded);
    check_cuda(cudaMemcpyAsync(trace_codes_.host.data(), value_of(k, images_), padded, cudaMemcpyDeviceToHost, stream_),
               "copy from the device");
    stream_.wait();
    for (std::size_t row = 0; row < padded / stride; ++row)
      traced.codes.insert(traced.codes.end(), trace_codes_.host.data() + row * stride,
                          trace_codes_.host.data() + row * stride + step.shape.channels);
  }

  OutputShape shape_for(const DeviceStep& step, std::size_t instances) const {
    OutputShape shape = step.shape;
    shape.images = images_;
    shape.by_images = Divisor(images_);
    shape.by_candidate = Divisor(images_ * shape.positions());
    shape.instances = static_cast<int>(instances);
    return shape;
  }

  /// Students whose activations fit into the memory for them, at least 1.
  std::size_t students_at_once() const {
    const std::size_t bytes = arena_.size + border_per_image_ + maps_per_image_ * sizeof(std::uint32_t);
    return std::max<std::size_t>(1, activation_bytes_ / (bytes * images_));
  }

  /// Makes room. What was recorded on the stream names the old memory.
  template <class Array>
  void grow(Array& array, std::size_t size) {
    if (size <= array.size()) return;
    stream_.forget();
    array.reserve(size);
  }

  /// Writes tables and requantizations of the students into the page-locked buffers and sizes all buffers for them.
  /// share: whether what no student has a say in is taken as load_images() made it.
  void prepare(std::span<const Student* const> students, bool share = true) {
    stream_.wait();
    const std::size_t instances = students.size() * images_, sites = students.front()->tables.size();
    own_requantization_.assign(steps_.size(), 0);
    requantization_offset_.assign(steps_.size(), 0);
    std::size_t requantizations = 0;
    for (std::size_t k = 0; k < steps_.size(); ++k) {
      const DeviceStep& step = steps_[k];
      own_requantization_[k] = std::any_of(students.begin(), students.end(), [&](const Student* s) {
        return s->own_requantization(step.node) != nullptr;
      });
      requantization_offset_[k] = requantizations;
      if (own_requantization_[k]) requantizations += students.size() * step.shape.padded_channels;
      shared_[k] = step.operation == Operation::constant ||
                   (share && step.value_fixed && !own_requantization_[k] && inputs_shared(step));
    }
    share_ = share;
    table_bytes_ = students.size() * sites * sizeof(Table);
    requantizations_ = requantizations;
    map_elements_ = instances * maps_per_image_;
    logit_bytes_ = instances * logits().padded_channels;

    grow(tables_, table_bytes_);
    grow(multiplier_, requantizations);
    grow(bias_, requantizations);
    grow(attention_.device, map_elements_);
    grow(logits_.device, logit_bytes_);
    grow(values_, instances * arena_.size);
    grow(border_, instances * border_per_image_);
    prepare_pieces(instances);

    for (std::size_t s = 0; s < students.size(); ++s) {
      std::memcpy(tables_.host.data() + s * sites * sizeof(Table), students[s]->tables.data(), sites * sizeof(Table));
      for (std::size_t k = 0; k < steps_.size(); ++k) {
        if (!own_requantization_[k]) continue;
        const std::size_t padded = steps_[k].shape.padded_channels;
        const std::size_t at = requantization_offset_[k] + s * padded;
        std::fill_n(multiplier_.host.data() + at, padded, 0.0f);
        std::fill_n(bias_.host.data() + at, padded, 0);
        fill_requantization(steps_[k], students[s]->requantization_of(model_, steps_[k].node),
                            multiplier_.host.data() + at, bias_.host.data() + at);
      }
    }
  }

  bool inputs_shared(const DeviceStep& step) const {
    return std::all_of(step.inputs.begin(), step.inputs.end(),
                       [&](int input) { return input == image_step || shared_[input]; });
  }

  /// What concatenations and tables read, which stays in device memory between calls of the same size.
  void prepare_pieces(std::size_t instances) {
    for (std::size_t k = 0; k < steps_.size(); ++k) {
      const DeviceStep& step = steps_[k];
      if (step.operation != Operation::concatenate && step.operation != Operation::table) continue;
      const std::size_t count = step.inputs.size();
      grow(pieces_[k], count);
      int first = 0;
      for (std::size_t i = 0; i < count; ++i) {
        const std::uint8_t* map = step.maps.size() == 0 ? nullptr : step.maps.data() + i * sizeof(CodeMap);
        const Operand operand = operand_of(step.inputs[i], instances);
        pieces_[k].host.data()[i] = {operand, first, map};
        first += operand.channels;
      }
    }
  }

  void upload() {
    if (table_bytes_ > 0) tables_.upload(table_bytes_, stream_);
    if (requantizations_ > 0) {
      multiplier_.upload(requantizations_, stream_);
      bias_.upload(requantizations_, stream_);
    }
    for (std::size_t k = 0; k < steps_.size(); ++k)
      if (pieces_[k].size() > 0 && !shared_[k]) pieces_[k].upload(steps_[k].inputs.size(), stream_);
    if (map_elements_ > 0)
      check_cuda(cudaMemsetAsync(attention_.device.data(), 0, map_elements_ * sizeof(std::uint32_t), stream_),
                 "clearing of maps");
  }

  /// Where the value of step k lies for so many instances: one of all students, or of the images alone.
  std::uint8_t* value_of(std::size_t k, std::size_t instances) const {
    if (steps_[k].operation == Operation::constant) return steps_[k].constant.data();
    if (shared_[k]) return fixed_[k].data();
    if (k + 1 == steps_.size()) return logits_.device.data();
    return values_.data() + arena_.offsets[k] * instances;
  }

  Operand operand_of(int input, std::size_t instances) const {
    if (input == image_step) {
      const Shape& in = model_.network.input;
      return {image_.data(), in.height, in.width, in.channels, image_channels_, images_, model_.input.zero_point};
    }
    const DeviceStep& step = steps_[input];
    const OutputShape& s = step.shape;
    const std::size_t own = step.operation == Operation::constant ? 1 : shared_[input] ? images_ : instances;
    return {value_of(input, instances),
            s.pooled_height,
            s.pooled_width,
            s.channels,
            s.padded_channels,
            static_cast<int>(own),
            model_.nodes[step.node].output.zero_point};
  }

  /// What lies before the results of so many students.
  void enqueue(std::size_t students) {
    for (std::size_t k = 0; k < steps_.size(); ++k) enqueue(k, students);
  }

  /// Step k if it differs between students, else its attention; additions with the products before them.
  void enqueue(std::size_t k, std::size_t students) {
    const DeviceStep& step = steps_[k];
    if (shared_[k]) {
      if (step.attention < 0 || step.operation == Operation::constant) return;
      const std::size_t elements = images_ * step.map_size();
      std::uint32_t* const to = attention_.device.data() + map_offset(step.attention, students * images_);
      check_cuda(launch_repetition(fixed_maps_[k].data(), to, static_cast<long long>(elements),
                                   static_cast<int>(students), stream_),
                 name_of(step));
    } else if (step.addition >= 0) {
      enqueue_with_addition(k, students);
    } else if (!together(k)) {
      enqueue_step(k, students, nullptr, nullptr);
    }
  }

  /// Whether step k runs with the product before it.
  bool together(std::size_t k) const { return steps_[k].product >= 0; }

  void enqueue_with_addition(std::size_t k, std::size_t students) {
    const DeviceStep &step = steps_[k], &addition = steps_[step.addition];
    const std::size_t instances = students * images_;
    const std::size_t first = addition.inputs[0] == static_cast<int>(k);  // whether the product is the first operand
    const Operand other = operand_of(addition.inputs[first], instances);
    const std::int32_t *table_a = addition.tables.data(), *table_b = table_a + sizeof(CodeMap);
    Epilogue epilogue = epilogue_of(k, students);
    const Epilogue of_sum = epilogue_of(step.addition, students);
    epilogue.addend = {other.codes,
                       other.instances != static_cast<int>(instances),
                       first ? table_a : table_b,
                       first ? table_b : table_a,
                       of_sum.lowest,
                       of_sum.highest};
    epilogue.tables = of_sum.tables;
    epilogue.output = of_sum.output;
    epilogue.attention = of_sum.attention;
    epilogue.attention_per_channel = of_sum.attention_per_channel;
    launch(k, shape_for(step, instances), epilogue, nullptr, instances);
  }

  /// A step for all students. codes and sums: where to store them untabled and unfinished, or null.
  void enqueue_step(std::size_t k, std::size_t students, std::uint8_t* codes, std::int32_t* sums) {
    const DeviceStep& step = steps_[k];
    if (step.operation == Operation::constant) return;
    const std::size_t instances = students * images_;
    const OutputShape shape = shape_for(step, instances);
    Epilogue epilogue = epilogue_of(k, students);
    epilogue.codes = codes;
    if (share_ && step.keeps_sums() && inputs_shared(step))
      check_cuda(launch_epilogue(sums_[k].data(), shape, epilogue, stream_), name_of(step));
    else launch(k, shape, epilogue, sums, instances);
  }

  /// How step k ends for all students.
  Epilogue epilogue_of(std::size_t k, std::size_t students) const {
    const DeviceStep& step = steps_[k];
    const std::size_t sites = table_bytes_ / sizeof(Table) / students, instances = students * images_;
    Epilogue epilogue = own_epilogue(step);
    if (own_requantization_[k]) {
      epilogue.multiplier = multiplier_.device.data() + requantization_offset_[k];
      epilogue.bias = bias_.device.data() + requantization_offset_[k];
      epilogue.requantization_stride = step.shape.padded_channels;
    }
    epilogue.tables = step.site >= 0 ? tables_.device.data() + step.site * sizeof(Table) : nullptr;
    epilogue.table_stride = static_cast<int>(sites * sizeof(Table));
    epilogue.output = value_of(k, instances);
    if (step.attention >= 0) epilogue.attention = attention_.device.data() + map_offset(step.attention, instances);
    return epilogue;
  }

  /// A step that no student has a say in, for the loaded images: its value, or its sums if students have one in what
  /// becomes of them.
  void enqueue_fixed(std::size_t k) {
    const DeviceStep& step = steps_[k];
    if (step.operation == Operation::constant) return;
    if (pieces_[k].size() > 0) pieces_[k].upload(step.inputs.size(), stream_);
    Epilogue epilogue{};
    if (step.value_fixed) {
      epilogue = own_epilogue(step);
      epilogue.output = fixed_[k].data();
      epilogue.attention = fixed_maps_[k].data();
    }
    if (epilogue.attention)
      check_cuda(cudaMemsetAsync(epilogue.attention, 0, images_ * step.map_size() * sizeof(std::uint32_t), stream_),
                 "clearing of maps");
    launch(k, shape_for(step, images_), epilogue, step.value_fixed ? nullptr : sums_[k].data(), images_);
  }

  Epilogue own_epilogue(const DeviceStep& step) const {
    Epilogue epilogue = step.epilogue;
    epilogue.multiplier = step.own_multiplier.data();
    epilogue.bias = step.own_bias.data();
    return epilogue;
  }

  const std::string& name_of(const DeviceStep& step) const { return model_.network.nodes[step.node].name; }

  void launch(std::size_t k, const OutputShape& shape, const Epilogue& epilogue, std::int32_t* sums,
              std::size_t instances) {
    const DeviceStep& step = steps_[k];
    const auto input = [&](std::size_t i) { return operand_of(step.inputs[i], instances); };
    cudaError_t code = cudaSuccess;
    switch (step.operation) {
      case Operation::convolution: return launch_product(step, input(0), shape, epilogue, sums);
      case Operation::average:
        code = launch_average({input(0), step.window, step.count_padding, step.multipliers.data()}, shape, epilogue,
                              stream_);
        break;
      case Operation::maximum: code = launch_maximum({input(0), step.window}, shape, epilogue, stream_); break;
      case Operation::add:
        code = launch_addition({input(0), input(1), step.tables.data(), step.tables.data() + sizeof(CodeMap)}, shape,
                               epilogue, stream_);
        break;
      case Operation::multiply:
        code = launch_multiplication({input(0), input(1), step.multiplier}, shape, epilogue, stream_);
        break;
      case Operation::concatenate:
      case Operation::table:
        code = launch_concatenation({pieces_[k].device.data(), static_cast<int>(step.inputs.size())}, shape, epilogue,
                                    stream_);
        break;
      case Operation::constant: break;
    }
    check_cuda(code, name_of(step));
  }

  void launch_product(const DeviceStep& step, Operand input, const OutputShape& shape, const Epilogue& epilogue,
                      std::int32_t* sums) {
    if (step.bordered) {
      BorderedCopy copy = step.border;
      copy.from = input;
      copy.to = border_.data();
      check_cuda(launch_bordered_copy(copy, stream_), name_of(step));
      input.codes = copy.to;
      input.height = copy.height;
      input.width = copy.width;
    }
    if (step.depthwise) {
      const Depthwise depthwise{input, step.window, step.weights.data(), sums};
      return check_cuda(launch_depthwise(depthwise, shape, epilogue, stream_), name_of(step));
    }
    Convolution product = step.convolution;
    product.input = input.codes;
    product.input_instances = input.instances;
    product.sums = sums;
    check_cuda(launch_convolution(product, shape, epilogue, stream_), name_of(step));
  }

  /// Maps of an attention layer lie behind those of all instances of the layers before.
  std::size_t map_offset(int attention, std::size_t instances) const {
    return map_places_[attention].before * instances;
  }

  /// before: instances of this call in parts that came earlier.
  void run(std::span<const Student> students, std::span<ForwardResult> results, std::size_t before) {
    std::vector<const Student*> all;
    for (const Student& student : students) all.push_back(&student);
    prepare(all);
    const OutputShape& last = logits();
    const std::size_t logits_before = before * last.padded_channels, maps_before = before * maps_per_image_;
    std::vector<std::size_t> key{1, std::size_t(images_), students.size(), before};
    key.insert(key.end(), own_requantization_.begin(), own_requantization_.end());
    stream_.replay(key, [&] {
      upload();
      enqueue(students.size());
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
      for (std::size_t a = 0; a < problem_.attention.size(); ++a) {
        const std::size_t size = std::size_t(images_) * map_places_[a].positions;
        const std::uint32_t* map = attention_.host.data() + maps_before +
                                   map_offset(static_cast<int>(a), students.size() * images_) + s * size;
        results[s].attention[a] = {map, size};
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
  std::vector<DeviceStep> steps_;
  Arena arena_;                       // of one image of one student
  std::size_t maps_per_image_ = 0;    // elements of one student's attention maps
  std::size_t border_per_image_ = 0;  // bytes of the largest input within its border
  std::vector<MapPlace> map_places_;  // (attention layers)
  int images_ = 0, image_channels_ = 0;
  Mirrored<std::uint8_t> input_;                  // as loaded
  DeviceArray<std::uint8_t> image_;               // (images, height, width, image_channels_)
  std::vector<DeviceArray<std::uint8_t>> fixed_;  // (steps): values that no student has a say in
  std::vector<DeviceArray<std::int32_t>> sums_;   // (steps): (images, positions, padded_channels), where they are kept
  std::vector<DeviceArray<std::uint32_t>> fixed_maps_;  // (steps): (images, positions or channels) of such values
  DeviceArray<std::uint8_t> values_;                    // the arena, all instances of a value together
  DeviceArray<std::uint8_t> border_;

  // What the students of the current call bring along.
  std::vector<std::uint8_t> shared_;  // (steps): the value of load_images() is taken
  bool share_ = true;
  Mirrored<std::uint8_t> tables_;                   // (students, sites, 256)
  std::vector<std::uint8_t> own_requantization_;    // (steps): whether any student has its own
  std::vector<std::size_t> requantization_offset_;  // (steps): into multiplier_ and bias_
  Mirrored<float> multiplier_;
  Mirrored<std::int32_t> bias_;
  std::vector<Mirrored<Piece>> pieces_;  // (steps): of concatenations and tables
  Mirrored<std::uint32_t> attention_;
  Mirrored<std::uint8_t> logits_;
  std::vector<std::uint8_t> logit_codes_;  // without padding
  std::size_t table_bytes_ = 0, requantizations_ = 0, map_elements_ = 0, logit_bytes_ = 0;
  DeviceArray<MapPlace> places_;  // (attention layers)
  Mirrored<std::uint16_t> labels_;
  DeviceArray<double> factors_;      // (attention layers, instances)
  DeviceArray<double> terms_;        // (2, instances): divergences and distances
  DeviceArray<std::uint8_t> right_;  // (instances)
  Mirrored<ScoreSums> score_sums_;   // (students), of which the first is the teacher
  Mirrored<std::uint8_t> trace_codes_;
  Mirrored<std::int32_t> trace_sums_;
  Mirrored<unsigned long long> moments_;  // (channels of all convolutions, 3)
};

}  // namespace

std::optional<std::string> cuda_engine_refusal(const Problem& problem) {
  const Node& last = problem.network().nodes.back();
  if (last.shape.positions() == 1) return {};
  return fmt::format("node {}: cuda has no logits of several positions", last.name);
}

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

std::vector<StepTime> time_steps(Engine& engine, std::span<const Student> students, int repetitions) {
  return dynamic_cast<CudaEngine&>(engine).time_steps(students, repetitions);
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
