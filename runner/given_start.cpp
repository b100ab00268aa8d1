#include "runner/given_start.hpp"

#include "core/error.hpp"
#include "core/sha256.hpp"
#include "learner/files/result_file.hpp"
#include "learner/judging/repair.hpp"
#include "learner/strategies/initial_codes.hpp"

#include <spdlog/spdlog.h>

namespace triseg {
namespace {

std::string names_of(const Problem& problem, const std::vector<std::size_t>& sites) {
  std::vector<std::string> names;
  for (const std::size_t l : sites) names.push_back(problem.network().nodes[l].name);
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

GivenStart read_start(const std::string& path, const Problem& problem, const std::string& model_sha256) {
  const ResultFile file(path);
  const SiteCodes found = file.codes(problem.network());
  if (found.sites != problem.sites)
    fail("--start: {} has codes of {}, the search of {}: give the same with --sites", path,
         names_of(problem, found.sites), names_of(problem, problem.sites));
  for (std::size_t i = 0; i < found.codes.size(); ++i)
    if (!is_legal(found.codes[i]))
      fail("--start: {}: codes of {} are not legal: {}; expected 1 <= t1 < v1 <= t2 < v2 <= tmax", path,
           problem.site(i).name, to_string(found.codes[i]));
  StoredRepair repair = file.repair(problem.network());
  try {
    check_repair(problem.model, repair.repair);
    if (repair.mode == name_of(repair_modes, RepairMode::layer)) check_one_factor(problem.model, repair.repair);
  } catch (const Error& error) {
    fail("--start: {}: {}", path, error.what());
  }
  const std::string& made_with = file.origin().model_sha256;
  if (!repair.repair.empty() && !made_with.empty() && made_with != model_sha256)
    fail(
        "--start: the repair in {} is for another teacher (sha256 {:.12}...) than this (sha256 {:.12}...): give its "
        "model file with --teacher",
        path, made_with, model_sha256);
  return {found.codes, std::move(repair.mode), std::move(repair.repair)};
}

std::string identity_of(const GivenStart& start, const Network& network) {
  std::string text;
  for (const Codes& c : start.codes) text += to_string(c) + "\n";
  for (std::size_t i = 0; i < start.repair.size(); ++i) {
    if (network.nodes[i].operation != Operation::convolution) continue;
    const auto& own = start.repair[i];
    text += own ? fmt::format("{} {}\n", fmt::join(own->multiplier, ","), fmt::join(own->bias, ",")) : "-\n";
  }
  return sha256_hex(text);
}

std::string start_identity(const RunData& run, bool brought_repair) {
  std::vector<Codes> codes;
  Problem problem;
  problem.model.network = run.network;
  problem.sites = site_nodes(run.network, run.sites);
  for (const SiteData& site : run.sites) codes.push_back(site.start);
  GivenStart start{codes, run.repair, {}};
  if (!codes.empty() && brought_repair)
    if (auto repair = stored_repair(run.checkpoint, problem)) start.repair = std::move(*repair);
  return identity_of(start, run.network);
}

void take_start(std::vector<SiteData>& sites, const GivenStart& start) {
  for (std::size_t i = 0; i < sites.size(); ++i) {
    SiteData& site = sites[i];
    const int tmax = start.codes[i].tmax;
    if (tmax != site.tmax) spdlog::info("[start] {}: tmax {} as in --start, not {}", site.name, tmax, site.tmax);
    site.tmax = tmax;
    site.init = initial_codes(tmax);
    site.mse = mse_optimum(site.histogram, tmax);
    site.start = start.codes[i];
  }
}

}  // namespace triseg
