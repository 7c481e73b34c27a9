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

/// Days before the year's month in the Gregorian calendar.
int day_of_year(const CivilTime& t) noexcept {
  constexpr int kBefore[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
  const bool leap = (t.year % 4 == 0 && t.year % 100 != 0) || t.year % 400 == 0;
  return kBefore[t.month - 1] + t.day + (leap && t.month > 2 ? 1 : 0);
}

/// 0 is Sunday.
int weekday(const CivilTime& t) noexcept {
  const int y = t.year - 1;
  return (y * 365 + y / 4 - y / 100 + y / 400 + day_of_year(t)) % 7;
}

bool is_valid(const CivilTime& t) noexcept {
  return t.year >= 1 && t.year <= 9999 && t.month >= 1 && t.month <= 12 && t.day >= 1 && t.day <= 31 && t.hour >= 0 &&
         t.hour <= 23 && t.minute >= 0 && t.minute <= 59 && t.second >= 0 && t.second <= 60;
}

}  // namespace

Result<std::string> format_time(std::string_view format, const CivilTime& t, Budget& budget) {
  if (!is_valid(t)) return chat_error("the time that the caller gave is not a time");
  const int hour12 = t.hour % 12 == 0 ? 12 : t.hour % 12;
  const std::string_view day = kDays[weekday(t)];
  const std::string_view month = kMonths[t.month - 1];
  std::string out;
  for (std::size_t i = 0; i < format.size(); ++i) {
    INFER_TRY(budget.charge(1));
    INFER_TRY(budget.check_size(out.size()));
    if (format[i] != '%' || i + 1 == format.size()) {
      out += format[i];
      continue;
    }
    const bool bare = format[i + 1] == '-' && i + 2 < format.size();  // %-d: without padding
    i += bare ? 2 : 1;
    const auto number = [&](int value, int width) {
      out += bare ? fmt::format("{}", value) : fmt::format("{:0{}}", value, width);
    };
    const auto all = [&](std::string_view formats) -> Status {
      INFER_ASSIGN(const std::string text, format_time(formats, t, budget));  // one level: these have no such formats in them
      out += text;
      return {};
    };
    switch (format[i]) {
      case 'Y':
        out += fmt::format("{}", t.year);
        break;
      case 'y':
        number(t.year % 100, 2);
        break;
      case 'm':
        number(t.month, 2);
        break;
      case 'd':
        number(t.day, 2);
        break;
      case 'e':
        out += fmt::format("{:{}}", t.day, bare ? 1 : 2);
        break;
      case 'H':
        number(t.hour, 2);
        break;
      case 'I':
        number(hour12, 2);
        break;
      case 'M':
        number(t.minute, 2);
        break;
      case 'S':
        number(t.second, 2);
        break;
      case 'j':
        number(day_of_year(t), 3);
        break;
      case 'f':
        out += "000000";
        break;
      case 'p':
        out += t.hour < 12 ? "AM" : "PM";
        break;
      case 'A':
        out += day;
        break;
      case 'a':
        out += day.substr(0, 3);
        break;
      case 'B':
        out += month;
        break;
      case 'b':
      case 'h':
        out += month.substr(0, 3);
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
        INFER_TRY(all("%H:%M:%S"));
        break;
      case 'R':
        INFER_TRY(all("%H:%M"));
        break;
      case 'D':
      case 'x':
        INFER_TRY(all("%m/%d/%y"));
        break;
      case 'X':
        INFER_TRY(all("%H:%M:%S"));
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
        return chat_error(fmt::format("strftime_now: '%{}' is not supported",
                                      format[i] >= ' ' && format[i] < 0x7f ? format[i] : '?'));
    }
  }
  return out;
}

}  // namespace infer::chat
