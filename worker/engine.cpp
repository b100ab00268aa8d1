#include "worker/engine.hpp"

#include "core/error.hpp"
#include "core/philox.hpp"
#include "worker/onednn_engine.hpp"
#include "worker/reference_engine.hpp"

#include <array>

namespace triseg {
namespace {

struct EngineEntry {
  std::string_view name;
  std::unique_ptr<Engine> (*make)(const QuantizedNetwork&);
};

/// Fastest first: "auto" takes the first.
constexpr EngineEntry engines[] = {
#ifdef TRISEG_HAVE_ONEDNN
    {"onednn", make_onednn_engine},
#endif
    {"reference", make_reference_engine},
};

/// One random image through the whole engine, with staircases, compared with the reference.
void self_test(Engine& engine, const QuantizedNetwork& network) {
  std::vector<std::uint8_t> image(network.network.input_size());
  for (std::size_t i = 0; i < image.size(); ++i) image[i] = static_cast<std::uint8_t>(uniform_below(256, 0, Stream::self_test, i));
  const Student candidate = student(network.network, std::vector<Codes>(network.network.sites().size(), Codes{9, 18, 27, 45, 60}));
  std::array<ForwardResult, 2> results;
  const auto reference = make_reference_engine(network);
  for (Engine* each : {&engine, reference.get()}) {
    each->load_images(image, 1);
    each->forward(std::span(&candidate, 1), std::span(results).subspan(each == &engine ? 0 : 1, 1));
  }
  if (results[0].logit_codes != results[1].logit_codes || results[0].attention != results[1].attention)
    fail("engine {}: its start-up self-test gives other codes than the reference; --engine reference works", engine.name());
}

}  // namespace

Student teacher(const Network& network) { return {std::vector<Table>(network.sites().size(), identity_table()), {}}; }

Student student(const Network& network, std::span<const Codes> codes) {
  const auto sites = network.sites();
  if (codes.size() != sites.size()) fail("{} codes for the {} sites of {}", codes.size(), sites.size(), network.display_name);
  Student result;
  for (const Codes& c : codes) result.tables.push_back(staircase(c));
  return result;
}

std::vector<std::string_view> engine_names() {
  std::vector<std::string_view> names;
  for (const auto& entry : engines) names.push_back(entry.name);
  return names;
}

std::unique_ptr<Engine> make_engine(std::string_view name, const QuantizedNetwork& network) {
  for (const auto& entry : engines)
    if (name == "auto" || name == entry.name) {
      auto engine = entry.make(network);
      if (entry.make != make_reference_engine) self_test(*engine, network);
      return engine;
    }
  fail("unknown engine '{}': expected auto, {}", name, fmt::join(engine_names(), ", "));
}

}  // namespace triseg
