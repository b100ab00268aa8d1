#include "learner/files/run_fields.hpp"

#include "core/error.hpp"
#include "learner/files/run_columns.hpp"
#include "learner/files/stored_network.hpp"

#include <sstream>
#include <string>
#include <vector>

namespace triseg {

void add_root(std::vector<Field>& fields) {
  const auto add = [&](std::string name, std::string units, std::string long_name, auto access) {
    fields.push_back(scalar("/@" + name, units, long_name, access));
  };
  const auto add_file = [&](std::string name, Type type, std::string long_name, bool may_differ = false) {
    fields.push_back({"/@" + name, type, {}, "", long_name, Field::Role::file, may_differ});
  };
  const auto add_placement = [&](std::string name, std::string long_name, auto access) {
    fields.push_back(may_differ(scalar("/@" + name, "", long_name, access)));
  };
  add_file("format", Type::string, "\"triseg-run\"");
  add_file("schema_version", Type::s32, "version of this layout");
  add_file("creator", Type::string, "the program that wrote the file");
  add_file("creator_version", Type::string, "its version");
  add_file("file_time", Type::string, "when the file was written, UTC, ISO 8601", true);
  add_file("may_differ", Type::string, "root attributes that may differ between runs of one config and seed");
  add_file("content_sha256", Type::string, "digest over all stored fields (below)", true);
  fields.push_back(
      with_set(scalar("/@status", "", "\"running\" or \"finished\"",
                      [](const RunData& run) { return std::string(run.finished ? "finished" : "running"); }),
               [](RunData& run, const Values& values) {
                 const std::string status = values.string();
                 if (status != "running" && status != "finished")
                   fail("expected running or finished, found '{}'", status);
                 run.finished = status == "finished";
               }));
  add("model", "", "network, as --model takes it", [](auto& r) -> decltype(auto) { return (r.network.name); });
  add("model_display_name", "", "network, for people",
      [](auto& r) -> decltype(auto) { return (r.network.display_name); });
  add("model_sha256", "", "SHA-256 of the model file", &RunData::model_sha256);
  add("backend", "", "quantization scheme: fbgemm or qnnpack", &RunData::backend);
  add("data_sha256", "", "SHA-256 over the data set's sizes, pixels and labels", &RunData::data_sha256);
  add("selection", "", "how the selected codes were chosen", &RunData::selection);
  fields.push_back(
      with_set(scalar("/@attention_layers", "", "names of the attention layers, separated by commas",
                      [](const RunData& run) { return fmt::format("{}", fmt::join(run.attention_layers, ",")); }),
               [](RunData& run, const Values& values) {
                 std::istringstream stream(values.string());
                 for (std::string name; std::getline(stream, name, ',');) run.attention_layers.push_back(name);
               }));
  add("temperature", "1", "temperature T of KD", &RunData::temperature);
  add("attention_weight", "1", "weight w of the attention term in reward = -(kd + w attention)",
      &RunData::attention_weight);
  add("seed", "1", "seed of all random numbers", &RunData::seed);
  add("episodes_total", "1", "episodes the run is to score", &RunData::episodes_total);
  add("repair", "", "how students' requantization is repaired: none, layer or channel", &RunData::repair);
  add("student_images", "1",
      "images that students were run on in the search so far, starts, references, evaluations and repairs included",
      &RunData::student_images);
  for (const auto& [name, member] : energy_names)
    add(fmt::format("energy_{}", name), "pJ", fmt::format("energy of an operation, {} of --energy-table", name),
        [member = member](auto& r) -> decltype(auto) { return (r.energy.*member); });
  add("config_hash", "", "SHA-256 over the options that change results", &RunData::config_hash);
  add_placement("config", "all options, given or by default, as TOML", &RunData::config);
  add_placement("data", "data set, as --data takes it: a name, or an absolute path", &RunData::data);
  add_placement("engine", "what executed the networks", &RunData::engine);
  add_placement("transport", "what carried codes and records between ranks", &RunData::transport);
  add_placement("ranks", "number of ranks", &RunData::ranks);
  add_placement("threads_per_rank", "threads of each rank", &RunData::threads_per_rank);
  add_placement("command_line", "the command that started or last continued the run", &RunData::command_line);
}

namespace {

/// The fields of a chain, which were those of networks before version 7. RunData has none of them: they are read by
/// hand, and never written.
void add_chain(std::vector<Field>& fields) {
  const auto add = [&](const std::string& name, Type type) {
    Field f{"/network/" + name, type, {"Y"}, type == Type::string ? "" : "1", ""};
    f.set = [](RunData&, const Values&) {};
    fields.push_back(in_versions(5, 6, f));
  };
  add("name", Type::string);
  add("kind", Type::string);
  visit_chain_columns([&]<class T>(const char* name, const char*, T ChainLayer::*) { add(name, type_of<T>()); });
}

}  // namespace

void add_network(std::vector<Field>& fields) {
  const auto current = [](Field f) { return in_versions(7, run_schema_version, std::move(f)); };
  const auto size = [](std::string name, std::string long_name, auto access) {
    return scalar("/network/" + name, "1", long_name, access);
  };
  const auto height = [](auto& r) -> decltype(auto) { return (r.network.input.height); };
  const auto set_side = [](RunData& run, const Values& values) {
    run.network.input.height = run.network.input.width = values.get<std::int32_t>();
  };
  fields.push_back(in_versions(5, run_schema_version,
                               size("input_channels", "channels of the input",
                                    [](auto& r) -> decltype(auto) { return (r.network.input.channels); })));
  fields.push_back(in_versions(5, 6, with_set(size("input_side", "", height), set_side)));
  fields.push_back(current(size("input_height", "height of the input [pixels]", height)));
  fields.push_back(current(
      size("input_width", "its width [pixels]", [](auto& r) -> decltype(auto) { return (r.network.input.width); })));
  fields.push_back(in_versions(5, run_schema_version,
                               size("classes", "classes that the network tells apart",
                                    [](auto& r) -> decltype(auto) { return (r.network.classes); })));
  add_chain(fields);
  Field sites{"/network/all_sites",
              Type::string,
              {"A"},
              "",
              "names that --sites all stands for; none: all nodes behind a ReLU"};
  sites.get = [](const RunData& run) { return Values::strings(run.network.all_sites); };
  sites.set = [](RunData& run, const Values& values) { run.network.all_sites = values.strings(); };
  fields.push_back(current(sites));

  const Rows rows{"/network/nodes", "Y", [](auto& run) -> decltype(auto) { return (run.network.nodes); }};
  fields.push_back(current(column(rows, {"name", "", "name of the node and its value"}, &Node::name)));
  fields.push_back(
      current(with_set(column(rows, {"operation", "", "what it does (docs/int8-contract.md)"},
                              [](const Node& node) { return std::string(operation_name(node.operation)); }),
                       [](RunData& run, const Values& values) {
                         const std::vector<std::string> names = values.strings();
                         run.network.nodes.resize(names.size());
                         for (std::size_t i = 0; i < names.size(); ++i)
                           run.network.nodes[i].operation = parse_operation(names[i]);
                       })));
  Field inputs{"/network/nodes/inputs", Type::s32, {"Y", "I"}, "1", inputs_long_name};
  inputs.get = [](const RunData& run) {
    const InputColumns columns = input_columns(run.network);
    return Values::array<std::int32_t>(columns.values, {run.network.nodes.size(), columns.most});
  };
  inputs.set = [](RunData& run, const Values& values) { set_inputs(run.network, values.as<std::int32_t>()); };
  fields.push_back(current(inputs));
  visit_node_columns([&](const char* name, const char* long_name, auto access) {
    fields.push_back(current(column(rows, {name, "1", long_name}, access)));
  });
}

void add_sites(std::vector<Field>& fields) {
  const Rows rows{"/sites", "L", &RunData::sites};
  const auto add = [&](Label label, auto access) { fields.push_back(column(rows, label, access)); };
  add({"name", "", "name of its node"}, &SiteData::name);
  add({"record_key", "", "key of the site in result files"}, &SiteData::record_key);
  add({"kind", "", "conv, fc (fully connected), or another operation"}, &SiteData::kind);
  add({"scale", "1", "real value of one code step"}, [](auto& s) -> decltype(auto) { return (s.scale.scale); });
  add({"zero_point", "1", "code of real zero"}, [](auto& s) -> decltype(auto) { return (s.scale.zero_point); });
  add({"tmax", "1", "largest code that the staircase replaces, by the rule of calibration"}, &SiteData::tmax);
  add({"tmax_searched", "1", "1 if episodes draw tmax, too, and the one above is only the start's"},
      &SiteData::tmax_searched);
  add({"init_codes", "1", "the initial codes, tmax {1,2,3,4} / 5"}, &SiteData::init);
  add({"mse_codes", "1", "the codes of least mean square error on the histogram"}, &SiteData::mse);
  add({"start_codes", "1", "where the search started at the tmax above, and what all episodes are compared with"},
      &SiteData::start);
  add({"state", "1", "the policy's input: index / (sites - 1), mean / 255, std / 128, p90 / 255"}, &SiteData::state);
  fields.back().columns = "index,mean,std,p90";
  add({"histogram", "1", "counts of the codes 0..255 in calibration"}, &SiteData::histogram);
}

}  // namespace triseg
