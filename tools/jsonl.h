// SPDX-License-Identifier: MIT
// One JSON request a line on stdin, one answer a line on stdout, in order: the loop of tokenize and detokenize.
#pragma once

#include <functional>
#include <stdexcept>
#include <string>

#include <nlohmann/json.hpp>

namespace tool {

using Json = nlohmann::ordered_json;

/// Ends one request, whose answer becomes {"error": what()}; the loop goes on.
class RequestError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A field of a request; RequestError when it has another type, or is missing and has no default.
std::string string_field(const Json& request, const char* key);
bool bool_field(const Json& request, const char* key);

/// On one line; bytes that are not UTF-8 become U+FFFD.
std::string to_json_text(const Json& json);

/// Answers all lines of stdin but empty ones. Answers are flushed when no further request is waiting.
int answer_lines(const std::function<Json(const Json&)>& answer);
/// The same for an answer that wants the line as it stands, too: numbers of any size and spelling are in it.
int answer_lines(const std::function<Json(const Json&, const std::string& line)>& answer);

}  // namespace tool
