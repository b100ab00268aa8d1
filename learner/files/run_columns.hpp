// How members of RunData become fields of the run file. Included by the files that declare fields alone.
#pragma once

#include "learner/files/run_schema.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace triseg {

// Layout of the value of one row: element type, further dims, bytes. T is the C++ type of the member.

template <class T>
constexpr Type element_type() {
  return type_of<T>();
}
template <>
constexpr Type element_type<std::size_t>() {
  return Type::u64;
}
template <>
constexpr Type element_type<Codes>() {
  return Type::u8;
}
template <>
constexpr Type element_type<std::vector<Codes>>() {
  return Type::u8;
}
template <>
constexpr Type element_type<std::array<double, 4>>() {
  return Type::f64;
}
template <>
constexpr Type element_type<Histogram>() {
  return Type::u64;
}
template <>
constexpr Type element_type<std::vector<double>>() {
  return Type::f64;
}

template <class T>
std::vector<std::string> row_dims() {
  return {};
}
template <>
inline std::vector<std::string> row_dims<Codes>() {
  return {"4"};
}
template <>
inline std::vector<std::string> row_dims<std::vector<Codes>>() {
  return {"L", "4"};
}
template <>
inline std::vector<std::string> row_dims<std::array<double, 4>>() {
  return {"4"};
}
template <>
inline std::vector<std::string> row_dims<Histogram>() {
  return {"256"};
}
template <>
inline std::vector<std::string> row_dims<std::vector<double>>() {
  return {"R"};
}

template <class T>
constexpr const char* row_columns() {
  return "";
}
template <>
constexpr const char* row_columns<Codes>() {
  return "t1,v1,t2,v2";
}
template <>
constexpr const char* row_columns<std::vector<Codes>>() {
  return "t1,v1,t2,v2";
}

/// Records of the validation split in the row of the run that has the most: R. Other rows end in NaN.
inline std::size_t record_count(const RunData& run) {
  std::size_t most = 0;
  for (const Finalist& f : run.finalists) most = std::max(most, f.record_rewards.size());
  for (const Candidate& c : run.top) most = std::max(most, c.record_rewards.size());
  return most;
}

/// The length of an axis of a row: of sites, of records, or a number.
inline std::size_t row_extent(const std::string& dim, const RunData& run) {
  return dim == "L" ? run.sites.size() : dim == "R" ? record_count(run) : std::stoul(dim);
}

/// Four codes; tmax is the site's, or in a column of its own (tmax_column) where it is searched.
inline void pack_codes(std::byte*& out, const Codes& c, const SiteData& site) {
  if (c.tmax != site.tmax && !site.tmax_searched)
    fail("site {}: codes with tmax={} in a run whose tmax is {}", site.name, c.tmax, site.tmax);
  const std::uint8_t bytes[] = {c.t1, c.v1, c.t2, c.v2};
  out = std::copy_n(reinterpret_cast<const std::byte*>(bytes), 4, out);
}

inline Codes unpack_codes(const std::byte*& in, const SiteData& site) {
  const auto* b = reinterpret_cast<const std::uint8_t*>(std::exchange(in, in + 4));
  return {b[0], b[1], b[2], b[3], static_cast<std::uint8_t>(site.tmax)};
}

template <class T>
void pack(std::byte*& out, const T& value, const RunData& run, std::size_t row) {
  if constexpr (std::is_same_v<T, Codes>) {
    pack_codes(out, value, run.sites[row]);
  } else if constexpr (std::is_same_v<T, std::vector<Codes>>) {
    if (value.size() != run.sites.size())
      fail("row {}: codes for {} sites in a run of {}", row, value.size(), run.sites.size());
    for (std::size_t i = 0; i < value.size(); ++i) pack_codes(out, value[i], run.sites[i]);
  } else if constexpr (std::is_same_v<T, std::vector<double>>) {
    std::vector<double> padded = value;
    padded.resize(record_count(run), std::numeric_limits<double>::quiet_NaN());
    out = std::copy_n(reinterpret_cast<const std::byte*>(padded.data()), padded.size() * sizeof(double), out);
  } else {
    out = std::copy_n(reinterpret_cast<const std::byte*>(&value), sizeof(T), out);
  }
}

template <class T>
void unpack(const std::byte*& in, T& value, const RunData& run, std::size_t row) {
  if constexpr (std::is_same_v<T, Codes>) {
    value = unpack_codes(in, run.sites[row]);
  } else if constexpr (std::is_same_v<T, std::vector<Codes>>) {
    value.resize(run.sites.size());
    for (std::size_t i = 0; i < value.size(); ++i) value[i] = unpack_codes(in, run.sites[i]);
  } else if constexpr (std::is_same_v<T, std::vector<double>>) {
    for (double& x : value) std::memcpy(&x, std::exchange(in, in + sizeof x), sizeof x);
    while (!value.empty() && std::isnan(value.back())) value.pop_back();
  } else if constexpr (std::is_same_v<T, bool>) {
    value = *in++ != std::byte{0};
  } else {
    std::memcpy(&value, std::exchange(in, in + sizeof(T)), sizeof(T));
  }
}

/// A vector of RunData stored as a group of columns. of(run) is a reference to it: a pointer to member, or a function.
template <class Access>
struct Rows {
  std::string group;
  std::string dim;
  Access of;

  using Row = typename std::remove_cvref_t<std::invoke_result_t<Access, RunData&>>::value_type;
};
template <class Access>
Rows(const char*, const char*, Access) -> Rows<Access>;

struct Label {
  std::string name, units, long_name;
};

/// A column from a member of the row: `access` returns a reference if the field is stored, a value if it is derived.
template <class Of, class Access>
Field column(const Rows<Of>& rows, Label label, Access access) {
  using Row = typename Rows<Of>::Row;
  using Result = std::invoke_result_t<Access, Row&>;
  using T = std::remove_cvref_t<Result>;
  Field f{rows.group + "/" + label.name, Type::string, {rows.dim}, label.units, label.long_name};
  f.role = std::is_reference_v<Result> ? Field::Role::stored : Field::Role::derived;
  if constexpr (std::is_same_v<T, std::string>) {
    f.get = [=](const RunData& run) {
      std::vector<std::string> strings;
      for (const Row& row : std::invoke(rows.of, run)) strings.push_back(std::invoke(access, row));
      return Values::strings(strings);
    };
  } else {
    f.type = element_type<T>();
    f.columns = row_columns<T>();
    f.padded = std::is_same_v<T, std::vector<double>>;
    for (const std::string& dim : row_dims<T>()) f.dims.push_back(dim);
    f.get = [=, type = f.type, dims = row_dims<T>()](const RunData& run) {
      Values values{type, type_size(type), {std::invoke(rows.of, run).size()}, {}};
      for (const std::string& dim : dims) values.shape.push_back(row_extent(dim, run));
      values.bytes.resize(values.count() * values.element_size);
      std::byte* out = values.bytes.data();
      for (std::size_t i = 0; i < values.shape[0]; ++i)
        pack<T>(out, std::invoke(access, std::invoke(rows.of, run)[i]), run, i);
      return values;
    };
  }
  if constexpr (std::is_reference_v<Result>) {
    f.set = [=](RunData& run, const Values& values) {
      auto& all = std::invoke(rows.of, run);
      all.resize(values.shape.at(0));
      if constexpr (std::is_same_v<T, std::string>) {
        const std::vector<std::string> strings = values.strings();
        for (std::size_t i = 0; i < all.size(); ++i) std::invoke(access, all[i]) = strings[i];
      } else {
        const std::byte* in = values.bytes.data();
        for (std::size_t i = 0; i < all.size(); ++i) {
          if constexpr (std::is_same_v<T, std::vector<double>>) std::invoke(access, all[i]).resize(values.shape.at(1));
          unpack<T>(in, std::invoke(access, all[i]), run, i);
        }
      }
    };
  }
  return f;
}

/// The tmax of codes, (rows, sites), after the column of the other four. `access` returns a reference to the row's
/// codes.
template <class Of, class Access>
Field tmax_column(const Rows<Of>& rows, Access access) {
  using Row = typename Rows<Of>::Row;
  Field f{rows.group + "/tmax", Type::u8, {rows.dim, "L"}, "1", "their tmax: that of the site, unless it is searched"};
  f.get = [=](const RunData& run) {
    std::vector<std::uint8_t> values;
    for (const Row& row : std::invoke(rows.of, run))
      for (const Codes& c : std::invoke(access, row)) values.push_back(c.tmax);
    return Values::array<std::uint8_t>(values, {std::invoke(rows.of, run).size(), run.sites.size()});
  };
  f.set = [=](RunData& run, const Values& values) {
    const std::byte* in = values.bytes.data();
    for (Row& row : std::invoke(rows.of, run))
      for (Codes& c : std::invoke(access, row)) c.tmax = std::to_integer<std::uint8_t>(*in++);
  };
  return f;
}

/// A derived column of numbers that follow from the run and the row: double value(const RunData&, const Row&).
template <class Of, class Value>
Field derived_column(const Rows<Of>& rows, Label label, Value value) {
  using Row = typename Rows<Of>::Row;
  Field f{rows.group + "/" + label.name, Type::f64, {rows.dim}, label.units, label.long_name, Field::Role::derived};
  f.get = [=](const RunData& run) {
    std::vector<double> numbers;
    for (const Row& row : std::invoke(rows.of, run)) numbers.push_back(value(run, row));
    return Values::array<double>(numbers, {numbers.size()});
  };
  return f;
}

/// A scalar of the run, by the same rule.
template <class Access>
Field scalar(std::string path, std::string units, std::string long_name, Access access) {
  using Result = std::invoke_result_t<Access, RunData&>;
  using T = std::remove_cvref_t<Result>;
  Field f{std::move(path), Type::string, {}, std::move(units), std::move(long_name)};
  f.role = std::is_reference_v<Result> ? Field::Role::stored : Field::Role::derived;
  if constexpr (std::is_same_v<T, std::string>) {
    f.get = [=](const RunData& run) { return Values::string(std::invoke(access, run)); };
    if constexpr (std::is_reference_v<Result>)
      f.set = [=](RunData& run, const Values& values) { std::invoke(access, run) = values.string(); };
  } else {
    f.type = element_type<T>();
    f.get = [=, type = f.type](const RunData& run) {
      const T value = std::invoke(access, run);
      Values values{type, type_size(type), {}, std::vector<std::byte>(sizeof(T))};
      std::memcpy(values.bytes.data(), &value, sizeof(T));
      return values;
    };
    if constexpr (std::is_reference_v<Result>)
      f.set = [=](RunData& run, const Values& values) {
        const std::byte* in = values.bytes.data();
        unpack<T>(in, std::invoke(access, run), run, 0);
      };
  }
  return f;
}

/// A derived field becomes a stored one.
inline Field with_set(Field f, std::function<void(RunData&, const Values&)> set) {
  f.role = Field::Role::stored;
  f.set = std::move(set);
  return f;
}

inline Field may_differ(Field f) {
  f.may_differ = true;
  return f;
}

inline Field in_versions(int since, int until, Field f) {
  f.since = since;
  f.until = until;
  return f;
}

/// The columns (or scalars) of a Score: its sums, which are stored, and the means that readers want.
/// `add(label, access)` appends a field; its access takes the Score.
template <class Add>
void add_score(const std::string& prefix, const std::string& on, Add add,
               const std::string& student_accuracy = "accuracy") {
  add(Label{prefix + "kd", "nats", "T^2 KL(teacher || student), mean over images" + on},
      [](const Score& s) { return s.mean_kd(); });
  add(Label{prefix + "attention", "1", "attention distance, mean over images and attention layers" + on},
      [](const Score& s) { return s.mean_attention(); });
  add(Label{prefix + student_accuracy, "percent", "images that the student classifies right" + on},
      [](const Score& s) { return s.student_accuracy(); });
  add(Label{prefix + "accuracy_teacher", "percent", "images that the teacher classifies right" + on},
      [](const Score& s) { return s.teacher_accuracy(); });
  add(Label{prefix + "images", "1", "images scored" + on}, &Score::images);
  add(Label{prefix + "kd_sum", "nats", "sum over images of which kd is the mean" + on}, &Score::kd);
  add(Label{prefix + "attention_sum", "1", "sum over images of which attention is the mean" + on}, &Score::attention);
  add(Label{prefix + "both_right", "1", "images that teacher and student classify right" + on}, &Score::both_right);
  add(Label{prefix + "teacher_only", "1", "images that only the teacher classifies right" + on}, &Score::teacher_only);
  add(Label{prefix + "student_only", "1", "images that only the student classifies right" + on}, &Score::student_only);
}

}  // namespace triseg
