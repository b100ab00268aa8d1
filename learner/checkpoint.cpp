#include "learner/checkpoint.hpp"

#include "core/error.hpp"

namespace triseg {

const std::vector<float>& stored_values(const Checkpoint& checkpoint, const std::string& name,
                                        const std::vector<std::uint64_t>& shape) {
  const auto found = checkpoint.tensors.find(name);
  if (found == checkpoint.tensors.end()) fail("checkpoint: tensor '{}' is missing", name);
  std::uint64_t size = 1;
  for (std::uint64_t n : shape) size *= n;
  if (found->second.shape != shape || found->second.values.size() != size)
    fail("checkpoint: tensor '{}' has another shape than this search's", name);
  return found->second.values;
}

StoredTensor store_codes(const std::vector<Codes>& codes) {
  StoredTensor tensor{{codes.size(), 5}, {}};
  for (const Codes& c : codes)
    for (std::uint8_t q : {c.t1, c.v1, c.t2, c.v2, c.tmax}) tensor.values.push_back(q);
  return tensor;
}

std::vector<Codes> stored_codes(const Checkpoint& checkpoint, const std::string& name,
                                const std::vector<SiteData>& sites) {
  const std::vector<float> values = stored_values(checkpoint, name, {sites.size(), 5});
  std::vector<Codes> codes;
  for (std::size_t l = 0; l < sites.size(); ++l) {
    const auto code = [&](std::size_t k) { return static_cast<std::uint8_t>(values[l * 5 + k]); };
    codes.push_back({code(0), code(1), code(2), code(3), code(4)});
    if (!is_legal(codes.back()) || (codes.back().tmax != sites[l].tmax && !sites[l].tmax_searched))
      fail("checkpoint: tensor '{}' holds codes that are not legal", name);
  }
  return codes;
}

}  // namespace triseg
