// SPDX-License-Identifier: MIT
// What an architecture is: a name, a reading of the descriptor, a binding of tensors, and the equation of its layer.
// Differences in degree (a bias, a window) are data in these structs; differences in order are code in `layer`.
// The table is models/architectures.cpp; to add one see docs/extending.md.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "libinfer/activations.h"
#include "libinfer/hooks.h"
#include "libinfer/kernels.h"
#include "libinfer/kv_cache.h"
#include "libinfer/model_descriptor.h"
#include "libinfer/status.h"
#include "libinfer/tensor.h"
#include "libinfer/thread_pool.h"
#include "libinfer/tokenizer.h"

namespace infer {

enum class RopeScaling : std::uint8_t { none, linear, yarn };

/// Rotary positions (arXiv:2104.09864) and how they are stretched (linear: arXiv:2306.15595, YaRN: arXiv:2309.00071).
struct RopeConfig {
  RopeStyle style = RopeStyle::interleaved;
  std::int64_t n_rot = 0;                  ///< entries of a head that are rotated; even, at most key_dim
  double base = 10000.0;
  RopeScaling scaling = RopeScaling::none;
  double factor = 1.0;                     ///< of the stretch
  std::int64_t original_context = 0;       ///< that the model was first trained with (YaRN)
  double beta_fast = 32.0, beta_slow = 1.0;
  double attn_factor = 1.0;                ///< extra factor on the magnitude
};

/// The checked numbers of a decoder. Everything that follows may trust them.
struct DecoderConfig {
  std::int64_t n_vocab = 0;
  std::int64_t n_embd = 0;
  std::int64_t n_layers = 0;
  std::int64_t n_ff = 0;
  std::int64_t n_heads = 0;
  std::int64_t n_kv_heads = 0;             ///< divides n_heads
  std::int64_t key_dim = 0;                ///< per head
  std::int64_t value_dim = 0;
  std::int64_t context_length = 0;         ///< that the model was trained for
  std::int64_t sliding_window = 0;         ///< query i sees keys j with i - j < window; 0: all
  float norm_eps = 0.0f;
  float attention_scale = 0.0f;            ///< on q.k, 1/sqrt(key_dim) as a rule
  RopeConfig rope;
};

/// y = x W^T (+ bias). The weights stay quantised: as rows of the file, and where the kernel wants it the same rows again
/// as panels (src/runtime/packing.h).
struct Linear {
  TensorView weight;                       ///< rows of the file
  const QuantFormat* format = nullptr;
  const float* bias = nullptr;             ///< (weight.rows), or null
  Matmul matmul{};                         ///< of the panels, or of the rows where it is not packed
  MatmulFn matmul_rows = nullptr;          ///< of rows that fill no panel
  const std::byte* panels = nullptr;       ///< (n_panels, panel_bytes), owned by the WeightStore
  std::size_t panel_bytes = 0;
  std::int64_t n_panels = 0;               ///< whole ones: rows / kPanelRows
};

struct Norm {
  const float* weight = nullptr;           ///< (n)
  float eps = 0.0f;
};

struct AttentionWeights {
  Linear q, k, v, output;
};

struct FfnWeights {
  Linear gate, up, down;
};

struct Layer {
  Norm attn_norm;
  AttentionWeights attn;
  Norm ffn_norm;
  FfnWeights ffn;
};

struct Architecture;

/// A model ready to run: checked numbers and bound weights. Immutable after binding; part of Model.
struct Decoder {
  const Architecture* architecture = nullptr;
  DecoderConfig config;
  Linear embedding;                        ///< its rows are looked up, not multiplied
  std::vector<Layer> layers;
  Norm output_norm;
  Linear output;                           ///< the embedding again where the file has no output matrix
  std::span<const float> rope_factors;     ///< divisors of the RoPE frequencies (n_rot / 2), or empty
};

/// One token of a forward pass.
struct StepRow {
  Token token;
  SequenceId seq;
  std::int64_t position;
  std::int64_t logits_row;                 ///< where its logits go, or -1
};

struct Step;

/// Is shown what goes into each product, on the step's thread and before the product; the step's threads are free.
struct ProductObserver {
  void (*see)(void* user, Step& step, const Linear& weights, const MatF32& x) noexcept = nullptr;
  void* user = nullptr;
};

/// Everything that one forward pass may touch. Handed down, never global.
struct Step {
  std::span<const StepRow> rows;           ///< at most Activations::x.rows of them
  const DecoderConfig& config;
  Activations& act;
  KvCache& kv;
  const KernelTable& kernels;
  ThreadPool& pool;
  const CancelFlag* cancel;
  const ProductObserver* observer = nullptr;   ///< null: nobody looks
  std::atomic<bool> cancelled{false};      ///< the flag was seen set: nothing of this step counts any more

  /// Looks at the flag; once seen it stays seen, whatever becomes of the flag. On any thread of the step.
  bool is_cancelled() noexcept {
    if (cancelled.load(std::memory_order_relaxed)) return true;
    if (!infer::is_cancelled(cancel)) return false;
    cancelled.store(true, std::memory_order_relaxed);
    return true;
  }

  /// Multiply-adds, or as long a time of other work, that a thread may do between two looks at the flag: about 20 ms of the
  /// slowest kernels, much less than a millisecond of the fast ones.
  static constexpr std::int64_t kWorkPerLook = std::int64_t{1} << 22;
  /// What is worth handing to another thread.
  static constexpr std::int64_t kLeastWork = std::int64_t{1} << 14;

  /// Items per range for n of this many multiply-adds each (at least 1): even over the threads, worth it, a look in time.
  std::int64_t grain(std::int64_t n, std::int64_t work_per_item) const noexcept {
    const std::int64_t least = std::max(pool.even_grain(n), kLeastWork / work_per_item);
    return std::max<std::int64_t>(1, std::min(least, kWorkPerLook / work_per_item));
  }

  /// pool.parallel_for that looks at the flag before each range: once it was seen, the rest of the loop is not done.
  template <class Fn>
  void parallel_for(std::int64_t n, std::int64_t grain, const Fn& fn) noexcept {
    pool.parallel_for(n, grain, [&](int worker, std::int64_t first, std::int64_t last) noexcept {
      if (!is_cancelled()) fn(worker, first, last);
    });
  }
};

class Binder;

struct Architecture {
  std::span<const std::string_view> names;   ///< general.architecture values that it serves
  /// Whether a file that does not name its architecture looks like this one, from its tensor names.
  bool (*recognises)(const ModelDescriptor& model) noexcept;
  /// Reads and checks the hyper-parameters. Errors: metadata, limit, unsupported; they name key, value and limit. What is
  /// odd but can be run is added to `warnings`.
  Result<DecoderConfig> (*configure)(const ModelDescriptor& model, std::vector<std::string>& warnings);
  /// Says which tensor goes where. Complaints are collected by the binder.
  void (*bind)(Binder& binder, Decoder& decoder);
  /// The layer's equation: reads and writes step.act.x.
  void (*layer)(Step& step, const Layer& layer, std::int64_t index) noexcept;
};

/// Runs all rows through the model; logits rows are in step.act.logits. False: cancelled (seen within Step::kWorkPerLook),
/// and what was stored in the KV cache for these rows is not to be used. Implemented in models/decoder.cpp.
bool decoder_forward(const Decoder& decoder, Step& step) noexcept;

/// The frequencies of the rotary positions for a context of this size; answers the magnitude factor.
/// `frequencies` has config.rope.n_rot / 2 entries. Implemented in models/blocks/rope.cpp.
double rope_frequencies(const Decoder& decoder, std::int64_t context, std::span<double> frequencies) noexcept;

}  // namespace infer
