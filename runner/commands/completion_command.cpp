// triseg completion: what a shell completes a command line to.
#include "runner/options/command_line.hpp"
#include "runner/commands/commands.hpp"
#include "runner/cli/option_checks.hpp"

#include <CLI/CLI.hpp>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

namespace triseg {
namespace {

// Both ask the program that stands on the line, so that what they offer is what that program takes. It answers with a
// line a word, a tab and a description; "/" stands for names of files.

constexpr const char* bash_script = R"(# Completion of triseg for bash: source <(triseg completion bash)
_triseg() {
  local current=${COMP_WORDS[COMP_CWORD]} line
  [[ $current == = ]] && current=
  COMPREPLY=()
  while IFS= read -r line; do
    if [[ $line == / ]]; then
      compopt -o filenames 2> /dev/null
      while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "$current")
    else
      COMPREPLY+=("${line%%$'\t'*}")
    fi
  done < <("${COMP_WORDS[0]/#\~/$HOME}" completion words "${COMP_WORDS[@]:1:COMP_CWORD}" 2> /dev/null)
}
complete -F _triseg triseg
)";

constexpr const char* zsh_script = R"(#compdef triseg
# Completion of triseg for zsh: source <(triseg completion zsh), behind compinit
_triseg() {
  local line files
  local -a candidates
  for line in "${(@f)$(${(Q)words[1]/#\~/$HOME} completion words "${(@Q)words[2,CURRENT]}" 2> /dev/null)}"; do
    if [[ $line == / ]]; then
      files=yes
    elif [[ -n $line ]]; then
      candidates+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    fi
  done
  (( $#candidates )) && _describe triseg candidates
  if [[ -n $files ]]; then
    [[ $PREFIX == --*=* ]] && compset -P '*='
    _files
  fi
  (( compstate[nmatches] ))
}
if [[ $funcstack[1] == _triseg ]]; then _triseg; else compdef _triseg triseg; fi
)";

/// A command line as far as it is read.
class Reader {
 public:
  explicit Reader(CLI::App& program) : app_(&program) {}

  /// A word that others follow.
  void read(const std::string& word) {
    if (value_of_) {
      value_of_ = nullptr;
    } else if (word.starts_with('-') && word.size() > 1) {
      CLI::Option* option = app_->get_option_no_throw(word.substr(0, word.find('=')));
      if (option && option->get_expected_max() > 0 && word.find('=') == std::string::npos) value_of_ = option;
    } else if (CLI::App* next = subcommand(word)) {
      app_ = next;
      positionals_ = 0;
    } else {
      ++positionals_;
    }
  }

  /// The subcommand whose options another program knows, if one is read.
  const CLI::App* foreign() const { return app_->get_prefix_command() ? app_ : nullptr; }

  /// What can stand in the place of the last word, which begins like this.
  std::vector<std::string> answers(const std::string& begin) const {
    const std::size_t equals = begin.find('=');
    if (value_of_) return values(*value_of_, "", begin);
    if (begin.starts_with("--") && equals != std::string::npos) {
      CLI::Option* option = app_->get_option_no_throw(begin.substr(0, equals));
      return option ? values(*option, begin.substr(0, equals + 1), begin) : std::vector<std::string>{};
    }
    std::vector<std::string> found;
    if (begin.starts_with('-')) {
      for (const CLI::Option* option : app_->get_options({}))
        for (const std::string& name : option->get_lnames()) add(found, begin, "--" + name, option->get_description());
      return found;
    }
    if (positionals_ == 0)
      for (const CLI::App* each : app_->get_subcommands({}))
        if (!each->get_group().empty()) add(found, begin, each->get_name(), each->get_description());
    if (CLI::Option* option = positional())
      for (const std::string& line : values(*option, "", begin)) found.push_back(line);
    return found;
  }

 private:
  static void add(std::vector<std::string>& found, const std::string& begin, const std::string& word,
                  const std::string& description) {
    if (word.starts_with(begin)) found.push_back(word + "\t" + description);
  }

  /// `before` stands in front of the value in the same word.
  static std::vector<std::string> values(CLI::Option& option, const std::string& before, const std::string& begin) {
    std::vector<std::string> found;
    const ValueHints hints = value_hints(option);
    for (const std::string& name : hints.names) add(found, begin, before + name, "");
    if (hints.path) found.emplace_back("/");
    return found;
  }

  CLI::App* subcommand(const std::string& name) const {
    if (positionals_ > 0) return nullptr;
    const auto found = app_->get_subcommands([&](CLI::App* each) { return each->get_name() == name; });
    return found.empty() ? nullptr : found.front();
  }

  /// The option that takes the next word without a name, if there is one.
  CLI::Option* positional() const {
    std::size_t left = positionals_;
    for (CLI::Option* option : app_->get_options({})) {
      if (!option->get_positional()) continue;
      const auto most = static_cast<std::size_t>(option->get_expected_max());
      if (left < most) return option;
      left -= most;
    }
    return nullptr;
  }

  CLI::App* app_;
  CLI::Option* value_of_ = nullptr;  ///< the option whose value comes next
  std::size_t positionals_ = 0;
};

/// The words with `--name=value` in one piece, which bash hands over in three. was_cut: whether the last one was.
std::vector<std::string> joined(const std::vector<std::string>& words, bool& was_cut) {
  std::vector<std::string> whole;
  bool open = false;
  for (const std::string& word : words) {
    const bool equals = word == "=" && !whole.empty() && whole.back().starts_with("--");
    was_cut = equals || open;
    if (was_cut) whole.back() += word;
    else whole.push_back(word);
    open = equals;
  }
  return whole;
}

/// Prints what the last of the words, those behind the program's name, can be.
void answer(CLI::App& program, const std::vector<std::string>& words) {
  if (words.empty()) return;
  bool cut = false;
  const std::vector<std::string> whole = joined(words, cut);
  Reader reader(program);
  for (std::size_t i = 0; i + 1 < whole.size() && !reader.foreign(); ++i) reader.read(whole[i]);
  if (const CLI::App* foreign = reader.foreign()) {
    if (const std::string other = program_of(foreign->get_name()); !other.empty()) become(other, arguments());
    std::fputs("/\n", stdout);  // it does not say what it takes
    return;
  }
  for (const std::string& line : reader.answers(whole.back()))
    fmt::print("{}\n", cut && line != "/" ? line.substr(line.find('=') + 1) : line);
}

}  // namespace

void setup_completion(CLI::App& program, int& exit_code) {
  CLI::App* app = program.add_subcommand("completion", "Completion of command lines, for bash and zsh");
  app->require_subcommand(1);
  for (const auto& [shell, script] : {std::pair("bash", bash_script), {"zsh", zsh_script}})
    app->add_subcommand(shell, fmt::format("Print the script for {}", shell))->callback([script = script, &exit_code] {
      std::fputs(script, stdout);
      exit_code = 0;
    });
  CLI::App* words =
      app->add_subcommand("words", "What can stand in the place of the last WORD, which the scripts ask: a line each")
          ->group("");
  words->set_help_flag();
  words->prefix_command();
  words->callback([&program, &exit_code] {
    const std::vector<std::string> all = arguments();  // triseg completion words WORD ...
    answer(program, {all.begin() + 3, all.end()});
    exit_code = 0;
  });
}

}  // namespace triseg
