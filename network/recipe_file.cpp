#include "network/recipe_file.hpp"

#include "core/error.hpp"
#include "core/toml_file.hpp"
#include "network/chain.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

namespace triseg {
namespace {

using Type = TomlEntry::Type;

/// The number of one element, which is an integer; nothing where an int cannot hold it.
std::optional<int> integer_of(const std::string& text) {
  int number = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), number).ec != std::errc{}) return std::nullopt;
  return number;
}

bool all_of_type(const TomlEntry& entry, Type type) {
  return std::all_of(entry.types.begin(), entry.types.end(), [&](Type each) { return each == type; });
}

/// What an operation of a recipe is, and the keys that it has beside name, op, inputs, relu, dropout and pool.
struct RecipeOperation {
  std::string_view name;
  Operation operation;
  std::string_view keys;  ///< separated by blanks
};

constexpr std::array<RecipeOperation, 8> operations = {
    {{"conv", Operation::convolution, "channels kernel stride padding dilation groups batch_norm"},
     {"depthwise", Operation::convolution, "kernel stride padding dilation batch_norm"},
     {"fc", Operation::convolution, "channels batch_norm"},
     {"average", Operation::average, "kernel stride padding dilation ceil count_padding"},
     {"maximum", Operation::maximum, "kernel stride padding dilation ceil"},
     {"add", Operation::add, ""},
     {"multiply", Operation::multiply, ""},
     {"concatenate", Operation::concatenate, ""}}};
constexpr std::string_view common_keys = "name op inputs relu dropout pool";

std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> result;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    result.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return result;
}

/// One table of a document: its entries are looked up by key, with errors that say where.
class Table {
 public:
  Table(std::string place, const std::vector<TomlEntry>& entries) : place_(std::move(place)), entries_(entries) {}

  const TomlEntry* find(std::string_view key) const {
    for (const TomlEntry& entry : entries_)
      if (entry.key == key) return &entry;
    return nullptr;
  }

  [[noreturn]] void bad(const TomlEntry& entry, std::string_view expected) const {
    fail("{}: line {}: key '{}': expected {}, found {}", place_, entry.line, entry.key, expected, entry.described());
  }

  std::string text(std::string_view key, const std::string& otherwise) const {
    const TomlEntry* entry = find(key);
    if (!entry) return otherwise;
    if (entry->list || entry->types.front() != Type::text) bad(*entry, "a text in quotes");
    return entry->texts.front();
  }

  bool flag(std::string_view key) const {
    const TomlEntry* entry = find(key);
    if (!entry) return false;
    if (entry->list || entry->types.front() != Type::boolean) bad(*entry, "true or false");
    return entry->texts.front() == "true";
  }

  std::vector<std::string> texts(std::string_view key) const {
    const TomlEntry* entry = find(key);
    if (!entry) return {};
    if (!all_of_type(*entry, Type::text)) bad(*entry, "a text or a list of texts");
    return entry->texts;
  }

  /// One number, or a list of as many as `sizes` allows; nothing if the key is not there.
  std::vector<int> numbers(std::string_view key, const std::set<std::size_t>& sizes, std::string_view expected) const {
    const TomlEntry* entry = find(key);
    if (!entry) return {};
    if (!all_of_type(*entry, Type::integer) || !sizes.contains(entry->texts.size())) bad(*entry, expected);
    std::vector<int> result;
    for (const std::string& text : entry->texts) {
      const auto number = integer_of(text);
      if (!number) fail("{}: line {}: key '{}': {} is too large", place_, entry->line, key, text);
      result.push_back(*number);
    }
    return result;
  }

  double share(std::string_view key) const {
    const TomlEntry* entry = find(key);
    if (!entry) return 0;
    const bool number = !entry->list && (entry->types.front() == Type::real || entry->types.front() == Type::integer);
    const double value = number ? std::stod(entry->texts.front()) : -1;
    if (!(value >= 0 && value < 1)) bad(*entry, "a number of at least 0 and below 1");
    return value;
  }

  /// Throws Error for a key that is not among `known`.
  void check_keys(const std::vector<std::string_view>& known, std::string_view of_what) const {
    for (const TomlEntry& entry : entries_)
      if (std::find(known.begin(), known.end(), entry.key) == known.end())
        fail("{}: line {}: unknown key '{}'{}: expected one of {}", place_, entry.line, entry.key, of_what,
             fmt::join(known, ", "));
  }

 private:
  std::string place_;
  const std::vector<TomlEntry>& entries_;
};

/// Puts a recipe together, node by node.
class RecipeReader {
 public:
  RecipeReader(std::string place, int classes) : place_(std::move(place)) { network_.classes = classes; }

  void top(const std::vector<TomlEntry>& entries) {
    const Table table(place_, entries);
    table.check_keys({"name", "display_name", "input", "sites", "attention", "nodes"}, "");
    if (const TomlEntry* nodes = table.find("nodes")) table.bad(*nodes, "a list of tables, one a node");
    network_.name = table.text("name", "");
    if (network_.name.empty()) fail("{}: expected the key 'name', the network's", place_);
    network_.display_name = table.text("display_name", network_.name);
    const auto input = table.numbers("input", {3}, "a list of 3 whole numbers: channels, height, width");
    if (!input.empty()) network_.input = {input[0], input[1], input[2]};
    network_.all_sites = table.texts("sites");
    network_.default_attention = table.texts("attention");
  }

  void node(const TomlSection& section) {
    const std::string at = fmt::format("{}: line {}", place_, section.line);
    if (section.name != "nodes" || !section.repeated)
      fail("{}: unknown section '{}': expected nodes = [...], a table a node", at, section.name);
    const std::string name = Table(place_, section.entries).text("name", "");
    if (name.empty()) fail("{}: expected the key 'name', the node's", at);
    if (name == image) fail("{}: node '{}': expected another name: this one is the image's", at, name);
    add(Table(fmt::format("{}: node {}", place_, name), section.entries), name, at);
  }

  Recipe finish() {
    if (network_.nodes.empty()) fail("{}: expected nodes = [...], a table a node", place_);
    placed(place_, [&] { connect(network_); });
    if (std::none_of(network_.nodes.begin(), network_.nodes.end(), [](const Node& node) { return node.relu; }))
      fail("{}: no node has relu = true: a search replaces what is behind a ReLU, and nothing else", place_);
    return {std::move(network_), std::move(training_)};
  }

 private:
  static constexpr std::string_view image = "image";

  /// What connect() says of a network, with the place in front.
  template <class Call>
  static void placed(const std::string& place, const Call& call) {
    try {
      call();
    } catch (const Error& error) {
      fail("{}: {}", place, error.what());
    }
  }

  int last() const { return static_cast<int>(network_.nodes.size()) - 1; }

  static const RecipeOperation& operation_of(const Table& table, const std::string& at, const std::string& node) {
    const std::string op = table.text("op", "conv");
    std::vector<std::string_view> known;
    for (const RecipeOperation& each : operations) {
      if (each.name == op) return each;
      known.push_back(each.name);
    }
    fail("{}: node {}: unknown op '{}': expected one of {}", at, node, op, fmt::join(known, ", "));
  }

  std::vector<int> inputs(const Table& table, const std::string& at, const std::string& node) const {
    if (!table.find("inputs")) return {last()};
    std::vector<int> result;
    for (const std::string& name : table.texts("inputs")) {
      const auto found = std::find_if(network_.nodes.begin(), network_.nodes.end(),
                                      [&](const Node& each) { return each.name == name; });
      if (found == network_.nodes.end() && name != image)
        fail("{}: node {}: no node before it is called '{}', the name of an input", at, node, name);
      result.push_back(name == image ? image_value : static_cast<int>(found - network_.nodes.begin()));
    }
    return result;
  }

  void add(const Table& table, const std::string& name, const std::string& at) {
    const RecipeOperation& op = operation_of(table, at, name);
    std::vector<std::string_view> keys = words(common_keys);
    for (const std::string_view key : words(op.keys)) keys.push_back(key);
    table.check_keys(keys, fmt::format(" of op '{}'", op.name));
    Node node;
    node.name = name;
    node.operation = op.operation;
    node.inputs = inputs(table, at, name);
    node.relu = table.flag("relu");
    node.count_padding = table.flag("count_padding");
    if (node.inputs.empty()) fail("{}: node {}: expected an input", at, name);
    const Shape before = network_.input_shape(node);
    node.shape.channels = op.name == "depthwise" ? before.channels : channels(table, op, at, name);
    node.groups = op.name == "depthwise" ? before.channels : number(table, "groups", 1);
    if (op.keys.find("kernel") != op.keys.npos) node.window = window(table, op, before, at, name);
    if (op.name == "fc") {
      node.window.height = before.height;
      node.window.width = before.width;
    }
    append(std::move(node), {.batch_norm = table.flag("batch_norm"), .dropout = table.share("dropout")}, at);
    if (const int side = number(table, "pool", 1); side != 1) {
      Node pool;
      pool.name = pool_name(name);
      pool.operation = Operation::maximum;
      pool.inputs = {last()};
      pool.window.height = pool.window.width = pool.window.stride_y = pool.window.stride_x = side;
      append(std::move(pool), {}, at);
    }
  }

  static int number(const Table& table, std::string_view key, int otherwise) {
    const auto found = table.numbers(key, {1}, "a whole number");
    return found.empty() ? otherwise : found.front();
  }

  int channels(const Table& table, const RecipeOperation& op, const std::string& at, const std::string& node) const {
    if (op.operation != Operation::convolution) return 0;
    const TomlEntry* entry = table.find("channels");
    if (!entry) fail("{}: node {}: expected the key 'channels'", at, node);
    if (!entry->list && entry->types.front() == Type::text && entry->texts.front() == "classes")
      return network_.classes;
    return table.numbers("channels", {1}, "a whole number, or \"classes\"").front();
  }

  static Window window(const Table& table, const RecipeOperation& op, const Shape& before, const std::string& at,
                       const std::string& node) {
    Window w;
    const bool pool = op.operation != Operation::convolution;
    const auto kernel = table.numbers("kernel", {1, 2}, "a whole number, or a list of height and width");
    if (kernel.empty() && !pool) fail("{}: node {}: expected the key 'kernel'", at, node);
    w.height = kernel.empty() ? before.height : kernel.front();
    w.width = kernel.empty() ? before.width : kernel.back();
    const auto stride = table.numbers("stride", {1, 2}, "a whole number, or a list of two: down, across");
    if (!stride.empty()) w.stride_y = stride.front(), w.stride_x = stride.back();
    const auto dilation = table.numbers("dilation", {1, 2}, "a whole number, or a list of two: down, across");
    if (!dilation.empty()) w.dilation_y = dilation.front(), w.dilation_x = dilation.back();
    const auto padding =
        table.numbers("padding", {1, 2, 4},
                      "a whole number, or a list of two, down and across, or of four: top, left, bottom, right");
    if (padding.size() == 4) {
      w.pad_top = padding[0], w.pad_left = padding[1], w.pad_bottom = padding[2], w.pad_right = padding[3];
    } else if (!padding.empty()) {
      w.pad_top = w.pad_bottom = padding.front();
      w.pad_left = w.pad_right = padding.back();
    }
    w.ceil = table.flag("ceil");
    return w;
  }

  void append(Node node, const LayerTraining& training, const std::string& at) {
    if (node.operation == Operation::maximum && node.relu)
      fail("{}: node {}: a maximum has no ReLU: put it on the node before, where it does the same", at, node.name);
    network_.nodes.push_back(std::move(node));
    training_.push_back(training);
    placed(at, [&] { connect_node(network_, network_.nodes.size() - 1); });
  }

  std::string place_;
  Network network_;
  std::vector<LayerTraining> training_;
};

Recipe recipe_of(const std::vector<TomlSection>& sections, const std::string& place, int classes) {
  RecipeReader reader(place, classes);
  reader.top(sections.front().entries);
  for (std::size_t i = 1; i < sections.size(); ++i) reader.node(sections[i]);
  return reader.finish();
}

}  // namespace

Recipe parse_recipe(const std::string& document, const std::string& place, int classes) {
  return recipe_of(parse_toml_sections(document, place), place, classes);
}

Recipe read_recipe(std::string_view option, const std::string& path, int classes) {
  return recipe_of(read_toml_sections(option, path), fmt::format("{}: {}", option, path), classes);
}

}  // namespace triseg
