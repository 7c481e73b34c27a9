// SPDX-License-Identifier: MIT
// Numbers of texts, and rounding. See numbers.h.
#include "tokenizers/chat/numbers.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "tokenizers/chat/functions.h"

namespace infer::chat {
namespace {

bool is_ascii_digit(char c) noexcept { return c >= '0' && c <= '9'; }
bool is_ascii_letter(char c) noexcept { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z'; }

bool is_digit_of_any_base(char c) noexcept { return is_ascii_digit(c) || is_ascii_letter(c); }

/// Without underscores; null where one does not stand between two digits.
std::optional<std::string> without_underscores(std::string_view text, bool (*is_digit)(char) noexcept) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto is_digit_at = [&](std::size_t at) { return at < text.size() && is_digit(text[at]); };
    if (text[i] != '_') {
      out += text[i];
    } else if (i == 0 || !is_digit_at(i - 1) || !is_digit_at(i + 1)) {
      return std::nullopt;
    }
  }
  return out;
}

/// What a number is that no double holds: infinite where its first digit stands high enough, else zero.
double beyond_doubles(std::string_view digits) {
  const std::size_t exponent_at = std::min(digits.find_first_of("eE"), digits.size());
  const std::string_view mantissa = digits.substr(0, exponent_at);
  std::string_view written = digits.substr(std::min(exponent_at + 1, digits.size()));
  const bool negative = written.starts_with('-');
  if (negative || written.starts_with('+')) written.remove_prefix(1);
  std::int64_t exponent = 0;
  for (const char c : written) exponent = std::min<std::int64_t>(exponent * 10 + (c - '0'), std::int64_t{1} << 40);
  const std::size_t point = std::min(mantissa.find('.'), mantissa.size());
  const std::size_t first = std::min(mantissa.find_first_of("123456789"), mantissa.size());
  const auto height = static_cast<std::int64_t>(point) - static_cast<std::int64_t>(first);
  return height + (negative ? -exponent : exponent) > 0 ? std::numeric_limits<double>::infinity() : 0.0;
}

}  // namespace

std::string ascii_digits(const Text& text) {
  const Text bare = stripped(text, Side::both, nullptr);
  const std::string& bytes = bare.bytes();
  std::string out;
  for (std::size_t i = 0, n = 0; i < bytes.size(); i += n) {
    n = character_at(bytes, i);
    const std::optional<int> digit = n > 1 ? decimal_digit(code_point_at(bytes, i)) : std::nullopt;
    if (digit) {
      out += static_cast<char>('0' + *digit);
    } else {
      out.append(bytes, i, n);
    }
  }
  return out;
}

Result<std::optional<std::int64_t>> read_integer(std::string_view text, int base) {
  const std::optional<std::int64_t> none;
  std::string digits;
  if (text.starts_with('+') || text.starts_with('-')) {
    if (text[0] == '-') digits = "-";
    text.remove_prefix(1);
  }
  const char letter = text.size() > 1 && text[0] == '0' ? static_cast<char>(text[1] | 0x20) : ' ';
  const int written = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 0;
  if (written != 0 && (base == 0 || base == written)) {
    base = written;
    text.remove_prefix(2);
    if (text.starts_with('_')) text.remove_prefix(1);
  } else if (base == 0) {
    base = 10;
    if (text.starts_with('0') && text.find_first_not_of("0_") != std::string_view::npos) return none;
  }
  const std::optional<std::string> bare = without_underscores(text, is_digit_of_any_base);
  if (!bare || bare->empty() || !(is_ascii_digit(bare->front()) || is_ascii_letter(bare->front()))) return none;
  digits += *bare;
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (end != digits.data() + digits.size() || error == std::errc::invalid_argument) return none;
  if (error != std::errc()) return chat_error("the integer does not fit 64 bits");
  return std::optional(value);
}

std::optional<double> read_real(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  const std::optional<std::string> digits = without_underscores(text, is_ascii_digit);
  if (!digits || digits->empty() || digits->front() == '-' || digits->back() == ')') return std::nullopt;
  if (is_ascii_letter(digits->front()) && text.size() != digits->size()) return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(digits->data(), digits->data() + digits->size(), value);
  if (end != digits->data() + digits->size() || error == std::errc::invalid_argument) return std::nullopt;
  if (error != std::errc()) value = beyond_doubles(*digits);
  return negative ? -value : value;
}

Result<Value> round_real(double value, int places, Budget& budget) {
  // The smallest double has its first digit at place 324, where none is nearer to anything else.
  if (!std::isfinite(value) || value == 0 || places > 323) return Value(value);
  // Printing rounds the exact value, to even where it lies between.
  std::string shown;
  if (places >= 0) {
    shown = fmt::format("{:.{}f}", value, places);
  } else {
    const std::string scientific = fmt::format("{:.16e}", value);
    const std::size_t sign = scientific.find('e') + 1;
    int exponent = 0;
    std::from_chars(scientific.data() + sign + 1, scientific.data() + scientific.size(), exponent);
    if (scientific[sign] == '-') exponent = -exponent;
    const int n_digits = exponent + 1 + places;
    if (n_digits > 0) {
      shown = fmt::format("{:.{}e}", value, n_digits - 1);
    } else {
      const bool is_up = n_digits == 0 && std::abs(value) > read_real(fmt::format("5e{}", exponent)).value_or(0);
      shown = fmt::format("{}{}e{}", value < 0 ? "-" : "", is_up ? 1 : 0, exponent + 1);
    }
  }
  INFER_TRY(budget.charge(shown.size()));  // digits take longer than bytes
  const double rounded = read_real(shown).value_or(0);
  if (std::isinf(rounded)) return chat_error("round: the number is too large for the precision");
  return Value(rounded);
}

Value round_integer(std::string_view digits, int places) {
  const bool negative = digits.starts_with('-');
  if (negative) digits.remove_prefix(1);
  const auto n = static_cast<std::size_t>(places);
  if (n > digits.size()) return Value(std::int64_t{0});
  std::string head(digits.substr(0, digits.size() - n));
  const std::string_view tail = digits.substr(digits.size() - n);
  const bool is_half = tail[0] == '5' && tail.find_first_not_of('0', 1) == std::string_view::npos;
  const bool is_odd = !head.empty() && (head.back() - '0') % 2 == 1;
  if (is_half ? is_odd : tail[0] >= '5') {
    const std::size_t kept = head.find_last_not_of('9') + 1;   // those behind are nines
    std::fill(head.begin() + static_cast<std::ptrdiff_t>(kept), head.end(), '0');
    if (kept == 0) {
      head.insert(0, 1, '1');
    } else {
      ++head[kept - 1];
    }
  }
  if (head.find_first_not_of('0') == std::string::npos) return Value(std::int64_t{0});
  const std::string all = (negative ? "-" : "") + head + std::string(n, '0');
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(all.data(), all.data() + all.size(), value);
  if (error == std::errc()) return Value(value);
  return Value(BigInteger{std::make_shared<const std::string>(all)});
}

}  // namespace infer::chat
