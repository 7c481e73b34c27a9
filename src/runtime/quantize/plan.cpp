// SPDX-License-Identifier: MIT
// See plan.h.
#include "src/runtime/quantize/plan.h"

#include <algorithm>

#include <fmt/format.h>

#include "libinfer/text.h"
#include "src/base/checked.h"
#include "src/runtime/model_files.h"

namespace infer {
namespace {

/// A row longer than this is no row of a matrix: it would have to be in memory as a whole.
constexpr std::int64_t kMaxCols = std::int64_t{1} << 24;

struct Override {
  std::string_view pattern;
  DType type = DType::f32;
  bool used = false;
};

Result<std::vector<Override>> read_overrides(const std::vector<std::string>& texts) {
  std::vector<Override> overrides;
  for (const std::string& text : texts) {
    const std::size_t equals = text.rfind('=');
    if (equals == 0 || equals == std::string::npos) {
      return Status::error(Code::argument, fmt::format("{} is not PATTERN=TYPE", quoted(text))).about("tensor_type");
    }
    Override o{std::string_view(text).substr(0, equals)};
    Result<DType> type = find_dtype(std::string_view(text).substr(equals + 1));
    if (!type.ok())
      return std::move(type).status().with_context(fmt::format("tensor_type {}", quoted(text))).about("tensor_type");
    o.type = type.value();
    overrides.push_back(o);
  }
  return overrides;
}

Result<std::optional<DType>> read_type(const std::string& name, const char* option) {
  if (name.empty()) return std::optional<DType>();
  Result<DType> type = find_dtype(name);
  if (!type.ok()) return std::move(type).status().with_context(option).about(option);
  return std::optional<DType>(type.value());
}

Status tensor_error(Code code, const TensorMeta& tensor, std::string_view what) {
  return Status::error(code, fmt::format("tensor {}: {}", quoted(tensor.name), what)).about(escaped(tensor.name));
}

/// Of each attention value of its own, how many come before it: by layer, then as the file has them.
std::vector<std::int64_t> attention_ranks(const std::vector<TensorMeta>& tensors) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (tensors[i].name.find("attn_v.weight") != std::string::npos) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return layer_of(tensors[a].name) < layer_of(tensors[b].name); });
  std::vector<std::int64_t> ranks(tensors.size(), 0);
  for (std::size_t i = 0; i < order.size(); ++i) ranks[order[i]] = static_cast<std::int64_t>(i);
  return ranks;
}

/// Chooses types: the caller's words before the mix's rule.
class Chooser {
 public:
  static Result<Chooser> create(const QuantizeOptions& options, const Mix& mix, const ModelFacts& facts) {
    Chooser c(options, mix, facts);
    INFER_ASSIGN(c.overrides_, read_overrides(options.tensor_types));
    INFER_ASSIGN(c.output_, read_type(options.output_type, "output_type"));
    INFER_ASSIGN(c.embedding_, read_type(options.token_embedding_type, "token_embedding_type"));
    return c;
  }

  /// Of a quantisable tensor.
  Result<DType> type_of(const TensorMeta& tensor, std::int64_t rank, std::vector<std::string>& warnings) {
    if (const std::optional<DType> named = named_type(tensor)) {
      if (tensor.shape.cols() % info(*named).block_elems == 0) return *named;
      return tensor_error(Code::quant_type, tensor, fmt::format("rows of {} elements are not whole {} blocks of {}",
                                                                tensor.shape.cols(), info(*named).name,
                                                                info(*named).block_elems));
    }
    const DType wanted = options_.pure ? mix_.base : rule_type(mix_, facts_, tensor, rank);
    const DType type = fallback_type(wanted, tensor.shape.cols());
    if (type != wanted) {
      warnings.push_back(fmt::format("tensor {}: rows of {} elements are not whole {} blocks of {}; {} instead",
                                     quoted(tensor.name), tensor.shape.cols(), info(wanted).name,
                                     info(wanted).block_elems, info(type).name));
    }
    return type;
  }

  /// After all tensors: a pattern that matched none is a mistake.
  Status finish() const {
    for (const Override& o : overrides_) {
      if (o.used) continue;
      return Status::error(
                 Code::argument,
                 fmt::format("the pattern {} matches no tensor that is quantised; it is held against whole names, "
                             "such as blk.0.ffn_down.weight, and * stands for any characters",
                             quoted(o.pattern)))
          .about("tensor_type");
    }
    return {};
  }

 private:
  Chooser(const QuantizeOptions& options, const Mix& mix, const ModelFacts& facts)
      : options_(options), mix_(mix), facts_(facts) {}

  std::optional<DType> named_type(const TensorMeta& tensor) {
    std::optional<DType> type;
    for (Override& o : overrides_) {
      if (!glob_matches(o.pattern, tensor.name)) continue;
      o.used = true;   // also where an earlier one holds
      if (!type) type = o.type;
    }
    const bool is_embedding = tensor.name == "token_embd.weight";
    if (!type && is_embedding) type = embedding_;
    if (!type && (tensor.name == "output.weight" || (is_embedding && !facts_.has_output))) type = output_;
    return type;
  }

  const QuantizeOptions& options_;
  const Mix& mix_;
  const ModelFacts& facts_;
  std::vector<Override> overrides_;
  std::optional<DType> output_, embedding_;
};

/// Whether the tensor can be brought from its type to the other.
Status check_conversion(const Library& library, const QuantizeOptions& options, const QuantizePlan::Tensor& t) {
  const DTypeInfo& from = info(t.from.dtype);
  const DTypeInfo& to = info(t.to);
  const QuantFormat* const source = find_format(library, t.from.dtype);
  const QuantFormat* const target = find_format(library, t.to);
  if (from.block_elems > 1 && to.block_elems > 1 && !options.allow_requantize) {
    return tensor_error(
        Code::quant_type, t.from,
        fmt::format("is {} already; {} from it is worse than from the original model, which should be used; "
                    "the option allow_requantize does it all the same",
                    from.name, to.name));
  }
  if (source == nullptr) return tensor_error(Code::quant_type, t.from, fmt::format("{} cannot be read", from.name));
  if (target == nullptr || target->encode == nullptr) {
    return tensor_error(Code::quant_type, t.from, fmt::format("{} cannot be produced", to.name));
  }
  if (target->needs_importance && !t.has_importance) {
    const char* const why =
        options.imatrix.empty() ? "and none is given (option imatrix; infer imatrix makes one)"
                                : "and the one given does not speak of it; give it another type by the option tensor_type";
    return tensor_error(Code::quant_type, t.from, fmt::format("{} needs an importance matrix, {}", to.name, why));
  }
  if (t.from.shape.cols() > kMaxCols) {
    return tensor_error(Code::limit, t.from,
                        fmt::format("rows of {} elements are longer than {}", t.from.shape.cols(), kMaxCols));
  }
  return {};
}

/// Finds the tensor in the importance matrix; there it must have its shape.
Status look_up_importance(const gguf::Imatrix& imatrix, QuantizePlan::Tensor& t) {
  const gguf::ImatrixEntry* const entry = imatrix.find(t.from.name);
  if (entry == nullptr) return {};
  const Shape& s = t.from.shape;
  if (entry->cols != s.cols() || entry->n_matrices != s.dims[2] * s.dims[3]) {
    return tensor_error(
        Code::tensor, t.from,
        fmt::format("shape {}, but the importance matrix has {} columns of {} matrices: it is of another model",
                    to_string(s), entry->cols, entry->n_matrices));
  }
  t.has_importance = true;
  return {};
}

/// A matrix that speaks of no tensor of the model is of another one.
Status check_importance(const QuantizeOptions& options, const QuantizeJob& job) {
  if (options.imatrix.empty()) return {};
  for (const TensorMeta& t : job.model.tensors) {
    if (job.imatrix.find(t.name) != nullptr) return {};
  }
  return Status::error(Code::tensor, fmt::format("{}: the importance matrix speaks of no tensor of this model: it is of another "
                                                 "one", quoted(options.imatrix)))
      .about(escaped(options.imatrix));
}

Status choose_types(const Library& library, const QuantizeOptions& options, QuantizeJob& job) {
  const ModelFacts facts = facts_of(job.model, !options.imatrix.empty());
  INFER_ASSIGN(Chooser chooser, Chooser::create(options, *job.mix, facts));
  const std::vector<std::int64_t> ranks = attention_ranks(job.model.tensors);
  INFER_TRY(check_importance(options, job));
  std::size_t without = 0;
  std::string example;
  for (std::size_t i = 0; i < job.model.tensors.size(); ++i) {
    QuantizePlan::Tensor t;
    t.from = job.model.tensors[i];
    t.to = t.from.dtype;
    if (is_quantizable(t.from)) {
      INFER_ASSIGN(t.to, chooser.type_of(t.from, ranks[i], job.plan.warnings));
    }
    t.bytes = t.from.bytes;
    if (t.to != t.from.dtype) {
      INFER_TRY(look_up_importance(job.imatrix, t));
      INFER_TRY(check_conversion(library, options, t));
      if (!options.imatrix.empty() && !t.has_importance && info(t.to).block_elems > 1 && without++ == 0) example = t.from.name;
      const auto n_blocks =
          static_cast<std::uint64_t>(t.from.shape.rows() * t.from.shape.cols()) / info(t.to).block_elems;
      const std::optional<std::uint64_t> bytes = checked_mul(n_blocks, info(t.to).block_bytes);
      if (!bytes) return tensor_error(Code::limit, t.from, fmt::format("is too large for {}", info(t.to).name));
      t.bytes = *bytes;
    }
    job.plan.tensors.push_back(std::move(t));
  }
  if (without > 0) {
    job.plan.warnings.push_back(fmt::format("the importance matrix does not speak of {} of the tensors, {} among them: all their "
                                            "columns count alike",
                                            without, quoted(example)));
  }
  return chooser.finish();
}

/// "matrix.gguf" of a path: a file tells nothing of its maker's folders.
std::string file_name_of(const std::string& path) { return path.substr(folder_of(path).size()); }

/// Keys of the source, and what has changed.
Status write_keys(const QuantizeOptions& options, const QuantizeJob& job, bool first, gguf::Writer& writer) {
  if (!options.keep_split) writer.remove_keys("split.");
  if (!first) return {};
  writer.set("general.quantization_version", std::uint32_t{2});
  writer.set("general.file_type", job.mix->file_type);
  if (options.imatrix.empty()) return {};
  writer.set("quantize.imatrix.file", file_name_of(options.imatrix));
  if (!job.imatrix.datasets.empty()) writer.set("quantize.imatrix.dataset", file_name_of(job.imatrix.datasets.front()));
  writer.set("quantize.imatrix.entries_count", static_cast<std::uint32_t>(job.imatrix.entries.size()));
  writer.set("quantize.imatrix.chunks_count", static_cast<std::uint32_t>(job.imatrix.chunk_count));
  return {};
}

Status lay_out_files(const QuantizeOptions& options, std::string_view path, QuantizeJob& job) {
  const std::size_t n_files = options.keep_split ? job.files.size() : 1;
  job.writers.resize(n_files);
  job.tensors_of.resize(n_files);
  for (std::size_t i = 0; i < job.plan.tensors.size(); ++i) {
    const QuantizePlan::Tensor& t = job.plan.tensors[i];
    const std::size_t file = options.keep_split ? static_cast<std::size_t>(t.from.file) : 0;
    INFER_TRY(job.writers[file].add_tensor(t.from.name, t.to, t.from.shape));
    job.tensors_of[file].push_back(i);
  }
  for (std::size_t i = 0; i < n_files; ++i) {
    gguf::Writer& writer = job.writers[i];
    INFER_TRY(writer.copy_keys(job.files[i].bytes(), options.cancel));
    INFER_TRY(write_keys(options, job, i == 0, writer));
    INFER_ASSIGN(const std::uint64_t bytes, writer.file_bytes());
    const std::string name(path);
    job.plan.files.push_back({path.empty() || n_files == 1 ? name : part_path(path, i, n_files), bytes});
  }
  return {};
}

}  // namespace

const QuantFormat* find_format(const Library& library, DType type) noexcept {
  const auto at = std::find_if(library.quants.begin(), library.quants.end(),
                               [&](const QuantFormat* q) { return q->dtype == type; });
  return at == library.quants.end() ? nullptr : *at;
}

bool glob_matches(std::string_view pattern, std::string_view name) noexcept {
  // On a mismatch the last * takes one character more: no recursion, and no more steps than pattern times name.
  std::size_t p = 0, n = 0, star = std::string_view::npos, taken = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      taken = n;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
      ++p, ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++taken;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

std::string part_path(std::string_view path, std::size_t part, std::size_t count) {
  constexpr std::string_view kEnd = ".gguf";
  if (path.ends_with(kEnd)) path.remove_suffix(kEnd.size());
  const std::string of = fmt::format("-of-{:05}", count);
  constexpr std::size_t kNumber = 6;   // "-00001"
  if (path.ends_with(of) && path.size() > of.size() + kNumber) {
    const std::string_view number = path.substr(path.size() - of.size() - kNumber, kNumber);
    if (number[0] == '-' && number.find_first_not_of("0123456789", 1) == std::string_view::npos) {
      path.remove_suffix(of.size() + kNumber);
    }
  }
  return fmt::format("{}-{:05}{}{}", path, part + 1, of, kEnd);
}

Result<QuantizeJob> prepare_quantize(const Library& library, const Source& source, std::string_view path,
                                     const QuantizeOptions& options) {
  QuantizeJob job;
  if (options.type.empty()) return Status::error(Code::argument, "no type is given; such as Q4_K_M").about("type");
  INFER_ASSIGN(job.mix, find_mix(options.type));
  job.plan.type = job.mix->name;
  const OpenOptions open{.use_mmap = true, .cancel = options.cancel, .memory = options.memory.get()};
  INFER_TRY(open_model_files(library, source, open, job.files, job.model));
  job.plan.warnings = job.model.warnings;
  job.model.tokenizer = {};   // keys are copied as they lie in the file
  job.model.metadata = {};
  if (job.model.tensors.empty())
    return Status::error(Code::tensor, "the file has no tensors").with_context(source.describe());

  if (!options.imatrix.empty()) {
    INFER_ASSIGN(MappedFile file, MappedFile::open(Source::from_path(options.imatrix), open));
    job.imatrix_file.emplace(std::move(file));
    Result<gguf::Imatrix> imatrix = gguf::read_imatrix(job.imatrix_file->bytes(), options.cancel);
    if (!imatrix.ok()) return std::move(imatrix).status().with_context(escaped(options.imatrix));
    job.imatrix = std::move(imatrix).value();
  }
  const auto plan = [&]() -> Status {
    INFER_TRY(choose_types(library, options, job));
    return lay_out_files(options, path, job);
  };
  if (Status status = plan(); !status.ok()) {
    return status.code() == Code::argument ? std::move(status) : std::move(status).with_context(source.describe());
  }
  return job;
}

std::uint64_t QuantizePlan::bytes_from() const noexcept {
  std::uint64_t sum = 0;
  for (const Tensor& t : tensors) sum += t.from.bytes;
  return sum;
}

std::uint64_t QuantizePlan::bytes_to() const noexcept {
  std::uint64_t sum = 0;
  for (const Tensor& t : tensors) sum += t.bytes;
  return sum;
}

std::uint64_t QuantizePlan::file_bytes() const noexcept {
  std::uint64_t sum = 0;
  for (const File& f : files) sum += f.bytes;
  return sum;
}

double QuantizePlan::bits_per_weight() const noexcept {
  double weights = 0;
  for (const Tensor& t : tensors)
    weights += static_cast<double>(t.from.shape.rows()) * static_cast<double>(t.from.shape.cols());
  return weights == 0 ? 0 : 8 * static_cast<double>(bytes_to()) / weights;
}

Result<QuantizePlan> plan_quantize(const Library& library, const Source& source, const QuantizeOptions& options) {
  INFER_ASSIGN(QuantizeJob job, prepare_quantize(library, source, {}, options));
  return std::move(job.plan);
}

}  // namespace infer
