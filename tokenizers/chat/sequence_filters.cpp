// SPDX-License-Identifier: MIT
// Filters over lists and dicts: join, map, selectattr, sort, unique ... Tested by
// tests/tokenizers/chat/jinja_test.cpp.
#include <algorithm>

#include <fmt/format.h>

#include "libinfer/text.h"
#include "tokenizers/chat/functions.h"
#include "tokenizers/chat/operators.h"
#include "tokenizers/chat/printing.h"

namespace infer::chat {
namespace {

/// "a.b.0" of an item: attributes and elements, as map(attribute=...) and its like take them.
Result<Value> dig(Value value, const Value& path, Budget& budget) {
  if (path.is_integer()) return subscript(value, path, budget);
  if (!path.is_string()) return chat_error("an attribute must be a text or an integer");
  INFER_TRY(charge_key(path, budget));
  std::string_view rest = path.bytes();
  while (!rest.empty()) {
    INFER_TRY(budget.charge(1));
    const std::size_t end = std::min(rest.find('.'), rest.size());
    const std::string_view name = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (value.is_undefined()) return chat_error(std::string(value.what()));
    if (!name.empty() && name.size() < 10 && name.find_first_not_of("0123456789") == std::string_view::npos) {
      std::int64_t index = 0;
      for (const char c : name) index = index * 10 + (c - '0');
      INFER_ASSIGN(value, subscript(value, Value(index), budget));
    } else {
      // Jinja looks for the element first here.
      const Value* const found = value.is_dict() ? value.dict().find(name) : nullptr;
      if (found != nullptr) {
        value = Value(*found);
      } else {
        INFER_ASSIGN(value, get_attribute(value, name, budget));
      }
    }
  }
  return value;
}

Value or_default(Value value, const Value* otherwise) {
  return value.is_undefined() && otherwise != nullptr ? *otherwise : value;
}

Result<Value> default_value(const Value& self, const Bound& args) {
  const bool keep = args.flag(1) ? is_true(self) : !self.is_undefined();
  if (keep) return self;
  return args[0] == nullptr ? Value(Text()) : *args[0];
}

Result<Value> count(const Value& self, const Bound&) {
  INFER_ASSIGN(const std::int64_t n, length(self));
  return Value(n);
}

Result<Value> list(const Value& self, const Bound& args) {
  INFER_ASSIGN(Values items, iterate(self, args.budget));
  return make_list(std::move(items));
}

Result<Value> items(const Value& self, const Bound& args) {
  if (self.is_undefined()) return make_list({});
  if (!self.is_dict()) return chat_error("items needs a dict");
  return call(*find_method(self, "items"), self, {}, args.budget);
}

Result<Value> first(const Value& self, const Bound& args) {
  INFER_ASSIGN(const Values all, iterate(self, args.budget));
  return all.empty() ? Value::undefined("there is no first item, the sequence is empty") : all.front();
}
Result<Value> last(const Value& self, const Bound& args) {
  INFER_ASSIGN(const Values all, iterate(self, args.budget));
  return all.empty() ? Value::undefined("there is no last item, the sequence is empty") : all.back();
}

Result<Value> join(const Value& self, const Bound& args) {
  INFER_ASSIGN(const Values all, iterate(self, args.budget));
  Text separator;
  if (args[0] != nullptr) {
    INFER_ASSIGN(separator, to_str(*args[0], args.budget));
  }
  Text out;
  for (std::size_t i = 0; i < all.size(); ++i) {
    Value item = all[i];
    if (args[1] != nullptr) {
      INFER_ASSIGN(item, dig(std::move(item), *args[1], args.budget));
    }
    INFER_ASSIGN(const Text text, to_str(item, args.budget));
    if (i > 0) INFER_TRY(append(out, separator, args.budget));
    INFER_TRY(append(out, text, args.budget));
  }
  return Value(std::move(out));
}

Result<Value> reverse(const Value& self, const Bound& args) {
  if (self.is_string()) return slice(self, std::nullopt, std::nullopt, -1, args.budget);
  INFER_ASSIGN(Values all, iterate(self, args.budget));
  std::reverse(all.begin(), all.end());
  return make_list(std::move(all), List::Kind::generator);
}

/// For map, select and their like, which take None too.
Result<Values> iterate_any(const Value& self, Budget& budget) {
  if (!is_true(self)) return Values();
  return iterate(self, budget);
}

/// map(attribute="x", default=...), map("filter", arguments ...)
Result<Value> map(const Value& self, const Bound& args) {
  INFER_ASSIGN(const Values all, iterate_any(self, args.budget));
  const Value* const attribute = args.all.find("attribute");
  const Value* const otherwise = args.all.find("default");
  const FunctionRow* filter = nullptr;
  Arguments rest;
  if (attribute == nullptr) {
    if (args.all.positional.empty() || !args.all.positional[0].is_string())
      return chat_error("map needs a filter or attribute=");
    filter = find_filter(args.all.positional[0].bytes());
    if (filter == nullptr) return chat_error(fmt::format("unknown filter {}", quoted(args.all.positional[0].bytes())));
    rest = {.positional = Values(args.all.positional.begin() + 1, args.all.positional.end()), .named = args.all.named};
  }
  Values out;
  for (const Value& item : all) {
    if (filter != nullptr) {
      INFER_ASSIGN(Value made, call(*filter, item, rest, args.budget));
      out.push_back(std::move(made));
    } else {
      INFER_ASSIGN(Value found, dig(item, *attribute, args.budget));
      out.push_back(or_default(std::move(found), otherwise));
    }
  }
  return make_list(std::move(out), List::Kind::generator);
}

/// select, reject, selectattr, rejectattr: those for which a test (truth without one) holds, or does not.
Result<Value> choose(const Value& self, const Bound& args, bool by_attribute, bool wanted) {
  INFER_ASSIGN(const Values all, iterate_any(self, args.budget));
  const Values& given = args.all.positional;
  const std::size_t at = by_attribute ? 1 : 0;
  if (by_attribute && given.empty()) return chat_error("an attribute to select by is missing");
  const FunctionRow* test = nullptr;
  Arguments rest;
  if (given.size() > at) {
    if (!given[at].is_string()) return chat_error("the name of a test must be a text");
    test = find_test(given[at].bytes());
    if (test == nullptr) return chat_error(fmt::format("unknown test {}", quoted(given[at].bytes())));
    rest.positional.assign(given.begin() + static_cast<std::ptrdiff_t>(at) + 1, given.end());
  }
  Values out;
  for (const Value& item : all) {
    Value subject = item;
    if (by_attribute) {
      INFER_ASSIGN(subject, dig(std::move(subject), given[0], args.budget));
    }
    if (test != nullptr) {
      INFER_ASSIGN(subject, call(*test, subject, rest, args.budget));
    }
    if (is_true(subject) == wanted) out.push_back(item);
  }
  return make_list(std::move(out), List::Kind::generator);
}
Result<Value> select(const Value& self, const Bound& args) { return choose(self, args, false, true); }
Result<Value> reject(const Value& self, const Bound& args) { return choose(self, args, false, false); }
Result<Value> selectattr(const Value& self, const Bound& args) { return choose(self, args, true, true); }
Result<Value> rejectattr(const Value& self, const Bound& args) { return choose(self, args, true, false); }

/// What to order or compare an item by: an attribute of it, in lower case unless case matters.
Result<Value> key_of(const Value& item, const Value* attribute, bool case_sensitive, Budget& budget) {
  Value key = item;
  if (attribute != nullptr && !attribute->is_none()) {
    INFER_ASSIGN(key, dig(std::move(key), *attribute, budget));
  }
  if (case_sensitive || !key.is_string()) return key;
  INFER_TRY(budget.charge_bytes(2 * key.text().memory()));
  return Value(lower(key.text()));
}

struct Keyed {
  Value key, item;
};

/// Stable, by merging: an order that values do not keep (NaN) does no harm.
Status sort_keyed(std::vector<Keyed>& all, bool descending, Budget& budget) {
  std::vector<Keyed> merged;
  for (std::size_t width = 1; width < all.size(); width *= 2) {
    merged.clear();
    for (std::size_t begin = 0; begin < all.size(); begin += 2 * width) {
      const std::size_t middle = std::min(begin + width, all.size());
      const std::size_t end = std::min(begin + 2 * width, all.size());
      std::size_t left = begin;
      std::size_t right = middle;
      while (left < middle || right < end) {
        bool take_right = left == middle;
        if (left < middle && right < end) {
          INFER_ASSIGN(const int sign, order(all[right].key, all[left].key, "<", budget));
          take_right = descending ? sign > 0 : sign < 0;
        }
        merged.push_back(std::move(all[take_right ? right++ : left++]));
      }
    }
    all.swap(merged);
  }
  return {};
}

Result<Value> sorted(std::vector<Keyed> all, bool descending, Budget& budget) {
  INFER_TRY(sort_keyed(all, descending, budget));
  Values out;
  for (Keyed& keyed : all) out.push_back(std::move(keyed.item));
  return make_list(std::move(out));
}

Result<Value> sort(const Value& self, const Bound& args) {
  INFER_ASSIGN(const Values all, iterate(self, args.budget));
  INFER_TRY(args.budget.charge_elements(3 * all.size()));
  std::vector<Keyed> keyed;
  for (const Value& item : all) {
    INFER_ASSIGN(Value key, key_of(item, args[2], args.flag(1), args.budget));
    keyed.push_back({std::move(key), item});
  }
  return sorted(std::move(keyed), args.flag(0), args.budget);
}

Result<Value> dictsort(const Value& self, const Bound& args) {
  if (!self.is_dict()) return chat_error("dictsort needs a dict");
  const bool by_value = args[1] != nullptr && args[1]->is_string() && args[1]->bytes() == "value";
  INFER_TRY(args.budget.charge_elements(4 * self.dict().size()));
  std::vector<Keyed> keyed;
  for (const auto& [key, value] : self.dict().entries()) {
    INFER_ASSIGN(Value by, key_of(by_value ? value : key, nullptr, args.flag(0), args.budget));
    INFER_ASSIGN(Value pair, make_list({key, value}, List::Kind::tuple));
    keyed.push_back({std::move(by), std::move(pair)});
  }
  return sorted(std::move(keyed), args.flag(2), args.budget);
}

Result<Value> unique(const Value& self, const Bound& args) {
  INFER_ASSIGN(const Values all, iterate(self, args.budget));
  INFER_TRY(args.budget.charge_elements(3 * all.size()));
  Dict seen;
  Values others;  // keys that are no texts or numbers
  Values out;
  for (const Value& item : all) {
    INFER_ASSIGN(const Value key, key_of(item, args[1], args.flag(0), args.budget));
    INFER_TRY(charge_key(key, args.budget));
    if (key.is_string() && seen.find(key) != nullptr) continue;
    bool known = false;
    if (!key.is_string()) {
      for (const Value& other : others) {
        INFER_ASSIGN(known, equals(key, other, args.budget));
        if (known) break;
      }
    }
    if (known) continue;
    if (key.is_string()) {
      seen.set(key, Value(true));
    } else {
      others.push_back(key);
    }
    out.push_back(item);
  }
  return make_list(std::move(out), List::Kind::generator);
}

Result<Value> extreme(const Value& self, const Bound& args, int wanted_sign) {
  INFER_ASSIGN(const Values all, iterate(self, args.budget));
  if (all.empty()) return Value::undefined("there is no item, the sequence is empty");
  std::size_t best = 0;
  INFER_ASSIGN(Value best_key, key_of(all[0], args[1], args.flag(0), args.budget));
  for (std::size_t i = 1; i < all.size(); ++i) {
    INFER_ASSIGN(Value key, key_of(all[i], args[1], args.flag(0), args.budget));
    INFER_ASSIGN(const int sign, order(key, best_key, "<", args.budget));
    if (wanted_sign < 0 ? sign < 0 : sign > 0) {
      best = i;
      best_key = std::move(key);
    }
  }
  return all[best];
}
Result<Value> minimum(const Value& self, const Bound& args) { return extreme(self, args, -1); }
Result<Value> maximum(const Value& self, const Bound& args) { return extreme(self, args, 1); }

Result<Value> sum(const Value& self, const Bound& args) {
  INFER_ASSIGN(const Values all, iterate(self, args.budget));
  Value total = args[1] == nullptr ? Value(std::int64_t{0}) : *args[1];
  for (const Value& item : all) {
    Value part = item;
    if (args[0] != nullptr && !args[0]->is_none()) {
      INFER_ASSIGN(part, dig(std::move(part), *args[0], args.budget));
    }
    INFER_ASSIGN(total, arithmetic("+", total, part, args.budget));
  }
  return total;
}

Result<Value> attr(const Value& self, const Bound& args) {
  INFER_ASSIGN(const Text* const name, text_argument(args, 0, "name"));
  if (!self.is_dict()) return get_attribute(self, name->bytes(), args.budget);
  return missing_attribute(self, name->bytes(), args.budget);  // entries are none
}

Result<Value> batch(const Value& self, const Bound& args) {
  INFER_ASSIGN(const Values all, iterate(self, args.budget));
  INFER_ASSIGN(const std::int64_t size, integer_argument(args, 0, "linecount", 1));
  if (size < 1) return chat_error("'linecount' must be at least 1");
  Values out;
  for (std::size_t i = 0; i < all.size();) {
    INFER_TRY(args.budget.charge_elements(2));
    const std::size_t n = std::min(all.size() - i, static_cast<std::size_t>(size));
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(i);
    Values part(begin, begin + static_cast<std::ptrdiff_t>(n));
    if (args[1] != nullptr && !args[1]->is_none()) {
      INFER_TRY(args.budget.charge_elements(static_cast<std::size_t>(size)));
      part.resize(static_cast<std::size_t>(size), *args[1]);
    }
    INFER_ASSIGN(Value made, make_list(std::move(part)));
    out.push_back(std::move(made));
    i += n;
  }
  return make_list(std::move(out), List::Kind::generator);
}

constexpr FunctionRow kRows[] = {
    {"default", default_value, "default_value boolean"},
    {"d", default_value, "default_value boolean"},
    {"length", count},
    {"count", count},
    {"list", list},
    {"items", items},
    {"first", first},
    {"last", last},
    {"join", join, "d attribute"},
    {"reverse", reverse},
    {"map", map, "*"},
    {"select", select, "*"},
    {"reject", reject, "*"},
    {"selectattr", selectattr, "*"},
    {"rejectattr", rejectattr, "*"},
    {"sort", sort, "reverse case_sensitive attribute"},
    {"dictsort", dictsort, "case_sensitive by reverse"},
    {"unique", unique, "case_sensitive attribute"},
    {"min", minimum, "case_sensitive attribute"},
    {"max", maximum, "case_sensitive attribute"},
    {"sum", sum, "attribute start"},
    {"attr", attr, "name", 1},
    {"batch", batch, "linecount fill_with", 1},
};

}  // namespace

std::span<const FunctionRow> sequence_filters() noexcept { return kRows; }

const FunctionRow* find_filter(std::string_view name) noexcept {
  for (const std::span<const FunctionRow> rows : {text_filters(), sequence_filters()}) {
    for (const FunctionRow& row : rows) {
      if (row.name == name) return &row;
    }
  }
  return nullptr;
}

}  // namespace infer::chat
