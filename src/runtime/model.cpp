// SPDX-License-Identifier: MIT
// Loading: open -> sniff -> parse -> choose the architecture -> configure -> bind -> tokenizer.
// Tested by tests/runtime/model_test.cpp.
#include "libinfer/model.h"

#include <algorithm>
#include <variant>

#include <fmt/format.h>

#include "libinfer/text.h"
#include "models/binder.h"
#include "src/runtime/model_files.h"
#include "src/runtime/packing.h"

namespace infer {
namespace {

constexpr MemoryPurpose kPurpose{"the model", "use a smaller model, or map its file (option use_mmap)"};

// A look at a header that is not mapped: how much is read first, and at most. Real headers are below 20 MB.
constexpr std::uint64_t kFirstHeader = std::uint64_t{1} << 20;
constexpr std::uint64_t kMaxHeader = std::uint64_t{1} << 28;

OpenOptions open_options(const ModelOptions& options, MemoryAccount& account) {
  return {.use_mmap = options.use_mmap, .progress = options.progress, .cancel = options.cancel, .memory = &account};
}

/// Errors that do not come from what a file says.
bool is_of_system(Code code) noexcept {
  return code == Code::cancelled || code == Code::io || code == Code::nofile || code == Code::permission ||
         code == Code::shard || code == Code::nomem;
}

// ---- memory in standard containers: an allocator's block has a head and whole units

constexpr std::uint64_t kIndexEntry = 64;   // of a hash map from a name to a pointer: node and slots

std::uint64_t block_of(std::uint64_t bytes) noexcept { return bytes == 0 ? 0 : (bytes + 8 + 15) / 16 * 16; }

std::uint64_t heap_of(const std::string& s) noexcept {
  return s.capacity() <= std::string().capacity() ? 0 : block_of(s.capacity() + 1);
}

struct HeapOf {
  std::uint64_t operator()(const std::string& s) const noexcept { return heap_of(s); }
  std::uint64_t operator()(const StringList& l) const noexcept { return l.memory(); }
  std::uint64_t operator()(const MovedArray& a) const noexcept { return heap_of(a.element_type); }
  std::uint64_t operator()(const std::vector<bool>& v) const noexcept { return block_of(v.capacity() / 8); }
  template <class T>
  std::uint64_t operator()(const std::vector<T>& v) const noexcept { return block_of(v.capacity() * sizeof(T)); }
  template <class T>
  std::uint64_t operator()(const T&) const noexcept { return 0; }   // a number
};

/// Layers, their experts, and which of them have a window.
std::uint64_t held_by(const Decoder& decoder) {
  std::uint64_t sum = decoder.layers.capacity() * sizeof(Layer) + decoder.config.local.capacity() / 8;
  for (const Layer& layer : decoder.layers) sum += block_of(layer.experts.each.capacity() * sizeof(FfnWeights));
  return sum;
}

/// The architecture to run the file as: the forced one, the one it names, or the one that its keys or tensors look like.
Result<const Architecture*> choose(const Library& library, const ModelDescriptor& model, const std::string& forced) {
  if (!forced.empty()) return library.architectures.require(forced, Code::arch);
  if (!model.architecture.empty()) return library.architectures.require(model.architecture, Code::arch);
  if (const Architecture* named = library.architectures.find(model.key_prefix)) return named;
  for (const Architecture* a : library.architectures.all()) {
    if (a->recognises(model)) return a;
  }
  return Status::error(Code::metadata,
                       "general.architecture is missing and the tensors look like no known architecture; known: " +
                           library.architectures.names() + "; the option 'architecture' can name one")
      .about("general.architecture");
}

}  // namespace

Result<std::shared_ptr<const Model>> Model::load(std::shared_ptr<const Library> library, const Source& source,
                                                 const ModelOptions& options) {
  const auto made = [&]() -> Result<std::shared_ptr<const Model>> {
    const bool reads = !options.use_mmap && source.kind != Source::Kind::memory;
    if (reads && options.memory && options.memory->budget() != MemoryAccount::kNoLimit) {   // judged before it is read
      INFER_ASSIGN(const std::shared_ptr<const Model> planned, plan(library, source, options));
      INFER_TRY(options.memory->check(planned->memory(), kPurpose).with_context(source.describe()));
    }
    return make(library, source, options, Depth::load);
  };
  Result<std::shared_ptr<const Model>> model = made();
  if (!model.ok()) {
    options.log.log(LogLevel::error, "model", model.status().message());
    return model;
  }
  const ModelDescriptor& d = model.value()->descriptor();
  for (const std::string& w : d.warnings) options.log.log(LogLevel::warning, "model", w);
  const MemoryUse use = model.value()->memory();
  options.log.log(LogLevel::info, "model",
                  fmt::format("loaded {}: {}, architecture {}, {} tensors, {} tokens, {} bytes mapped, {} bytes owned, kernels {}",
                              source.describe(), d.format, d.architecture, d.tensors.size(), d.tokenizer.tokens.size(),
                              use[MemoryClass::mapped], use.owned(), model.value()->kernels().name));
  return model;
}

Result<std::shared_ptr<const Model>> Model::plan(std::shared_ptr<const Library> library, const Source& source,
                                                 const ModelOptions& options) {
  ModelOptions o = options;
  o.memory = nullptr;
  o.progress = {};
  return make(std::move(library), source, o, Depth::plan);
}

Result<std::shared_ptr<const Model>> Model::make(std::shared_ptr<const Library> library, const Source& source,
                                                 const ModelOptions& options, Depth depth) {
  std::shared_ptr<Model> model(new Model(std::move(library)));
  model->account_ = options.memory ? options.memory : MemoryAccount::create();
  std::vector<MappedFile> files;
  if (depth == Depth::plan) {
    INFER_TRY(model->open_header(source, options, files));
  } else {
    INFER_TRY(open_model_files(*model->library_, source, open_options(options, *model->account_), files, model->descriptor_));
  }
  model->weights_.emplace(std::move(files), model->descriptor_.tensors, model->account_);
  INFER_ASSIGN(model->kernels_, choose_kernels(*model->library_));
  if (Status s = model->make_tokenizer(options); !s.ok()) return std::move(s).with_context(source.describe());
  const auto complete = [&]() -> Status {
    if (!options.vocab_only) {
      INFER_TRY(model->configure(options));
      INFER_TRY(model->bind_plan(options));
    }
    const std::uint64_t taken = model->weights_->owned_bytes();   // of files that were read
    model->use_ = model->held();
    model->use_[MemoryClass::mapped] = model->weights_->mapped_bytes();
    model->use_[MemoryClass::weights] = taken + model->weights_->planned_bytes() + model->panel_bytes_;
    if (depth == Depth::plan) return {};

    MemoryUse rest = model->use_;
    rest[MemoryClass::weights] -= taken;
    INFER_TRY(model->account_->check(rest, kPurpose));
    rest[MemoryClass::weights] = 0;   // taken as blocks, while binding
    INFER_ASSIGN(model->charge_, model->account_->charge(rest, kPurpose));
    return options.vocab_only ? Status() : model->bind(options);
  };
  if (Status s = complete(); !s.ok()) {
    if (!options.architecture.empty()) s = std::move(s).with_context(fmt::format("as '{}'", options.architecture));
    return std::move(s).with_context(source.describe());
  }
  const std::uint64_t mapped = model->use_[MemoryClass::mapped];
  if (depth == Depth::load && mapped > 0 && !options.progress(mapped, mapped)) {
    return Status::error(Code::cancelled, "the load was cancelled").with_context(source.describe());
  }
  return std::shared_ptr<const Model>(std::move(model));
}

/// Opens and parses without reading the weights. A file that is not mapped is read from its start, more and more of it until
/// the tensor data begins within what was read.
Status Model::open_header(const Source& source, const ModelOptions& options, std::vector<MappedFile>& files) {
  OpenOptions open = open_options(options, *account_);
  for (open.read_limit = kFirstHeader;; open.read_limit *= 4) {
    files.clear();
    Status status = open_model_files(*library_, source, open, files, descriptor_);
    std::vector<bool> seen;   // of each file: whether its header is known to be what was read
    bool whole = true;
    for (const MappedFile& f : files) {
      seen.push_back(f.mapped() || f.bytes().size() <= open.read_limit);
      whole = whole && seen.back();
    }
    if (whole || open.read_limit >= kMaxHeader) return status;
    if (is_of_system(status.code()) || status.code() == Code::format) return status;   // what a file is, its start says
    if (!status.ok()) continue;   // perhaps only because the rest was not read
    for (const TensorMeta& t : descriptor_.tensors) {
      if (t.offset <= open.read_limit) seen[static_cast<std::size_t>(t.file)] = true;
    }
    if (std::all_of(seen.begin(), seen.end(), [](bool known) { return known; })) return status;
  }
}

Status Model::configure(const ModelOptions& options) {
  if (descriptor_.tensors.empty()) {
    return Status::error(Code::tensor,
                         "the file has a vocabulary but no tensors; it can tokenise (option vocab_only), not generate");
  }
  INFER_ASSIGN(const Architecture* const architecture, choose(*library_, descriptor_, options.architecture));
  if (descriptor_.architecture.empty()) {
    const std::string_view name = descriptor_.key_prefix;
    descriptor_.architecture = answers_to(*architecture, name) ? name : architecture->names.front();
    descriptor_.warnings.push_back(
        fmt::format("general.architecture is missing; read as '{}' because of the names of its keys and tensors",
                    descriptor_.architecture));
  }
  if (!options.architecture.empty() && options.architecture != descriptor_.architecture) {
    descriptor_.warnings.push_back(
        fmt::format("run as '{}', which was asked for, and not as '{}'", options.architecture, descriptor_.architecture));
    descriptor_.architecture = options.architecture;
  }
  INFER_ASSIGN(DecoderConfig config, architecture->configure(descriptor_, descriptor_.warnings));
  decoder_.emplace();
  decoder_->architecture = architecture;
  decoder_->config = config;
  decoder_->layers.resize(static_cast<std::size_t>(config.n_layers));
  return {};
}

/// Binding once without touching a weight: counts what the real one will take, and complains of all it would.
Status Model::bind_plan(const ModelOptions& options) {
  weights_->plan(true);
  Binder binder(*weights_, *kernels_, library_->quants);
  decoder_->architecture->bind(binder, *decoder_);
  weights_->plan(false);
  binder.judge_unbound(descriptor_, decoder_->config.n_layers, descriptor_.warnings);
  INFER_TRY(binder.finish());
  if (options.pack) {
    INFER_ASSIGN(panel_bytes_, plan_panels(binder.products()));
  } else {
    panel_scratch_ = leave_unpacked(binder.products());
  }
  return {};
}

Status Model::bind(const ModelOptions& options) {
  Binder binder(*weights_, *kernels_, library_->quants);
  decoder_->architecture->bind(binder, *decoder_);
  INFER_TRY(weights_->status());
  INFER_TRY(binder.finish());
  if (options.pack) return pack_weights(binder.products(), *weights_, *account_, options);
  leave_unpacked(binder.products());
  return {};
}

Status Model::make_tokenizer(const ModelOptions& options) {
  const TokenizerSpec& spec = descriptor_.tokenizer;
  const auto make = [&]() -> Result<std::unique_ptr<Tokenizer>> {
    if (spec.model.empty()) return Status::error(Code::vocab, "the file has no tokenizer (tokenizer.ggml.model is missing)");
    INFER_ASSIGN(const TokenizerKind* const kind, library_->tokenizers.require(spec.model, Code::vocab));
    if (const TensorMeta* embedding = descriptor_.find_tensor("token_embd.weight")) {
      const std::int64_t rows = embedding->shape.rows();
      if (!spec.tokens.empty() && spec.tokens.size() != static_cast<std::size_t>(rows)) {
        return Status::error(Code::vocab, fmt::format("tokenizer.ggml.tokens has {} tokens, token_embd.weight {} rows",
                                                      spec.tokens.size(), rows))
            .about("tokenizer.ggml.tokens");
      }
    }
    return kind->make(spec, options.cancel, descriptor_.warnings);
  };
  Result<std::unique_ptr<Tokenizer>> made = make();
  if (!made.ok() && made.status().code() == Code::pretokenizer && options.allow_default_pretokenizer) {
    descriptor_.warnings.push_back(fmt::format("tokenizer.ggml.pre is {}, which is unknown; text is split by the rule 'default', "
                                               "which may not be the model's (option allow_default_pretokenizer)",
                                               quoted(descriptor_.tokenizer.pre)));
    descriptor_.tokenizer.pre = "default";
    made = make();
  }
  if (made.ok()) {
    tokenizer_ = std::move(made).value();
    for (Token token = 0; token < tokenizer_->size(); ++token) {
      longest_piece_ = std::max(longest_piece_, tokenizer_->piece(token, true).size());   // control tokens may be shown
    }
  } else if (made.status().code() == Code::cancelled) {
    return std::move(made).status();
  } else {
    tokenizer_status_ = std::move(made).status();
    descriptor_.warnings.push_back(fmt::format("no tokenizer: {}", tokenizer_status_.message()));
  }
  return {};
}

Result<const Tokenizer*> Model::tokenizer() const {
  if (tokenizer_ == nullptr) return tokenizer_status_.clone();
  return static_cast<const Tokenizer*>(tokenizer_.get());
}

std::int64_t Model::n_vocab() const noexcept {
  return decoder_ ? decoder_->config.n_vocab : static_cast<std::int64_t>(descriptor_.tokenizer.tokens.size());
}

/// What lies in standard containers, to a few per cent: their bytes and those of the blocks' heads.
MemoryUse Model::held() const {
  const TokenizerSpec& t = descriptor_.tokenizer;
  MemoryUse use;
  use[MemoryClass::vocab] = t.tokens.memory() + t.merges.memory() + t.scores.capacity() * sizeof(float) +
                            t.types.capacity() * sizeof(std::int32_t) + heap_of(t.model) + heap_of(t.pre) +
                            heap_of(t.architecture) + heap_of(t.charsmap) +
                            t.chat_templates.capacity() * sizeof(ChatTemplateText) + (tokenizer_ ? tokenizer_->memory() : 0);
  for (const ChatTemplateText& text : t.chat_templates) use[MemoryClass::vocab] += heap_of(text.name) + heap_of(text.text);
  std::uint64_t other = sizeof(Model) + descriptor_.tensors.capacity() * sizeof(TensorMeta) +
                        descriptor_.metadata.capacity() * sizeof(MetaEntry) +
                        (decoder_ ? held_by(*decoder_) : 0);
  for (const TensorMeta& tensor : descriptor_.tensors) other += heap_of(tensor.name) + kIndexEntry;
  for (const MetaEntry& entry : descriptor_.metadata) {
    other += heap_of(entry.key) + heap_of(entry.type) + std::visit(HeapOf{}, entry.value);
  }
  use[MemoryClass::other] = other;
  return use;
}

}  // namespace infer
