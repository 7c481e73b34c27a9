// SPDX-License-Identifier: MIT
// Model: bytes, descriptor, bound decoder and tokenizer. Immutable: many sessions on many threads share one.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "libinfer/architecture.h"
#include "libinfer/executor.h"
#include "libinfer/library.h"
#include "libinfer/memory.h"
#include "libinfer/model_descriptor.h"
#include "libinfer/source.h"
#include "libinfer/status.h"
#include "libinfer/tokenizer.h"
#include "libinfer/weights.h"

namespace infer {

struct ModelOptions {
  bool use_mmap = true;
  bool vocab_only = false;        ///< no weights are bound; tokenising and read() work, sessions do not
  bool pack = true;               ///< rearrange the matrices to panels, which is fast; false: products read the file's rows
  std::string architecture{};     ///< instead of what the file says; empty: the file's
  bool allow_default_pretokenizer = false;   ///< an unknown tokenizer.ggml.pre is read as "default", with a warning
  std::shared_ptr<MemoryAccount> memory{};   ///< of this model and its sessions; null: one of their own, without limit
  Executor executor{};            ///< packs the weights instead of threads of the library's own
  Logger log{};
  Progress progress{};
  const CancelFlag* cancel = nullptr;
};

class Model {
 public:
  /// open -> sniff -> parse -> choose the architecture -> configure -> bind -> tokenizer.
  /// Errors: those of each, and budget, before weights are read or expanded.
  static Result<std::shared_ptr<const Model>> load(std::shared_ptr<const Library> library, const Source& source,
                                                   const ModelOptions& options);

  /// All of it but the weights, none of which is read or expanded: memory() says what load() will take. The decoder knows
  /// its numbers (Session::plan) and cannot run. Nothing is taken from the account, and a budget does not refuse it.
  static Result<std::shared_ptr<const Model>> plan(std::shared_ptr<const Library> library, const Source& source,
                                                   const ModelOptions& options);

  const Library& library() const noexcept { return *library_; }
  const ModelDescriptor& descriptor() const noexcept { return descriptor_; }
  /// Null when only the vocabulary was loaded.
  const Decoder* decoder() const noexcept { return decoder_ ? &*decoder_ : nullptr; }
  const KernelTable& kernels() const noexcept { return *kernels_; }
  /// The tokenizer, or why there is none: an unknown one does not stop a load.
  Result<const Tokenizer*> tokenizer() const;
  /// Ids a token may have: rows of the embedding, or entries of the vocabulary when that is all there is.
  std::int64_t n_vocab() const noexcept;
  /// Bytes of the longest piece of text that one token stands for.
  std::size_t longest_piece() const noexcept { return longest_piece_; }
  /// Whether matrices were rearranged to panels.
  bool packed() const noexcept { return panel_bytes_ > 0; }
  /// Bytes that each worker of a session needs for panels of its own; 0 where matrices were rearranged.
  std::size_t panel_scratch() const noexcept { return panel_scratch_; }
  MemoryUse memory() const noexcept { return use_; }
  const std::shared_ptr<MemoryAccount>& account() const noexcept { return account_; }

  /// Looks at every weight of the file for NaN and infinity. Errors: tensor (names the first ten tensors that have one, each
  /// with the index of the first), state (only the vocabulary was loaded), cancelled. Reads the whole file.
  Status validate(const CancelFlag* cancel) const;

  /// The bytes of a tensor of the descriptor, as they lie in its file.
  TensorView view(const TensorMeta& tensor) const noexcept { return weights_->view(tensor); }

  /// Elements of a tensor of the descriptor from `first` on, counted along its rows, as floats. Works where only the vocabulary
  /// was loaded, too: the file is there all the same. Errors: quant_type (no numbers can be made of its type), range.
  Status read(const TensorMeta& tensor, std::uint64_t first, std::span<float> values) const;

  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

 private:
  explicit Model(std::shared_ptr<const Library> library) : library_(std::move(library)) {}
  enum class Depth : std::uint8_t { plan, load };
  static Result<std::shared_ptr<const Model>> make(std::shared_ptr<const Library> library, const Source& source,
                                                   const ModelOptions& options, Depth depth);
  Status open_header(const Source& source, const ModelOptions& options, std::vector<MappedFile>& files);
  Status configure(const ModelOptions& options);
  Status bind_plan(const ModelOptions& options);
  Status bind(const ModelOptions& options);
  Status make_tokenizer(const ModelOptions& options);
  MemoryUse held() const;

  std::shared_ptr<const Library> library_;
  std::shared_ptr<MemoryAccount> account_;
  ModelDescriptor descriptor_;
  std::optional<WeightStore> weights_;
  std::optional<Decoder> decoder_;
  const KernelTable* kernels_ = nullptr;
  std::unique_ptr<Tokenizer> tokenizer_;
  Status tokenizer_status_;
  std::size_t longest_piece_ = 0;
  std::uint64_t panel_bytes_ = 0;
  std::size_t panel_scratch_ = 0;
  MemoryUse use_;
  Charge charge_;                   ///< of what is in mappings and standard containers
};

}  // namespace infer
