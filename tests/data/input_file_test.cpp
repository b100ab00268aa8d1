#include "data/input_file.hpp"

#include "tests/error_of.hpp"
#include "tests/data/data_folder.hpp"

#include <gmock/gmock.h>

namespace triseg {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class InputFileTest : public DataFolder {
 protected:
  /// Everything in the file, read in pieces of a size of its own.
  Bytes content(const std::string& name) const {
    InputFile file(folder / name);
    Bytes all, piece(1000);
    for (std::size_t got = piece.size(); got == piece.size();) {
      got = file.read_some(piece, "numbers");
      all.insert(all.end(), piece.begin(), piece.begin() + got);
    }
    return all;
  }
  std::string read_error(const std::string& name) const {
    return error_of([&] { content(name); });
  }
};

TEST_F(InputFileTest, PlainAndPackedFilesHaveTheSameBytes) {
  for (const std::size_t size : {0u, 1u, 999u, 1000u, 1001u, 300'000u}) {
    const Bytes bytes = pattern(size, 3);
    write("a", bytes);
    write("a.gz", gzipped(bytes));
    EXPECT_EQ(content("a"), bytes);
    EXPECT_EQ(content("a.gz"), bytes);
  }
}

TEST_F(InputFileTest, SeveralMembersAreOneFile) {
  const Bytes parts[] = {pattern(2500, 1), pattern(0, 0), pattern(1, 7), pattern(200'000, 9)};
  Bytes whole, packed;
  for (const Bytes& part : parts) {
    append(whole, part);
    append(packed, gzipped(part));
  }
  write("a.gz", packed);
  EXPECT_EQ(content("a.gz"), whole);
  for (const std::size_t zeros : {1u, 511u, 100'000u}) {  // 100,000: more than one piece of packed bytes
    Bytes padded = packed;
    append(padded, Bytes(zeros));
    write("a.gz", padded);
    EXPECT_EQ(content("a.gz"), whole);
    padded.back() = 1;
    write("a.gz", padded);
    EXPECT_THAT(read_error("a.gz"), HasSubstr(path("a.gz") + ": offset " + std::to_string(whole.size()) + ": "));
  }
}

TEST_F(InputFileTest, OnlyAnotherMemberMayFollow) {
  const Bytes member = gzipped(pattern(2500, 1));
  for (const Bytes& foreign : {Bytes{0x42}, Bytes{'t', 'e', 'x', 't'}, pattern(100'000, 1)}) {
    Bytes longer = member;
    append(longer, foreign);
    write("a.gz", longer);
    EXPECT_THAT(read_error("a.gz"),
                HasSubstr(path("a.gz") + ": offset 2500: foreign data behind the gzip data, expected the end of "
                                         "the file or another gzip member"));
  }
  for (std::size_t size = 1; size < member.size(); ++size) {
    Bytes longer = member;
    longer.insert(longer.end(), member.begin(), member.begin() + size);
    write("a.gz", longer);
    ASSERT_THAT(read_error("a.gz"), AllOf(HasSubstr(path("a.gz") + ": offset "), HasSubstr("expected numbers")))
        << size;
  }
}

TEST_F(InputFileTest, EveryTruncationIsAnError) {
  const Bytes packed = gzipped(pattern(2500, 1));
  for (std::size_t size = 0; size < packed.size(); ++size) {
    write("a.gz", Bytes(packed.begin(), packed.begin() + size));
    ASSERT_THAT(read_error("a.gz"), AllOf(HasSubstr("the file is cut off within its gzip data, expected numbers"),
                                          HasSubstr(path("a.gz") + ": offset ")))
        << size;
  }
  write("a.gz", Bytes(packed.begin(), packed.end() - 8));  // CRC and length
  EXPECT_THAT(read_error("a.gz"), HasSubstr(": offset 2500: "));
}

TEST_F(InputFileTest, CrcAndLengthAreChecked) {
  Bytes packed = gzipped(pattern(2500, 1));
  for (const int from_end : {8, 5}) {
    Bytes damaged = packed;
    damaged[packed.size() - from_end] ^= 1;
    write("a.gz", damaged);
    EXPECT_THAT(read_error("a.gz"),
                HasSubstr(": offset 2500: damaged gzip data (incorrect data check), expected numbers"));
  }
  packed[packed.size() - 4] ^= 1;
  write("a.gz", packed);
  EXPECT_THAT(read_error("a.gz"),
              HasSubstr(": offset 2500: damaged gzip data (incorrect length check), expected numbers"));
}

TEST_F(InputFileTest, TheNameSaysWhetherItIsPacked) {
  write("a.gz", pattern(100, 1));
  EXPECT_THAT(read_error("a.gz"), HasSubstr(path("a.gz") + ": offset 0: no gzip data"));
  write("a", gzipped(pattern(100, 1)));
  EXPECT_EQ(content("a"), gzipped(pattern(100, 1)));
}

TEST_F(InputFileTest, AVectorGrowsNoFurtherThanTheFile) {
  write("a", pattern(1000, 1));
  InputFile file(folder / "a");
  EXPECT_EQ(file.read_vector(400, "numbers"), pattern(400, 1));
  EXPECT_THAT(
      error_of([&] { file.read_vector(std::size_t{1} << 60, "numbers"); }),  // an exabyte does not fit any memory
      HasSubstr(path("a") + ": offset 1000: the file ends here, expected numbers"));
}

TEST_F(InputFileTest, WhatIsBehindTheEndIsNotUnpacked) {
  const Bytes million = gzipped(Bytes(1'000'000));
  Bytes bomb;
  for (int i = 0; i < 1000; ++i) append(bomb, million);
  write("a.gz", bomb);
  InputFile file(folder / "a.gz");
  EXPECT_EQ(file.read_vector(10, "numbers"), Bytes(10));
  EXPECT_THAT(error_of([&] { file.expect_end(); }),
              HasSubstr("a.gz: offset 10: expected the end of the file, found more data"));
}

TEST_F(InputFileTest, CopiesAreToldFromOthers) {
  const Bytes bytes = pattern(3'000'000, 1);
  write("a", bytes);
  write("b.gz", gzipped(bytes));
  EXPECT_NO_THROW(expect_same_content(path("a"), path("b.gz")));
  for (const std::size_t at : {std::size_t{0}, std::size_t{1} << 20, bytes.size() - 1}) {
    Bytes other = bytes;
    other[at] ^= 1;
    write("b.gz", gzipped(other));
    EXPECT_THAT(error_of([&] { expect_same_content(path("a"), path("b.gz")); }),
                HasSubstr(path("b.gz") + ": offset " + std::to_string(at) + ": expected the content of " + path("a")));
  }
  for (const std::size_t size : {std::size_t{0}, std::size_t{1} << 20, bytes.size() - 1}) {
    write("b.gz", gzipped(Bytes(bytes.begin(), bytes.begin() + size)));
    for (const auto& [x, y] : {std::pair{"a", "b.gz"}, std::pair{"b.gz", "a"}})
      EXPECT_THAT(error_of([&, &x = x, &y = y] { expect_same_content(path(x), path(y)); }),
                  AllOf(HasSubstr("offset " + std::to_string(size)), HasSubstr(path("a")), HasSubstr(path("b.gz"))));
  }
}

}  // namespace
}  // namespace triseg
