// SPDX-License-Identifier: MIT
// Where the IR becomes numbers that code may trust: reads the hyper-parameters that decoders share, checks each against
// its limits. An architecture's `configure` begins with it. Tested by tests/models/config_test.cpp.
#pragma once

#include "libinfer/architecture.h"

namespace infer {

inline constexpr std::int64_t kMaxLayers = 1024;

enum class Experts : std::uint8_t { none, allowed, required };

/// What a family is by itself, without a key of the file saying so.
struct Family {
  bool rotary = true;                       ///< false: positions are learned, or not at all
  RopeStyle rope_style = RopeStyle::halves;
  bool local_rope = false;                  ///< layers with a window rotate by a base of their own, unscaled
  Activation activation = Activation::silu;
  std::int64_t sliding_window = 0;
  std::int64_t window_period = 0;           ///< every n-th layer sees all, the others the window; 0: none sees all
  double attention_softcap = 0.0;
  double final_softcap = 0.0;
  Experts experts = Experts::none;
  RouteFn route = nullptr;                  ///< null: route_softmax
  bool renormalise = true;                  ///< the weights of the experts
  bool shared_expert = false;               ///< beside them one that every token runs through
};

/// Everything that decoders share. A key means the same in every family; what a family does differently beyond `family` it
/// changes in the result. Numbers that are odd but can be run are told in `warnings`.
/// Errors: metadata (missing, or outside its limits), limit (more layers or experts than we take), unsupported.
Result<DecoderConfig> read_decoder_config(const ModelDescriptor& model, const Family& family,
                                          std::vector<std::string>& warnings);

}  // namespace infer
