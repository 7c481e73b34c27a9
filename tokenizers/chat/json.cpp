// SPDX-License-Identifier: MIT
// JSON (RFC 8259) to values of templates, by nlohmann/json: its events, so that nothing recurses, nesting is bounded and
// integers keep their digits. Tested by tests/tokenizers/chat/jinja_test.cpp.
#define JSON_ASSERT(condition) static_cast<void>(0)   // the host is not taken down
#include <nlohmann/json.hpp>

#include <utility>

#include <fmt/format.h>

#include "libinfer/text.h"
#include "tokenizers/chat/template.h"

namespace infer::chat {
namespace {

constexpr std::size_t kMaxDepth = kMaxRank - 8;  // leaves room for what templates put around it

/// Takes events, and says after each whether to go on.
constexpr std::size_t kMaxDigits = 1024;   // comparing numbers beyond 64 bits reads all of them

class Builder {
 public:
  explicit Builder(std::string_view what) : what_(what) {}

  bool null() { return put(Value(None{})); }
  bool boolean(bool b) { return put(Value(b)); }
  bool number_integer(std::int64_t i) { return put(Value(i)); }
  bool number_unsigned(std::uint64_t u) {
    return std::in_range<std::int64_t>(u) ? put(Value(static_cast<std::int64_t>(u))) : put_big(std::to_string(u));
  }
  /// Integers that 64 bits cannot hold come here, too.
  bool number_float(double d, const std::string& digits) {
    if (digits.size() > kMaxDigits) {
      return fail(Status::error(Code::argument,
                                fmt::format("{}: a number of {} digits; at most {} are taken", what_, digits.size(), kMaxDigits)));
    }
    return digits.find_first_of(".eE") == std::string::npos ? put_big(digits) : put(Value(d));
  }
  bool string(std::string& text) { return put(Value::string(text, Origin::untrusted)); }
  template <class Bytes>
  bool binary(Bytes&) {   // not in JSON
    return false;
  }
  bool start_array(std::size_t) { return open(); }
  bool start_object(std::size_t) { return open(); }
  bool key(std::string& text) {
    open_.back().key = std::move(text);
    return true;
  }
  bool end_array() {
    Result<Value> list = make_list(std::move(open_.back().items));
    if (list.ok()) list.value().list().frozen = true;
    return close(std::move(list));
  }
  bool end_object() { return close(make_dict(std::move(open_.back().dict))); }
  template <class Error>
  bool parse_error(std::size_t n_read, const std::string&, const Error& error) {
    std::string_view problem = error.what();
    problem.remove_prefix(std::min(problem.size(), problem.find("] ") + 2));   // the library's own number
    const std::size_t at = n_read == 0 ? 0 : n_read - 1;
    return fail(Status::error(Code::argument, fmt::format("{}: not JSON at byte {}: {}", what_, at, escaped(problem))).at(at));
  }

  Result<Value> take(bool whole) && {
    if (!whole) return std::move(status_);
    return std::move(result_);
  }

 private:
  /// A list or a dict whose end has not come; one of the two stays empty.
  struct Open {
    Values items;
    Dict dict;
    std::optional<std::string> key;   ///< of the next entry of a dict
  };

  bool fail(Status status) {
    status_ = std::move(status);
    return false;
  }
  bool put_big(std::string digits) { return put(Value(BigInteger{std::make_shared<const std::string>(std::move(digits))})); }
  bool put(Value value) {
    if (open_.empty()) {
      result_ = std::move(value);
    } else if (Open& in = open_.back(); in.key) {
      in.dict.set(Value::string(*in.key, Origin::untrusted), std::move(value));
      in.key.reset();
    } else {
      in.items.push_back(std::move(value));
    }
    return true;
  }
  bool open() {
    if (open_.size() == kMaxDepth) return fail(Status::error(Code::limit, fmt::format("{}: nested more than {} deep", what_, kMaxDepth)));
    open_.emplace_back();
    return true;
  }
  bool close(Result<Value> made) {
    open_.pop_back();
    return made.ok() ? put(std::move(made).value()) : fail(std::move(made).status());
  }

  std::string_view what_;
  std::vector<Open> open_;
  Value result_;
  Status status_;
};

}  // namespace

Result<Value> parse_json(std::string_view json, std::string_view what) {
  if (!is_utf8(json)) return Status::error(Code::utf8, fmt::format("{}: not valid UTF-8", what));
  Builder builder(what);
  const bool whole = nlohmann::json::sax_parse(json, &builder);
  return std::move(builder).take(whole);
}

}  // namespace infer::chat
