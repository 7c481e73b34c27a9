// SPDX-License-Identifier: MIT
// A charsmap built from a list of strings, for tests: the plainest way to lay a trie into a double array.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace infer::testing {

using StringMap = std::map<std::string, std::string>;

class CharsmapBuilder {
 public:
  /// The bytes of tokenizer.ggml.precompiled_charsmap that map these strings, which have no NUL.
  static std::string build(const StringMap& map) {
    CharsmapBuilder builder;
    std::string texts;
    StringMap places;
    for (const auto& [from, to] : map) {
      places[from] = std::to_string(texts.size());
      texts += to;
      texts += '\0';
    }
    builder.place(0, "", places);
    std::string bytes;
    put(static_cast<std::uint32_t>(builder.units_.size() * 4), bytes);
    for (const std::uint32_t unit : builder.units_) put(unit, bytes);
    return bytes + texts;
  }

  static void put(std::uint32_t number, std::string& bytes) {
    for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(number >> shift & 0xff);
  }

 private:
  static constexpr std::uint32_t kFree = 0x80000000U;

  void take(std::size_t n) {
    for (; units_.size() < n; units_.push_back(kFree)) taken_.push_back(false);
  }
  bool fits(std::uint32_t base, const std::vector<std::uint32_t>& labels) const {
    for (const std::uint32_t label : labels) {
      if ((base ^ label) == 0 || ((base ^ label) < taken_.size() && taken_[base ^ label])) return false;
    }
    return true;
  }
  /// Lays out what follows the unit at `at`, which the prefix leads to.
  void place(std::uint32_t at, const std::string& prefix, const StringMap& map) {
    std::vector<std::uint32_t> labels;  // 0: a value ends here
    for (const auto& [from, text_at] : map) {
      if (!from.starts_with(prefix)) continue;
      const std::uint32_t label = from == prefix ? 0U : static_cast<unsigned char>(from[prefix.size()]);
      if (labels.empty() || labels.back() != label) labels.push_back(label);
    }
    std::uint32_t base = 1;
    while (bases_.contains(base) || !fits(base, labels)) ++base;  // or the labels of two units mix
    bases_.insert(base);
    units_[at] |= (at ^ base) << 10;
    for (const std::uint32_t label : labels) {
      take((base ^ label) + 1);
      taken_[base ^ label] = true;
      units_[base ^ label] = label;
    }
    for (const std::uint32_t label : labels) {
      if (label == 0) {
        units_[at] |= 1U << 8;
        units_[base] = kFree | static_cast<std::uint32_t>(std::stoul(map.at(prefix)));
      } else {
        place(base ^ label, prefix + static_cast<char>(static_cast<unsigned char>(label)), map);
      }
    }
  }

  std::vector<std::uint32_t> units_{0};
  std::vector<bool> taken_{true};
  std::set<std::uint32_t> bases_;
};

}  // namespace infer::testing
