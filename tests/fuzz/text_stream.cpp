// SPDX-License-Identifier: MIT
// Fuzz target: any bytes in any pieces, with any stop strings. What comes out is whole UTF-8, does not depend on the cuts,
// and holds no stop string.
#include <string_view>

#include "libinfer/text_stream.h"
#include "src/base/utf8.h"
#include "tests/fuzz/fuzz.h"

namespace {

std::string stream(const std::vector<std::string>& stops, std::string_view text, infer::fuzz::Input cuts, bool whole) {
  infer::TextStream s(stops);
  std::string out;
  bool stopped = false;
  while (!text.empty() && !stopped) {
    const std::size_t n = whole ? text.size() : std::min<std::size_t>(text.size(), cuts.take<std::uint8_t>() % 8);
    stopped = s.push(text.substr(0, n), out);
    if (n == 0 && cuts.left() == 0) whole = true;
    text.remove_prefix(n);
  }
  s.flush(out);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using infer::fuzz::require;
  infer::fuzz::Input input(data, size);
  std::vector<std::string> stops;
  for (std::size_t i = 0, n = input.take<std::uint8_t>() % 4; i < n; ++i) {
    const auto bytes = input.take_bytes(input.take<std::uint8_t>() % 6);
    std::string stop(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    bool valid = true;   // stop strings are UTF-8
    for (std::string_view rest = stop; !rest.empty() && valid;) {
      const infer::Utf8Step step = infer::utf8_step(rest);
      valid = step.state == infer::Utf8State::valid;
      rest.remove_prefix(step.size);
    }
    if (valid) stops.push_back(stop);
  }
  const auto cut_bytes = input.take_bytes(input.left() / 3);
  const infer::fuzz::Input cuts(reinterpret_cast<const std::uint8_t*>(cut_bytes.data()), cut_bytes.size());
  const auto rest = input.take_bytes(input.left());
  const std::string_view text(reinterpret_cast<const char*>(rest.data()), rest.size());

  const std::string out = stream(stops, text, cuts, false);
  require(out == stream(stops, text, cuts, true));
  for (std::string_view left = out; !left.empty();) {
    const infer::Utf8Step step = infer::utf8_step(left);
    require(step.state == infer::Utf8State::valid);
    left.remove_prefix(step.size);
  }
  for (const std::string& stop : stops) require(stop.empty() || out.find(stop) == std::string::npos);
  return 0;
}
