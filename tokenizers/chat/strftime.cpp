// SPDX-License-Identifier: MIT
// strftime in the C locale for a time that the caller gives: no clock, time zone or locale of the host is asked.
// Tested by tests/tokenizers/chat/jinja_test.cpp.
#include <fmt/format.h>

#include "tokenizers/chat/interpreter.h"

namespace infer::chat {
namespace {

constexpr std::string_view kDays[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
constexpr std::string_view kMonths[] = {"January", "February", "March",     "April",   "May",      "June",
                                        "July",    "August",   "September", "October", "November", "December"};

bool is_leap(int year) noexcept { return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0; }

/// Days before the year's month in the Gregorian calendar.
int day_of_year(const CivilTime& t) noexcept {
  constexpr int kBefore[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
  return kBefore[t.month - 1] + t.day + (is_leap(t.year) && t.month > 2 ? 1 : 0);
}

/// 0 is Sunday.
int weekday(const CivilTime& t) noexcept {
  const int y = t.year - 1;
  return (y * 365 + y / 4 - y / 100 + y / 400 + day_of_year(t)) % 7;
}

/// Week 1 is the one that has the year's first Thursday; weeks begin on Monday.
struct IsoWeek {
  int year, week;
};
IsoWeek iso_week(const CivilTime& t) noexcept {
  const int thursday = day_of_year(t) + 3 - (weekday(t) + 6) % 7;   // of the same week, as a day of this year
  const auto days = [](int year) { return is_leap(year) ? 366 : 365; };
  if (thursday < 1) return {t.year - 1, (thursday + days(t.year - 1) - 1) / 7 + 1};
  if (thursday > days(t.year)) return {t.year + 1, 1};
  return {t.year, (thursday - 1) / 7 + 1};
}

int days_of_month(int year, int month) noexcept {
  return month == 2 ? (is_leap(year) ? 29 : 28) : month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

}  // namespace

bool is_valid(const CivilTime& t) noexcept {
  return t.year >= 1 && t.year <= 9999 && t.month >= 1 && t.month <= 12 && t.day >= 1 && t.day <= days_of_month(t.year, t.month) &&
         t.hour >= 0 && t.hour <= 23 && t.minute >= 0 && t.minute <= 59 && t.second >= 0 && t.second <= 60;
}

Result<std::string> format_time(std::string_view format, const CivilTime& t, Budget& budget) {
  if (!is_valid(t)) return chat_error("the time that the caller gave is not a time");
  const int hour12 = t.hour % 12 == 0 ? 12 : t.hour % 12;
  const int day = day_of_year(t) - 1;
  const std::string_view day_name = kDays[weekday(t)];
  const std::string_view month_name = kMonths[t.month - 1];
  std::string out;
  for (std::size_t i = 0; i < format.size(); ++i) {
    INFER_TRY(budget.charge(1));
    INFER_TRY(budget.check_size(out.size()));
    if (format[i] != '%' || i + 1 == format.size()) {
      out += format[i];
      continue;
    }
    // %-d: without padding, %_d: padded with spaces, %0e: with zeros, %^a: in capitals
    const bool has_flag = std::string_view("-_0^").find(format[i + 1]) != std::string_view::npos && i + 2 < format.size();
    const char flag = has_flag ? format[i + 1] : ' ';
    i += has_flag ? 2 : 1;
    const std::size_t before = out.size();
    const auto padded = [&](int value, int width, char pad) {
      const char with = flag == '_' ? ' ' : flag == '0' ? '0' : pad;
      const std::string digits = fmt::format("{}", value);
      if (flag != '-' && digits.size() < static_cast<std::size_t>(width)) out.append(static_cast<std::size_t>(width) - digits.size(), with);
      out += digits;
    };
    const auto number = [&](int value, int width) { padded(value, width, '0'); };
    const auto all = [&](std::string_view formats) -> Status {
      INFER_ASSIGN(const std::string text, format_time(formats, t, budget));  // one level: these have no such formats in them
      out += text;
      return {};
    };
    switch (has_flag && format[i] == 'f' ? '?' : format[i]) {   // %f is Python's own, and takes none
      case 'Y':
        out += fmt::format("{}", t.year);
        break;
      case 'C':
        number(t.year / 100, 2);
        break;
      case 'y':
        number(t.year % 100, 2);
        break;
      case 'G':
        out += fmt::format("{}", iso_week(t).year);
        break;
      case 'g':
        number(iso_week(t).year % 100, 2);
        break;
      case 'V':
        number(iso_week(t).week, 2);
        break;
      case 'U':
        number((day + 7 - weekday(t)) / 7, 2);
        break;
      case 'W':
        number((day + 7 - (weekday(t) + 6) % 7) / 7, 2);
        break;
      case 'm':
        number(t.month, 2);
        break;
      case 'd':
        number(t.day, 2);
        break;
      case 'e':
        padded(t.day, 2, ' ');
        break;
      case 'H':
        number(t.hour, 2);
        break;
      case 'k':
        padded(t.hour, 2, ' ');
        break;
      case 'I':
        number(hour12, 2);
        break;
      case 'l':
        padded(hour12, 2, ' ');
        break;
      case 'M':
        number(t.minute, 2);
        break;
      case 'S':
        number(t.second, 2);
        break;
      case 'j':
        number(day + 1, 3);
        break;
      case 'f':
        out += "000000";
        break;
      case 'p':
        out += t.hour < 12 ? "AM" : "PM";
        break;
      case 'P':
        out += t.hour < 12 ? "am" : "pm";
        break;
      case 'A':
        out += day_name;
        break;
      case 'a':
        out += day_name.substr(0, 3);
        break;
      case 'B':
        out += month_name;
        break;
      case 'b':
      case 'h':
        out += month_name.substr(0, 3);
        break;
      case 'w':
        out += fmt::format("{}", weekday(t));
        break;
      case 'u':
        out += fmt::format("{}", weekday(t) == 0 ? 7 : weekday(t));
        break;
      case 'F':
        INFER_TRY(all("%Y-%m-%d"));
        break;
      case 'T':
      case 'X':
        INFER_TRY(all("%H:%M:%S"));
        break;
      case 'R':
        INFER_TRY(all("%H:%M"));
        break;
      case 'r':
        INFER_TRY(all("%I:%M:%S %p"));
        break;
      case 'D':
      case 'x':
        INFER_TRY(all("%m/%d/%y"));
        break;
      case 'c':
        INFER_TRY(all("%a %b %e %H:%M:%S %Y"));
        break;
      case 'Z':
      case 'z':
        break;  // a time without a zone
      case 'n':
        out += '\n';
        break;
      case 't':
        out += '\t';
        break;
      case '%':
        out += '%';
        break;
      default:
        return chat_error(fmt::format("strftime_now: '%{}{}' is not supported", has_flag ? std::string(1, flag) : "",
                                      format[i] >= ' ' && format[i] < 0x7f ? format[i] : '?'));
    }
    for (std::size_t k = before; flag == '^' && format[i] != 'P' && k < out.size(); ++k) {
      if (out[k] >= 'a' && out[k] <= 'z') out[k] = static_cast<char>(out[k] - 'a' + 'A');
    }
  }
  return out;
}

}  // namespace infer::chat
