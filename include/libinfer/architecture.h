// SPDX-License-Identifier: MIT
// What an architecture is: a name, a reading of the descriptor, a binding of tensors, and the equation of its layer.
// Differences in degree (a bias, a window) are data in these structs; differences in order are code in `layer`.
// The table is models/architectures.inc; to add one see docs/extending.md.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <optional>
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

enum class RopeScaling : std::uint8_t { none, linear, yarn, longrope };

/// Rotary positions (arXiv:2104.09864) and how they are stretched: linear arXiv:2306.15595, YaRN arXiv:2309.00071, LongRoPE
/// arXiv:2402.13753. The formulas are in models/blocks/rope.cpp.
struct RopeConfig {
  RopeStyle style = RopeStyle::interleaved;
  std::int64_t n_rot = 0;                  ///< entries of a head that are rotated; even, at most key_dim; 0: no rotation
  double base = 10000.0;
  RopeScaling scaling = RopeScaling::none;
  double factor = 1.0;                     ///< of the stretch
  std::int64_t original_context = 0;       ///< that the model was first trained with
  double beta_fast = 32.0, beta_slow = 1.0;   ///< YaRN: turns over the original context, above and below which it changes
  double extrapolation = 1.0;              ///< YaRN: share of the plain frequency where it does not change
  double log_multiplier = 0.0;             ///< YaRN: what the magnitude is divided by grows with it
  std::optional<double> yarn_magnitude{};  ///< YaRN: in place of what follows from factor and log_multiplier
  double attn_factor = 1.0;                ///< extra factor on the magnitude
};

/// Chooses experts for a token: fills `chosen` with different numbers below logits.size(), and what each counts.
using RouteFn = void (*)(std::span<const float> logits, std::span<std::int32_t> chosen, std::span<float> weights) noexcept;

/// Mixture of experts (arXiv:1701.06538): of many feed-forward blocks each token runs through a few.
struct ExpertConfig {
  std::int64_t n = 0;                      ///< 0: a dense model
  std::int64_t n_used = 0;                 ///< per token
  std::int64_t n_ff = 0;                   ///< width of an expert
  std::int64_t n_ff_shared = 0;            ///< width of the expert that every token runs through; 0: there is none
  RouteFn route = nullptr;
  bool renormalise = true;                 ///< the weights of the chosen ones are made to sum to 1
  float scale = 1.0f;                      ///< factor on the weights
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
  std::int64_t max_positions = 0;          ///< that it has at all; 0: any number
  std::int64_t sliding_window = 0;         ///< query i sees keys j with i - j < window; 0: all
  std::vector<bool> local;                 ///< (n_layers) which layers the window holds for
  Activation activation = Activation::silu;
  float norm_eps = 0.0f;
  float embedding_scale = 1.0f;            ///< factor on the embedding
  float attention_scale = 0.0f;            ///< on q.k, 1/sqrt(key_dim) as a rule
  float attention_softcap = 0.0f;          ///< of scores; 0: none
  float final_softcap = 0.0f;              ///< of logits; 0: none
  float temperature_scale = 0.0f;          ///< scores at position p are times 1 + this * ln(1 + floor(p / temperature_length))
  std::int64_t temperature_length = 1;
  ExpertConfig experts;
  RopeConfig rope;
  std::optional<RopeConfig> local_rope;    ///< of layers with a window, where it is another

  /// How far back layer `i` sees; 0: to the start.
  std::int64_t window(std::int64_t i) const noexcept { return local[static_cast<std::size_t>(i)] ? sliding_window : 0; }
};

/// Panels that a product makes for itself, and multiplies, at a time where the model is not packed.
inline constexpr std::int64_t kPanelsAtOnce = 2;

/// y = x W^T (+ bias). The weights stay quantised: as rows of the file, and where the kernel wants it and
/// ModelOptions::pack allows it the same rows again as panels (src/runtime/packing.h).
struct Linear {
  TensorView weight;                       ///< rows of the file
  const QuantFormat* format = nullptr;
  const float* bias = nullptr;             ///< (weight.rows), or null
  Matmul matmul{};                         ///< of the panels, or of the rows where it is not packed
  MatmulFn matmul_rows = nullptr;          ///< of rows that fill no panel
  const std::byte* panels = nullptr;       ///< (n_panels, panel_bytes), owned by the WeightStore; null: made for each product
  std::size_t panel_bytes = 0;
  std::int64_t n_panels = 0;               ///< whole ones: rows / kPanelRows

  bool present() const noexcept { return weight.data != nullptr; }
};

enum class NormKind : std::uint8_t {
  rms,     ///< arXiv:1910.07467
  layer,   ///< arXiv:1607.06450
};

struct Norm {
  NormKind kind = NormKind::rms;
  const float* weight = nullptr;           ///< (n); null: there is no norm
  const float* bias = nullptr;             ///< (n), or null
  float eps = 0.0f;

  bool present() const noexcept { return weight != nullptr; }
};

struct AttentionWeights {
  Linear q, k, v, output;
  Norm q_norm, k_norm;                     ///< of each head, before it is rotated; may be absent
};

struct FfnWeights {
  Linear gate;                             ///< may be absent: then it is down(activation(up(h)))
  Linear up, down;
};

struct ExpertWeights {
  Linear router;                           ///< (n, n_embd)
  std::vector<FfnWeights> each;            ///< (n)
  FfnWeights shared;                       ///< may be absent
  Linear shared_gate;                      ///< (1, n_embd): the sigmoid of its product is what the shared one counts
};

/// What the layers of all families are made of; each has its part of it.
struct Layer {
  Norm attn_norm;
  AttentionWeights attn;
  Norm post_attn_norm;
  Norm ffn_norm;
  FfnWeights ffn;
  ExpertWeights experts;                   ///< instead of ffn, where config.experts.n > 0
  Norm post_ffn_norm;
};

struct Architecture;

/// A model ready to run: checked numbers and bound weights. Immutable after binding; part of Model.
struct Decoder {
  const Architecture* architecture = nullptr;
  DecoderConfig config;
  Linear embedding;                        ///< its rows are looked up, not multiplied
  Linear positions;                        ///< (max_positions, n_embd) added to the embedding; may be absent
  std::vector<Layer> layers;
  Norm output_norm;
  Linear output;                           ///< the embedding again where the file has no output matrix
  std::span<const float> rope_factors;     ///< divisors of config.rope's frequencies (n_rot / 2), or empty
  std::span<const float> long_rope_factors;   ///< instead, in sessions of more than the original context; or empty
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
  std::span<StepRow> rows;                 ///< at most Activations::x.rows; in the last layer's attention those without logits go
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

  /// Multiply-adds, or as long a time of other work, that a thread may do between two looks at the flag.
  std::int64_t work_per_look() const noexcept { return kernels.work_per_look; }
  /// What kernels of this worker may use: KernelTable::scratch_bytes; then room for panels, where the model has none.
  std::byte* scratch(int worker) const noexcept { return act.scratch + static_cast<std::size_t>(worker) * act.scratch_bytes; }
  /// What is worth handing to another thread.
  static constexpr std::int64_t kLeastWork = std::int64_t{1} << 14;

  /// Items per range for n of this many multiply-adds each (at least 1): even over the threads, worth it, a look in time.
  std::int64_t grain(std::int64_t n, std::int64_t work_per_item) const noexcept {
    const std::int64_t least = std::max(pool.even_grain(n), kLeastWork / work_per_item);
    return std::max<std::int64_t>(1, std::min(least, work_per_look() / work_per_item));
  }

  /// pool.parallel_for that looks at the flag before each range: once it was seen, the rest of the loop is not done.
  template <class Fn>
  void parallel_for(std::int64_t n, ThreadPool::Grain grain, const Fn& fn) noexcept {
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
  /// The layer's equation: reads and writes step.act.x, of as many rows as there are (rows_of in models/blocks/blocks.h).
  void (*layer)(Step& step, const Layer& layer, std::int64_t index) noexcept;
};

/// Runs all rows through the model; logits rows are in step.act.logits. False: cancelled (seen within Step::work_per_look),
/// and what was stored in the KV cache for these rows is not to be used. Implemented in models/decoder.cpp.
bool decoder_forward(const Decoder& decoder, Step& step) noexcept;

/// The rotary positions of a session: fills act.rope and act.local_rope for `context` positions. `ntk`: where these are more
/// than the original context, the base is raised for them. Implemented in models/blocks/rope.cpp.
void set_rotations(const Decoder& decoder, std::int64_t context, bool ntk, Activations& act) noexcept;

}  // namespace infer
