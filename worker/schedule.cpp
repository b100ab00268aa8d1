#include "worker/schedule.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>
#include <tuple>
#include <utility>

namespace triseg {
namespace {

bool is_plain(const Problem& problem, std::size_t node) {
  return problem.site_of(node) < 0 && problem.attention_of(node) < 0;
}

/// The node that alone reads `value`, and with one operand; -1: there is none.
int only_consumer(const Network& network, std::size_t value) {
  const auto consumers = network.consumers(static_cast<int>(value));
  if (consumers.size() != 1) return -1;
  const auto& inputs = network.nodes[consumers.front()].inputs;
  const auto uses = std::count(inputs.begin(), inputs.end(), static_cast<int>(value));
  return uses == 1 ? static_cast<int>(consumers.front()) : -1;
}

bool tiles(const Window& w) {
  return w.height == w.stride_y && w.width == w.stride_x && w.dilation_y == 1 && w.dilation_x == 1 && w.pad_top == 0 &&
         w.pad_left == 0 && w.pad_bottom == 0 && w.pad_right == 0 && !w.ceil;
}

bool is_pool_of_step(const Problem& problem, std::size_t node) {
  const Node& n = problem.network().nodes[node];
  if (n.operation != Operation::maximum || !tiles(n.window) || !is_plain(problem, node)) return false;
  const int input = n.inputs.front();
  return input != image_value && problem.network().nodes[input].operation == Operation::convolution &&
         only_consumer(problem.network(), input) >= 0;
}

bool is_addend(const Network& network, std::size_t node, std::size_t consumer) {
  const Node& addition = network.nodes[consumer];
  if (addition.operation != Operation::add || addition.shape != network.nodes[node].shape) return false;
  const int other = addition.inputs[0] == static_cast<int>(node) ? addition.inputs[1] : addition.inputs[0];
  return other < static_cast<int>(node);
}

/// Numbers the different keys of the students in the order of their first ones.
template <class Key, class Less = std::less<Key>>
class Numbering {
 public:
  std::uint32_t operator()(const Key& key) {
    return numbers_.emplace(key, static_cast<std::uint32_t>(numbers_.size())).first->second;
  }

 private:
  std::map<Key, std::uint32_t, Less> numbers_;
};

struct RequantizationLess {
  bool operator()(const Requantization* a, const Requantization* b) const {
    if (a == b || !b) return false;
    return !a || std::tie(a->bias, a->multiplier) < std::tie(b->bias, b->multiplier);
  }
};

}  // namespace

std::vector<Step> make_steps(const Problem& problem) {
  const Network& network = problem.network();
  std::vector<Step> steps;
  for (std::size_t i = 0; i < network.nodes.size(); ++i) {
    if (is_pool_of_step(problem, i)) continue;
    Step step{i};
    const int consumer = only_consumer(network, i);
    if (network.nodes[i].operation == Operation::convolution && consumer >= 0) {
      if (is_pool_of_step(problem, consumer)) step.pool = consumer;
      if (is_addend(network, i, consumer)) step.addition = consumer;
    }
    steps.push_back(step);
  }
  return steps;
}

std::vector<NodeClasses> agreement(const Problem& problem, std::span<const Student> students) {
  const Network& network = problem.network();
  std::vector<NodeClasses> all(network.nodes.size());
  for (std::size_t i = 0; i < network.nodes.size(); ++i) {
    Numbering<std::vector<std::uint32_t>> codes;
    Numbering<std::pair<std::uint32_t, Table>> value;
    Numbering<const Requantization*, RequantizationLess> requantization;
    const int site = problem.site_of(i);
    for (std::size_t s = 0; s < students.size(); ++s) {
      std::vector<std::uint32_t> key{requantization(students[s].own_requantization(i))};
      for (const int input : network.nodes[i].inputs)
        if (input != image_value) key.push_back(all[input].value[s]);
      all[i].codes.push_back(codes(key));
      all[i].value.push_back(site < 0 ? all[i].codes[s] : value({all[i].codes[s], students[s].tables[site]}));
    }
  }
  return all;
}

Plan make_plan(const Problem& problem, std::span<const Step> steps, std::span<const Student> students) {
  const auto classes = agreement(problem, students);
  const auto& nodes = problem.network().nodes;
  std::vector<std::size_t> order(students.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    for (const NodeClasses& node : classes)
      if (node.value[a] != node.value[b])
        return std::pair(node.codes[a], node.value[a]) < std::pair(node.codes[b], node.value[b]);
    return false;
  });

  Plan plan;
  plan.made_by.assign(nodes.size(), std::vector<std::size_t>(students.size()));
  // By node and class: the buffer, and the number of values that come of the same codes.
  std::vector<std::vector<int>> values(nodes.size()), codes(nodes.size());
  std::vector<std::vector<std::size_t>> maker(nodes.size());
  std::vector<std::vector<int>> heirs(nodes.size());
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    std::vector<bool> seen(students.size());
    values[i].assign(students.size(), -1);
    codes[i].assign(students.size(), -1);
    heirs[i].assign(students.size(), 0);
    maker[i].resize(students.size());
    for (std::size_t s = 0; s < students.size(); ++s) {
      if (seen[classes[i].value[s]]) continue;
      seen[classes[i].value[s]] = true;
      ++heirs[i][classes[i].codes[s]];
    }
  }
  const auto new_buffer = [&](std::size_t step, bool is_codes) {
    plan.buffers.push_back({step, is_codes, plan.tasks.size(), plan.tasks.size()});
    return static_cast<int>(plan.buffers.size() - 1);
  };
  for (const std::size_t s : order) {
    for (std::size_t k = 0; k < steps.size(); ++k) {
      const std::size_t node = steps[k].node;
      int& value = values[steps[k].value()][classes[node].value[s]];
      if (value < 0) {
        Task task{k, s};
        int& held = codes[node][classes[node].codes[s]];
        task.computes = held < 0;
        if (task.computes && heirs[node][classes[node].codes[s]] > 1) held = new_buffer(k, true);
        task.codes = held;
        if (held >= 0) plan.buffers[held].last = plan.tasks.size();
        if (task.computes) {
          for (const int input : nodes[node].inputs) {
            task.inputs.push_back(input == image_value ? image_value : values[input][classes[input].value[s]]);
            if (input != image_value) plan.buffers[task.inputs.back()].last = plan.tasks.size();
          }
        }
        task.value = value = new_buffer(k, false);
        maker[node][classes[node].value[s]] = s;
        plan.tasks.push_back(std::move(task));
      }
      plan.made_by[node][s] = plan.made_by[steps[k].value()][s] = maker[node][classes[node].value[s]];
    }
  }
  return plan;
}

Arena place(std::span<const Buffer> buffers, std::span<const std::size_t> sizes, std::size_t alignment) {
  const auto rounded = [&](std::size_t i) { return (sizes[i] + alignment - 1) / alignment * alignment; };
  std::vector<std::size_t> order(buffers.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return sizes[a] > sizes[b]; });
  std::size_t tasks = 0;
  for (const Buffer& buffer : buffers) tasks = std::max(tasks, buffer.last + 1);
  std::vector<std::vector<std::size_t>> used(tasks), begun(tasks);  // (tasks): placed buffers that one needs, begins
  Arena arena{std::vector<std::size_t>(buffers.size()), 0};
  for (const std::size_t i : order) {
    const auto [first, last] = std::pair(buffers[i].first, buffers[i].last);
    std::vector<std::size_t> others = used[first];  // all that overlap in time
    for (std::size_t t = first + 1; t <= last; ++t) others.insert(others.end(), begun[t].begin(), begun[t].end());
    std::sort(others.begin(), others.end(),
              [&](std::size_t a, std::size_t b) { return arena.offsets[a] < arena.offsets[b]; });
    std::size_t offset = 0;
    for (const std::size_t other : others) {
      if (offset + rounded(i) <= arena.offsets[other]) break;
      offset = std::max(offset, arena.offsets[other] + rounded(other));
    }
    arena.offsets[i] = offset;
    arena.size = std::max(arena.size, offset + rounded(i));
    for (std::size_t t = first; t <= last; ++t) used[t].push_back(i);
    begun[first].push_back(i);
  }
  return arena;
}

}  // namespace triseg
