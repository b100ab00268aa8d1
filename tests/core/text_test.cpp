#include "core/text.hpp"

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

}  // namespace
}  // namespace triseg
