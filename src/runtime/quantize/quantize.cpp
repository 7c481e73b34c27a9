// SPDX-License-Identifier: MIT
// Making a plan true, tensor by tensor and a chunk of rows at a time: decode a row, encode it, write the chunk. Rows
// are independent and each is encoded by one thread, so the bytes are the same for any number of them. What is in
// memory is a chunk of the output and a row per thread; the source is mapped. Tested by
// tests/runtime/quantize_test.cpp.
#include "libinfer/quantize.h"

#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <span>

#include <fmt/format.h>

#include "libinfer/text.h"
#include "libinfer/thread_pool.h"
#include "src/base/finite.h"
#include "src/base/output_file.h"
#include "src/runtime/quantize/plan.h"

namespace infer {
namespace {

constexpr std::int64_t kChunkElements = std::int64_t{1} << 20;   // some tens of milliseconds of the slowest encoders
constexpr std::size_t kCopyPiece = std::size_t{1} << 20;
/// Below this no encoder's 16-bit scale can overflow.
constexpr float kSafe = 32768.0f;
constexpr MemoryPurpose kPurpose{"quantising", "use fewer threads, or raise the budget"};

Status stopped() { return Status::error(Code::cancelled, "quantising was cancelled"); }

std::int64_t rows_of_chunk(const Shape& shape) noexcept {
  return std::clamp<std::int64_t>(kChunkElements / shape.cols(), 1, shape.rows());
}

std::size_t row_bytes(DType type, std::int64_t cols) noexcept {
  return static_cast<std::size_t>(cols) / info(type).block_elems * info(type).block_bytes;
}

std::size_t padded(std::size_t bytes) noexcept {
  return (bytes + MemoryAccount::kAlignment - 1) / MemoryAccount::kAlignment * MemoryAccount::kAlignment;
}

std::size_t largest_of(std::span<const float> x) noexcept {
  const auto less = [](float a, float b) { return std::fabs(a) < std::fabs(b); };
  return static_cast<std::size_t>(std::max_element(x.begin(), x.end(), less) - x.begin());
}

/// Looks for the least of a set of indices, from several threads.
class Least {
 public:
  void offer(std::int64_t i) noexcept {
    std::int64_t seen = least_.load(std::memory_order_relaxed);
    while (i < seen && !least_.compare_exchange_weak(seen, i, std::memory_order_relaxed)) {}
  }
  bool found() const noexcept { return get() != kNone; }
  std::int64_t get() const noexcept { return least_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::max();
  std::atomic<std::int64_t> least_{kNone};
};

/// The work on all tensors of a job.
class Encoding {
 public:
  Encoding(const Library& library, const QuantizeOptions& options, const QuantizeJob& job, const WeightStore& weights)
      : library_(library), options_(options), job_(job), weights_(weights), total_(job.plan.bytes_from()) {}

  /// Threads, and all the memory that it will need.
  Status prepare(MemoryAccount& account) {
    INFER_TRY(make_pool());
    std::size_t row = 0, out = 0, means = 0;
    for (const QuantizePlan::Tensor& t : job_.plan.tensors) {
      if (t.to == t.from.dtype) continue;
      const Shape& s = t.from.shape;
      const auto cols = static_cast<std::size_t>(s.cols());
      row = std::max(row, padded(cols * sizeof(float)));
      out = std::max(out, static_cast<std::size_t>(rows_of_chunk(s)) * row_bytes(t.to, s.cols()));
      if (t.has_importance) means = std::max(means, cols * sizeof(float));
    }
    out = padded(out);
    means = padded(means);
    row_floats_ = row / sizeof(float);
    INFER_ASSIGN(scratch_, account.allocate(MemoryClass::scratch,
                                            out + means + row * static_cast<std::size_t>(pool_->size()), kPurpose));
    out_ = scratch_.data();
    means_ = reinterpret_cast<float*>(scratch_.data() + out);
    rows_ = reinterpret_cast<float*>(scratch_.data() + out + means);
    return options_.progress(0, total_) ? Status() : stopped();
  }

  Status write(const QuantizePlan::Tensor& t, gguf::Writer& writer) {
    const TensorView view = weights_.view(t.from);
    INFER_TRY(t.to == t.from.dtype ? copy(view, writer) : convert(t, view, writer));
    weights_.let_go(view);
    return {};
  }

 private:
  Status make_pool() {
    const int wanted = options_.n_threads > 0
                           ? static_cast<int>(std::min<std::int64_t>(options_.n_threads, ThreadPool::kMaxThreads))
                           : default_threads(options_.executor);
    if (options_.executor) {
      INFER_ASSIGN(pool_, ThreadPool::create(wanted, options_.executor));
      return {};
    }
    INFER_ASSIGN(pool_, ThreadPool::create(std::min(wanted, available_cores())));
    return {};
  }

  Status advance(std::uint64_t bytes) {
    done_ += bytes;
    return options_.progress(done_, total_) && !is_cancelled(options_.cancel) ? Status() : stopped();
  }

  Status copy(const TensorView& view, gguf::Writer& writer) {
    Bytes left(view.data, static_cast<std::size_t>(view.rows) * view.row_bytes);
    while (!left.empty()) {
      const Bytes piece = left.first(std::min(left.size(), kCopyPiece));
      INFER_TRY(writer.append(piece));
      INFER_TRY(advance(piece.size()));
      left = left.subspan(piece.size());
    }
    return {};
  }

  Status convert(const QuantizePlan::Tensor& t, const TensorView& view, gguf::Writer& writer) {
    const std::size_t out_bytes = row_bytes(t.to, view.cols);
    const std::int64_t matrix_rows = t.from.shape.dims[1];
    const std::int64_t chunk = rows_of_chunk(t.from.shape);
    for (std::int64_t first = 0, n = 0; first < view.rows; first += n) {
      // A chunk ends with its matrix: experts have importance of their own.
      n = std::min({chunk, view.rows - first, matrix_rows - first % matrix_rows});
      INFER_TRY(encode(t, view.slice(first, n), first));
      INFER_TRY(writer.append(Bytes(out_, static_cast<std::size_t>(n) * out_bytes)));
      INFER_TRY(advance(static_cast<std::uint64_t>(n) * view.row_bytes));
    }
    return {};
  }

  /// Rows of one matrix to out_. `first`: of the tensor, for messages.
  Status encode(const QuantizePlan::Tensor& t, const TensorView& view, std::int64_t first) {
    const QuantFormat& from = *find_format(library_, t.from.dtype);
    const QuantFormat& to = *find_format(library_, t.to);
    const float* importance = nullptr;
    if (t.has_importance) {
      job_.imatrix.find(t.from.name)->means(first / t.from.shape.dims[1], means_);
      importance = means_;
    }
    const std::size_t out_bytes = row_bytes(t.to, view.cols);
    const auto cols = static_cast<std::size_t>(view.cols);
    Least bad, overflowed;   // elements of the view
    std::atomic<bool> cancelled{false};   // remembered: the flag may be reset at any time
    pool_->parallel_for(view.rows, [&](int worker, std::int64_t begin, std::int64_t end) noexcept {
      float* const row = rows_ + static_cast<std::size_t>(worker) * row_floats_;
      for (std::int64_t r = begin; r < end; ++r) {
        if (is_cancelled(options_.cancel)) cancelled.store(true, std::memory_order_relaxed);
        if (cancelled.load(std::memory_order_relaxed)) return;
        from.decode(view.data + static_cast<std::size_t>(r) * view.row_bytes, row, view.cols);
        if (const std::size_t i = find_non_finite({row, cols}); i < cols) {
          bad.offer(r * view.cols + static_cast<std::int64_t>(i));
          continue;
        }
        const bool is_large = std::any_of(row, row + cols, [](float w) { return std::fabs(w) >= kSafe; });
        const std::size_t largest = is_large ? largest_of({row, cols}) : 0;
        const float weight = row[largest];
        std::byte* const out = out_ + static_cast<std::size_t>(r) * out_bytes;
        to.encode(row, importance, out, view.cols);
        if (!is_large) continue;
        // The scale has overflowed, or stopped at what 16 bits can hold.
        to.decode(out, row, view.cols);
        if (find_non_finite({row, cols}) < cols || std::fabs(row[largest]) < std::fabs(weight) / 2) {
          overflowed.offer(r * view.cols + static_cast<std::int64_t>(largest));
        }
      }
    });
    if (cancelled.load(std::memory_order_relaxed)) return stopped();
    if (!bad.found() && !overflowed.found()) return {};
    const std::int64_t element = std::min(bad.get(), overflowed.get());
    const std::int64_t r = element / view.cols;
    from.decode(view.data + static_cast<std::size_t>(r) * view.row_bytes, rows_, view.cols);
    const std::int64_t c = element % view.cols;
    const std::string what = element == bad.get() ? "which no number of fewer bits can stand for"
                                                  : fmt::format("too large for {}", info(t.to).name);
    return Status::error(Code::tensor, fmt::format("tensor {}: the weight in row {}, column {} is {}, {}",
                                                   quoted(t.from.name), first + r, c, rows_[c], what))
        .about(escaped(t.from.name));
  }

  const Library& library_;
  const QuantizeOptions& options_;
  const QuantizeJob& job_;
  const WeightStore& weights_;
  const std::uint64_t total_;
  std::uint64_t done_ = 0;
  std::unique_ptr<ThreadPool> pool_;
  Block scratch_;
  std::byte* out_ = nullptr;    ///< a chunk of the output
  float* means_ = nullptr;      ///< importance of the columns
  float* rows_ = nullptr;       ///< (threads, row_floats_)
  std::size_t row_floats_ = 0;
};

/// An output that is one of its inputs would take away what it is made from.
Status check_outputs(const Source& source, const QuantizeOptions& options, const QuantizeJob& job) {
  std::vector<struct stat> inputs;
  const auto add = [&](const std::string& path) {
    struct stat facts {};
    if (::stat(path.c_str(), &facts) == 0) inputs.push_back(facts);
  };
  if (source.kind == Source::Kind::path && job.files.size() == 1) add(source.path);
  for (std::size_t i = 0; job.files.size() > 1 && i < job.files.size(); ++i)
    add(part_path(source.path, i, job.files.size()));
  if (struct stat facts {}; source.kind == Source::Kind::fd && ::fstat(source.fd, &facts) == 0) inputs.push_back(facts);
  if (!options.imatrix.empty()) add(options.imatrix);
  for (const QuantizePlan::File& f : job.plan.files) {
    struct stat facts {};
    if (::stat(f.path.c_str(), &facts) != 0) continue;
    for (const struct stat& input : inputs) {
      if (facts.st_dev != input.st_dev || facts.st_ino != input.st_ino) continue;
      return Status::error(Code::argument, fmt::format("{} is both input and output; give the output another name",
                                                       quoted(f.path))).about(escaped(f.path));
    }
  }
  return {};
}

/// What was written is a model again, and each tensor is what the plan says.
Status check_written(const Library& library, const QuantizeJob& job,
                     const std::vector<std::unique_ptr<OutputFile>>& outputs, MemoryAccount& account,
                     const CancelFlag* cancel) {
  std::vector<MappedFile> files;
  std::vector<Bytes> bytes;
  for (const auto& output : outputs) {
    INFER_ASSIGN(MappedFile file,
                 MappedFile::open(Source::from_path(output->temporary()), {.cancel = cancel, .memory = &account}));
    files.push_back(std::move(file));
    bytes.push_back(files.back().bytes());
  }
  INFER_ASSIGN(const FormatParser* const parser, library.formats.require("gguf", Code::internal));
  INFER_ASSIGN(const ModelDescriptor model, parser->parse(bytes, cancel));
  const auto differs = [](std::string_view what) {
    return Status::error(Code::internal, fmt::format("the file that was written differs from its plan: {}", what));
  };
  if (model.tensors.size() != job.plan.tensors.size()) return differs("number of tensors");
  for (std::size_t i = 0; i < model.tensors.size();
       ++i) {  // files, and tensors in them, are in the order of the source
    const QuantizePlan::Tensor& wanted = job.plan.tensors[i];
    const TensorMeta& t = model.tensors[i];
    if (t.name != wanted.from.name || t.dtype != wanted.to || t.shape != wanted.from.shape || t.bytes != wanted.bytes) {
      return differs(fmt::format("tensor {}", quoted(wanted.from.name)));
    }
  }
  return {};
}

Status write_all(const Library& library, const QuantizeOptions& options, MemoryAccount& account, QuantizeJob& job,
                 std::vector<std::unique_ptr<OutputFile>>& outputs) {
  const WeightStore weights(std::move(job.files), job.model.tensors);
  INFER_ASSIGN(const Charge mapped, account.charge(MemoryClass::mapped, weights.mapped_bytes(), kPurpose));
  Encoding encoding(library, options, job, weights);
  INFER_TRY(encoding.prepare(account));
  for (std::size_t i = 0; i < job.writers.size(); ++i) {
    const QuantizePlan::File& f = job.plan.files[i];
    INFER_ASSIGN(std::unique_ptr<OutputFile> output, OutputFile::create(f.path, f.bytes, account));
    outputs.push_back(std::move(output));
    gguf::Writer& writer = job.writers[i];
    INFER_TRY(writer.begin(*outputs.back()));
    for (const std::size_t t : job.tensors_of[i]) INFER_TRY(encoding.write(job.plan.tensors[t], writer));
    INFER_TRY(writer.finish());
    INFER_TRY(outputs.back()->finish(options.cancel));
  }
  return {};
}

}  // namespace

Result<QuantizePlan> quantize(const Library& library, const Source& source, const std::string& path,
                              const QuantizeOptions& options) {
  const std::shared_ptr<MemoryAccount> account = options.memory ? options.memory : MemoryAccount::create();
  const auto make = [&]() -> Result<QuantizePlan> {
    INFER_ASSIGN(QuantizeJob job, prepare_quantize(library, source, path, options));
    INFER_TRY(check_outputs(source, options, job));
    for (const std::string& w : job.plan.warnings) options.log.log(LogLevel::warning, "quantize", w);

    std::vector<std::unique_ptr<OutputFile>> outputs;
    INFER_TRY(write_all(library, options, *account, job, outputs));
    INFER_TRY(check_written(library, job, outputs, *account, options.cancel));
    options.log.log(LogLevel::info, "quantize",
                    fmt::format("{} as {} is complete: {} bytes, {:.2f} bits per weight", escaped(path), job.plan.type,
                                job.plan.file_bytes(), job.plan.bits_per_weight()));
    if (is_cancelled(options.cancel)) return stopped();
    // From here on nothing takes memory. The first part last: without it the others are no model.
    for (auto output = outputs.rbegin(); output != outputs.rend(); ++output) INFER_TRY((*output)->commit());
    return std::move(job.plan);
  };
  Result<QuantizePlan> plan = make();
  if (!plan.ok()) options.log.log(LogLevel::error, "quantize", plan.status().message());
  return plan;
}

}  // namespace infer
