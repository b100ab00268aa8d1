// What ranks send one another, as bytes: every number in this machine's order, every list after its length.
//
// Ranks run the same build on machines of one byte order (build_identity.hpp), so the format has no versions. Reading
// trusts nothing all the same: it allocates no more than the message has bytes for, and what does not fit is an Error.
#pragma once

#include "core/error.hpp"
#include "worker/scorer.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace triseg {

/// True for types whose bytes are their value: numbers, and structs without holes, pointers or rules that a byte could
/// break.
template <class T>
inline constexpr bool travels_as_bytes = std::is_floating_point_v<T> || (std::is_trivially_copyable_v<T> &&
                                                                         std::has_unique_object_representations_v<T>);
static_assert(travels_as_bytes<Codes> && sizeof(Codes) == 5);
static_assert(travels_as_bytes<Moments> && sizeof(Moments) == 32);
static_assert(travels_as_bytes<Histogram> && sizeof(Histogram) == 256 * 8);
// Doubles have several representations of a value, never holes.
template <>
inline constexpr bool travels_as_bytes<Score> = std::is_trivially_copyable_v<Score>;
static_assert(sizeof(Score) == 48 && offsetof(Score, kd) == 0 && offsetof(Score, attention) == 8 &&
              offsetof(Score, images) == 16 && offsetof(Score, both_right) == 24 &&
              offsetof(Score, teacher_only) == 32 && offsetof(Score, student_only) == 40);

/// Puts values one behind the other.
class WireWriter {
 public:
  template <class T>
  void value(const T& value) {
    list_without_length(std::span(&value, 1));
  }
  template <class T>
  void list(std::span<const T> values) {
    value(std::uint64_t{values.size()});
    list_without_length(values);
  }
  template <class T>
  void list(const std::vector<T>& values) {
    list(std::span(values));
  }
  void text(std::string_view text) { list(std::span(text.data(), text.size())); }

  std::vector<std::byte> bytes() && { return std::move(bytes_); }

 private:
  template <class T>
  void list_without_length(std::span<const T> values) {
    static_assert(travels_as_bytes<T>);
    const std::size_t end = bytes_.size();
    bytes_.resize(end + values.size_bytes());
    if (!values.empty()) std::memcpy(&bytes_[end], values.data(), values.size_bytes());
  }

  std::vector<std::byte> bytes_;
};

/// Takes them out again. Every call throws Error where the message has fewer bytes than it asks for.
class WireReader {
 public:
  explicit WireReader(std::span<const std::byte> bytes) : rest_(bytes) {}

  template <class T>
  T value() {
    static_assert(travels_as_bytes<T>);
    T value;
    std::memcpy(&value, take(1, sizeof(T)).data(), sizeof(T));
    return value;
  }
  template <class T>
  std::vector<T> list() {
    static_assert(travels_as_bytes<T>);
    const auto bytes = take(value<std::uint64_t>(), sizeof(T));
    std::vector<T> values(bytes.size() / sizeof(T));
    if (!bytes.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }
  std::string text() {
    const auto letters = list<char>();
    return {letters.begin(), letters.end()};
  }
  /// The length of a list that is read item by item, each of at least `bytes_each` bytes.
  std::size_t length(std::size_t bytes_each);
  /// Throws Error if anything is left.
  void end() const;

 private:
  void require(std::uint64_t count, std::size_t bytes_each) const;
  std::span<const std::byte> take(std::uint64_t count, std::size_t bytes_each);

  std::span<const std::byte> rest_;
};

/// What rank 0 tells the others to do.
enum class Task : std::uint32_t { score, histograms, moments, finish };

struct Order {
  Task task = Task::finish;
  std::int32_t exit_code = 0;  ///< of `finish`
  std::uint32_t working = 1;   ///< of the other tasks: ranks that share the work, at least one
  ScoreRequest request;        ///< of the other tasks
};

std::vector<std::byte> encode_finish(std::int32_t exit_code);
/// task: not `finish`.
std::vector<std::byte> encode(Task task, std::uint32_t working, const ScoreRequest& request);
/// Throws Error for anything that encode does not make.
Order decode_order(std::span<const std::byte> message);

/// A rank's answer to an order: its records, whether it has been asked to stop, and how long it was at work.
template <class T>
struct Answer {
  bool stop = false;
  double seconds = 0;
  std::vector<T> records;
};

template <class T>
std::vector<std::byte> encode_answer(bool stop, double seconds, const std::vector<T>& records) {
  WireWriter writer;
  writer.value(std::uint8_t{stop});
  writer.value(seconds);
  writer.list(records);
  return std::move(writer).bytes();
}

/// Throws Error for anything that encode_answer does not make.
template <class T>
Answer<T> decode_answer(std::span<const std::byte> message) {
  WireReader reader(message);
  Answer<T> answer{reader.value<std::uint8_t>() != 0, reader.value<double>(), reader.list<T>()};
  reader.end();
  return answer;
}

/// The same, and throws Error unless the answer, that of rank `rank`, has `records` records.
template <class T>
Answer<T> decode_answer(std::span<const std::byte> message, std::size_t rank, std::size_t records) {
  auto answer = decode_answer<T>(message);
  if (answer.records.size() != records)
    fail("the answer of rank {} has {} records, expected {}", rank, answer.records.size(), records);
  return answer;
}

}  // namespace triseg
