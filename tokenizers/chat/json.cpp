// SPDX-License-Identifier: MIT
// JSON (RFC 8259) to values of templates. Nesting is bounded, so that recursion is; integers keep all their digits.
// Tested by tests/tokenizers/chat/json_test.cpp.
#include <charconv>

#include <fmt/format.h>

#include "libinfer/text.h"
#include "tokenizers/chat/template.h"

namespace infer::chat {
namespace {

constexpr int kMaxDepth = kMaxRank - 8;  // leaves room for what templates put around it

class JsonReader {
 public:
  JsonReader(std::string_view text, std::string_view what) : text_(text), what_(what) {}

  Result<Value> run() {
    if (!is_utf8(text_)) return Status::error(Code::utf8, fmt::format("{}: not valid UTF-8", what_));
    INFER_ASSIGN(Value value, parse_value());
    skip_space();
    if (at_ != text_.size()) return fail("something follows the value");
    return value;
  }

 private:
  Status fail(std::string_view problem) const {
    return Status::error(Code::argument, fmt::format("{}: not JSON at byte {}: {}", what_, at_, problem)).at(at_);
  }
  bool skip(std::string_view token) noexcept {
    if (!text_.substr(at_).starts_with(token)) return false;
    at_ += token.size();
    return true;
  }
  void skip_space() noexcept {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) ++at_;
  }

  Result<Value> parse_value() {
    skip_space();
    if (at_ == text_.size()) return fail("a value is missing");
    if (skip("null")) return Value(None{});
    if (skip("true")) return Value(true);
    if (skip("false")) return Value(false);
    if (skip("\"")) {
      INFER_ASSIGN(std::string text, parse_string());
      return Value::string(text, Origin::untrusted);
    }
    if (text_[at_] != '[' && text_[at_] != '{') return parse_number();
    if (depth_ == kMaxDepth)
      return Status::error(Code::limit, fmt::format("{}: nested more than {} deep at byte {}", what_, kMaxDepth, at_));
    ++depth_;
    Result<Value> value = skip("[") ? parse_list() : (++at_, parse_dict());
    --depth_;
    return value;
  }

  Result<Value> parse_list() {
    Values items;
    skip_space();
    if (!skip("]")) {
      do {
        INFER_ASSIGN(Value item, parse_value());
        items.push_back(std::move(item));
        skip_space();
      } while (skip(","));
      if (!skip("]")) return fail("',' or ']' is missing");
    }
    INFER_ASSIGN(Value list, make_list(std::move(items)));
    list.list().frozen = true;
    return list;
  }

  Result<Value> parse_dict() {
    Dict dict;
    skip_space();
    if (!skip("}")) {
      do {
        skip_space();
        if (!skip("\"")) return fail("a key is missing");
        INFER_ASSIGN(const std::string key, parse_string());
        skip_space();
        if (!skip(":")) return fail("':' is missing");
        INFER_ASSIGN(Value value, parse_value());
        dict.set(Value::string(key, Origin::untrusted), std::move(value));
        skip_space();
      } while (skip(","));
      if (!skip("}")) return fail("',' or '}' is missing");
    }
    return make_dict(std::move(dict));
  }

  Result<Value> parse_number() {
    const std::size_t begin = at_;
    const auto digits = [this] {
      const std::size_t from = at_;
      while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
      return at_ - from;
    };
    skip("-");
    const bool zero = at_ < text_.size() && text_[at_] == '0';
    const std::size_t n = digits();
    if (n == 0 || (zero && n > 1)) return fail("a value is missing");
    bool real = false;
    if (skip(".")) {
      real = true;
      if (digits() == 0) return fail("a digit is missing");
    }
    if (skip("e") || skip("E")) {
      real = true;
      if (!skip("+")) skip("-");
      if (digits() == 0) return fail("a digit is missing");
    }
    const std::string_view number = text_.substr(begin, at_ - begin);
    const char* const end = number.data() + number.size();
    if (!real) {
      std::int64_t value = 0;
      if (std::from_chars(number.data(), end, value).ec == std::errc()) return Value(value);
      return Value(BigInteger{std::make_shared<const std::string>(number)});
    }
    double value = 0;
    if (std::from_chars(number.data(), end, value).ec == std::errc()) return Value(value);
    return fail("the number is too large or too small");
  }

  Result<char32_t> parse_hex4() {
    std::uint32_t code = 0;
    const std::string_view hex = text_.substr(at_, 4);
    const auto [end, error] = std::from_chars(hex.data(), hex.data() + hex.size(), code, 16);
    if (error != std::errc() || hex.size() != 4 || end != hex.data() + 4)
      return fail("four hexadecimal digits are missing");
    at_ += 4;
    return static_cast<char32_t>(code);
  }

  Result<std::string> parse_string() {
    std::string out;
    for (;;) {
      const std::size_t plain = at_;
      while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\\' &&
             static_cast<unsigned char>(text_[at_]) >= 0x20)
        ++at_;
      out += text_.substr(plain, at_ - plain);
      if (skip("\"")) return out;
      if (at_ == text_.size()) return fail("a text does not end");
      if (!skip("\\")) return fail("a control character in a text");
      constexpr std::string_view kNames = "\"\\/bfnrt";
      constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
      const char c = at_ < text_.size() ? text_[at_] : ' ';
      ++at_;
      if (const std::size_t known = kNames.find(c); known != std::string_view::npos) {
        out += kMeanings[known];
      } else if (c == 'u') {
        INFER_ASSIGN(char32_t code, parse_hex4());
        if (code >= 0xd800 && code < 0xdc00 && text_.substr(at_).starts_with("\\u")) {
          const std::size_t back = at_;
          at_ += 2;
          INFER_ASSIGN(const char32_t low, parse_hex4());
          if (low >= 0xdc00 && low < 0xe000) {
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
          } else {
            at_ = back;
          }
        }
        // Half of a pair is no character.
        append_code_point(out, code >= 0xd800 && code < 0xe000 ? char32_t{0xfffd} : code);
      } else {
        --at_;
        return fail("an unknown escape");
      }
    }
  }

  const std::string_view text_;
  const std::string_view what_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

Result<Value> parse_json(std::string_view json, std::string_view what) { return JsonReader(json, what).run(); }

}  // namespace infer::chat
