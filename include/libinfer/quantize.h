// SPDX-License-Identifier: MIT
// Quantising: a model file to another one of fewer bits. A plan says what each tensor becomes; quantize() makes it, row
// by row, so that memory stays small whatever the model's size. Tested by tests/runtime/quantize_test.cpp and
// quantize_plan_test.cpp.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "libinfer/executor.h"
#include "libinfer/hooks.h"
#include "libinfer/library.h"
#include "libinfer/memory.h"
#include "libinfer/source.h"
#include "libinfer/status.h"
#include "libinfer/tensor.h"

namespace infer {

struct QuantizeOptions {
  std::string type;                         ///< "Q4_K_M": see src/runtime/quantize/mixes.h
  std::vector<std::string> tensor_types;  ///< "PATTERN=TYPE" with * and ?; the first that matches a tensor's name holds
  std::string output_type;                  ///< of the head; empty: what the rule says
  std::string token_embedding_type;         ///< of the embedding; empty: what the rule says
  std::string imatrix;                      ///< path of an importance matrix; empty: none
  bool keep_split = false;                  ///< as many files as the source has; false: one
  bool pure = false;                        ///< all matrices in the type itself, without the mix's rule
  bool allow_requantize = false;            ///< also from types that have lost bits already
  std::int64_t n_threads = 0;               ///< 0: default_threads()

  Progress progress{};                      ///< in bytes of the source's tensors
  const CancelFlag* cancel = nullptr;
  Logger log{};
  Executor executor{};
  std::shared_ptr<MemoryAccount> memory;    ///< null: one without limit
};

/// What becomes of each tensor.
struct QuantizePlan {
  struct Tensor {
    TensorMeta from;
    DType to = DType::f32;
    std::uint64_t bytes = 0;         ///< in the output
    bool has_importance = false;     ///< the importance matrix speaks of it, and it is encoded
  };
  struct File {
    std::string path;                ///< of the output; empty while there is none
    std::uint64_t bytes = 0;
  };
  std::string type;                  ///< the mix: "Q4_K_M"
  std::vector<Tensor> tensors;       ///< in the order of the source
  std::vector<File> files;
  std::vector<std::string> warnings;

  std::uint64_t bytes_from() const noexcept;   ///< of all tensors
  std::uint64_t bytes_to() const noexcept;
  std::uint64_t file_bytes() const noexcept;   ///< of all files
  double bits_per_weight() const noexcept;
};

/// Reads headers, computes nothing. Errors: as of opening and parsing the source; argument (a malformed pattern, or one
/// that matches no tensor); quant_type (an unknown type, one that cannot be produced, that needs an importance matrix,
/// that does not fit a tensor's rows, or a source that is quantised already), about the tensor; tensor (an importance
/// matrix of another model).
Result<QuantizePlan> plan_quantize(const Library& library, const Source& source, const QuantizeOptions& options);

/// Makes the plan true: writes the file `path` (with keep_split, `path` with -0000X-of-0000N in it), reads it back,
/// parses it, and only then puts it in its place. On any failure the old file is there as before, and nothing else;
/// of several files, which are renamed one after another, some may be new when a rename fails.
/// Errors: as of the plan; argument (the output is the source); nofile, permission, io, limit (of writing); tensor (a
/// weight that is NaN or infinite, or too large for its type, with name and place); cancelled; nomem, budget.
Result<QuantizePlan> quantize(const Library& library, const Source& source, const std::string& path,
                              const QuantizeOptions& options);

}  // namespace infer
