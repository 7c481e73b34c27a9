// SPDX-License-Identifier: MIT
// Values of templates. See value.h.
#include "tokenizers/chat/value.h"

#include <algorithm>
#include <charconv>

#include "tokenizers/chat/budget.h"

namespace infer::chat {

double Value::real() const noexcept {
  if (is(Kind::real)) return *std::get_if<double>(&data_);
  if (is_integer()) return static_cast<double>(integer());
  double value = 0;
  std::from_chars(digits().data(), digits().data() + digits().size(), value);
  return value;
}

std::string_view Value::what() const noexcept {
  const auto* undefined = std::get_if<Undefined>(&data_);
  return undefined != nullptr && undefined->what != nullptr ? std::string_view(*undefined->what)
                                                            : "the value is undefined";
}

int Value::rank() const noexcept {
  switch (kind()) {
    case Kind::list:
      return list().rank;
    case Kind::dict:
      return dict().rank();
    case Kind::method:
      return method().self.rank() + 1;
    default:
      return 0;
  }
}

void Dict::set(Value key, Value value) {
  rank_ = std::max({rank_, key.rank() + 1, value.rank() + 1});
  if (const Value* known = find(key)) {
    *const_cast<Value*>(known) = std::move(value);
    return;
  }
  entries_.emplace_back(std::move(key), std::move(value));
  if (const Value& added = entries_.back().first; added.is_string()) index_[added.bytes()] = entries_.size() - 1;
}

const Value* Dict::find(std::string_view key) const noexcept {
  const auto found = index_.find(key);
  return found == index_.end() ? nullptr : &entries_[found->second].second;
}

const Value* Dict::find(const Value& key) const noexcept {
  if (key.is_string()) return find(std::string_view(key.bytes()));
  for (const auto& [k, v] : entries_) {
    if (k.is_none() && key.is_none()) return &v;
    if (k.is_integer() && key.is_integer() && k.integer() == key.integer()) return &v;
    if (k.is_number() && key.is_number() && k.real() == key.real()) return &v;
  }
  return nullptr;
}

namespace {
Status check_rank(int rank) {
  if (rank <= kMaxRank) return {};
  return limit_error("lists and dicts nested more than " + std::to_string(kMaxRank) + " deep");
}
}  // namespace

Result<Value> make_list(Values items, List::Kind kind) {
  int rank = kFreshRank;
  for (const Value& item : items) rank = std::max(rank, item.rank() + 1);
  INFER_TRY(check_rank(rank));
  return Value(std::make_shared<List>(List{.items = std::move(items), .kind = kind, .rank = rank}));
}

Result<Value> make_dict(Dict dict) {
  INFER_TRY(check_rank(dict.rank()));
  return Value(std::make_shared<const Dict>(std::move(dict)));
}

bool is_true(const Value& value) noexcept {
  switch (value.kind()) {
    case Value::Kind::undefined:
    case Value::Kind::none:
      return false;
    case Value::Kind::boolean:
    case Value::Kind::integer:
      return value.integer() != 0;
    case Value::Kind::real:
      return value.real() != 0;
    case Value::Kind::string:
      return !value.text().empty();
    case Value::Kind::list:
      return !value.list().items.empty() || value.list().kind == List::Kind::generator;
    case Value::Kind::dict:
      return value.dict().size() != 0;
    default:
      return true;
  }
}

std::string_view type_name(const Value& value) noexcept {
  switch (value.kind()) {
    case Value::Kind::undefined:
      return "Undefined";
    case Value::Kind::none:
      return "NoneType";
    case Value::Kind::boolean:
      return "bool";
    case Value::Kind::integer:
    case Value::Kind::big:
      return "int";
    case Value::Kind::real:
      return "float";
    case Value::Kind::string:
      return "str";
    case Value::Kind::list:
      return value.list().kind == List::Kind::list    ? "list"
             : value.list().kind == List::Kind::tuple ? "tuple"
                                                      : "generator";
    case Value::Kind::dict:
      return "dict";
    case Value::Kind::method:
      return "method";
    default:
      return "object";
  }
}

}  // namespace infer::chat
