// SPDX-License-Identifier: MIT
// What templates can call on a value: filters (x | upper), tests (x is string) and methods (x.strip()). Each is a row
// of a table in its own file; a new one is a function and a row. Tested by tests/tokenizers/chat/jinja_test.cpp.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizers/chat/budget.h"
#include "tokenizers/chat/value.h"

namespace infer::chat {

/// Of a call, as they stand there.
struct Arguments {
  Values positional;
  std::vector<std::pair<std::string_view, Value>> named;  // names belong to the program
  const Value* find(std::string_view name) const noexcept;
};

/// The arguments of a call, each in the place of its parameter. args[i] is null where parameter i was not given.
struct Bound {
  std::array<const Value*, 6> at{};
  const Arguments& all;
  Budget& budget;
  const Value* operator[](std::size_t i) const noexcept { return at[i]; }
  bool flag(std::size_t i, bool otherwise = false) const noexcept {
    return at[i] == nullptr ? otherwise : is_true(*at[i]);
  }
};

using Function = Result<Value> (*)(const Value& self, const Bound& args);

/// A row: the parameters are names with spaces between them, those up to `n_needed` must be given. "*" takes anything.
struct FunctionRow {
  std::string_view name;
  Function call;
  std::string_view parameters = {};
  std::size_t n_needed = 0;
};

/// Puts the arguments in their places and calls. Pays for reading or copying self and the arguments once.
Result<Value> call(const FunctionRow& row, const Value& self, const Arguments& arguments, Budget& budget);

/// Null where there is none of that name.
const FunctionRow* find_filter(std::string_view name) noexcept;
const FunctionRow* find_test(std::string_view name) noexcept;
const FunctionRow* find_method(const Value& self, std::string_view name) noexcept;
/// Whether any kind of value has the method: for check.
bool is_method(std::string_view name) noexcept;

/// The tables of the files that have parts of one.
std::span<const FunctionRow> text_filters() noexcept;
std::span<const FunctionRow> sequence_filters() noexcept;

/// value.name, as far as it is data: entries of dicts, methods. Undefined where there is none.
Result<Value> get_attribute(const Value& value, std::string_view name, Budget& budget);
/// Undefined, but for names with which templates leave other interpreters: these are an error.
Result<Value> missing_attribute(const Value& value, std::string_view name, Budget& budget);
/// Undefined, with the sentence that says why: it is paid for, since lists may hold many of them.
Result<Value> absent(std::string why, Budget& budget);

// Shared by filters and methods of texts.
enum class Side : std::uint8_t { left, right, both };
/// Of a line that begins at `begin`: where it ends, and where the next one begins.
struct LineEnd {
  std::size_t at, next;
};
LineEnd find_line_end(std::string_view text, std::size_t begin) noexcept;
Text stripped(const Text& text, Side side, const std::string* characters);
Result<Value> replaced(const Text& text, const Text& old, const Text& with, std::int64_t count, Budget& budget);
Text upper(const Text& text);
Text lower(const Text& text);
Text capitalized(const Text& text);
/// An argument as what it must be; the error names the parameter.
Result<const Text*> text_argument(const Bound& args, std::size_t i, std::string_view name);
Result<std::int64_t> integer_argument(const Bound& args, std::size_t i, std::string_view name, std::int64_t otherwise);

}  // namespace infer::chat
