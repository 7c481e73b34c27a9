// SPDX-License-Identifier: MIT
// One JSON request a line, one answer a line. Lines may be megabytes long. Tested by
// tests/tools/infer_program_test.cpp.
#include "tools/jsonl.h"

#include <cerrno>
#include <cstdio>
#include <iostream>
#include <string_view>

#include <fmt/format.h>

#include "tools/common.h"

namespace tool {
namespace {

Json answer_line(const std::string& line, const std::function<Json(const Json&, const std::string&)>& answer) {
  try {
    const Json request = Json::parse(line);
    if (!request.is_object()) throw RequestError("a request is a JSON object");
    return answer(request, line);
  } catch (const RequestError& error) {
    return {{"error", error.what()}};
  } catch (const Json::exception& error) {
    return {{"error", fmt::format("not JSON: {}", error.what())}};
  }
}

}  // namespace

std::string string_field(const Json& request, const char* key) {
  const auto field = request.find(key);
  if (field == request.end()) throw RequestError(fmt::format("{}: missing", key));
  if (!field->is_string()) throw RequestError(fmt::format("{}: a string is needed", key));
  return field->get<std::string>();
}

bool bool_field(const Json& request, const char* key) {
  const auto field = request.find(key);
  if (field == request.end()) return false;
  if (!field->is_boolean()) throw RequestError(fmt::format("{}: true or false is needed", key));
  return field->get<bool>();
}

std::string to_json_text(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

int answer_lines(const std::function<Json(const Json&)>& answer) {
  return answer_lines([&answer](const Json& request, const std::string&) { return answer(request); });
}

int answer_lines(const std::function<Json(const Json&, const std::string&)>& answer) {
  std::ios::sync_with_stdio(false);  // std::cin with a buffer of its own; stdout is written by stdio alone
  std::string line;
  while (std::getline(std::cin, line)) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string text = to_json_text(answer_line(line, answer)) + "\n";
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) return stdout_failed();
    const bool is_waited_for = std::cin.rdbuf()->in_avail() <= 0;
    if (is_waited_for && std::fflush(stdout) != 0) return stdout_failed();
  }
  if (std::fflush(stdout) != 0) return stdout_failed();
  return std::cin.bad() ? fail_errno("stdin", errno) : kSuccess;
}

}  // namespace tool
