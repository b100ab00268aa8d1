#include "worker/cpu/onednn_engine.hpp"

#include "core/error.hpp"
#include "core/text.hpp"
#include "worker/cpu/convolution.hpp"
#include "worker/cpu/image_operation.hpp"
#include "worker/cpu/onednn_convolution.hpp"
#include "worker/cpu/requantize_kernels.hpp"
#include "worker/schedule.hpp"

#include <algorithm>
#include <cstring>
#include <memory>

namespace triseg {
namespace {

constexpr int most_images = 32;                             // that pass through all nodes together
constexpr std::size_t chunk_bytes = std::size_t{8} << 20;   // of one value of a chunk, at most
constexpr std::size_t strip_bytes = std::size_t{16} << 10;  // of sums that become codes together, if rows may be few

class OneDnnEngine final : public Engine {
 public:
  explicit OneDnnEngine(const Problem& problem)
      : problem_(problem),
        model_(problem.model),
        steps_(make_steps(problem)),
        input_(layout_of(problem.network(), image_value)) {
    const OneThread one_thread;
    std::size_t largest = input_.size();
    for (std::size_t i = 0; i < network().nodes.size(); ++i)
      largest = std::max(largest, layout_of(network(), static_cast<int>(i)).size());
    while (chunk_ > 1 && chunk_ * largest > chunk_bytes) chunk_ /= 2;

    std::size_t unpooled = 0;
    stages_.reserve(steps_.size());
    for (const Step& step : steps_) {
      stages_.push_back(make_stage(step));
      const Stage& stage = stages_.back();
      unpooled = std::max(unpooled, stage.output.size());
    }
    unpooled_.resize(unpooled);
  }

  std::string_view name() const override { return "onednn"; }

  std::string description() const override {
    std::vector<std::pair<std::string, std::uint64_t>> ways;
    for (const Stage& stage : stages_) {
      if (!stage.product) continue;
      const auto known =
          std::find_if(ways.begin(), ways.end(), [&](const auto& way) { return way.first == stage.product->how(); });
      if (known != ways.end()) ++known->second;
      else ways.emplace_back(stage.product->how(), 1);
    }
    std::string text;  // "20 convolutions: int8 (...); 1 convolution: ...; codes: AVX2"
    for (const auto& [how, count] : ways) text += fmt::format("{}: {}; ", counted(count, "convolution"), how);
    return text + "codes: " + std::string(kernels_.name);
  }

  void load_images(std::span<const std::uint8_t> codes, int images) override {
    images_ = images;
    const std::size_t chunks = (images + chunk_ - 1) / chunk_;
    input_codes_.assign(chunks * chunk_ * input_.size() + codes_slack,
                        static_cast<std::uint8_t>(model_.input.zero_point));
    const std::uint8_t* from = codes.data();
    for (int n = 0; n < images; ++n)
      for (int c = 0; c < input_.channels; ++c)
        for (int p = 0; p < input_.positions(); ++p)
          input_codes_[n * input_.size() + std::size_t(p) * input_.lanes + c] = *from++;
  }

  void forward(std::span<const Student> students, std::span<ForwardResult> results) override {
    const OneThread one_thread;
    owned_.resize(std::max(owned_.size(), students.size()));
    for (std::size_t s = 0; s < students.size(); ++s) {
      owned_[s].logit_codes.resize(std::size_t(images_) * network().classes);
      owned_[s].attention.resize(problem_.attention.size());
      for (std::size_t a = 0; a < problem_.attention.size(); ++a)
        owned_[s].attention[a].resize(std::size_t(images_) * map_size(problem_.attention[a]));
    }
    const Plan plan = run(students, nullptr, Purpose::forward);
    for (std::size_t s = 0; s < students.size(); ++s) {
      for (std::size_t a = 0; a < problem_.attention.size(); ++a)
        if (const std::size_t maker = plan.made_by[problem_.attention[a]][s]; maker != s)
          owned_[s].attention[a] = owned_[maker].attention[a];
      if (const std::size_t maker = plan.made_by.back()[s]; maker != s)
        owned_[s].logit_codes = owned_[maker].logit_codes;
    }
    for (std::size_t s = 0; s < students.size(); ++s) results[s] = owned_[s].view();
  }

  void trace(const Student& student, const TraceSink& sink) override {
    const OneThread one_thread;
    run(std::span(&student, 1), &sink, Purpose::trace);
  }

  void add_moments(const Student& student, std::span<Moments> moments) override {
    const OneThread one_thread;
    for (Stage& stage : stages_)
      if (stage.product) stage.moments.clear(stage.output.lanes);
    run(std::span(&student, 1), nullptr, Purpose::moments);
    std::size_t at = 0;
    for (const Stage& stage : stages_) {
      if (!stage.product) continue;
      const std::uint64_t count = std::uint64_t(images_) * stage.output.positions();
      const LaneMoments& m = stage.moments;
      for (int c = 0; c < stage.output.channels; ++c)
        moments[at++] += {count, m.sum[c], m.squares_low[c], m.squares_high[c]};
    }
  }

 private:
  enum class Purpose { forward, moments, trace };

  /// A step, prepared.
  struct Stage {
    Step step;
    CodeLayout output;                       // of the node
    CodeLayout value;                        // of what is stored: the node's, or its pool's
    std::vector<std::size_t> input_sizes{};  // of one image
    int site = -1;                           // index into Student::tables; -1: exact
    int attention = -1;                      // index into ForwardResult::attention; -1: none
    std::unique_ptr<Convolution> product;    // a convolution
    int strip = 0;                           // likewise: rows of it that become codes together
    LaneRequantization own;                  // likewise
    std::vector<std::int32_t> offset;        // likewise, (lanes): makes sums of plain codes those of q - z_in
    Sides pool;                              // likewise: of the maximum that is taken of sums
    LaneMoments moments;                     // likewise, of the call at work
    ImageOperation operation;                // everything else
    ImageOperation late_pool;                // an attention map needs the codes in front of the pool

    /// Codes of one image in front of the staircase.
    std::size_t codes_size() const { return late_pool ? output.size() : value.size(); }
  };

  const Network& network() const { return model_.network; }
  const Node& node(const Stage& stage) const { return network().nodes[stage.step.node]; }
  int map_size(std::size_t node) const { return map_positions(network().nodes[node].shape); }

  Stage make_stage(const Step& step) const {
    const std::size_t number = step.node;
    Stage stage{step, layout_of(network(), static_cast<int>(number)),
                layout_of(network(), static_cast<int>(step.value()))};
    for (const int input : network().nodes[number].inputs)
      stage.input_sizes.push_back(layout_of(network(), input).size());
    stage.site = problem_.site_of(number);
    stage.attention = problem_.attention_of(number);
    if (network().nodes[number].operation == Operation::convolution) {
      stage.product = make_convolution(model_, number, chunk_);
      stage.own = lanes_of(number, model_.nodes[number].requantization);
      stage.offset = bias_of_plain_codes(model_, number, std::vector<std::int32_t>(stage.output.channels, 0));
      stage.offset.resize(stage.output.lanes, 0);
    } else {
      stage.operation = make_image_operation(model_, number);
    }
    if (step.pool >= 0) {
      const Window& window = network().nodes[step.pool].window;
      if (stage.attention >= 0) stage.late_pool = make_maximum(stage.output, stage.value, window);
      else stage.pool = {window.height, window.width};
    }
    if (stage.product) {
      const auto row = stage.output.width * stage.output.lanes * sizeof(std::int32_t);
      const int rows = std::max(1, static_cast<int>(strip_bytes / row) / stage.pool.height) * stage.pool.height;
      stage.strip = stage.product->by_rows() ? std::min(rows, stage.output.height) : stage.output.height;
    }
    return stage;
  }

  LaneRequantization lanes_of(std::size_t number, const Requantization& requantization) const {
    const QuantizedNode& numbers = model_.nodes[number];
    LaneRequantization result{bias_of_plain_codes(model_, number, requantization.bias), requantization.multiplier,
                              numbers.output.zero_point, numbers.lowest, numbers.highest};
    result.bias.resize(layout_of(network(), static_cast<int>(number)).lanes, 0);
    result.multiplier.resize(result.bias.size(), 0.0f);
    return result;
  }

  /// All students on all images, a chunk at a time. Results go to owned_ if the purpose is forward, moments to the
  /// stages.
  Plan run(std::span<const Student> students, const TraceSink* sink, Purpose purpose) {
    Plan plan = make_plan(problem_, steps_, students);
    std::vector<std::size_t> sizes;
    for (const Buffer& buffer : plan.buffers) {
      const Stage& stage = stages_[buffer.step];
      sizes.push_back(chunk_ * (buffer.codes ? stage.codes_size() : stage.value.size()));
    }
    const Arena arena = place(plan.buffers, sizes);
    memory_.resize(std::max(memory_.size(), arena.size + codes_slack));
    for (int first = 0; first < images_; first += chunk_)
      for (const Task& task : plan.tasks) run(task, arena, students[task.student], first, sink, purpose);
    return plan;
  }

  /// One task on the images from `first` on.
  void run(const Task& task, const Arena& arena, const Student& student, int first, const TraceSink* sink,
           Purpose purpose) {
    Stage& stage = stages_[task.step];
    const int count = std::min(chunk_, images_ - first);
    std::vector<const std::uint8_t*> inputs;  // of image `first`
    for (const int buffer : task.inputs)
      inputs.push_back(buffer == image_value ? &input_codes_[first * input_.size()] : &memory_[arena.offsets[buffer]]);
    const Requantization* const replaced = stage.product ? student.own_requantization(stage.step.node) : nullptr;
    if (replaced && task.computes) replaced_ = lanes_of(stage.step.node, *replaced);
    const LaneRequantization& requantization = replaced ? replaced_ : stage.own;

    for (int i = 0; i < count; ++i) {
      std::uint8_t* const value = &memory_[arena.offsets[task.value] + i * stage.value.size()];
      std::uint8_t* const codes = task.codes >= 0   ? &memory_[arena.offsets[task.codes] + i * stage.codes_size()]
                                  : stage.late_pool ? unpooled_.data()
                                                    : value;
      if (task.computes && stage.product) {
        const int at = i % stage.product->tile();
        if (at == 0) stage.product->load(inputs[0] + i * stage.input_sizes[0]);
        if (sink) show(stage, requantization, stage.product->rows(at, 0, stage.output.height), *sink);
        requantize(stage, at, requantization, purpose == Purpose::moments, codes);
      } else if (task.computes) {
        stage.operation(inputs, codes);
        for (std::size_t k = 0; k < inputs.size(); ++k) inputs[k] += stage.input_sizes[k];
        if (sink) show(stage.step.node, stage.output, codes, *sink);
      }
      finish(stage, student, codes, value, first + i, purpose == Purpose::forward ? &owned_[task.student] : nullptr);
      if (sink && stage.step.pool >= 0) show(stage.step.pool, stage.value, value, *sink);
    }
  }

  /// One loaded image of a convolution, from its sums to its codes.
  void requantize(Stage& stage, int image, const LaneRequantization& requantization, bool moments,
                  std::uint8_t* codes) {
    const int width = stage.output.width;
    for (int y = 0; y < stage.output.height; y += stage.strip) {
      const int rows = std::min(stage.strip, stage.output.height - y);
      const std::int32_t* const sums = stage.product->rows(image, y, rows);
      if (moments) kernels_.add_moments(sums, rows * width, stage.output.lanes, stage.offset.data(), stage.moments);
      kernels_.requantize(sums, {rows, width}, stage.pool, requantization, codes);
      codes += std::size_t(rows / stage.pool.height) * (width / stage.pool.width) * stage.output.lanes;
    }
  }

  /// From one image's codes in front of the staircase to its value, attention map and logits.
  void finish(const Stage& stage, const Student& student, const std::uint8_t* codes, std::uint8_t* value, int image,
              OwnedForwardResult* result) {
    std::uint8_t* const behind = stage.late_pool ? unpooled_.data() : value;
    if (stage.site >= 0) kernels_.apply_table(student.tables[stage.site], codes, stage.codes_size(), behind);
    else if (codes != behind) std::memcpy(behind, codes, stage.codes_size());
    if (result && stage.attention >= 0) {
      const int size = map_size(stage.step.node);
      std::uint32_t* const map = &result->attention[stage.attention][std::size_t(image) * size];
      if (stage.output.positions() == 1) kernels_.squares(behind, size, 1, 1, map);
      else kernels_.squares(behind, size, stage.output.lanes, stage.output.channels, map);
    }
    if (stage.late_pool) {
      const std::uint8_t* const unpooled = unpooled_.data();
      stage.late_pool(std::span(&unpooled, 1), value);
    }
    if (result && stage.step.value() + 1 == network().nodes.size()) {
      std::uint8_t* logits = &result->logit_codes[std::size_t(image) * network().classes];
      for (int c = 0; c < stage.value.channels; ++c)
        for (int p = 0; p < stage.value.positions(); ++p) *logits++ = value[std::size_t(p) * stage.value.lanes + c];
    }
  }

  void show(std::size_t number, const CodeLayout& layout, const std::uint8_t* lane_codes, const TraceSink& sink,
            std::span<const std::int32_t> accumulators = {}) const {
    std::vector<std::uint8_t> codes;
    for (int p = 0; p < layout.positions(); ++p)
      codes.insert(codes.end(), lane_codes + std::size_t(p) * layout.lanes,
                   lane_codes + std::size_t(p) * layout.lanes + layout.channels);
    sink({number, 1, layout.positions(), layout.channels, accumulators, codes});
  }

  void show(const Stage& stage, const LaneRequantization& requantization, const std::int32_t* sums,
            const TraceSink& sink) const {
    const CodeLayout& layout = stage.output;
    std::vector<std::uint8_t> codes(layout.size());
    std::vector<std::int32_t> accumulators;
    kernels_.requantize(sums, {layout.height, layout.width}, {}, requantization, codes.data());
    for (int p = 0; p < layout.positions(); ++p)
      for (int c = 0; c < layout.channels; ++c)
        accumulators.push_back(sums[std::size_t(p) * layout.lanes + c] + requantization.bias[c]);
    show(stage.step.node, layout, codes.data(), sink, accumulators);
  }

  const Problem& problem_;
  const QuantizedNetwork& model_;
  const RequantizeKernels& kernels_ = requantize_kernels().front();
  std::vector<Step> steps_;
  CodeLayout input_;
  int chunk_ = most_images;  // a power of two
  std::vector<Stage> stages_;
  int images_ = 0;
  std::vector<OwnedForwardResult> owned_;  // of the last call
  std::vector<std::uint8_t> input_codes_;  // (images rounded up to chunks, input_)
  std::vector<std::uint8_t> memory_;       // the arena of the call at work
  std::vector<std::uint8_t> unpooled_;     // of one image
  LaneRequantization replaced_;            // a student's own
};

}  // namespace

std::unique_ptr<Engine> make_onednn_engine(const Problem& problem) { return std::make_unique<OneDnnEngine>(problem); }

}  // namespace triseg
