#include "tests/learner/files/examples.hpp"

#include "core/error.hpp"
#include "network/problem.hpp"
#include "network/recipes.hpp"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>
#include <tuple>

/// The HDF5 library leaks when it refuses a damaged file. LeakSanitizer gives the name.
// NOLINTNEXTLINE(bugprone-reserved-identifier)
extern "C" const char* __lsan_default_suppressions() { return "leak:libhdf5"; }

namespace triseg {
namespace {

std::uint64_t state;

std::uint64_t random(std::uint64_t bound) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (state >> 33) % bound;
}

double awkward() { return -std::exp(double(random(1000)) / 37.0 - 20) / 3.0; }

Codes random_codes(int tmax) {
  Codes c;
  c.tmax = tmax;
  c.t1 = 1 + random(tmax - 2);
  c.t2 = c.t1 + 1 + random(tmax - 1 - c.t1);
  c.v1 = c.t1 + 1 + random(c.t2 - c.t1);
  c.v2 = c.t2 + 1 + random(tmax - c.t2);
  return c;
}

std::vector<Codes> random_codes(const RunData& run) {
  std::vector<Codes> codes;
  for (const SiteData& site : run.sites)
    codes.push_back(random_codes(site.tmax_searched ? 20 + int(random(236)) : site.tmax));
  return codes;
}

Score random_score(std::uint64_t images) {
  Score s{-awkward() * double(images), -awkward(), images, 0, 0, 0};
  s.both_right = random(images);
  s.teacher_only = random(images - s.both_right);
  s.student_only = random(images - s.both_right - s.teacher_only + 1);
  return s;
}

/// Sums of rewards over records that make that of the score.
std::vector<double> random_records(const RunData& run, const Score& s) {
  std::vector<double> records((s.images + split_batch - 1) / split_batch);
  double left = -(s.kd + run.attention_weight * s.attention);
  for (std::size_t i = 1; i < records.size(); ++i) left -= records[i] = awkward();
  if (!records.empty()) records[0] = left;
  return records;
}

double reward(const RunData& run, const Score& s) { return -(s.mean_kd() + run.attention_weight * s.mean_attention()); }

}  // namespace

RunData example_run(bool finished, std::size_t episodes) {
  state = 7;
  RunData run;
  run.network = make_recipe("alexnet").network;
  run.network.default_attention.clear();  // a run file names those of the run, not a default
  run.backend = "fbgemm";
  run.data = "/data/fashion mnist";
  run.data_sha256 = std::string(64, 'c');
  run.selection = "best validation reward within the limit";
  run.model_sha256 = std::string(64, 'a');
  run.seed = 0xfedcba9876543210u;
  run.temperature = 2;
  run.attention_weight = 1.0 / 3;
  run.episodes_total = episodes + 2;
  run.repair = "channel";
  run.student_images = 32 * episodes;
  run.attention_layers = {"conv3", "conv4", "fc1"};
  run.energy.multiply8 = 0.25;
  run.config = "seed = 1\n# \xc3\xa4\xe2\x82\xac in a comment\n[search]\nepisodes = 42\n";
  run.config_hash = std::string(64, 'b');
  run.engine = "onednn";
  run.transport = "mpi";
  run.command_line = "triseg search --model alexnet 'a b'";
  run.ranks = 4;
  run.threads_per_rank = 2;
  run.finished = finished;

  const Network& network = run.network;
  const std::vector<std::size_t> sites = select_sites(network, "all");
  for (const std::size_t i : sites) {
    const Node& node = network.nodes[i];
    SiteData& site = run.sites.emplace_back();
    site.name = node.name;
    site.record_key = record_key(network, node);
    site.kind = kind_name(network, node);
    site.scale = {0.1 / double(i + 3), 0};
    site.tmax = 20 + int(random(236));
    site.tmax_searched = true;
    const auto fifth = [&](int k) { return std::uint8_t(site.tmax * k / 5); };
    site.init = {fifth(1), fifth(2), fifth(3), fifth(4), std::uint8_t(site.tmax)};
    site.mse = random_codes(site.tmax);
    site.start = random_codes(site.tmax);
    for (double& x : site.state) x = awkward();
    for (std::uint64_t& n : site.histogram.counts) n = random(2) * random(1u << 31) * 1000;
  }
  constexpr std::size_t per_iteration = 8;
  for (std::size_t i = 0; i < episodes; ++i) {
    Episode e{i / per_iteration, 0, random_score(32), random_codes(run)};
    e.reward = reward(run, e.score);
    run.episodes.push_back(e);
  }
  const std::size_t iterations = episodes / per_iteration;
  for (std::size_t i = 0; i < iterations; ++i) {
    Update u;
    u.iteration = i;
    u.branch = i % 2;
    u.pass_share = 1 - double(i % 2) / 1000;
    for (double* x : {&u.mean_reward, &u.best_reward, &u.reference_reward, &u.policy_loss, &u.value_loss, &u.entropy,
                      &u.approx_kl, &u.clip_fraction, &u.update_seconds, &u.iteration_seconds})
      *x = awkward();
    run.updates.push_back(u);
    if (i % 2 == 0) run.evaluations.push_back({i, random_score(512), random_codes(run)});
  }
  run.checkpoint.next_iteration = episodes == 0 ? 0 : run.episodes.back().iteration + 1;
  run.checkpoint.optimizer_steps = 4 * iterations;
  for (const char* name : {"policy/encoder.0.weight", "policy/encoder.0.bias", "adam/step"}) {
    StoredTensor& tensor = run.checkpoint.tensors[name];
    if (std::string(name) != "adam/step") tensor.shape = {4, 16};
    tensor.values.resize(tensor.shape.empty() ? 1 : 64);
    for (float& x : tensor.values) x = float(awkward());
  }
  if (finished) {
    for (const char* origin : {"episode", "policy", "mse", "init"}) {
      Candidate c{origin, 0, 0, random_score(std::string(origin) == "init" ? 1000 : 10000), {}, {}};
      c.record_rewards = random_records(run, c.validation);
      if (c.origin == "episode" && episodes > 0) {
        c.episode = episodes / 2;
        c.codes = run.episodes[c.episode].codes;
        c.reward = run.episodes[c.episode].reward;
      } else {
        c.origin = c.origin == "episode" ? "policy" : c.origin;
        c.codes = random_codes(run);
        c.reward = reward(run, c.validation);
      }
      run.top.push_back(c);
    }
    run.selected = {1, true, random_score(10000), random_score(10000), random_score(10000), {}};
    for (std::size_t l = sites.front() + 1; l < network.nodes.size(); ++l) {
      if (network.nodes[l].operation != Operation::convolution) continue;
      LayerRepair& repair = run.selected.repair.emplace_back();
      repair.layer = network.nodes[l].name;
      for (int c = 0; c < network.nodes[l].shape.channels; ++c) {
        repair.requantization.multiplier.push_back(float(l) / 7 + float(c % 4));
        repair.requantization.bias.push_back((c % 5 - 2) * 100'000'003);
      }
    }
  } else if (episodes > 0) {
    for (int i = 0; i < 3; ++i) {
      const Score score = random_score(i == 1 ? 1000 : 2000);
      run.finalists.push_back({score, random_records(run, score)});
    }
  }
  return run;
}

namespace {

/// Numbers of every node that check() passes.
void fill(QuantizedNetwork& n) {
  n.nodes.resize(n.network.nodes.size());
  for (std::size_t i = 0; i < n.nodes.size(); ++i) {
    const Node& node = n.network.nodes[i];
    QuantizedNode& q = n.nodes[i];
    if (node.operation == Operation::maximum) q.output = n.input_scale(i);
    else q.output = {0.01 + double(random(1000)) / 7777, node.relu ? 0 : 60};
    const auto codes = [&](std::size_t count) {
      std::vector<std::uint8_t> drawn(count);
      for (std::uint8_t& code : drawn) code = std::uint8_t(random(200));
      return drawn;
    };
    if (node.operation == Operation::table || node.operation == Operation::concatenate)
      for (CodeMap& map : q.maps = std::vector<CodeMap>(node.inputs.size()))
        for (std::uint8_t& code : map) code = std::uint8_t(random(200));
    if (node.operation == Operation::constant) q.codes = codes(node.shape.size());
    if (node.operation == Operation::table) q.highest = 210;
    if (node.operation == Operation::average) q.lowest = 3;
    if (node.operation == Operation::add) q.output.scale = 0.3;
    if (node.operation != Operation::convolution) continue;
    for (int k = 0; k < node.shape.channels * n.network.fan_in(node); ++k)
      q.weights.push_back(std::int8_t(int(random(255)) - 127));
    const double same = 1e-3 / (1 + double(random(100)));
    for (int c = 0; c < node.shape.channels; ++c) {
      q.weight_scale.push_back(n.scheme == Scheme::qnnpack ? same : 1e-3 / (1 + double(random(100))));
      q.requantization.bias.push_back(int(random(1u << 20)) - (1 << 19));
      q.requantization.multiplier.push_back(float(n.input_scale(i).scale * q.weight_scale[c] / q.output.scale));
    }
  }
}

}  // namespace

QuantizedNetwork example_model(std::string_view name, Scheme scheme) {
  state = 11;
  QuantizedNetwork n;
  n.network = make_recipe(name).network;
  n.scheme = scheme;
  n.data = "fashion-mnist";
  n.data_sha256 = std::string(64, 'd');
  for (int c = 0; c < n.network.input.channels; ++c) {
    n.mean.push_back(0.2860 + c / 7.0);
    n.standard_deviation.push_back(0.3530 + c / 11.0);
  }
  n.input = {2.0 / 127, 64};
  fill(n);
  return n;
}

QuantizedNetwork example_graph() {
  state = 13;
  QuantizedNetwork n;
  n.network.name = "graph";
  n.network.display_name = "A graph";
  n.network.input = {2, 7, 5};
  n.network.classes = 3;
  const auto add = [&](const char* name, Operation operation, std::vector<int> inputs, Shape shape = {}) {
    Node& node = n.network.nodes.emplace_back();
    node.name = name;
    node.operation = operation;
    node.inputs = std::move(inputs);
    node.shape = shape;
    return &node;
  };
  Node* node = add("stem", Operation::convolution, {image_value}, {4});
  node->window = {2, 3, 1, 1, 2, 1, 1, 0, 2, 1, false};  // 4 x 8 x 4
  node->relu = true;
  node = add("depthwise", Operation::convolution, {0}, {4});
  node->window = {1, 1};
  node->groups = 4;
  add("constant", Operation::constant, {}, {4, 1, 1});
  add("sum", Operation::add, {1, 2})->relu = true;
  add("both", Operation::concatenate, {0, 3, 3});
  node = add("pool", Operation::maximum, {4});
  node->window = {3, 2, 2, 2, 1, 1, 0, 1, 1, 0, true};
  node = add("mean", Operation::average, {5});
  node->window = {2, 2, 1, 1, 1, 1, 1, 1, 1, 1, false};
  node->count_padding = true;
  add("gate", Operation::table, {6});
  add("gated", Operation::multiply, {6, 7});
  connect_node(n.network, 0);
  for (std::size_t i = 1; i < n.network.nodes.size(); ++i) connect_node(n.network, i);
  node = add("logits", Operation::convolution, {8}, {3});
  const Shape last = n.network.nodes[8].shape;
  node->window = {last.height, last.width};
  n.network.all_sites = {"sum"};
  n.network.default_attention = {"stem", "sum"};
  connect(n.network);
  n.data = "random";
  n.mean = {0.25, 0.5};
  n.standard_deviation = {0.5, 1};
  n.input = {0.02, 7};
  fill(n);
  return n;
}

namespace {

// The structured bindings fail to compile when a struct gains or loses a member.
auto members(const CodeScale& x) {
  const auto& [a, b] = x;
  return std::tie(a, b);
}

auto members(const SiteData& x) {
  const auto& [name, key, kind, scale, tmax, searched, init, mse, start, state, histogram] = x;
  return std::tuple(name, key, kind, members(scale), tmax, searched, init, mse, start, state, histogram.counts);
}
auto members(const Episode& x) {
  const auto& [iteration, reward, score, codes] = x;
  return std::tie(iteration, reward, score, codes);
}
auto members(const Update& x) {
  const auto& [a, b, c, d, e, f, g, h, i, j, k, l, m] = x;
  return std::tie(a, b, c, d, e, f, g, h, i, j, k, l, m);
}
auto members(const Evaluation& x) {
  const auto& [a, b, c] = x;
  return std::tie(a, b, c);
}
auto members(const Candidate& x) {
  const auto& [a, b, c, d, e, f] = x;
  return std::tie(a, b, c, d, e, f);
}
auto members(const Selected& x) {
  const auto& [a, b, c, d, e, f] = x;
  return std::tie(a, b, c, d, e, f);
}
auto members(const StoredTensor& x) {
  const auto& [a, b] = x;
  return std::tie(a, b);
}

template <class Row>
bool same_rows(const std::vector<Row>& a, const std::vector<Row>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Row& x, const Row& y) { return members(x) == members(y); });
}

}  // namespace

std::string difference(const RunData& a, const RunData& b) {
  const auto split = [](const RunData& run) {
    const auto& [network, backend, selection, sha, data_sha, seed, temperature, weight, total, repair, images,
                 attention, energy, config, hash, data, engine, transport, command, ranks, threads, finished, sites,
                 episodes, updates, evaluations, finalists, top, selected, checkpoint] = run;
    return std::tuple(std::tie(network, backend, selection, sha, data_sha, seed, temperature, weight, total, repair,
                               images, attention, config, hash, data, engine, transport, command, ranks, threads,
                               finished));
  };
  if (split(a) != split(b)) return "a scalar";
  if (a.energy != b.energy) return "energy";
  if (!same_rows(a.sites, b.sites)) return "sites";
  if (!same_rows(a.episodes, b.episodes)) return "episodes";
  if (!same_rows(a.updates, b.updates)) return "updates";
  if (!same_rows(a.evaluations, b.evaluations)) return "evaluations";
  if (a.finalists != b.finalists) return "finalists";
  if (!same_rows(a.top, b.top)) return "top";
  if (a.finished && members(a.selected) != members(b.selected)) return "selected";
  const auto& [next_a, steps_a, tensors_a] = a.checkpoint;
  const auto& [next_b, steps_b, tensors_b] = b.checkpoint;
  if (std::tie(next_a, steps_a) != std::tie(next_b, steps_b)) return "checkpoint counters";
  const auto same_tensor = [](const auto& x, const auto& y) {
    return x.first == y.first && members(x.second) == members(y.second);
  };
  if (!std::equal(tensors_a.begin(), tensors_a.end(), tensors_b.begin(), tensors_b.end(), same_tensor))
    return "tensors";
  return "";
}

std::string difference(const QuantizedNetwork& a, const QuantizedNetwork& b) {
  if (a.network != b.network) return "network";
  if (std::tie(a.scheme, a.data, a.data_sha256, a.mean, a.standard_deviation) !=
      std::tie(b.scheme, b.data, b.data_sha256, b.mean, b.standard_deviation))
    return "scheme, data or normalization";
  if (a.input != b.input) return "input";
  if (a.nodes.size() != b.nodes.size()) return "nodes";
  for (std::size_t i = 0; i < a.nodes.size(); ++i) {
    const auto split = [](const QuantizedNode& node) {
      const auto& [output, lowest, highest, weights, scale, requantization, maps, codes] = node;
      const auto& [multiplier, bias] = requantization;
      return std::tuple(std::tie(lowest, highest, weights, scale, multiplier, bias, maps, codes), members(output));
    };
    if (split(a.nodes[i]) != split(b.nodes[i])) return "node " + a.network.nodes[i].name;
  }
  return "";
}

TemporaryFolder::TemporaryFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "triseg-test-XXXXXX").string();
  if (!mkdtemp(name.data())) fail("mkdtemp failed for {}", name);
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void write_bytes(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), std::streamsize(bytes.size()));
}

int run_python(const std::string& script, const std::vector<std::string>& arguments, std::string& output) {
  const std::string folder = script.find('/') == std::string::npos ? "/tests/learner/files/" : "/";
  std::string command = std::string(TRISEG_PYTHON) + " '" + TRISEG_SOURCE_DIR + folder + script + "'";
  for (const std::string& argument : arguments) {
    command += " '";
    for (const char c : argument) command += c == '\'' ? std::string("'\\''") : std::string(1, c);
    command += "'";
  }
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (!pipe) fail("cannot run {}", command);
  output.clear();
  for (int c; (c = std::fgetc(pipe)) != EOF;) output += char(c);
  const int status = pclose(pipe);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace triseg
