#include "core/text.hpp"

#include "core/error.hpp"

#include <gtest/gtest.h>

namespace triseg {
namespace {

TEST(ValidUtf8, KeepsCharactersOfEveryLength) {
  for (const std::string text :
       {"", "plain", "\xc3\xa4\xe2\x82\xac", "\xf0\x9f\x98\x80!", "\xed\x9f\xbf\xee\x80\x80", "\xf4\x8f\xbf\xbf"})
    EXPECT_EQ(valid_utf8(text), text);
}

TEST(ValidUtf8, SpellsOtherBytesOut) {
  EXPECT_EQ(valid_utf8("caf\xe9"), "caf\\xe9") << "Latin-1";
  EXPECT_EQ(valid_utf8("\xe9 \xc3\xa9"), "\\xe9 \xc3\xa9");
  EXPECT_EQ(valid_utf8("\xe2\x82"), "\\xe2\\x82") << "cut off";
  EXPECT_EQ(valid_utf8("\xe2\x82z"), "\\xe2\\x82z");
  EXPECT_EQ(valid_utf8("\xc0\xaf"), "\\xc0\\xaf") << "longer than needed";
  EXPECT_EQ(valid_utf8("\xe0\x9f\xbf"), "\\xe0\\x9f\\xbf") << "longer than needed";
  EXPECT_EQ(valid_utf8("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "half of a surrogate pair";
  EXPECT_EQ(valid_utf8("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80") << "above U+10FFFF";
  EXPECT_EQ(valid_utf8("\x80\xff"), "\\x80\\xff");
}

TEST(Printable, KeepsWhatATerminalShows) {
  for (const std::string text : {"", "plain", "caf\xc3\xa9", "\xe2\x82\xac", "\xc2\xa0"})
    EXPECT_EQ(printable(text), text);
}

TEST(Printable, SpellsOutWhatMovesTheCursor) {
  using namespace std::string_literals;
  EXPECT_EQ(printable("a\0b"s), "a\\x00b");
  EXPECT_EQ(printable("ok\rno \x1b[2J\t\x7f"), "ok\\x0dno \\x1b[2J\\x09\\x7f");
  EXPECT_EQ(printable("\xc2\x9b"), "\\xc2\\x9b") << "an escape sequence may begin with U+009B";
  EXPECT_EQ(printable("\xc2"), "\\xc2");
}

TEST(Printable, SpellsOutWhatTurnsTheDirectionOfWriting) {
  EXPECT_EQ(printable("a\u202eb\u2066c\u2028d\u061ce\u200ff"),
            "a\\xe2\\x80\\xaeb\\xe2\\x81\\xa6c\\xe2\\x80\\xa8d\\xd8\\x9ce\\xe2\\x80\\x8ff");
  EXPECT_EQ(printable("\u00e9 \u2026 \u20ac \u4e2d \u2070"), "\u00e9 \u2026 \u20ac \u4e2d \u2070");
}

TEST(CsvCell, IsQuotedWhereItHasTo) {
  EXPECT_EQ(csv_cell("a b'c"), "a b'c");
  EXPECT_EQ(csv_cell("\"a"), "\"\"\"a\"");
  EXPECT_EQ(csv_cell("a,b\n"), "\"a,b\n\"");
}

TEST(Counted, TellsOneFromSeveral) {
  EXPECT_EQ(counted(0, "rank"), "0 ranks");
  EXPECT_EQ(counted(1, "rank"), "1 rank");
  EXPECT_EQ(counted(12, "thread"), "12 threads");
}

TEST(Errors, KeepWhatIsBehindANul) {
  const Error error(std::string("a\0b", 3));
  EXPECT_STREQ(error.what(), "a\\x00b");
}

}  // namespace
}  // namespace triseg
