// SPDX-License-Identifier: MIT
// Writes metadata values as JSON. Tested by tests/capi/c_api_test.c and, through `infer info`, by tests/tools.
#include "capi/json.h"

#include <cmath>

#include <fmt/format.h>

#include "libinfer/text_stream.h"

namespace infer::capi {
namespace {

void write(std::string& out, std::string_view text) {
  Utf8Stream utf8;   // replaces what is not UTF-8
  std::string valid;
  utf8.push(text, valid);
  utf8.flush(valid);
  out += '"';
  for (char c : valid) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  out += '"';
}

void write(std::string& out, bool value) { out += value ? "true" : "false"; }
void write(std::string& out, double value) {
  if (std::isfinite(value)) out += fmt::format("{}", value);
  else out += "null";
}
void write(std::string& out, float value) {
  if (std::isfinite(value)) out += fmt::format("{}", value);
  else out += "null";
}
void write(std::string& out, std::int32_t value) { out += fmt::format("{}", value); }
void write(std::string& out, std::int64_t value) { out += fmt::format("{}", value); }
void write(std::string& out, std::uint64_t value) { out += fmt::format("{}", value); }

template <class List>
void write_list(std::string& out, const List& list) {
  out += '[';
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (i > 0) out += ',';
    write(out, list[i]);
  }
  out += ']';
}

/// Arrays that the tokenizer spec took over.
void write_moved(std::string& out, std::string_view key, const TokenizerSpec& t) {
  if (key == "tokenizer.ggml.tokens") write_list(out, t.tokens);
  else if (key == "tokenizer.ggml.scores") write_list(out, t.scores);
  else if (key == "tokenizer.ggml.token_type") write_list(out, t.types);
  else if (key == "tokenizer.ggml.merges") write_list(out, t.merges);
  else out += "null";
}

}  // namespace

std::uint64_t element_count(const MetaValue& value) noexcept {
  return std::visit(
      [](const auto& v) -> std::uint64_t {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, MovedArray>) return v.count;
        else if constexpr (std::is_same_v<T, std::string> || std::is_arithmetic_v<T>) return 1;
        else return v.size();
      },
      value);
}

std::string to_json(const MetaEntry& entry, const TokenizerSpec& tokenizer) {
  std::string out;
  std::visit(
      [&](const auto& v) {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, MovedArray>) write_moved(out, entry.key, tokenizer);
        else if constexpr (std::is_same_v<T, std::string>) write(out, std::string_view(v));
        else if constexpr (std::is_arithmetic_v<T>) write(out, v);
        else write_list(out, v);
      },
      entry.value);
  return out;
}

std::string to_json(std::string_view text) {
  std::string out;
  write(out, text);
  return out;
}

}  // namespace infer::capi
