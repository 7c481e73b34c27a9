// SPDX-License-Identifier: MIT
// The values of a template: what JSON has, and undefined, tuples and the things that a template makes (namespaces,
// macros, loops). A Value is small and shares what it holds. Nothing here can form a cycle or a deep chain: a container
// has a rank above the ranks of all it holds, up to kMaxRank. Tested by tests/tokenizers/chat/jinja_test.cpp.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "libinfer/status.h"
#include "tokenizers/chat/text.h"

namespace infer::chat {

class Value;
struct List;
class Dict;
struct Method;
struct Object;  // namespaces, macros and loops: interpreter.h

inline constexpr int kMaxRank = 128;  ///< nesting of lists and dicts
inline constexpr int kFreshRank = 4;  ///< of an empty list: what may be appended to it later is below this

/// An integer beyond 64 bits. It can be printed and compared, not computed with.
struct BigInteger {
  std::shared_ptr<const std::string> digits;
};
struct None {};
/// What a look-up did not find, and the sentence that says so where it is used for more than printing.
struct Undefined {
  std::shared_ptr<const std::string> what;
};

class Value {
 public:
  /// In the order of the variant.
  enum class Kind : std::uint8_t { undefined, none, boolean, integer, real, big, string, list, dict, method, object };

  Value() = default;                   ///< undefined
  Value(None) : data_(None{}) {}       // NOLINT: implicit on purpose, as all of these
  template <std::same_as<bool> B>      // a pointer is not a bool
  Value(B b) : data_(b) {}             // NOLINT
  Value(std::int64_t i) : data_(i) {}  // NOLINT
  Value(double d) : data_(d) {}        // NOLINT
  Value(Text text);                    // NOLINT
  Value(BigInteger big) : data_(std::move(big)) {}                            // NOLINT
  Value(std::shared_ptr<List> list) : data_(std::move(list)) {}               // NOLINT
  Value(std::shared_ptr<const Dict> dict) : data_(std::move(dict)) {}         // NOLINT
  Value(std::shared_ptr<const Method> method) : data_(std::move(method)) {}   // NOLINT
  Value(Object* object) : data_(object) {}                                    // NOLINT

  static Value string(std::string_view bytes, Origin origin) { return Text(bytes, origin); }
  static Value undefined(std::string what) {
    Value v;
    v.data_ = Undefined{std::make_shared<const std::string>(std::move(what))};
    return v;
  }

  Kind kind() const noexcept { return static_cast<Kind>(data_.index()); }
  bool is(Kind kind) const noexcept { return this->kind() == kind; }
  bool is_undefined() const noexcept { return is(Kind::undefined); }
  bool is_none() const noexcept { return is(Kind::none); }
  bool is_string() const noexcept { return is(Kind::string); }
  bool is_list() const noexcept { return is(Kind::list); }
  bool is_dict() const noexcept { return is(Kind::dict); }
  /// Python's integers: True and False are two of them.
  bool is_integer() const noexcept { return is(Kind::integer) || is(Kind::boolean); }
  bool is_number() const noexcept { return is_integer() || is(Kind::real) || is(Kind::big); }

  bool boolean() const noexcept { return *std::get_if<bool>(&data_); }
  std::int64_t integer() const noexcept { return is(Kind::boolean) ? boolean() : *std::get_if<std::int64_t>(&data_); }
  double real() const noexcept;  ///< of any number
  const std::string& digits() const noexcept { return *std::get_if<BigInteger>(&data_)->digits; }
  const Text& text() const noexcept { return **std::get_if<std::shared_ptr<const Text>>(&data_); }
  const std::string& bytes() const noexcept { return text().bytes(); }
  List& list() const noexcept { return **std::get_if<std::shared_ptr<List>>(&data_); }
  const Dict& dict() const noexcept { return **std::get_if<std::shared_ptr<const Dict>>(&data_); }
  const Method& method() const noexcept { return **std::get_if<std::shared_ptr<const Method>>(&data_); }
  Object* object() const noexcept { return *std::get_if<Object*>(&data_); }
  /// Why the value is undefined.
  std::string_view what() const noexcept;

  int rank() const noexcept;

 private:
  std::variant<Undefined, None, bool, std::int64_t, double, BigInteger, std::shared_ptr<const Text>,
               std::shared_ptr<List>, std::shared_ptr<const Dict>, std::shared_ptr<const Method>, Object*>
      data_;
};

using Values = std::vector<Value>;

/// A sequence. The kind tells how it prints and compares; a generator (of map, select ...) is true even when empty.
struct List {
  enum class Kind : std::uint8_t { list, tuple, generator };
  Values items;
  Kind kind = Kind::list;
  bool frozen = false;  ///< the caller's: others may be reading it
  int rank = kFreshRank;
};

/// Keys in the order in which they came; the last value of a key counts.
class Dict {
 public:
  using Entry = std::pair<Value, Value>;

  void set(Value key, Value value);
  const Value* find(const Value& key) const noexcept;
  const Value* find(std::string_view key) const noexcept;
  const std::vector<Entry>& entries() const noexcept { return entries_; }
  std::size_t size() const noexcept { return entries_.size(); }
  int rank() const noexcept { return rank_; }

 private:
  std::vector<Entry> entries_;
  // Where keys are among the entries: in order, so that no choice of keys makes look-ups slow.
  std::map<std::string_view, std::size_t> texts_;                      // what these point at is shared, and stays
  std::map<std::pair<double, std::int64_t>, std::size_t> numbers_;     // large integers that differ may be the same double
  std::size_t none_ = 0;                                               // the place of None, and 1; 0: it is no key
  int rank_ = 1;
};

/// A method that was looked up: `text.upper`, before it is called.
struct Method {
  Value self;
  std::string name;
};

/// A list or tuple of ours; Code::template_limit when it would be nested too deeply.
Result<Value> make_list(Values items, List::Kind kind = List::Kind::list);
Result<Value> make_dict(Dict dict);

/// Python's truth: empty things, zero, None and what is undefined are false.
bool is_true(const Value& value) noexcept;
/// "str", "int", "NoneType" ...: what Python calls the type.
std::string_view type_name(const Value& value) noexcept;

}  // namespace infer::chat
