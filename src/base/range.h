// SPDX-License-Identifier: MIT
// The one sentence for a number outside its limits, whoever the number comes from. Tested by tests/base/range_test.cpp.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "libinfer/status.h"

namespace infer {

/// "top_p = 1.5 is outside 0..1"
std::string outside(std::string_view name, std::int64_t value, std::int64_t low, std::int64_t high);
std::string outside(std::string_view name, double value, double low, double high);

/// Success inside low..high (both included), else Code::range with that sentence, about `name`. NaN is outside.
Status check_range(std::string_view name, std::int64_t value, std::int64_t low, std::int64_t high);
Status check_range(std::string_view name, double value, double low, double high);

}  // namespace infer
