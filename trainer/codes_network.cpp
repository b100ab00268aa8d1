#include "trainer/codes_network.hpp"

#include "trainer/repair_network.hpp"
#include "trainer/student_network.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

namespace triseg {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

constexpr std::int64_t code_count = 5;  // t1, v1, t2, v2, tmax: the members of SiteGradient

/// What the codes of all sites become, their gradients, and the gradients by the codes of the staircases.
struct Columns {
  std::vector<float> tables, slopes;  // (sites, 256)
  std::vector<float> by_code;         // (sites, 256, code_count)

  void add(const Codes& c, double smoothing);
};

void Columns::add(const Codes& c, double smoothing) {
  const Table table = staircase(c);
  const auto smoothed = smoothed_gradient(c, smoothing);
  const auto jump = [&](int q, int threshold, int height) {
    const double deviation = std::max(0.5, smoothing * height), x = (q - threshold - 0.5) / deviation;
    return -height * std::exp(-0.5 * x * x) / (deviation * std::sqrt(2 * std::numbers::pi));
  };
  for (int q = 0; q < 256; ++q) {
    const bool first = q > c.t1 && q <= c.t2, second = q > c.t2 && q <= c.tmax;
    tables.push_back(float(table[q]));
    slopes.push_back(smoothed[q]);
    for (const double value : {jump(q, c.t1, c.v1), first ? 1.0 : 0.0, jump(q, c.t2, c.v2 - c.v1), second ? 1.0 : 0.0,
                               c.tmax < 255 ? jump(q, c.tmax, c.tmax + 1 - c.v2) : 0.0})
      by_code.push_back(float(value));
  }
}

/// A site's staircase. codes: (code_count), whose values do not matter, but whose gradient does. table, slopes: (256);
/// by_code: (256, code_count).
struct Staircase : torch::autograd::Function<Staircase> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& /*codes*/, const Tensor& table,
                        const Tensor& slopes, const Tensor& by_code) {
    const Tensor index = x.to(torch::kLong);
    context->save_for_backward({index, slopes, by_code});
    return table.index({index});
  }
  static tensor_list backward(AutogradContext* context, tensor_list outputs) {
    const tensor_list saved = context->get_saved_variables();
    const Tensor &index = saved[0], &gradient = outputs[0];
    const Tensor rows = saved[2].index_select(0, index.flatten());
    return {gradient * saved[1].index({index}), torch::mv(rows.t(), gradient.flatten()), Tensor(), Tensor(), Tensor()};
  }
};

/// Maps of unit norm; one of zeros stays.
Tensor unit(const Tensor& map) {
  const Tensor squares = (map * map).sum(1, true);
  return map * torch::where(squares > 0, torch::rsqrt(torch::clamp_min(squares, 1e-30)), torch::zeros_like(squares));
}

}  // namespace

struct CodesNetwork::Impl final : StudentNetwork {
  CodesLoss loss;
  Tensor codes;           // (sites, code_count): zeros, for their gradient
  Tensor tables, slopes;  // (sites, 256)
  Tensor by_code;         // (sites, 256, code_count)

  Impl(const Problem& problem, const Repair& repair, const CodesLoss& given, const std::string& device_name)
      : StudentNetwork(problem, repair, true, device_name), loss(given) {
    codes = torch::zeros({std::int64_t(problem.sites.size()), code_count}, device()).set_requires_grad(true);
  }

 private:
  Tensor staircase_of(std::size_t i, const Tensor& x) const override {
    const std::int64_t site = problem_.site_of(i);
    return Staircase::apply(x, codes.select(0, site), tables.select(0, site), slopes.select(0, site),
                            by_code.select(0, site));
  }
};

CodesNetwork::CodesNetwork(const Problem& problem, const Repair& repair, const CodesLoss& loss,
                           const std::string& device)
    : impl_(std::make_unique<Impl>(problem, repair, loss, device)) {}

CodesNetwork::CodesNetwork(CodesNetwork&&) noexcept = default;
CodesNetwork::~CodesNetwork() = default;

CodesStep CodesNetwork::gradient(std::span<const std::uint8_t> pixels, std::span<const Codes> codes) {
  const CodesLoss& o = impl_->loss;
  Columns columns;
  for (const Codes& c : codes) columns.add(c, o.smoothing);
  const auto to_device = [&](const std::vector<float>& values) {
    return torch::tensor(values).reshape({std::int64_t(codes.size()), 256, -1}).to(impl_->device());
  };
  impl_->tables = to_device(columns.tables).squeeze(2);
  impl_->slopes = to_device(columns.slopes).squeeze(2);
  impl_->by_code = to_device(columns.by_code);
  impl_->codes.mutable_grad() = Tensor();
  const Tensor images = impl_->images(pixels);
  std::vector<Tensor> teacher_maps, maps;
  Tensor target;
  {
    torch::NoGradGuard no_grad;
    target = torch::log_softmax(impl_->forward(images, false, &teacher_maps) / o.temperature, 1);
  }
  const Tensor logits = torch::log_softmax(impl_->forward(images, true, &maps) / o.temperature, 1);
  Tensor loss = (target.exp() * (target - logits)).sum(1).mean() * (o.temperature * o.temperature);
  for (std::size_t a = 0; a < maps.size(); ++a) {
    const Tensor difference = unit(maps[a]) - unit(teacher_maps[a]);
    loss = loss + (difference * difference).sum(1).mean() * (o.attention_weight / double(maps.size()));
  }
  loss.backward();
  CodesStep result{loss.item<double>(), {}};
  const std::vector<float> found = to_vector(impl_->codes.grad());
  for (std::size_t l = 0; l < codes.size(); ++l) {
    const float* g = &found[l * code_count];
    result.sites.push_back({g[0], g[1], g[2], g[3], g[4]});
  }
  return result;
}

}  // namespace triseg
