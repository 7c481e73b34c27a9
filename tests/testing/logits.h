// SPDX-License-Identifier: MIT
// Loads a model from bytes, runs it, and compares logits: with the oracle's, with golden ones.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <ostream>
#include <span>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "libinfer/model.h"
#include "libinfer/session.h"
#include "tests/testing/oracle.h"
#include "tests/testing/random.h"
#include "tests/testing/tiny_model.h"

namespace infer::testing {

inline void PrintTo(const TinyModel& tiny, std::ostream* out) { *out << tiny.name; }

/// A model and the bytes it points into.
struct Loaded {
  explicit Loaded(std::vector<std::byte> bytes, const ModelOptions& options = {}) : file(std::move(bytes)) {
    Result<std::shared_ptr<const Model>> loaded = Model::load(Library::builtin(), Source::from_memory(file), options);
    if (loaded.ok()) {
      model = std::move(loaded).value();
    } else {
      status = std::move(loaded).status();
    }
  }
  std::vector<std::byte> file;
  std::shared_ptr<const Model> model;   ///< null when status says why
  Status status;
};

/// Of all positions, from a session of its own.
inline std::vector<float> session_logits(const std::shared_ptr<const Model>& model, std::span<const Token> ids,
                                         std::int64_t n_ctx, std::int64_t n_batch = 32) {
  SessionOptions options;
  options.n_ctx = n_ctx;
  options.n_logits = static_cast<std::int64_t>(ids.size());
  options.n_batch = n_batch;
  options.n_threads = 2;
  options.kv_type = "f32";
  Result<std::unique_ptr<Session>> session = Session::create(model, options);
  if (!session.ok()) {
    ADD_FAILURE() << session.status().message();
    return {};
  }
  const Status fed = session.value()->feed(0, ids, WantLogits::all, nullptr);
  EXPECT_TRUE(fed.ok()) << fed.message();
  std::vector<float> logits;
  for (std::size_t i = 0; fed.ok() && i < ids.size(); ++i) {
    const std::span<const float> row = session.value()->logits(i).value();
    logits.insert(logits.end(), row.begin(), row.end());
  }
  return logits;
}

template <class T>
double deviation(const std::vector<T>& values) {
  double mean = 0.0, squares = 0.0;
  for (const T v : values) mean += static_cast<double>(v) / static_cast<double>(values.size());
  for (const T v : values) squares += (static_cast<double>(v) - mean) * (static_cast<double>(v) - mean);
  return std::sqrt(squares / static_cast<double>(values.size()));
}

struct Difference {
  double max = 0.0, rms = 0.0;
};

/// Infinite where the sizes differ or a value is not finite.
template <class T>
Difference difference(const std::vector<float>& found, const std::vector<T>& expected) {
  Difference d;
  if (found.size() != expected.size() || found.empty()) return {HUGE_VAL, HUGE_VAL};
  for (std::size_t i = 0; i < found.size(); ++i) {
    const double delta = std::fabs(static_cast<double>(found[i]) - static_cast<double>(expected[i]));
    if (!std::isfinite(delta)) return {HUGE_VAL, HUGE_VAL};
    d.max = std::max(d.max, delta);
    d.rms += delta * delta / static_cast<double>(found.size());
  }
  d.rms = std::sqrt(d.rms);
  return d;
}

inline std::vector<Token> random_tokens(std::uint64_t seed, std::int64_t n, std::int64_t n_vocab) {
  Random random(seed);
  std::vector<Token> ids(static_cast<std::size_t>(n));
  for (Token& id : ids) id = static_cast<Token>(random.below(n_vocab));
  return ids;
}

/// Whether products with weights of the type round their activations, to codes or to bfloat16.
inline bool rounds_activations(DType type) { return info(type).block_elems > 1 || type == DType::bf16; }

/// Of the oracle that rounds to bfloat16 where products do. An activation nearer to the middle between two of them than floats
/// are exact may go the other way, and others follow: the rms difference that this may make, in parts of the logits' deviation.
inline constexpr double kBf16Limit = 0.004;

/// Loads the tiny model and holds its logits, in a session of n_ctx positions (0: the model's), against the oracle's.
/// Where products round activations to codes, which the oracle does not, they are off by about the half percent that eight
/// bits cost (docs/numerics.md).
inline void expect_oracle_agrees(const TinyModel& tiny, std::int64_t n_tokens, std::int64_t n_ctx = 0) {
  const Loaded l(make_tiny_model(tiny));
  ASSERT_NE(l.model, nullptr) << l.status.message();
  const std::vector<Token> ids = random_tokens(tiny.seed, n_tokens, tiny.n_vocab);
  if (n_ctx == 0) n_ctx = tiny.context;

  const std::vector<float> found = session_logits(l.model, ids, n_ctx);

  const std::vector<double> expected = oracle_logits(l.model->descriptor(), l.file, ids, n_ctx, Activations::rounded_to_bf16);
  const Difference d = difference(found, expected);
  if (!rounds_activations(tiny.dtype)) {
    EXPECT_LT(d.max, 1e-4 * deviation(expected)) << "seed " << tiny.seed;
  } else {
    EXPECT_LT(d.rms, (tiny.dtype == DType::bf16 ? kBf16Limit : 0.04) * deviation(expected)) << "seed " << tiny.seed;
  }
}

}  // namespace infer::testing
