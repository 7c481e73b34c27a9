// SPDX-License-Identifier: MIT
// Methods of texts, dicts and lists, with Python's meanings. What would change the caller's values is refused.
#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "tokenizers/chat/functions.h"
#include "tokenizers/chat/operators.h"
#include "tokenizers/chat/printing.h"

namespace infer::chat {
namespace {

// ---- texts

Result<Value> strip(const Value& self, const Bound& args, Side side) {
  INFER_TRY(args.budget.charge_bytes(self.text().memory()));
  if (args[0] == nullptr || args[0]->is_none()) return Value(stripped(self.text(), side, nullptr));
  INFER_ASSIGN(const Text* const characters, text_argument(args, 0, "chars"));
  INFER_TRY(args.budget.charge_each(self.text().size(), characters->size()));
  return Value(stripped(self.text(), side, &characters->bytes()));
}
Result<Value> strip_both(const Value& self, const Bound& args) { return strip(self, args, Side::both); }
Result<Value> strip_left(const Value& self, const Bound& args) { return strip(self, args, Side::left); }
Result<Value> strip_right(const Value& self, const Bound& args) { return strip(self, args, Side::right); }

/// Without a separator: at runs of white space, which are left out at both ends too. What is left after `most` parts is one
/// more, which loses the space at the end where it was cut off, and keeps that at the other.
Result<Value> split_at_space(const Text& text, std::int64_t most, bool from_right, Budget& budget) {
  const std::string& bytes = text.bytes();
  std::vector<std::pair<std::size_t, std::size_t>> words;
  std::size_t begin = 0;
  std::size_t end = bytes.size();
  const auto first_is = [&](bool space) { return begin < end && is_space(code_point_at(bytes, begin)) == space; };
  const auto last_is = [&](bool space) { return begin < end && is_space(code_point_at(bytes, character_before(bytes, end))) == space; };
  for (;;) {
    const bool is_rest = most >= 0 && words.size() == static_cast<std::size_t>(most);
    if (from_right) {
      while (last_is(true)) end = character_before(bytes, end);
    } else {
      while (first_is(true)) begin += character_at(bytes, begin);
    }
    if (begin == end) break;
    INFER_TRY(budget.charge_elements(2));
    if (is_rest) {
      words.emplace_back(begin, end);
      break;
    }
    if (from_right) {
      const std::size_t stop = end;
      while (last_is(false)) end = character_before(bytes, end);
      words.emplace_back(end, stop);
    } else {
      const std::size_t start = begin;
      while (first_is(false)) begin += character_at(bytes, begin);
      words.emplace_back(start, begin);
    }
  }
  if (from_right) std::reverse(words.begin(), words.end());
  Values parts;
  for (const auto& [from, to] : words) parts.emplace_back(text.slice(from, to - from));
  return make_list(std::move(parts));
}

Result<Value> split(const Value& self, const Bound& args, bool from_right) {
  const Text& text = self.text();
  INFER_TRY(args.budget.charge_bytes(text.memory()));
  INFER_ASSIGN(const std::int64_t most, integer_argument(args, 1, "maxsplit", -1));
  if (args[0] == nullptr || args[0]->is_none()) return split_at_space(text, most, from_right, args.budget);
  INFER_ASSIGN(const Text* const separator, text_argument(args, 0, "sep"));
  if (separator->empty()) return chat_error("the separator of split is empty");
  INFER_TRY(args.budget.charge_search(text.size(), separator->size()));
  const std::string& bytes = text.bytes();
  Values parts;
  std::size_t begin = 0;
  std::size_t end = bytes.size();
  const auto room = [&] { return most < 0 || parts.size() < static_cast<std::size_t>(most); };
  while (room()) {
    INFER_TRY(args.budget.charge_elements(2));
    if (from_right) {
      const std::size_t found =
          end < separator->size() ? std::string::npos : bytes.rfind(separator->bytes(), end - separator->size());
      if (found == std::string::npos) break;
      parts.emplace_back(text.slice(found + separator->size(), end - found - separator->size()));
      end = found;
    } else {
      const std::size_t found = bytes.find(separator->bytes(), begin);
      if (found == std::string::npos) break;
      parts.emplace_back(text.slice(begin, found - begin));
      begin = found + separator->size();
    }
  }
  parts.emplace_back(text.slice(begin, end - begin));
  if (from_right) std::reverse(parts.begin(), parts.end());
  return make_list(std::move(parts));
}
Result<Value> split_left(const Value& self, const Bound& args) { return split(self, args, false); }
Result<Value> split_right(const Value& self, const Bound& args) { return split(self, args, true); }

Result<Value> split_lines(const Value& self, const Bound& args) {
  const Text& text = self.text();
  INFER_TRY(args.budget.charge_bytes(text.memory()));
  Values lines;
  for (std::size_t begin = 0; begin < text.size();) {
    INFER_TRY(args.budget.charge_elements(2));
    const LineEnd end = find_line_end(text.bytes(), begin);
    lines.emplace_back(text.slice(begin, (args.flag(0) ? end.next : end.at) - begin));
    begin = end.next;
  }
  return make_list(std::move(lines));
}

Result<Value> partition(const Value& self, const Bound& args, bool from_right) {
  const Text& text = self.text();
  INFER_ASSIGN(const Text* const separator, text_argument(args, 0, "sep"));
  if (separator->empty()) return chat_error("the separator of partition is empty");
  INFER_TRY(args.budget.charge_bytes(text.memory()));
  INFER_TRY(args.budget.charge_search(text.size(), separator->size()));
  const std::size_t found = from_right ? text.bytes().rfind(separator->bytes()) : text.bytes().find(separator->bytes());
  if (found == std::string::npos) {
    return make_list(from_right ? Values{Text(), Text(), self} : Values{self, Text(), Text()}, List::Kind::tuple);
  }
  const std::size_t after = found + separator->size();
  return make_list({text.slice(0, found), *separator, text.slice(after, text.size() - after)}, List::Kind::tuple);
}
Result<Value> partition_left(const Value& self, const Bound& args) { return partition(self, args, false); }
Result<Value> partition_right(const Value& self, const Bound& args) { return partition(self, args, true); }

/// text[start:end], as searches are told where to look.
struct Range {
  std::string_view bytes;
  std::size_t first = 0;   ///< the number of its first character
};
/// Null where there is no such range, as behind the text: not even what is empty is there.
Result<std::optional<Range>> range_of(const Value& self, const Bound& args) {
  const std::string_view bytes = self.bytes();
  const auto is_given = [&](std::size_t i) { return args[i] != nullptr && !args[i]->is_none(); };
  if (!is_given(1) && !is_given(2)) return std::optional(Range{.bytes = bytes});
  INFER_TRY(args.budget.charge(1 + bytes.size() / 16));   // it is gone through twice
  const auto n = static_cast<std::int64_t>(count_characters(bytes));
  std::int64_t begin = 0;
  std::int64_t end = n;
  if (is_given(1)) {
    INFER_ASSIGN(begin, integer_argument(args, 1, "start", 0));
  }
  if (is_given(2)) {
    INFER_ASSIGN(end, integer_argument(args, 2, "end", n));
  }
  begin = begin < 0 ? std::max<std::int64_t>(begin + n, 0) : begin;
  end = end < 0 ? std::max<std::int64_t>(end + n, 0) : std::min(end, n);
  if (begin > end) return std::optional<Range>();
  std::size_t from = 0;
  for (std::int64_t i = 0; i < begin; ++i) from += character_at(bytes, from);
  std::size_t to = from;
  for (std::int64_t i = begin; i < end; ++i) to += character_at(bytes, to);
  return std::optional(Range{.bytes = bytes.substr(from, to - from), .first = static_cast<std::size_t>(begin)});
}

/// startswith and endswith, also of a tuple of texts.
template <class Has>
Result<Value> has_any(const Value& self, const Bound& args, const Has& has) {
  INFER_ASSIGN(const std::optional<Range> range, range_of(self, args));
  if (args[0]->is_list() && args[0]->list().kind == List::Kind::tuple) {
    for (const Value& part : args[0]->list().items) {
      if (!part.is_string()) return chat_error("a tuple of texts is needed");
      INFER_TRY(args.budget.charge(1 + part.text().size() / 32));
      if (range && has(range->bytes, part.bytes())) return Value(true);
    }
    return Value(false);
  }
  INFER_ASSIGN(const Text* const part, text_argument(args, 0, "prefix"));
  return Value(range.has_value() && static_cast<bool>(has(range->bytes, part->bytes())));
}
Result<Value> starts_with(const Value& self, const Bound& args) {
  return has_any(self, args, [](std::string_view all, const std::string& part) { return all.starts_with(part); });
}
Result<Value> ends_with(const Value& self, const Bound& args) {
  return has_any(self, args, [](std::string_view all, const std::string& part) { return all.ends_with(part); });
}

Result<Value> remove_prefix(const Value& self, const Bound& args) {
  INFER_ASSIGN(const Text* const part, text_argument(args, 0, "prefix"));
  const Text& text = self.text();
  INFER_TRY(args.budget.charge_bytes(text.memory()));
  return text.bytes().starts_with(part->bytes()) ? Value(text.slice(part->size(), text.size() - part->size())) : self;
}
Result<Value> remove_suffix(const Value& self, const Bound& args) {
  INFER_ASSIGN(const Text* const part, text_argument(args, 0, "suffix"));
  const Text& text = self.text();
  INFER_TRY(args.budget.charge_bytes(text.memory()));
  return text.bytes().ends_with(part->bytes()) ? Value(text.slice(0, text.size() - part->size())) : self;
}

Result<Value> replace(const Value& self, const Bound& args) {
  INFER_ASSIGN(const Text* const old, text_argument(args, 0, "old"));
  INFER_ASSIGN(const Text* const with, text_argument(args, 1, "new"));
  INFER_ASSIGN(const std::int64_t count, integer_argument(args, 2, "count", -1));
  return replaced(self.text(), *old, *with, count, args.budget);
}

Result<Value> upper_case(const Value& self, const Bound& args) {
  INFER_TRY(args.budget.charge_bytes(2 * self.text().memory()));
  return Value(upper(self.text()));
}
Result<Value> lower_case(const Value& self, const Bound& args) {
  INFER_TRY(args.budget.charge_bytes(2 * self.text().memory()));
  return Value(lower(self.text()));
}
Result<Value> capitalize(const Value& self, const Bound& args) {
  INFER_TRY(args.budget.charge_bytes(2 * self.text().memory()));
  return Value(capitalized(self.text()));
}

/// A capital at the beginning of each run of letters.
Result<Value> title(const Value& self, const Bound& args) {
  const Text& text = self.text();
  INFER_TRY(args.budget.charge_bytes(2 * text.memory()));
  Text out;
  bool after_letter = false;
  std::string spelled;
  for (std::size_t i = 0; i < text.size(); i += character_at(text.bytes(), i)) {
    const char32_t c = code_point_at(text.bytes(), i);
    spelled.clear();
    unicode::append(after_letter ? to_lower(c) : to_upper(c), spelled);
    after_letter = is_cased(c);
    out.append(spelled, text.origin_at(i));
  }
  return Value(std::move(out));
}

Result<Value> find(const Value& self, const Bound& args, bool from_right) {
  INFER_ASSIGN(const Text* const part, text_argument(args, 0, "sub"));
  INFER_ASSIGN(const std::optional<Range> range, range_of(self, args));
  INFER_TRY(args.budget.charge_search(self.text().size(), part->size()));
  if (!range) return Value(std::int64_t{-1});
  const std::size_t found = from_right ? range->bytes.rfind(part->bytes()) : range->bytes.find(part->bytes());
  if (found == std::string::npos) return Value(std::int64_t{-1});
  return Value(static_cast<std::int64_t>(range->first + count_characters(range->bytes.substr(0, found))));
}
Result<Value> find_left(const Value& self, const Bound& args) { return find(self, args, false); }
Result<Value> find_right(const Value& self, const Bound& args) { return find(self, args, true); }
Result<Value> index(const Value& self, const Bound& args, bool from_right) {
  INFER_ASSIGN(Value found, find(self, args, from_right));
  if (found.integer() < 0) return chat_error("the text that index looks for is not there");
  return found;
}
Result<Value> index_left(const Value& self, const Bound& args) { return index(self, args, false); }
Result<Value> index_right(const Value& self, const Bound& args) { return index(self, args, true); }

Result<Value> count_text(const Value& self, const Bound& args) {
  INFER_ASSIGN(const Text* const part, text_argument(args, 0, "sub"));
  INFER_ASSIGN(const std::optional<Range> range, range_of(self, args));
  INFER_TRY(args.budget.charge_search(self.text().size(), part->size()));
  if (!range) return Value(std::int64_t{0});
  if (part->empty()) return Value(static_cast<std::int64_t>(count_characters(range->bytes) + 1));
  std::int64_t n = 0;
  for (std::size_t i = 0; (i = range->bytes.find(part->bytes(), i)) != std::string::npos; i += part->size()) ++n;
  return Value(n);
}

Result<Value> join(const Value& self, const Bound& args) {
  INFER_ASSIGN(const Values items, iterate(*args[0], args.budget));
  Text out;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (!items[i].is_string())
      return chat_error(fmt::format("join needs texts, element {} is {}", i, type_name(items[i])));
    if (i > 0) INFER_TRY(append(out, self.text(), args.budget));
    INFER_TRY(append(out, items[i].text(), args.budget));
  }
  return Value(std::move(out));
}

/// Whether the text is not empty and all of its characters are such.
template <class Is>
Result<Value> all_characters(const Value& self, const Bound& args, const Is& is) {
  const std::string& bytes = self.bytes();
  INFER_TRY(args.budget.charge_bytes(bytes.size()));
  for (std::size_t i = 0; i < bytes.size(); i += character_at(bytes, i)) {
    if (!is(code_point_at(bytes, i))) return Value(false);
  }
  return Value(!bytes.empty());
}
Result<Value> is_space_text(const Value& self, const Bound& args) { return all_characters(self, args, is_space); }
Result<Value> is_digit_text(const Value& self, const Bound& args) { return all_characters(self, args, is_digit); }
Result<Value> is_alpha_text(const Value& self, const Bound& args) { return all_characters(self, args, is_letter); }
Result<Value> is_alnum_text(const Value& self, const Bound& args) {
  return all_characters(self, args, is_letter_or_number);
}
/// Some letter has a case, and none the other one.
Result<Value> is_upper_text(const Value& self, const Bound& args) {
  INFER_TRY(args.budget.charge_bytes(2 * self.text().memory()));
  return Value(upper(self.text()).bytes() == self.bytes() && lower(self.text()).bytes() != self.bytes());
}
Result<Value> is_lower_text(const Value& self, const Bound& args) {
  INFER_TRY(args.budget.charge_bytes(2 * self.text().memory()));
  return Value(lower(self.text()).bytes() == self.bytes() && upper(self.text()).bytes() != self.bytes());
}

constexpr FunctionRow kTextMethods[] = {
    {"strip", strip_both, "chars"},
    {"lstrip", strip_left, "chars"},
    {"rstrip", strip_right, "chars"},
    {"split", split_left, "sep maxsplit"},
    {"rsplit", split_right, "sep maxsplit"},
    {"splitlines", split_lines, "keepends"},
    {"partition", partition_left, "sep", 1},
    {"rpartition", partition_right, "sep", 1},
    {"startswith", starts_with, "prefix start end", 1},
    {"endswith", ends_with, "suffix start end", 1},
    {"removeprefix", remove_prefix, "prefix", 1},
    {"removesuffix", remove_suffix, "suffix", 1},
    {"replace", replace, "old new count", 2},
    {"upper", upper_case},
    {"lower", lower_case},
    {"capitalize", capitalize},
    {"title", title},
    {"find", find_left, "sub start end", 1},
    {"rfind", find_right, "sub start end", 1},
    {"index", index_left, "sub start end", 1},
    {"rindex", index_right, "sub start end", 1},
    {"count", count_text, "sub start end", 1},
    {"join", join, "iterable", 1},
    {"isspace", is_space_text},
    {"isdigit", is_digit_text},
    {"isalpha", is_alpha_text},
    {"isalnum", is_alnum_text},
    {"isupper", is_upper_text},
    {"islower", is_lower_text},
};

// ---- dicts

Result<Value> get(const Value& self, const Bound& args) {
  if (const Value* const found = self.dict().find(*args[0])) return *found;
  return args[1] == nullptr ? Value(None{}) : *args[1];
}

/// Pairs of keys and values.
Result<Value> items(const Value& self, const Bound& args) {
  INFER_TRY(args.budget.charge_elements(4 * self.dict().size()));
  Values pairs;
  for (const auto& [key, value] : self.dict().entries()) {
    INFER_ASSIGN(Value pair, make_list({key, value}, List::Kind::tuple));
    pairs.push_back(std::move(pair));
  }
  return make_list(std::move(pairs));
}

Result<Value> keys(const Value& self, const Bound& args) {
  INFER_ASSIGN(Values all, iterate(self, args.budget));
  return make_list(std::move(all));
}

Result<Value> values(const Value& self, const Bound& args) {
  INFER_TRY(args.budget.charge_elements(self.dict().size()));
  Values all;
  for (const auto& entry : self.dict().entries()) all.push_back(entry.second);
  return make_list(std::move(all));
}

Result<Value> copy(const Value& self, const Bound&) { return self; }  // dicts never change

constexpr FunctionRow kDictMethods[] = {
    {"get", get, "key default", 1}, {"items", items}, {"keys", keys}, {"values", values}, {"copy", copy},
};

// ---- lists

/// append and pop are for lists that the template made itself; what goes in must be nested less deeply than the list.
Status check_changeable(const Value& self) {
  if (!self.list().frozen && self.list().kind == List::Kind::list) return {};
  return chat_error("the list is not the template's own, and cannot be changed");
}

Result<Value> append(const Value& self, const Bound& args) {
  INFER_TRY(check_changeable(self));
  if (args[0]->rank() >= self.list().rank)
    return chat_error("what is appended is nested more deeply than the list allows");
  INFER_TRY(args.budget.charge_elements(1));
  self.list().items.push_back(*args[0]);
  return Value(None{});
}

Result<Value> pop(const Value& self, const Bound& args) {
  INFER_TRY(check_changeable(self));
  INFER_ASSIGN(std::int64_t index, integer_argument(args, 0, "index", -1));
  Values& all = self.list().items;
  const auto n = static_cast<std::int64_t>(all.size());
  if (index < 0) index += n;
  if (index < 0 || index >= n) return chat_error("pop from beyond the list");
  INFER_TRY(args.budget.charge(1 + all.size() / 8));
  Value taken = all[static_cast<std::size_t>(index)];
  all.erase(all.begin() + index);
  return taken;
}

Result<Value> index_in_list(const Value& self, const Bound& args) {
  const Values& all = self.list().items;
  for (std::size_t i = 0; i < all.size(); ++i) {
    INFER_ASSIGN(const bool same, equals(all[i], *args[0], args.budget));
    if (same) return Value(static_cast<std::int64_t>(i));
  }
  return chat_error("the value that index looks for is not in the list");
}

Result<Value> count_in_list(const Value& self, const Bound& args) {
  std::int64_t n = 0;
  for (const Value& item : self.list().items) {
    INFER_ASSIGN(const bool same, equals(item, *args[0], args.budget));
    n += same ? 1 : 0;
  }
  return Value(n);
}

constexpr FunctionRow kListMethods[] = {
    {"append", append, "object", 1},
    {"pop", pop, "index"},
    {"index", index_in_list, "value", 1},
    {"count", count_in_list, "value", 1},
};

const FunctionRow* find_row(std::span<const FunctionRow> rows, std::string_view name) noexcept {
  const auto found =
      std::find_if(rows.begin(), rows.end(), [name](const FunctionRow& row) { return row.name == name; });
  return found == rows.end() ? nullptr : &*found;
}

}  // namespace

const FunctionRow* find_method(const Value& self, std::string_view name) noexcept {
  switch (self.kind()) {
    case Value::Kind::string:
      return find_row(kTextMethods, name);
    case Value::Kind::dict:
      return find_row(kDictMethods, name);
    case Value::Kind::list:
      return find_row(kListMethods, name);
    default:
      return nullptr;
  }
}

bool is_method(std::string_view name) noexcept {
  return find_row(kTextMethods, name) != nullptr || find_row(kDictMethods, name) != nullptr ||
         find_row(kListMethods, name) != nullptr;
}

}  // namespace infer::chat
