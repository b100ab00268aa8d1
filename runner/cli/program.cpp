#include "runner/cli/program.hpp"

#include "core/error.hpp"
#include "core/terminal.hpp"
#include "core/text.hpp"
#include "runner/options/command_line.hpp"
#include "runner/cli/examples.hpp"
#include "runner/cli/help.hpp"
#include "runner/cli/version.hpp"
#include "runner/display/live_view.hpp"
#include "runner/ranks/report_error.hpp"
#include "runner/ranks/signals.hpp"
#include "runner/ranks/transport.hpp"
#include "runner/options/search_options.hpp"

#include <CLI/CLI.hpp>
#include <spdlog/fmt/fmt.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iostream>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace triseg {
namespace {

/// Log lines on stderr, without control characters, above a live view where one stands; warnings and errors in colour.
class LogSink final : public spdlog::sinks::base_sink<std::mutex> {
 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    const std::string text = printable({message.payload.data(), message.payload.size()});
    spdlog::details::log_msg shown = message;
    shown.payload = text;
    spdlog::memory_buf_t line;
    formatter_->format(shown, line);
    std::string plain(line.data(), line.size() - 1);  // without the line break
    if (message.level >= spdlog::level::warn) plain = colored(Color::yellow, plain);
    print_above_live_view(plain + "\n");
  }
  void flush_() override { std::fflush(stderr); }
};

/// Opens the standard streams that the caller has closed. Else the next file opened would take their place, and what is
/// meant for people would be written into it. A closed standard output becomes one that no one can write to, so that it
/// is noticed.
void open_standard_streams() {
  for (const auto& [fd, flags] :
       {std::pair(STDIN_FILENO, O_RDONLY), {STDOUT_FILENO, O_RDONLY}, {STDERR_FILENO, O_WRONLY}})
    if (::fcntl(fd, F_GETFD) == -1 && errno == EBADF) {
      const int opened = ::open("/dev/null", flags);
      if (opened >= 0 && opened != fd) {
        ::dup2(opened, fd);
        ::close(opened);
      }
    }
}

/// `triseg help [SUBCOMMAND ...]` is `triseg [SUBCOMMAND ...] --help`, which other programs may answer.
[[noreturn]] void ask_for_help(int argc, char** argv) {
  std::vector<char*> words{argv[0]};
  words.insert(words.end(), argv + 2, argv + argc);
  std::string help = "--help";
  words.push_back(help.data());
  words.push_back(nullptr);
  ::execv("/proc/self/exe", words.data());
  fail("cannot run {} again: {}", argv[0], std::strerror(errno));
}

/// What std::terminate calls.
[[noreturn]] void report_and_end() {
  std::string message = "ended by a failure that nothing caught";
  try {
    if (const auto failure = std::current_exception()) std::rethrow_exception(failure);
  } catch (const std::exception& error) {
    message = message_of(error);
  } catch (...) {}
  report_error(message);
  std::_Exit(1);
}

/// The exit code of a command, if what it printed has arrived; else 1, after a line that says why.
int after_output(int exit_code) {
  errno = 0;
  const bool arrived = std::cout.flush().good() && std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  if (arrived) return exit_code;
  report_error(
      fmt::format("cannot write to standard output: {}", errno ? std::strerror(errno) : "an earlier write failed"));
  return exit_code ? exit_code : 1;
}

/// The subcommand, or that of a subcommand, that the command line names.
const CLI::App* chosen_app(const CLI::App& program) {
  const CLI::App* app = &program;
  while (!app->get_subcommands().empty()) app = app->get_subcommands().front();
  return app;
}

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options())
    if (option->nonpositional()) names.push_back(option->get_name(false, false));
  return names;
}

/// What the line says of a command line without a known subcommand of this app. found: the word in its place, or null.
std::string subcommand_expected(const CLI::App& app, const char* found) {
  std::vector<std::string> known;
  for (const CLI::App* subcommand : app.get_subcommands({}))
    if (!subcommand->get_group().empty()) known.push_back(subcommand->get_name());
  const std::string expected = fmt::format("expected a subcommand, one of {}", fmt::join(known, ", "));
  if (!found) return expected + "; found none";
  const std::string meant = did_you_mean(found, known);
  return fmt::format("{}; found '{}'{}{}", expected, found, meant.empty() ? "" : ":", meant);
}

std::string unknown_option(const CLI::App& app, const std::string& name, const std::string& subcommand) {
  return fmt::format("unknown option '{}':{} triseg {} {} lists them", name, did_you_mean(name, option_names(app)),
                     subcommand, app.get_help_all_ptr() ? "--help-all" : "--help");
}

/// What the line adds where a word in the place of a file is nearly the name of a subcommand: "sweep: found 'statis':
/// did you mean 'status'?"; else empty.
std::string nearly_subcommand(const CLI::App& app, int argc, char** argv) {
  std::vector<std::string> known;
  for (const CLI::App* subcommand : app.get_subcommands({}))
    if (!subcommand->get_group().empty()) known.push_back(subcommand->get_name());
  const std::string meant = argc > 2 ? did_you_mean(argv[2], known) : "";
  return meant.empty() ? "" : fmt::format("{}: found '{}':{}", app.get_name(), argv[2], meant);
}

/// The line for a command line that CLI11 refuses, in our words where its own do not help.
std::string message_of(const CLI::ParseError& error, const CLI::App& program, int argc, char** argv) {
  if (program.get_subcommands().empty()) {
    const std::string word = argc > 1 ? argv[1] : "";
    if (word.starts_with("--"))
      return fmt::format("unknown option '{}':{} triseg --help lists what there is", word,
                         did_you_mean(word, option_names(program)));
    return subcommand_expected(program, argc > 1 ? argv[1] : nullptr);
  }
  std::string subcommand;
  for (auto chosen = program.get_subcommands(); !chosen.empty(); chosen = chosen.front()->get_subcommands())
    subcommand += (subcommand.empty() ? "" : " ") + chosen.front()->get_name();
  if (dynamic_cast<const CLI::ExtrasError*>(&error)) {
    // The value of an unknown option is left over, too, so an option is named before anything else.
    std::vector<std::string> extras = program.remaining(true);
    std::stable_partition(extras.begin(), extras.end(), [](const std::string& word) { return word.starts_with('-'); });
    const std::string word = extras.front();
    if (word.starts_with('-')) return unknown_option(*chosen_app(program), word.substr(0, word.find('=')), subcommand);
    for (int i = 2; i < argc; ++i)
      if (argv[i] == word && std::string_view(argv[i - 1]).ends_with(','))
        return fmt::format("unexpected argument '{}' behind '{}': expected a list without blanks", word, argv[i - 1]);
    if (const std::string meant = nearly_subcommand(*chosen_app(program), argc, argv); !meant.empty()) return meant;
    return fmt::format("unexpected argument '{}': triseg {} --help says what it takes", word, subcommand);
  }
  const CLI::App* const chosen = chosen_app(program);
  if (std::string_view(error.what()).find("subcommand is required") != std::string_view::npos)
    return fmt::format("{}: {}", subcommand, subcommand_expected(*chosen, argc > 2 ? argv[2] : nullptr));
  const std::string text = error.what();
  const std::string with_value = " was given a disallowed flag override";
  if (const std::size_t at = text.find(with_value); at != std::string::npos)
    return "--" + text.substr(0, at) + ": expected no value";
  if (text.find(" required ") != std::string::npos && text.ends_with(" missing"))
    return text.substr(0, text.find(':')) + ": expected a value";
  const std::string repeated = ": At Most 1 required but received ";
  const std::size_t at = text.find(repeated);
  if (at == std::string::npos) return text;
  const std::string times = text.substr(at + repeated.size());
  return text.substr(0, at) + ": given " + (times == "2" ? "twice" : times + " times");
}

/// True if ranks of this command work together, so that they also fail together.
bool joins_ranks(const CLI::App& program) {
  const auto subcommands = program.get_subcommands();
  if (subcommands.empty()) return false;
  const CLI::Option* transport = subcommands.front()->get_option_no_throw("--transport");
  const auto given = transport ? transport->results() : std::vector<std::string>{};
  return transport && (given.empty() || given.back() != name_of(transport_names, TransportKind::local));
}

/// Says what is wrong with the command line: once for all ranks, whether it is wrong for all of them or for some.
void report_refused(const CLI::App& program, const std::string& message) {
  if (!joins_ranks(program)) return report_shared_error(message);
  try {
    make_transport(TransportKind::automatic, RankOptions().rank_timeout, std::make_exception_ptr(Error(message)));
  } catch (const std::exception& error) {
    report_shared_error(triseg::message_of(error));
  }
}

}  // namespace

bool has_subcommand(const CLI::App& program, const std::string& name) {
  return !program.get_subcommands([&](const CLI::App* subcommand) { return subcommand->get_name() == name; }).empty();
}

int run_program(int argc, char** argv, std::initializer_list<SetupCommand*> commands) {
  open_standard_streams();
  std::set_terminate(report_and_end);
  std::signal(SIGXFSZ, SIG_IGN);  // a write beyond ulimit -f fails instead, and the message names the file
  spdlog::set_default_logger(std::make_shared<spdlog::logger>("triseg", std::make_shared<LogSink>()));
  spdlog::set_pattern("%H:%M:%S %v");
  CLI::App program{"Distributed search for step-shaped INT8 activations of quantized networks"};
  program.name("triseg");
  program.formatter(std::make_shared<HelpFormatter>());
  program.set_version_flag("--version", version_text, "Version, commit, build, compiler and engines");
  program.require_subcommand(1);
  add_exit_codes(program, {{0, "done"},
                           {1, "failed: one line says why; of validate and doctor also an answer"},
                           {2, "the command line is not understood"},
                           {exit_different, "what verify, replay or compare looked at is different"},
                           {exit_resumable, "stopped by a signal or --time-limit: the same command continues"}});
  int exit_code = 0;
  for (SetupCommand* setup : commands) setup(program, exit_code);
  add_help_all(program);
  add_examples(program);
  if (argc > 1 && std::string_view(argv[1]) == "help" && !has_subcommand(program, "help")) ask_for_help(argc, argv);
  // CLI11 would answer a --help behind an unknown subcommand with the general help.
  if (argc > 1 && argv[1][0] != '-' && !has_subcommand(program, argv[1])) {
    report_shared_error(subcommand_expected(program, argc > 1 ? argv[1] : nullptr));
    return 2;
  }
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return after_output(program.exit(error));  // --help, --version
    report_refused(program, message_of(error, program, argc, argv));
    return 2;
  } catch (const std::exception& error) {
    report_shared_error(message_of(error));
    return 1;
  }
  return after_output(exit_code);
}

}  // namespace triseg
