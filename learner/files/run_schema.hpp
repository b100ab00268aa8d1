// The layout of a run file, declared once: the writer, the reader, the validator and docs/run-file.md all walk this
// table.
#pragma once

#include "learner/run_data.hpp"
#include "core/hdf5/values.hpp"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace triseg {

inline constexpr const char* run_format = "triseg-run";
/// Raised whenever the layout changes. Version 4 has no description of the network, which is that of the recipe of its
/// name, and calls branches parts; before version 6 all candidates were scored on all images; before version 7 networks
/// were chains of layers. All of them are read, too.
inline constexpr int run_schema_version = 7, oldest_run_schema_version = 4;

/// One dataset or root attribute.
struct Field {
  enum class Role {
    stored,   ///< a part of RunData: what read_run returns, and what content_sha256 covers
    derived,  ///< computed from stored fields for the convenience of readers; the validator computes it again
    file,     ///< about the file itself
  };

  std::string path;  ///< "/episodes/reward"; a root attribute is "/@seed"
  Type type = Type::f64;
  std::vector<std::string>
      dims;  ///< "Y" nodes, "I" inputs of one at most, "A" names of sites, "L" sites, "N" episodes, "U" updates, "E"
             ///< evaluations, "F" finalists, "K" candidates, "R" records, "P" the Pareto front, "M" repaired nodes, "C"
             ///< their channels, or a number; () is a scalar
  std::string units;      ///< "s", "percent", "nats"; "1" for pure numbers, "" for text
  std::string long_name;  ///< what it is, also the dataset's attribute
  Role role = Role::stored;
  bool may_differ = false;     ///< wall clock or placement: may differ between runs of the same config and seed
  bool finished_only = false;  ///< only in the file of a finished run
  int derived_since =
      4;  ///< schema version from which the validator compares a derived field; earlier ones had another formula
  bool padded = false;             ///< f64 whose rows may end in NaN
  std::string columns;             ///< names along the last axis, "t1,v1,t2,v2"; "" if it has none
  int since = 4;                   ///< the first schema version that has it
  int until = run_schema_version;  ///< the last one; earlier ones are read by hand (run_file.cpp), not by set
  std::string path_in_version_4;   ///< "" if the same

  std::function<Values(const RunData&)> get;  ///< what to write; empty for Role::file
  std::function<void(RunData&, const Values&)>
      set;  ///< empty unless stored. /sites are set before anything with codes.

  bool is_attribute() const { return path.starts_with("/@"); }
  std::string attribute_name() const { return path.substr(2); }
};

struct Group {
  std::string path;
  std::string what;
  int since = 4;  ///< the first schema version that has it
};

/// The groups and fields of a schema version in the order of the documentation, which is the order of the digest.
std::vector<Group> run_groups(int version = run_schema_version);
const std::vector<Field>& run_fields(int version = run_schema_version);

/// Where the checkpoint's tensors lie: /checkpoint/tensors/NAME, f32 of any shape.
inline constexpr const char* tensor_group = "/checkpoint/tensors";

/// The names of the root attributes that may differ, separated by commas.
std::string attributes_that_may_differ();

/// The tables of docs/run-file.md.
std::string run_schema_markdown();

}  // namespace triseg
