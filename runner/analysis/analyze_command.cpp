// triseg analyze: how codes and weights are spread, before any search.
#include "core/text.hpp"
#include "runner/commands/commands.hpp"
#include "runner/cli/declare_options.hpp"
#include "network/recipes.hpp"
#include "runner/cli/option_checks.hpp"
#include "runner/commands/result_student.hpp"
#include "runner/model_lookup.hpp"
#include "runner/ranks/ranks.hpp"
#include "runner/ranks/transport.hpp"
#include "worker/engines/engines.hpp"
#include "worker/scorer.hpp"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace triseg {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array percents = {1.0, 5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9};

/// A network, and some images of a split.
struct AnalyzeOptions {
  std::string model, data = "fashion-mnist", teacher, split = "search", format = "table";
  std::optional<Scheme> backend;
  std::uint32_t images = 512;
  bool by_channel = false;
  EngineOptions engine;
};

struct Analyzed {
  DataSet data;
  Problem problem;
  ScoreRequest request;  ///< of the teacher alone
};

void check_format(const std::string& format) {
  if (format != "table" && format != "json") fail("--format: unknown format '{}': expected table or json", format);
}

Analyzed load(const AnalyzeOptions& o) {
  check_format(o.format);
  const Split split = parse_split(o.split);
  DataSet data = load_data_set(o.data);
  Problem problem = make_problem(load_teacher(o.teacher, o.model, o.backend, data).network);
  if (o.images > data.split_size(split))
    fail("--images: {} images, but the {} split of {} has {}: choose at most so many", o.images, o.split, o.data,
         data.split_size(split));
  ScoreRequest request = image_range(split, split_batch, 0, o.images, {});
  request.candidates = {{}};
  return {std::move(data), std::move(problem), std::move(request)};
}

std::string title(const AnalyzeOptions& o, const Analyzed& a) {
  return fmt::format("{} on {} {} images of {}", a.problem.network().display_name, o.images, o.split, o.data);
}

Json origin(const AnalyzeOptions& o, const Analyzed& a) {
  return {{"model", a.problem.network().name},
          {"backend", scheme_name(a.problem.model.scheme)},
          {"data", valid_utf8(o.data)},
          {"split", o.split},
          {"images", o.images}};
}

std::vector<Histogram> histograms_of(const AnalyzeOptions& o, const Analyzed& a) {
  Scorer scorer(a.problem, a.data, engine_factory(o.engine.engine, a.problem),
                scoring_threads(o.engine.threads, *make_local_transport()), 1);
  return scorer.histograms(a.request, 0, a.request.batches());
}

std::string percent_name(double percent) { return fmt::format("p{:g}", percent); }

int largest(const Histogram& histogram) {
  int q = 255;
  while (q > 0 && histogram.counts[q] == 0) --q;
  return q;
}

int percentiles(const AnalyzeOptions& o) {
  const Analyzed a = load(o);
  const std::vector<Histogram> histograms = histograms_of(o, a);
  const auto zeros = [](const Histogram& h) { return 100 * double(h.counts[0]) / double(h.total()); };
  if (o.format == "json") {
    Json json = origin(o, a);
    for (std::size_t i = 0; i < histograms.size(); ++i) {
      Json& site = json["sites"][a.problem.site(i).name];
      site["zero"] = zeros(histograms[i]);
      for (const double p : percents) site["all"][percent_name(p)] = histograms[i].percentile(p);
      for (const double p : percents) site["nonzero"][percent_name(p)] = histograms[i].nonzero_percentile(p);
      site["largest"] = largest(histograms[i]);
    }
    fmt::print("{}\n", json.dump(2));
    return 0;
  }
  for (const bool nonzero : {false, true}) {
    fmt::print("{}{}: percentiles of {}\n", nonzero ? "\n" : "", title(o, a), nonzero ? "codes above 0" : "all codes");
    fmt::print("{:<10}{:>8}", "site", "zero [%]");
    for (const double p : percents) fmt::print("{:>7}", percent_name(p));
    fmt::print("{:>9}\n", "largest");
    for (std::size_t i = 0; i < histograms.size(); ++i) {
      const Histogram& h = histograms[i];
      fmt::print("{:<10}{:>8.2f}", a.problem.site(i).name, zeros(h));
      for (const double p : percents) fmt::print("{:>7}", nonzero ? h.nonzero_percentile(p) : h.percentile(p));
      fmt::print("{:>9}\n", largest(h));
    }
  }
  return 0;
}

/// Exact sums of numbers that are codes or weights.
struct Sums {
  std::uint64_t count = 0;
  std::int64_t sum = 0, squares = 0;

  void add(std::int64_t x) {
    ++count;
    sum += x;
    squares += x * x;
  }
  Sums& operator+=(const Sums& other) {
    count += other.count;
    sum += other.sum;
    squares += other.squares;
    return *this;
  }
  double mean() const { return double(sum) / double(count); }
  double variance() const { return double(squares) / double(count) - mean() * mean(); }
};

/// Mean and population variance of real numbers.
struct Spread {
  double mean = 0, variance = 0;
};

struct NodeSpread {
  Spread values, weights;
  std::vector<Spread> channel_values, channel_weights;  ///< (channels); weights: of convolutions alone, else empty
};

Spread scaled(const Sums& sums, double scale, int zero_point) {
  return {scale * (sums.mean() - zero_point), scale * scale * sums.variance()};
}

/// The spread of all channels together, which have equally many values.
Spread pooled(const std::vector<Spread>& channels) {
  Spread all;
  for (const Spread& s : channels) all.mean += s.mean / double(channels.size());
  for (const Spread& s : channels)
    all.variance += (s.variance + (s.mean - all.mean) * (s.mean - all.mean)) / double(channels.size());
  return all;
}

/// Real values of each node's output before its staircase, and of its weights.
std::vector<NodeSpread> spreads_of(const AnalyzeOptions& o, const Analyzed& a) {
  const QuantizedNetwork& model = a.problem.model;
  std::vector<std::vector<Sums>> sums;
  for (const Node& node : model.network.nodes) sums.emplace_back(node.shape.channels);
  const auto engine = make_engine(o.engine.engine, a.problem);
  const Student exact = teacher(a.problem);
  for (std::size_t first = 0; first < a.request.images.size(); first += split_batch) {
    std::vector<std::uint32_t> images;
    for (std::size_t i = first; i < std::min<std::size_t>(first + split_batch, a.request.images.size()); ++i)
      images.push_back(a.request.images[i] + static_cast<std::uint32_t>(a.data.split_offset(a.request.split)));
    std::vector<std::uint8_t> codes(images.size() * model.network.input.size());
    quantize_images(model, a.data.split_images(a.request.split), images, codes);
    engine->load_images(codes, static_cast<int>(images.size()));
    engine->trace(exact, [&](const NodeTrace& trace) {
      for (std::size_t i = 0; i < trace.codes.size(); ++i) sums[trace.node][i % trace.channels].add(trace.codes[i]);
    });
  }
  std::vector<NodeSpread> spreads;
  for (std::size_t n = 0; n < model.nodes.size(); ++n) {
    const QuantizedNode& node = model.nodes[n];
    const std::size_t channels = sums[n].size(), fan_in = node.weights.size() / channels;
    NodeSpread spread;
    for (std::size_t c = 0; c < channels; ++c) {
      spread.channel_values.push_back(scaled(sums[n][c], node.output.scale, node.output.zero_point));
      if (node.weights.empty()) continue;
      Sums weights;
      for (std::size_t i = 0; i < fan_in; ++i) weights.add(node.weights[c * fan_in + i]);
      spread.channel_weights.push_back(scaled(weights, node.weight_scale[c], 0));
    }
    spread.values = pooled(spread.channel_values);
    spread.weights = pooled(spread.channel_weights);
    spreads.push_back(std::move(spread));
  }
  return spreads;
}

Json json_of(const Spread& s) { return {{"mean", s.mean}, {"variance", s.variance}}; }

int variance(const AnalyzeOptions& o) {
  const Analyzed a = load(o);
  const std::vector<NodeSpread> spreads = spreads_of(o, a);
  const auto& nodes = a.problem.network().nodes;
  if (o.format == "json") {
    Json json = origin(o, a);
    const auto entry = [](const Spread& values, const Spread* weights) {
      Json both = {{"activations", json_of(values)}};
      if (weights) both["weights"] = json_of(*weights);
      return both;
    };
    for (std::size_t n = 0; n < nodes.size(); ++n) {
      const NodeSpread& s = spreads[n];
      const bool weighted = !s.channel_weights.empty();
      Json& node = json["layers"][nodes[n].name];
      node = entry(s.values, weighted ? &s.weights : nullptr);
      for (std::size_t c = 0; o.by_channel && c < s.channel_values.size(); ++c)
        node["channels"].push_back(entry(s.channel_values[c], weighted ? &s.channel_weights[c] : nullptr));
    }
    fmt::print("{}\n", json.dump(2));
    return 0;
  }
  fmt::print("{}: real values of outputs before the staircase, and of weights\n", title(o, a));
  fmt::print("{:<14}{:>16}{:>16}{:>16}{:>16}\n", o.by_channel ? "node.channel" : "node", "output mean", "variance",
             "weight mean", "variance");
  const auto row = [](const std::string& name, const Spread& values, const Spread* weights) {
    fmt::print("{:<14}{:>16.6g}{:>16.6g}", name, values.mean, values.variance);
    if (weights) fmt::print("{:>16.6g}{:>16.6g}\n", weights->mean, weights->variance);
    else fmt::print("{:>16}{:>16}\n", "-", "-");
  };
  for (std::size_t n = 0; n < nodes.size(); ++n) {
    const NodeSpread& s = spreads[n];
    const bool weighted = !s.channel_weights.empty();
    row(nodes[n].name, s.values, weighted ? &s.weights : nullptr);
    for (std::size_t c = 0; o.by_channel && c < s.channel_values.size(); ++c)
      row(fmt::format("{}.{}", nodes[n].name, c), s.channel_values[c], weighted ? &s.channel_weights[c] : nullptr);
  }
  return 0;
}

struct CoverageOptions {
  StudentOptions student;
  std::string split = "validation", format = "table";
  EngineOptions engine;
};

/// What a staircase replaces, in percent: of all codes, and of those above 0.
struct Coverage {
  std::uint64_t covered = 0, total = 0, zeros = 0;

  Coverage& operator+=(const Coverage& other) {
    covered += other.covered;
    total += other.total;
    zeros += other.zeros;
    return *this;
  }
  double with_zeros() const { return 100 * double(covered) / double(total); }
  double without_zeros() const { return total == zeros ? 0 : 100 * double(covered - zeros) / double(total - zeros); }
  double zero() const { return 100 * double(zeros) / double(total); }
};

int coverage(CoverageOptions o) {
  check_format(o.format);
  const Split split = parse_split(o.split);
  const ResultStudent student = load_student(o.student);
  Scorer scorer(student.problem, student.data, engine_factory(o.engine.engine, student.problem),
                scoring_threads(o.engine.threads, *make_local_transport()), o.student.temperature);
  const ScoreRequest request = whole_split(student, split, student.repair.repair);
  std::vector<std::pair<std::string, Coverage>> rows;
  Coverage all;
  const auto histograms = scorer.histograms(request, 0, request.batches());
  for (std::size_t i = 0; i < histograms.size(); ++i) {
    Coverage site{0, histograms[i].total(), histograms[i].counts[0]};
    for (int q = 0; q <= student.codes[i].tmax; ++q) site.covered += histograms[i].counts[q];
    rows.emplace_back(student.problem.site(i).name, site);
    all += site;
  }
  rows.emplace_back("all", all);
  if (o.format == "json") {
    Json json = {{"result", valid_utf8(o.student.result)}, {"split", o.split}, {"images", request.images.size()}};
    for (const auto& [name, site] : rows)
      json["coverage"][name] = {
          {"with_zeros", site.with_zeros()}, {"without_zeros", site.without_zeros()}, {"zero", site.zero()}};
    fmt::print("{}\n", json.dump(2));
    return 0;
  }
  fmt::print("activations that the staircases replace on {} {} images [%]\n", request.images.size(), o.split);
  fmt::print("{:<10}{:>12}{:>15}{:>10}\n", "site", "with zeros", "without zeros", "zero");
  for (const auto& [name, site] : rows)
    fmt::print("{:<10}{:>12.3f}{:>15.3f}{:>10.3f}\n", name, site.with_zeros(), site.without_zeros(), site.zero());
  return 0;
}

void declare(CLI::App& app, AnalyzeOptions& o) {
  app.add_option("--model", o.model, "Network (default: the teacher's, or alexnet)")
      ->check(offers(recipe_names()))
      ->check(not_empty("a network"));
  app.add_option_function<std::string>(
         "--backend", [&o](const std::string& text) { o.backend = parse_scheme(text); },
         "Quantization scheme: fbgemm or qnnpack (default: the teacher's, or fbgemm)")
      ->check(offers(scheme_names))
      ->check(not_empty("fbgemm or qnnpack"));
  app.add_option("--data", o.data, "Data set: fashion-mnist, shapes, or a folder")
      ->check(offers(data_names))
      ->check(path_text("a data set or a folder"))
      ->capture_default_str();
  app.add_option("--teacher", o.teacher, "Model file (default: the shipped one)")->check(path_text("a model file"));
  app.add_option("--split", o.split, "Images: search, validation or test")
      ->check(offers(split_names))
      ->capture_default_str();
  app.add_option("--images", o.images, "How many of them, the first")
      ->check(whole(1, 1'000'000))
      ->capture_default_str();
  declare_engine(app, o.engine);
  app.add_option("--format", o.format, "table or json")->check(offers(format_names))->capture_default_str();
}

void setup_network_analysis(CLI::App& analyze, const char* name, const char* description,
                            int (*run)(const AnalyzeOptions&), bool channels, int& exit_code) {
  auto options = std::make_shared<AnalyzeOptions>();
  CLI::App* app = analyze.add_subcommand(name, description);
  declare(*app, *options);
  if (channels) app->add_flag("--by-channel", options->by_channel, "A line a channel, too")->disable_flag_override();
  app->callback([=, &exit_code] { exit_code = run(*options); });
}

}  // namespace

void setup_analyze(CLI::App& program, int& exit_code) {
  CLI::App* app = program.add_subcommand("analyze", "How codes and weights are spread, and what staircases replace");
  app->require_subcommand(1);
  setup_network_analysis(*app, "percentiles", "Percentiles of every site's codes", percentiles, false, exit_code);
  setup_network_analysis(*app, "variance", "Mean and variance of every node's outputs and weights", variance, true,
                         exit_code);
  auto options = std::make_shared<CoverageOptions>();
  CLI::App* coverage_app =
      app->add_subcommand("coverage", "Activations that a result's staircases replace, with zeros and without");
  declare_student_options(*coverage_app, options->student);
  coverage_app->add_option("--split", options->split, "Images: search, validation or test")
      ->check(offers(split_names))
      ->capture_default_str();
  declare_engine(*coverage_app, options->engine);
  coverage_app->add_option("--format", options->format, "table or json")
      ->check(offers(format_names))
      ->capture_default_str();
  coverage_app->callback([=, &exit_code] { exit_code = coverage(*options); });
}

}  // namespace triseg
