#include "learner/strategies/mse_only.hpp"

namespace triseg {
namespace {

class MseOnly final : public Strategy {
 public:
  explicit MseOnly(const std::vector<SiteData>& sites) {
    for (const SiteData& site : sites) optimum_.push_back(site.mse);
  }

  std::uint64_t usable_episodes(std::uint64_t) const override { return 0; }
  Draws propose(std::uint64_t, std::size_t count) override { return {{count, optimum_}, {}}; }
  void learn(std::span<const Episode>, std::span<const float>, Update&) override {}
  std::vector<Codes> most_probable() const override { return optimum_; }
  std::vector<std::vector<Codes>> incumbents() const override { return {}; }  // it is a finalist of every search
  void save(Checkpoint&) const override {}
  void restore(const Checkpoint&) override {}

 private:
  std::vector<Codes> optimum_;
};

}  // namespace

std::unique_ptr<Strategy> make_mse_only(const std::vector<SiteData>& sites) { return std::make_unique<MseOnly>(sites); }

}  // namespace triseg
