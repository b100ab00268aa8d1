#include "core/codes.hpp"

#include "tests/error_of.hpp"

#include <gmock/gmock.h>

#include <algorithm>

namespace triseg {
namespace {

using testing::HasSubstr;

Codes make(int t1, int v1, int t2, int v2, int tmax) {
  const auto byte = [](int x) { return static_cast<std::uint8_t>(x); };
  return {byte(t1), byte(v1), byte(t2), byte(v2), byte(tmax)};
}

/// The staircase as the definition has it, one code at a time.
int value(const Codes& c, int q) {
  if (q <= c.t1) return 0;
  if (q <= c.t2) return c.v1;
  if (q <= c.tmax) return c.v2;
  return q;
}

/// Calls visit for all codes with every number in 0..top.
template <class Visit>
void for_all_codes(int top, Visit&& visit) {
  for (int tmax = 0; tmax <= top; ++tmax)
    for (int v2 = 0; v2 <= top; ++v2)
      for (int t2 = 0; t2 <= top; ++t2)
        for (int v1 = 0; v1 <= top; ++v1)
          for (int t1 = 0; t1 <= top; ++t1) visit(make(t1, v1, t2, v2, tmax));
}

TEST(Codes, LegalityIsTheFiveInequalities) {
  for_all_codes(9, [](const Codes& c) {
    const bool legal = c.t1 >= 1 && c.v1 > c.t1 && c.t2 >= c.v1 && c.v2 > c.t2 && c.tmax >= c.v2;
    ASSERT_EQ(is_legal(c), legal) << to_string(c);
  });
}

TEST(Codes, NoLegalCodesBelowTheSmallestTmax) {
  std::array<int, 6> legal{};
  for_all_codes(5, [&](const Codes& c) { legal[c.tmax] += is_legal(c); });
  EXPECT_THAT(legal, testing::ElementsAre(0, 0, 0, 1, 5, 15));
  EXPECT_EQ(smallest_tmax, 3);
  EXPECT_TRUE(is_legal(make(1, 2, 2, 3, 3)));
}

TEST(Codes, LegalityHoldsAtTheTopOfTheRange) {
  EXPECT_TRUE(is_legal(make(252, 253, 254, 255, 255)));
  EXPECT_FALSE(is_legal(make(253, 254, 255, 255, 255)));
}

TEST(Staircase, IsTheDefinitionOrAnErrorForAllSmallCodes) {
  for_all_codes(7, [](const Codes& c) {
    bool monotone = c.t1 <= c.t2 && c.t2 <= c.tmax;
    for (int q = 1; q < 256; ++q) monotone = monotone && value(c, q - 1) <= value(c, q);
    if (!monotone) {
      ASSERT_THROW(staircase(c), Error) << to_string(c);
      return;
    }
    const Table table = staircase(c);
    for (int q = 0; q < 256; ++q) ASSERT_EQ(table[q], value(c, q)) << to_string(c) << ", q=" << q;
  });
}

TEST(Staircase, OfLegalCodesIsMonotoneAndKeepsZero) {
  for (int tmax : {3, 15, 35, 127, 254, 255}) {
    for (int i = 1; i < 200; ++i) {
      const int v2 = 3 + (i * 7) % (tmax - 2), t2 = 2 + (i * 5) % (v2 - 2), v1 = 2 + (i * 3) % (t2 - 1),
                t1 = 1 + i % (v1 - 1);
      const Codes c = make(t1, v1, t2, v2, tmax);
      ASSERT_TRUE(is_legal(c)) << to_string(c);
      const Table table = staircase(c);
      EXPECT_TRUE(std::is_sorted(table.begin(), table.end()));
      EXPECT_EQ(table[0], 0);
      for (int q = 0; q < 256; ++q) ASSERT_EQ(table[q], value(c, q)) << to_string(c) << ", q=" << q;
    }
  }
}

TEST(Staircase, AnErrorNamesTheCodes) {
  const std::string text = error_of([] { staircase(make(7, 30, 21, 28, 35)); });
  EXPECT_THAT(text, HasSubstr("t1=7, v1=30, t2=21, v2=28, tmax=35"));
  EXPECT_THAT(text, HasSubstr("monotone"));
  EXPECT_THROW(staircase(make(22, 14, 21, 28, 35)), Error);  // t1 > t2
  EXPECT_THROW(staircase(make(7, 14, 36, 28, 35)), Error);   // t2 > tmax
  EXPECT_THROW(staircase(make(7, 14, 21, 37, 35)), Error);   // v2 above the codes that pass through
  EXPECT_NO_THROW(staircase(make(7, 14, 21, 36, 35)));
}

TEST(Staircase, PassesOnlyCodesAboveTmax) {
  const Table table = staircase(make(7, 14, 21, 28, 35));
  EXPECT_EQ(table[7], 0);
  EXPECT_EQ(table[8], 14);
  EXPECT_EQ(table[21], 14);
  EXPECT_EQ(table[22], 28);
  EXPECT_EQ(table[35], 28);
  EXPECT_EQ(table[36], 36);
  EXPECT_EQ(table[255], 255);
}

TEST(Staircase, OfZeroCodesIsTheIdentity) {
  EXPECT_EQ(staircase(Codes{}), identity_table());
  for (int q = 0; q < 256; ++q) EXPECT_EQ(identity_table()[q], q);
}

}  // namespace
}  // namespace triseg
