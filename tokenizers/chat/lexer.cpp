// SPDX-License-Identifier: MIT
// Tokens of templates. The rules follow the regular expressions of Jinja's own lexer, by hand. See lexer.h.
#include "tokenizers/chat/lexer.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include <fmt/format.h>

#include "libinfer/text.h"
#include "tokenizers/chat/text.h"

namespace infer::chat {

Source::Source(std::string_view original) {
  text_.reserve(original.size());
  for (std::size_t i = 0; i < original.size(); ++i) {
    if (original[i] != '\r') {
      text_ += original[i];
    } else if (i + 1 < original.size() && original[i + 1] == '\n') {
      dropped_.push_back(text_.size());
    } else {
      text_ += '\n';
    }
  }
  if (text_.ends_with('\n')) text_.pop_back();
}

Position Source::position(std::size_t offset, std::size_t from, Position start) const noexcept {
  for (const char c : std::string_view(text_).substr(from, offset - from)) {
    if (c == '\n') {
      start = {.line = start.line + 1, .column = 1};
    } else if ((static_cast<unsigned char>(c) & 0xc0) != 0x80) {
      ++start.column;
    }
  }
  return start;
}

Status Source::locate(Status status, std::size_t offset) const {
  if (status.ok() || status.offset() != Status::kNoOffset) return status;
  const auto [line, column] = position(offset);
  const auto n_dropped = std::upper_bound(dropped_.begin(), dropped_.end(), offset) - dropped_.begin();
  return std::move(status)
      .with_context(fmt::format("line {}, column {}", line, column))
      .at(offset + static_cast<std::size_t>(n_dropped));
}

namespace {

constexpr std::size_t kMaxName = 255;         // so that comparing names takes no time to speak of
constexpr std::size_t kMaxTokens = 1U << 18;  // each may become a node of some 150 bytes

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
/// Python's \w, roughly: every character beyond ASCII is taken for a letter.
bool is_name_byte(char c) noexcept {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

class Lexer {
 public:
  explicit Lexer(const Source& source) : source_(source), text_(source.text()) {}

  Result<std::vector<Token>> run() {
    while (at_ < text_.size()) {
      if (Status s = next_part(); !s.ok()) return source_.locate(std::move(s), at_);
    }
    add(TokenKind::end, at_, "");
    return std::move(tokens_);
  }

 private:
  bool here(std::string_view what) const noexcept { return text_.substr(at_).starts_with(what); }
  std::size_t skip_space(std::size_t i) const noexcept {
    while (i < text_.size() && is_space(code_point_at(text_, i))) i += character_at(text_, i);
    return i;
  }
  void add(TokenKind kind, std::size_t offset, std::string text) {
    tokens_.push_back({kind, static_cast<std::uint32_t>(offset), std::move(text)});
  }

  /// Data up to the next tag, and the tag.
  Status next_part() {
    const std::size_t begin = at_;
    std::size_t tag = begin;
    for (;; ++tag) {
      tag = text_.find('{', tag);
      if (tag == std::string_view::npos || tag + 1 >= text_.size()) {
        add_data(begin, text_.size());
        at_ = text_.size();
        return {};
      }
      const char c = text_[tag + 1];
      if (c == '%' || c == '{' || c == '#') break;
    }
    const char what = text_[tag + 1];
    at_ = tag + 2;
    const char sign = at_ < text_.size() && (text_[at_] == '-' || text_[at_] == '+') ? text_[at_] : ' ';
    add_data(begin, stripped_end(begin, tag, sign, what == '{'));
    if (sign != ' ') ++at_;
    if (what == '#') return comment(tag);
    if (what == '%') {
      if (const std::size_t body = raw_begin(at_); body != 0) return raw(tag, body);
    }
    add(what == '%' ? TokenKind::block_begin : TokenKind::print_begin, tag, "");
    return expression(what == '%' ? TokenKind::block_end : TokenKind::print_end);
  }

  void add_data(std::size_t begin, std::size_t end) {
    if (begin < end) add(TokenKind::data, begin, std::string(text_.substr(begin, end - begin)));
  }

  /// Where the data before a tag ends: `-` strips all white space, and a block that begins its line the line's.
  std::size_t stripped_end(std::size_t begin, std::size_t tag, char sign, bool is_print) const noexcept {
    std::size_t space = tag;
    const auto space_before = [&](std::size_t i) { return is_space(code_point_at(text_, character_before(text_, i))); };
    if (sign == '-') {
      while (space > begin && space_before(space)) space = character_before(text_, space);
      return space;
    }
    if (sign == '+' || is_print) return tag;
    while (space > begin && text_[space - 1] != '\n' && space_before(space)) space = character_before(text_, space);
    const bool begins_line = space == 0 || text_[space - 1] == '\n';
    return begins_line ? space : tag;
  }

  /// The end of a tag that closes with `close` at `at_`: its length with the white space it takes along, or 0.
  std::size_t closing(std::size_t i, std::string_view close, bool trims) const noexcept {
    const bool minus = i < text_.size() && text_[i] == '-';
    const bool plus = i < text_.size() && text_[i] == '+' && trims;
    const std::size_t mark = i + (minus || plus ? 1U : 0U);
    if (!text_.substr(std::min(mark, text_.size())).starts_with(close)) return 0;
    std::size_t end = mark + close.size();
    if (minus) return skip_space(end);
    if (trims && !plus && end < text_.size() && text_[end] == '\n') ++end;
    return end;
  }

  Status comment(std::size_t tag) {
    for (std::size_t i = at_; i < text_.size(); ++i) {
      if (const std::size_t end = closing(i, "#}", true); end != 0) {
        at_ = end;
        return {};
      }
    }
    at_ = tag;
    return chat_error("the comment does not end: '#}' is missing");
  }

  /// Where the text after {% raw %} begins; 0 when this is another tag.
  std::size_t raw_begin(std::size_t i) const noexcept {
    i = skip_space(i);
    if (!text_.substr(i).starts_with("raw")) return 0;
    return closing(skip_space(i + 3), "%}", false);
  }

  Status raw(std::size_t tag, std::size_t body) {
    for (std::size_t i = text_.find("{%", body); i != std::string_view::npos; i = text_.find("{%", i + 1)) {
      const std::size_t sign_at = i + 2;
      const char sign =
          sign_at < text_.size() && (text_[sign_at] == '-' || text_[sign_at] == '+') ? text_[sign_at] : ' ';
      std::size_t name = skip_space(sign_at + (sign == ' ' ? 0U : 1U));
      if (!text_.substr(std::min(name, text_.size())).starts_with("endraw")) continue;
      if (const std::size_t end = closing(skip_space(name + 6), "%}", true); end != 0) {
        add_data(body, stripped_end(body, i, sign, false));
        at_ = end;
        return {};
      }
    }
    at_ = tag;
    return chat_error("the raw block does not end: 'endraw' is missing");
  }

  /// Tokens up to the end of a tag.
  Status expression(TokenKind end_kind) {
    const std::size_t begin = at_;
    const bool block = end_kind == TokenKind::block_end;
    std::string brackets;
    while (at_ < text_.size()) {
      if (tokens_.size() > kMaxTokens) return limit_error(fmt::format("more than {} tokens", kMaxTokens));
      if (brackets.empty()) {
        if (const std::size_t end = closing(at_, block ? "%}" : "}}", block); end != 0) {
          add(end_kind, at_, "");
          at_ = end;
          return {};
        }
      }
      if (const std::size_t next = skip_space(at_); next != at_) {
        at_ = next;
        continue;
      }
      const char c = text_[at_];
      if (is_digit(c)) {
        INFER_TRY(number());
      } else if (is_name_byte(c)) {
        std::size_t end = at_;
        while (end < text_.size() && is_name_byte(text_[end])) ++end;
        if (end - at_ > kMaxName) return limit_error(fmt::format("a name of more than {} bytes", kMaxName));
        add(TokenKind::name, at_, std::string(text_.substr(at_, end - at_)));
        at_ = end;
      } else if (c == '"' || c == '\'') {
        INFER_TRY(string());
      } else {
        INFER_TRY(op(brackets));
      }
    }
    at_ = begin;
    return chat_error(block ? "the tag does not end: '%}' is missing" : "the tag does not end: '}}' is missing");
  }

  Status op(std::string& brackets) {
    constexpr std::string_view kOperators[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
                                               "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    const auto* const found =
        std::find_if(std::begin(kOperators), std::end(kOperators), [this](auto o) { return here(o); });
    if (found == std::end(kOperators)) {
      return chat_error(fmt::format("unexpected character {}", quoted(text_.substr(at_, character_at(text_, at_)))));
    }
    const char c = (*found)[0];
    if (c == '(' || c == '[' || c == '{') brackets += c == '(' ? ')' : c == '[' ? ']' : '}';
    if (c == ')' || c == ']' || c == '}') {
      if (brackets.empty()) return chat_error(fmt::format("unexpected '{}'", c));
      if (brackets.back() != c) return chat_error(fmt::format("unexpected '{}', expected '{}'", c, brackets.back()));
      brackets.pop_back();
    }
    add(TokenKind::op, at_, std::string(*found));
    at_ += found->size();
    return {};
  }

  /// Digits, with single underscores between them, from `i` on.
  std::size_t digits_end(std::size_t i) const noexcept {
    while (i < text_.size() &&
           (is_digit(text_[i]) || (text_[i] == '_' && i + 1 < text_.size() && is_digit(text_[i + 1]))))
      ++i;
    return i;
  }

  Status number() {
    const char base = at_ + 1 < text_.size() && text_[at_] == '0' ? static_cast<char>(text_[at_ + 1] | 0x20) : ' ';
    std::size_t end = at_;
    TokenKind kind = TokenKind::integer;
    if (base == 'x' || base == 'o' || base == 'b') {
      end += 2;
      while (end < text_.size() && (is_name_byte(text_[end]))) ++end;
    } else {
      end = digits_end(at_);
      const bool after_dot = at_ > 0 && text_[at_ - 1] == '.';  // a.0.1 are two look-ups
      if (!after_dot && end + 1 < text_.size() && text_[end] == '.' && is_digit(text_[end + 1])) {
        end = digits_end(end + 1);
        kind = TokenKind::real;
      }
      if (!after_dot && end + 1 < text_.size() && (text_[end] | 0x20) == 'e') {
        const std::size_t exponent = end + (text_[end + 1] == '+' || text_[end + 1] == '-' ? 2U : 1U);
        if (exponent < text_.size() && is_digit(text_[exponent])) {
          end = digits_end(exponent);
          kind = TokenKind::real;
        }
      }
    }
    std::string digits(text_.substr(at_, end - at_));
    std::erase(digits, '_');
    add(kind, at_, std::move(digits));
    at_ = end;
    return {};
  }

  Status string() {
    const char quote = text_[at_];
    std::string out;
    for (std::size_t i = at_ + 1; i < text_.size(); ++i) {
      if (text_[i] == quote) {
        add(TokenKind::string, at_, std::move(out));
        at_ = i + 1;
        return {};
      }
      if (text_[i] != '\\') {
        out += text_[i];
      } else if (++i < text_.size()) {
        INFER_TRY(escape(i, out));
      }
    }
    return chat_error("the string does not end");
  }

  /// Python's escapes; `i` is at the character after the backslash, and is left at the last one of the escape.
  Status escape(std::size_t& i, std::string& out) const {
    constexpr std::string_view kNames = "abfnrtv\\'\"";
    constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\'\"";
    const char c = text_[i];
    if (const std::size_t known = kNames.find(c); known != std::string_view::npos) {
      out += kMeanings[known];
    } else if (c == 'x' || c == 'u' || c == 'U') {
      const std::size_t n = c == 'x' ? 2 : c == 'u' ? 4 : 8;
      const std::string hex(text_.substr(i + 1, n));
      const bool is_hex = hex.size() == n && hex.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
      const auto code = is_hex ? static_cast<char32_t>(std::strtoul(hex.c_str(), nullptr, 16)) : char32_t{0x110000};
      if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return chat_error(fmt::format("bad escape '\\{}' in a string", c));
      unicode::append(code, out);
      i += n;
    } else if (c >= '0' && c <= '7') {
      char32_t code = 0;
      std::size_t n = 0;
      while (n < 3 && i + n < text_.size() && text_[i + n] >= '0' && text_[i + n] <= '7') {
        code = code * 8 + static_cast<unsigned char>(text_[i + n++] - '0');
      }
      unicode::append(code, out);
      i += n - 1;
    } else if (c == 'N') {
      return chat_error("characters by name, '\\N{...}', are not supported");
    } else if (c != '\n') {
      out += '\\';
      out += c;
    }
    return {};
  }

  const Source& source_;
  const std::string_view text_;
  std::size_t at_ = 0;
  std::vector<Token> tokens_;
};

}  // namespace

Result<std::vector<Token>> tokenize(const Source& source) { return Lexer(source).run(); }

}  // namespace infer::chat
