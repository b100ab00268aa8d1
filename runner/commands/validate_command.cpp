// triseg validate: does a run file keep to the schema, and does a file of images hold what its digest says?
#include "core/error.hpp"
#include "core/text.hpp"
#include "data/dataset_readers.hpp"
#include "learner/files/run_file.hpp"
#include "learner/files/run_schema.hpp"
#include "runner/commands/commands.hpp"
#include "runner/cli/help.hpp"
#include "runner/cli/option_checks.hpp"

#include <CLI/CLI.hpp>

#include <cstdio>
#include <memory>

namespace triseg {
namespace {

struct ValidateOptions {
  std::vector<std::string> files;
  bool schema = false;
};

int run_validate(const ValidateOptions& options) {
  if (options.schema) {
    if (!options.files.empty()) fail("validate --schema: expected no files, found {}", options.files.front());
    std::fputs(run_schema_markdown().c_str(), stdout);
    return 0;
  }
  if (options.files.empty())
    throw CLI::ParseError("validate: expected the name of a run file (NAME.h5)", CLI::ExitCodes::RequiredError);
  bool valid = true;
  for (const std::string& file : options.files) {
    const auto violations = is_hdf5_data_file(file) ? hdf5_data_violations(file) : validate_run(file);
    for (const std::string& violation : violations) fmt::print("{}: {}\n", printable(file), printable(violation));
    if (violations.empty()) fmt::print("{}: valid\n", printable(file));
    valid = valid && violations.empty();
  }
  return valid ? 0 : 1;
}

}  // namespace

void setup_validate(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<ValidateOptions>();
  CLI::App* app = program.add_subcommand("validate", "Check run files and files of images");
  add_exit_codes(*app, {{0, "all are valid"}, {1, "one violates the schema or its digest, or cannot be read"}});
  app->add_option("files", options->files, "Run files, or files of images for --data (NAME.h5)")
      ->check(path_text("a run file"));
  add_flag(*app, "Options", "--schema", options->schema, "Print the schema as Markdown and exit");
  app->callback([=, &exit_code] { exit_code = run_validate(*options); });
}

}  // namespace triseg
