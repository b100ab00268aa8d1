// Is what a file holds the work that a command asks for? Before it is continued, or taken as done.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace triseg {

/// All that a result depends on, by name: values of options ("qat_epochs": "4") and digests of what is read
/// ("data_sha256").
using Work = std::map<std::string, std::string>;

/// The work that a text of lines `name = value` describes. A line of another form stands for a name without a value.
Work parse_work(std::string_view text);

/// How people call a part of the work whose value tells them nothing.
struct WorkLabel {
  std::string option;      ///< "--data"
  std::string difference;  ///< "other images or labels"
};

/// Labels of the digests that commands write into their descriptions: data_sha256, model_sha256, result_sha256.
const std::map<std::string, WorkLabel>& digest_labels();

/// Where the works differ, "" if they are the same: "--kd-T (2 instead of 4), --data (other images or labels)", first
/// what is stored. A part that is stored and not wanted, or wanted and not stored, is a difference: "--data (no digest
/// there)". A value that is empty is called nothing.
std::string difference(const Work& stored, const Work& wanted,
                       const std::map<std::string, WorkLabel>& labels = digest_labels());

}  // namespace triseg
