#include "runner/options/command_line.hpp"

#include <gmock/gmock.h>

namespace triseg {
namespace {

using testing::ElementsAre;

TEST(WordsOf, SplitsAsAShellDoes) {
  EXPECT_THAT(words_of(""), ElementsAre());
  EXPECT_THAT(words_of("  triseg  train\t--seed 3\n"), ElementsAre("triseg", "train", "--seed", "3"));
  EXPECT_THAT(words_of("a 'b c' \"d e\" f\\ g ''"), ElementsAre("a", "b c", "d e", "f g", ""));
  EXPECT_THAT(words_of("--out='my runs'/a"), ElementsAre("--out=my runs/a"));
  EXPECT_THAT(words_of("'it'\\''s' 'a\"b\\c' \"d'\\\"\""), ElementsAre("it's", "a\"b\\c", "d'\""));
}

TEST(WordsOf, ReadsThisProcessesOwnCommandLine) {
  const auto words = words_of(command_line());
  ASSERT_FALSE(words.empty());
  EXPECT_EQ(words.front(), "runner_options_test");
}

TEST(Nearest, IsTheNameThatTakesTheFewestLetters) {
  const std::vector<std::string> names = {"lr", "seed", "strategy", "top-k", "episodes"};
  EXPECT_EQ(nearest("stratgy", names), "strategy");
  EXPECT_EQ(nearest("epsiode", names), "episodes") << "two neighbours swapped, one letter left out";
  EXPECT_EQ(nearest("seeds", names), "seed");
  EXPECT_EQ(nearest("top_k", names), "top-k");
  EXPECT_EQ(nearest("lx", names), "") << "half of the word";
  EXPECT_EQ(nearest("strings", names), "");
  EXPECT_EQ(nearest("", names), "");
}

}  // namespace
}  // namespace triseg
