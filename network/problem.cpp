#include "network/problem.hpp"

#include "core/error.hpp"
#include "core/text.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <set>
#include <sstream>
#include <string>

namespace triseg {
namespace {

/// Squares of codes up to 255, so many of which 32 bits hold the sum of.
constexpr int most_attention_channels = 66'051;
static_assert(most_attention_channels == std::numeric_limits<std::uint32_t>::max() / (255 * 255));

/// The nodes that a list may name, those behind a ReLU.
std::string nameable(const Network& n) {
  std::string names;
  for (const Node& node : n.nodes)
    if (node.relu) names += (names.empty() ? "" : ", ") + node.name;
  return names;
}

/// Length of the UTF-8 character that a text begins with.
std::size_t first_character(std::string_view text) {
  std::size_t length = 1;
  while (length < text.size() && (text[length] & 0xc0) == 0x80) ++length;
  return length;
}

/// True if * stands for any characters and ? for one. Behind a mismatch only the last * takes one more: earlier ones
/// could gain nothing by it.
bool matches(std::string_view pattern, std::string_view name) {
  std::string_view pattern_again, name_again;
  bool star = false;
  while (!name.empty() || !pattern.empty()) {
    if (pattern.starts_with('*')) {
      pattern.remove_prefix(1);
      pattern_again = pattern;
      name_again = name;
      star = true;
    } else if (pattern.starts_with('?') && !name.empty()) {
      pattern.remove_prefix(1);
      name.remove_prefix(first_character(name));
    } else if (!pattern.empty() && !name.empty() && pattern.front() == name.front()) {
      pattern.remove_prefix(1);
      name.remove_prefix(1);
    } else if (star && !name_again.empty()) {
      name_again.remove_prefix(first_character(name_again));
      pattern = pattern_again;
      name = name_again;
    } else {
      return false;
    }
  }
  return true;
}

bool is_kind(std::string_view item) {
  const auto words = selection_words();
  return item != "none" && item != "default" && std::find(words.begin(), words.end(), item) != words.end();
}

/// One list of a selection: names, kinds and patterns.
struct Selection {
  const Network& n;
  std::string_view option;
  std::string_view what;  ///< what a node without a ReLU cannot be
  std::vector<std::size_t> nodes{};

  void all() {
    if (n.all_sites.empty()) take([](const Node&) { return true; });
    listed(n.all_sites);
  }

  void listed(const std::vector<std::string>& names) {
    for (const std::string& name : names) take_index(node_index(n, name, option));
    std::sort(nodes.begin(), nodes.end());
  }

  void items(std::string_view list) {
    if (list.ends_with(',') || list.find_first_of(" \t\n") != list.npos)
      fail("{}: '{}': expected names separated by commas, without blanks and without a comma at the end", option,
           excerpt(std::string(list)));
    std::set<std::string> named;
    std::istringstream stream{std::string(list)};
    for (std::string item; std::getline(stream, item, ',');) {
      const auto node = std::find_if(n.nodes.begin(), n.nodes.end(), [&](const Node& x) { return x.name == item; });
      if (node != n.nodes.end()) {
        if (!node->relu)
          fail("{}: node '{}' of {} {} and {}: expected names from {}", option, item, n.display_name,
               &*node == &n.nodes.back() ? "makes the logits" : "has no ReLU behind it", what, nameable(n));
        if (!named.insert(item).second) fail("{}: '{}' is named twice", option, item);
        take_index(static_cast<std::size_t>(node - n.nodes.begin()));
      } else if (item == "all") {
        all();
      } else if (item.size() > 1 && item.front() == '-') {
        Selection without{n, option, what};
        without.items(std::string_view(item).substr(1));
        std::erase_if(nodes, [&](std::size_t x) { return std::count(without.nodes.begin(), without.nodes.end(), x); });
      } else {
        const bool pattern = item.find_first_of("*?") != item.npos;
        const bool taken = take(
            [&](const Node& x) { return pattern ? matches(item, x.name) : kind_name(n, x) == std::string_view(item); });
        if (!taken)
          fail("{}: {} has no {} '{}': expected names from {}", option, n.display_name,
               pattern         ? "node behind a ReLU that matches"
               : is_kind(item) ? "node behind a ReLU of kind"
                               : "node",
               excerpt(item), nameable(n));
      }
    }
    std::sort(nodes.begin(), nodes.end());
  }

 private:
  void take_index(std::size_t index) {
    if (std::find(nodes.begin(), nodes.end(), index) == nodes.end()) nodes.push_back(index);
  }
  /// Takes those behind a ReLU for which `wanted` is true; false if there are none.
  template <class Wanted>
  bool take(const Wanted& wanted) {
    bool any = false;
    for (std::size_t i = 0; i < n.nodes.size(); ++i) {
      if (!n.nodes[i].relu || !wanted(n.nodes[i])) continue;
      take_index(i);
      any = true;
    }
    return any;
  }
};

}  // namespace

std::vector<std::size_t> select_sites(const Network& n, std::string_view selection) {
  Selection selected{n, "--sites", "is never approximated"};
  if (std::none_of(n.nodes.begin(), n.nodes.end(), [](const Node& node) { return node.relu; }))
    fail(
        "--sites: '{}' selects no site of {}: it has no value behind a ReLU, and nothing else is approximated; train "
        "it "
        "with ReLUs",
        selection, n.display_name);
  selected.items(selection);
  if (selected.nodes.empty()) fail("--sites: '{}' selects no site of {}", selection, n.display_name);
  return selected.nodes;
}

std::vector<std::size_t> select_attention_layers(const Network& n, std::string_view selection) {
  if (selection == "none") return {};
  Selection selected{n, "--attention-layers", "has no attention map"};
  if (selection == "default") {
    selected.listed(n.default_attention);
  } else {
    selected.items(selection);
    if (selected.nodes.empty()) fail("--attention-layers: the list is empty; 'none' turns attention off");
  }
  for (const std::size_t i : selected.nodes)
    if (const Shape& shape = n.nodes[i].shape; shape.positions() > 1 && shape.channels > most_attention_channels)
      fail("--attention-layers: node '{}' of {} has {} channels: a map sums at most {} squared codes", n.nodes[i].name,
           n.display_name, shape.channels, most_attention_channels);
  return selected.nodes;
}

Problem make_problem(QuantizedNetwork model, std::string_view sites, std::string_view attention_layers) {
  Problem problem{std::move(model), {}, {}};
  problem.sites = select_sites(problem.network(), sites);
  problem.attention = select_attention_layers(problem.network(), attention_layers);
  return problem;
}

}  // namespace triseg
