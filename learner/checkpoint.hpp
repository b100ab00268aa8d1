// Reading and writing the tensors of a checkpoint.
#pragma once

#include "learner/run_data.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace triseg {

/// A tensor of the checkpoint. Throws Error naming it if it is missing or has another shape.
const std::vector<float>& stored_values(const Checkpoint& checkpoint, const std::string& name,
                                        const std::vector<std::uint64_t>& shape);

/// Codes as a tensor (sites, 5), and back. Throws Error as above, and for codes that are not legal at these sites.
StoredTensor store_codes(const std::vector<Codes>& codes);
std::vector<Codes> stored_codes(const Checkpoint& checkpoint, const std::string& name,
                                const std::vector<SiteData>& sites);

}  // namespace triseg
