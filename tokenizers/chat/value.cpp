// SPDX-License-Identifier: MIT
// Values of templates. See value.h.
#include "tokenizers/chat/value.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <system_error>

#include "tokenizers/chat/budget.h"

namespace infer::chat {

Value::Value(Text text) {
  text.shrink();
  data_ = std::make_shared<const Text>(std::move(text));
}

double Value::real() const noexcept {
  if (is(Kind::real)) return *std::get_if<double>(&data_);
  if (is_integer()) return static_cast<double>(integer());
  double value = 0;
  const std::string_view text = digits();
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc::result_out_of_range) return value;
  return text.starts_with('-') ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity();
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

namespace {
/// The same for numbers that are equal. Not for NaN, which equals nothing.
std::pair<double, std::int64_t> key_of(const Value& number) noexcept {
  const double real = number.real();
  if (number.is_integer()) return {real, number.integer()};
  return {real, real >= -0x1p63 && real < 0x1p63 ? static_cast<std::int64_t>(real) : 0};
}
}  // namespace

void Dict::set(Value key, Value value) {
  rank_ = std::max({rank_, key.rank() + 1, value.rank() + 1});
  if (const Value* known = find(key)) {
    *const_cast<Value*>(known) = std::move(value);
    return;
  }
  entries_.emplace_back(std::move(key), std::move(value));
  const Value& added = entries_.back().first;
  if (added.is_string()) texts_.emplace(added.bytes(), entries_.size() - 1);
  if (added.is_number() && !std::isnan(added.real())) numbers_.emplace(key_of(added), entries_.size() - 1);
  if (added.is_none()) none_ = entries_.size();
}

const Value* Dict::find(std::string_view key) const noexcept {
  const auto found = texts_.find(key);
  return found == texts_.end() ? nullptr : &entries_[found->second].second;
}

const Value* Dict::find(const Value& key) const noexcept {
  if (key.is_string()) return find(std::string_view(key.bytes()));
  if (key.is_none()) return none_ == 0 ? nullptr : &entries_[none_ - 1].second;
  if (!key.is_number() || std::isnan(key.real())) return nullptr;
  const auto found = numbers_.find(key_of(key));
  return found == numbers_.end() ? nullptr : &entries_[found->second].second;
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
