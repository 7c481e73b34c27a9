// SPDX-License-Identifier: MIT
// str(), repr() and json.dumps(). Recursion is bounded by kMaxRank. See printing.h.
#include "tokenizers/chat/printing.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

namespace infer::chat {
namespace {

using Kind = Value::Kind;

Status append_trusted(Text& out, std::string_view bytes, Budget& budget) {
  return append(out, Text(bytes, Origin::trusted), budget);
}

/// Walks a text and lets `escape` put another spelling in place of a character; an empty one keeps it.
template <class Escape>
Status append_escaped(Text& out, const Text& text, Budget& budget, const Escape& escape) {
  INFER_TRY(budget.charge_bytes(text.memory()));
  const std::string& bytes = text.bytes();
  const std::size_t before = out.memory();
  std::size_t plain = 0;
  std::string spelled;
  for (std::size_t i = 0; i < bytes.size();) {
    const std::size_t n = character_at(bytes, i);
    spelled.clear();
    escape(code_point_at(bytes, i), spelled);
    if (!spelled.empty()) {
      out.append(text, plain, i - plain);
      out.append(spelled, text.origin_at(i));
      INFER_TRY(budget.check_size(out.memory()));
      plain = i + n;
    }
    i += n;
  }
  out.append(text, plain, bytes.size() - plain);
  INFER_TRY(budget.check_size(out.memory()));
  return budget.charge((out.memory() - before) / 32);  // up to twelve times what the text has
}

/// Not for printing: controls, separators other than the space, and what has no glyph.
bool is_printable(char32_t c) noexcept {
  if (c < 0x7f) return c >= 0x20;
  if (c <= 0xa0 || c == 0xad) return false;
  if (is_space(c) || (c >= 0x200b && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f))
    return false;
  return !((c >= 0xe000 && c <= 0xf8ff) || c == 0xfeff || (c >= 0xfff0 && c <= 0xfffb) || c >= 0xe0000);
}

Status append_repr_of_text(Text& out, const Text& text, Budget& budget) {
  const std::string& bytes = text.bytes();
  const bool double_quotes = bytes.find('\'') != std::string::npos && bytes.find('"') == std::string::npos;
  const char quote = double_quotes ? '"' : '\'';
  out.append({&quote, 1}, Origin::trusted);
  INFER_TRY(append_escaped(out, text, budget, [&](char32_t c, std::string& spelled) {
    if (c == static_cast<unsigned char>(quote) || c == '\\') {
      spelled = {'\\', static_cast<char>(c)};
    } else if (c == '\n') {
      spelled = "\\n";
    } else if (c == '\r') {
      spelled = "\\r";
    } else if (c == '\t') {
      spelled = "\\t";
    } else if (!is_printable(c)) {
      const auto code = static_cast<std::uint32_t>(c);
      spelled = c < 0x100     ? fmt::format("\\x{:02x}", code)
                : c < 0x10000 ? fmt::format("\\u{:04x}", code)
                              : fmt::format("\\U{:08x}", code);
    }
  }));
  out.append({&quote, 1}, Origin::trusted);
  return {};
}

Status append_repr(Text& out, const Value& value, Budget& budget) {
  INFER_TRY(budget.charge(1));
  const auto put = [&](std::string_view bytes) { return append_trusted(out, bytes, budget); };
  switch (value.kind()) {
    case Kind::undefined:
      return put("Undefined");
    case Kind::none:
      return put("None");
    case Kind::boolean:
      return put(value.boolean() ? "True" : "False");
    case Kind::integer:
      return put(std::to_string(value.integer()));
    case Kind::big:
      return put(value.digits());
    case Kind::real:
      return put(python_float(value.real()));
    case Kind::string:
      return append_repr_of_text(out, value.text(), budget);
    case Kind::method:
      return put("<built-in method>");
    case Kind::object:
      return put("<object>");
    case Kind::list:
      break;
    case Kind::dict: {
      INFER_TRY(put("{"));
      std::string_view separator;
      for (const auto& [key, item] : value.dict().entries()) {
        INFER_TRY(put(separator));
        INFER_TRY(append_repr(out, key, budget));
        INFER_TRY(put(": "));
        INFER_TRY(append_repr(out, item, budget));
        separator = ", ";
      }
      return put("}");
    }
  }
  const List& list = value.list();
  if (list.kind == List::Kind::generator) return put("<generator object>");
  const bool tuple = list.kind == List::Kind::tuple;
  INFER_TRY(put(tuple ? "(" : "["));
  std::string_view separator;
  for (const Value& item : list.items) {
    INFER_TRY(put(separator));
    INFER_TRY(append_repr(out, item, budget));
    separator = ", ";
  }
  return put(!tuple ? "]" : list.items.size() == 1 ? ",)" : ")");
}

/// One call of json.dumps.
class JsonWriter {
 public:
  JsonWriter(const JsonStyle& style, Budget& budget, Text& out) : style_(style), budget_(budget), out_(out) {}

  Status write(const Value& value) {
    INFER_TRY(budget_.charge(1));
    switch (value.kind()) {
      case Kind::none:
        return put("null");
      case Kind::boolean:
        return put(value.boolean() ? "true" : "false");
      case Kind::integer:
        return put(std::to_string(value.integer()));
      case Kind::big:
        return put(value.digits());
      case Kind::real:
        return put(json_float(value.real()));
      case Kind::string:
        return write_text(value.text());
      case Kind::dict:
        return write_dict(value.dict());
      case Kind::list:
        if (value.list().kind != List::Kind::generator) return write_list(value.list().items);
        [[fallthrough]];
      default:
        return chat_error(fmt::format("object of type {} is not JSON serializable", type_name(value)));
    }
  }

 private:
  static std::string json_float(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
    return python_float(value);
  }

  Status put(std::string_view bytes) { return append_trusted(out_, bytes, budget_); }
  Status put(const Text& text) { return append(out_, text, budget_); }

  Status new_line() {
    if (!style_.indent) return {};
    INFER_TRY(put("\n"));
    for (int i = 0; i < depth_; ++i) INFER_TRY(put(*style_.indent));
    return {};
  }

  Status write_text(const Text& text) {
    INFER_TRY(put("\""));
    INFER_TRY(append_escaped(out_, text, budget_, [this](char32_t c, std::string& spelled) {
      switch (c) {
        case '"':
          spelled = "\\\"";
          return;
        case '\\':
          spelled = "\\\\";
          return;
        case '\n':
          spelled = "\\n";
          return;
        case '\r':
          spelled = "\\r";
          return;
        case '\t':
          spelled = "\\t";
          return;
        case '\b':
          spelled = "\\b";
          return;
        case '\f':
          spelled = "\\f";
          return;
        default:
          break;
      }
      auto code = static_cast<std::uint32_t>(c);
      if (code >= 0x20 && (code < 0x7f || !style_.ensure_ascii)) return;
      if (code >= 0x10000) {
        code -= 0x10000;
        spelled = fmt::format("\\u{:04x}\\u{:04x}", 0xd800 + (code >> 10), 0xdc00 + (code & 0x3ff));
      } else {
        spelled = fmt::format("\\u{:04x}", code);
      }
    }));
    return put("\"");
  }

  Status write_list(const Values& items) {
    if (items.empty()) return put("[]");
    INFER_TRY(put("["));
    ++depth_;
    bool first = true;
    for (const Value& item : items) {
      if (!std::exchange(first, false)) INFER_TRY(put(style_.item_separator));
      INFER_TRY(new_line());
      INFER_TRY(write(item));
    }
    --depth_;
    INFER_TRY(new_line());
    return put("]");
  }

  Status write_key(const Value& key) {
    switch (key.kind()) {
      case Kind::string:
        return write_text(key.text());
      case Kind::none:
        return put("\"null\"");
      case Kind::boolean:
        return put(key.boolean() ? "\"true\"" : "\"false\"");
      case Kind::integer:
        return put(fmt::format("\"{}\"", key.integer()));
      case Kind::real:
        return put(fmt::format("\"{}\"", json_float(key.real())));
      default:
        return chat_error(fmt::format("keys of JSON objects are not of type {}", type_name(key)));
    }
  }

  Status write_dict(const Dict& dict) {
    if (dict.size() == 0) return put("{}");
    INFER_TRY(budget_.charge(dict.size()));
    std::vector<const Dict::Entry*> entries;
    for (const Dict::Entry& entry : dict.entries()) entries.push_back(&entry);
    if (style_.sort_keys) {
      const bool all_texts =
          std::all_of(entries.begin(), entries.end(), [](const auto* e) { return e->first.is_string(); });
      if (!all_texts) return chat_error("sort_keys needs keys that are strings");
      std::stable_sort(entries.begin(), entries.end(),
                       [](const auto* a, const auto* b) { return a->first.bytes() < b->first.bytes(); });
    }
    INFER_TRY(put("{"));
    ++depth_;
    bool first = true;
    for (const Dict::Entry* entry : entries) {
      if (!std::exchange(first, false)) INFER_TRY(put(style_.item_separator));
      INFER_TRY(new_line());
      INFER_TRY(write_key(entry->first));
      INFER_TRY(put(style_.key_separator));
      INFER_TRY(write(entry->second));
    }
    --depth_;
    INFER_TRY(new_line());
    return put("}");
  }

  const JsonStyle& style_;
  Budget& budget_;
  Text& out_;
  int depth_ = 0;
};

}  // namespace

Status append(Text& out, const Text& part, Budget& budget) {
  INFER_TRY(budget.charge_bytes(part.memory()));
  INFER_TRY(budget.check_size(out.memory() + part.memory()));
  out.append(part);
  return {};
}

std::string python_float(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  // d.ddde±xx with the fewest digits; Python moves the point when the exponent is in -4..15.
  char buffer[40];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::scientific).ptr;
  const std::string_view shortest(buffer, static_cast<std::size_t>(end - buffer));
  const std::size_t e = shortest.find('e');
  const std::string sign(shortest.starts_with('-') ? 1 : 0, '-');
  std::string digits;
  for (const char c : shortest.substr(0, e)) {
    if (c >= '0' && c <= '9') digits += c;
  }
  int exponent = 0;
  const std::size_t number = e + (shortest[e + 1] == '+' ? 2 : 1);
  std::from_chars(shortest.data() + number, end, exponent);
  if (exponent < -4 || exponent >= 16) {
    std::string mantissa = digits.substr(0, 1);
    if (digits.size() > 1) mantissa.append(1, '.').append(digits, 1);
    return fmt::format("{}{}e{}{:02}", sign, mantissa, exponent < 0 ? "-" : "+", std::abs(exponent));
  }
  if (exponent < 0) return sign + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
  const auto whole = static_cast<std::size_t>(exponent) + 1;
  if (digits.size() <= whole) return sign + digits + std::string(whole - digits.size(), '0') + ".0";
  return sign + digits.substr(0, whole) + "." + digits.substr(whole);
}

Result<Text> to_str(const Value& value, Budget& budget) {
  if (value.is_string()) return value.text();
  if (value.is_undefined()) return Text();
  return to_repr(value, budget);
}

Result<Text> to_repr(const Value& value, Budget& budget) {
  Text out;
  INFER_TRY(append_repr(out, value, budget));
  return out;
}

Result<Text> to_json(const Value& value, const JsonStyle& style, Budget& budget) {
  Text out;
  INFER_TRY(JsonWriter(style, budget, out).write(value));
  return out;
}

}  // namespace infer::chat
