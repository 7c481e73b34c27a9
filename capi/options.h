// SPDX-License-Identifier: MIT
// Options by key name: one table per kind states key, type, limits, default and a sentence, and is all there is to add
// to for a new option. Values are checked when they are set. Tested by tests/capi/options_test.cpp.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "libinfer/generation.h"
#include "libinfer/model.h"
#include "libinfer/quantize.h"
#include "libinfer/sampler.h"
#include "libinfer/session.h"
#include "libinfer/status.h"

namespace infer::capi {

enum class OptionType : std::int32_t { i64 = 1, f64 = 2, str = 3, boolean = 4, str_list = 5 };

struct OptionSpec {
  const char* key;
  OptionType type;
  double min, max;            ///< of numbers, inclusive
  const char* default_text;
  const char* doc;
};

/// All options of an INFER_OPTIONS_* kind; empty for an unknown kind.
std::span<const OptionSpec> option_specs(std::int32_t kind) noexcept;

/// monostate: not set, the default holds.
using OptionValue = std::variant<std::monostate, std::int64_t, double, std::string, std::vector<std::string>>;

class OptionValues {
 public:
  explicit OptionValues(std::int32_t kind) : kind_(kind), values_(option_specs(kind).size()) {}

  std::int32_t kind() const noexcept { return kind_; }
  Status set(std::string_view key, std::int64_t value);
  Status set(std::string_view key, double value);
  Status set(std::string_view key, std::string_view value);
  /// From text, by the option's type: "true", "0.5", "42", anything.
  Status parse(std::string_view key, std::string_view text);
  void reset() { values_.assign(values_.size(), {}); }

  /// What is in force; the default's value where nothing was set. Code::notfound where that is no value (a random seed).
  Result<std::int64_t> integer(std::string_view key) const;
  Result<double> number(std::string_view key) const;
  Result<std::string> text(std::string_view key) const;

  /// The value that was set, or null. The key must exist.
  template <class T>
  const T* get(std::string_view key) const noexcept;

 private:
  Result<std::size_t> find(std::string_view key) const;

  std::int32_t kind_;
  std::vector<OptionValue> values_;
};

/// The library's own structs; null gives the defaults. Code::argument for options of another kind.
Result<ModelOptions> to_model_options(const OptionValues* values);
Result<SessionOptions> to_session_options(const OptionValues* values);
Result<SamplerParams> to_sampler_params(const OptionValues* values);
Result<GenerationOptions> to_generation_options(const OptionValues* values);
Result<QuantizeOptions> to_quantize_options(const OptionValues* values);
/// Option parse_special of kind GENERATE.
bool wants_parse_special(const OptionValues* values) noexcept;

}  // namespace infer::capi
