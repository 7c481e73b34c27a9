// An architecture of the host's own, added to a copied Library: "bag", one layer without positions, with attention
// and feed-forward block side by side. A token sees those before it as a bag of words: their order makes no difference.
// Built with libinfer.a against the source tree: the headers under include/libinfer, models (blocks, binder, config) and
// formats are not part of the stable interface.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iomanip>
#include <iostream>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/gguf_writer.h"
#include "libinfer/library.h"
#include "libinfer/model.h"
#include "libinfer/session.h"
#include "models/bindings.h"
#include "models/blocks/blocks.h"
#include "models/config.h"

namespace {

using namespace infer;

// ---- the architecture: numbers, tensors, equation

Result<DecoderConfig> configure(const ModelDescriptor& model, std::vector<std::string>& warnings) {
  return read_decoder_config(model, {.rotary = false, .activation = Activation::gelu}, warnings);
}

void bind(Binder& b, Decoder& d) {
  const DecoderConfig& c = d.config;
  bind_ends(b, d);
  for_each_layer(d, [&](Layer& l, const std::string& prefix) {
    b.norm(l.attn_norm, prefix + "attn_norm", c.n_embd, c.norm_eps);
    bind_attention(b, c, l.attn, prefix);
    bind_gated_ffn(b, c, l.ffn, prefix);
  });
}

/// h = norm(x); x += attention(h) + ffn(h)
void layer(Step& step, const Layer& l, std::int64_t index) noexcept {
  const auto n = static_cast<std::int64_t>(step.rows.size());
  const MatF32 x = step.act.x.first_rows(n), h = step.act.h.first_rows(n), y = step.act.branch.first_rows(n);
  norm(step, l.attn_norm, x, h);
  attention(step, l.attn, index, h, y);
  ffn(step, l.ffn, h, h);
  add(step, x, y);
  add(step, x, h);
}

constexpr std::string_view kNames[] = {"bag"};
constexpr Architecture kBag{.names = kNames,
                            .recognises = [](const ModelDescriptor&) noexcept { return false; },
                            .configure = configure,
                            .bind = bind,
                            .layer = layer};

// ---- a model of it, as a GGUF file in memory

constexpr std::uint32_t kVocab = 16, kWidth = 32, kHeads = 2, kInner = 64;

struct Memory : ByteSink {
  Status write(std::span<const std::byte> more) override {
    bytes.insert(bytes.end(), more.begin(), more.end());
    return {};
  }
  std::vector<std::byte> bytes;
};

Status write_model(Memory& file) {
  gguf::Writer w;
  w.set("general.architecture", "bag");
  w.set("bag.block_count", std::uint32_t{1});
  w.set("bag.embedding_length", kWidth);
  w.set("bag.feed_forward_length", kInner);
  w.set("bag.attention.head_count", kHeads);
  w.set("bag.attention.layer_norm_rms_epsilon", 1e-5f);
  struct Tensor {
    const char* name;
    std::uint32_t cols, rows;   // no rows: a vector
  };
  constexpr Tensor kTensors[] = {
      {"token_embd.weight", kWidth, kVocab},        {"output_norm.weight", kWidth, 0},
      {"blk.0.attn_norm.weight", kWidth, 0},        {"blk.0.attn_q.weight", kWidth, kWidth},
      {"blk.0.attn_k.weight", kWidth, kWidth},      {"blk.0.attn_v.weight", kWidth, kWidth},
      {"blk.0.attn_output.weight", kWidth, kWidth}, {"blk.0.ffn_gate.weight", kWidth, kInner},
      {"blk.0.ffn_up.weight", kWidth, kInner},      {"blk.0.ffn_down.weight", kInner, kWidth}};
  for (const Tensor& t : kTensors) {
    Shape shape{{t.cols, 1, 1, 1}, 1};
    if (t.rows > 0) shape = {{t.cols, t.rows, 1, 1}, 2};
    INFER_TRY(w.add_tensor(t.name, DType::f32, shape));
  }
  INFER_TRY(w.begin(file));
  std::uint32_t state = 1;
  for (const Tensor& t : kTensors) {   // norms of 1, matrices of random numbers from -0.5 to 0.5
    std::vector<float> values(t.cols * std::max(t.rows, 1u), 1.0f);
    for (std::size_t i = 0; t.rows > 0 && i < values.size(); ++i) {
      state = state * 1664525u + 1013904223u;
      values[i] = static_cast<float>(state >> 16) / 65536.0f - 0.5f;
    }
    INFER_TRY(w.append(std::as_bytes(std::span(values))));
  }
  return w.finish();
}

// ---- the host

Result<std::vector<float>> run(const std::shared_ptr<const Model>& model, std::initializer_list<Token> tokens) {
  INFER_ASSIGN(const std::unique_ptr<Session> session, Session::create(model, {.n_ctx = 32}));
  INFER_TRY(session->feed(0, {tokens.begin(), tokens.size()}, WantLogits::last, nullptr));
  INFER_ASSIGN(const std::span<const float> logits, session->logits(0));
  for (const Token token : tokens) std::cout << token << ' ';
  std::cout << "->";
  for (const float logit : logits) std::cout << ' ' << logit;
  std::cout << '\n';
  return std::vector<float>(logits.begin(), logits.end());
}

float distance(const std::vector<float>& a, const std::vector<float>& b) {
  float most = 0.0f;
  for (std::size_t i = 0; i < a.size(); ++i) most = std::max(most, std::fabs(a[i] - b[i]));
  return most;
}

Status run_all() {
  Memory file;
  INFER_TRY(write_model(file));
  const auto library = std::make_shared<Library>(*Library::builtin());   // a copy: nobody else knows of it
  INFER_TRY(library->architectures.add(kBag));
  INFER_ASSIGN(const auto model, Model::load(library, Source::from_memory(file.bytes), {}));
  INFER_ASSIGN(const std::vector<float> first, run(model, {1, 2, 3, 4}));
  INFER_ASSIGN(const std::vector<float> order, run(model, {3, 1, 2, 4}));
  INFER_ASSIGN(const std::vector<float> words, run(model, {1, 2, 5, 4}));
  std::cout << "another order: " << distance(first, order) << ", another word: " << distance(first, words) << '\n';
  return {};
}

}  // namespace

int main() {
  std::cout << std::fixed << std::setprecision(3);
  const Status status = run_all();
  if (!status.ok()) std::cerr << status.message() << '\n';
  return status.ok() ? 0 : 1;
}
