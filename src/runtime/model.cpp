// SPDX-License-Identifier: MIT
// Loading: open -> sniff -> parse -> choose the architecture -> configure -> bind -> tokenizer.
// Tested by tests/runtime/model_test.cpp.
#include "libinfer/model.h"

#include <fmt/format.h>

#include "formats/formats.h"
#include "libinfer/text.h"
#include "models/binder.h"

namespace infer {
namespace {

/// "dir/" of "dir/file.gguf", "" of "file.gguf".
std::string folder_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return std::string(slash == std::string_view::npos ? std::string_view() : path.substr(0, slash + 1));
}

/// The architecture to run the file as: the forced one, the one it names, or the one that its tensors look like.
Result<const Architecture*> choose(const Library& library, const ModelDescriptor& model, const std::string& forced) {
  if (!forced.empty()) return library.architectures.require(forced, Code::arch);
  if (!model.architecture.empty()) return library.architectures.require(model.architecture, Code::arch);
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
  std::shared_ptr<Model> model(new Model(std::move(library)));
  const auto failed = [&](Status s) {
    options.log.log(LogLevel::error, "model", s.message());
    return s;
  };
  std::vector<MappedFile> files;
  if (Status s = model->open_files(source, options, files); !s.ok()) return failed(std::move(s));
  model->weights_.emplace(std::move(files), model->descriptor_.tensors);
  model->kernels_ = model->library_->kernels.all().front();
  if (Status s = model->make_tokenizer(options); !s.ok()) return failed(std::move(s).with_context(source.describe()));
  if (!options.vocab_only) {
    if (Status s = model->bind(options); !s.ok()) return failed(std::move(s).with_context(source.describe()));
  }

  const ModelDescriptor& d = model->descriptor_;
  for (const std::string& w : d.warnings) options.log.log(LogLevel::warning, "model", w);
  options.log.log(LogLevel::info, "model",
                  fmt::format("loaded {}: {}, architecture {}, {} tensors, {} tokens, {} bytes mapped, {} bytes owned, kernels {}",
                              source.describe(), d.format, d.architecture, d.tensors.size(), d.tokenizer.tokens.size(),
                              model->memory()[MemoryClass::mapped], model->memory().owned(), model->kernels_->name));
  return std::shared_ptr<const Model>(std::move(model));
}

Status Model::open_files(const Source& source, const ModelOptions& options, std::vector<MappedFile>& files) {
  const OpenOptions open{.use_mmap = options.use_mmap, .progress = options.progress, .cancel = options.cancel};
  INFER_ASSIGN(MappedFile first, MappedFile::open(source, open));
  const FormatParser* parser = nullptr;
  for (const FormatParser* f : library_->formats.all()) {
    if (f->sniff(first.bytes())) {
      parser = f;
      break;
    }
  }
  const std::string name = source.describe();   // messages of open() have it already
  if (parser == nullptr) return Status::error(Code::format, describe_foreign(first.bytes())).with_context(name);

  const std::string folder = folder_of(source.path);
  const std::string_view file_name = std::string_view(source.path).substr(folder.size());
  Result<std::vector<std::string>> parts = parser->parts(first.bytes(), file_name, options.cancel);
  if (!parts.ok()) return std::move(parts).status().with_context(name);
  files.push_back(std::move(first));
  if (files.front().mapped() && !options.progress(files.front().bytes().size(), files.front().bytes().size())) {
    return Status::error(Code::cancelled, "the load was cancelled");
  }
  for (std::size_t i = 1; i < parts.value().size(); ++i) {
    const std::string path = folder + parts.value()[i];
    Result<MappedFile> part = MappedFile::open(Source::from_path(path), open);
    if (!part.ok()) {
      if (part.status().code() != Code::nofile) return std::move(part).status();
      return Status::error(Code::shard, fmt::format("part {} of {}, {}, is missing", i + 1, parts.value().size(), quoted(path)))
          .about(path)
          .with_context(name);
    }
    files.push_back(std::move(part).value());
  }

  std::vector<Bytes> bytes;
  for (const MappedFile& f : files) bytes.push_back(f.bytes());
  Result<ModelDescriptor> parsed = parser->parse(bytes, options.cancel);
  if (!parsed.ok()) return std::move(parsed).status().with_context(name);
  descriptor_ = std::move(parsed).value();
  return {};
}

Status Model::bind(const ModelOptions& options) {
  if (descriptor_.tensors.empty()) {
    return Status::error(Code::tensor,
                         "the file has a vocabulary but no tensors; it can tokenise (option vocab_only), not generate");
  }
  INFER_ASSIGN(const Architecture* const architecture, choose(*library_, descriptor_, options.architecture));
  if (descriptor_.architecture.empty()) {
    descriptor_.architecture = architecture->names.front();
    descriptor_.warnings.push_back(
        fmt::format("general.architecture is missing; read as '{}' because of its tensor names", descriptor_.architecture));
  }
  INFER_ASSIGN(DecoderConfig config, architecture->configure(descriptor_, descriptor_.warnings));
  decoder_.emplace();
  decoder_->architecture = architecture;
  decoder_->config = config;
  decoder_->layers.resize(static_cast<std::size_t>(config.n_layers));
  Binder binder(*weights_, *kernels_, library_->quants);
  architecture->bind(binder, *decoder_);
  binder.judge_unbound(descriptor_, config.n_layers, descriptor_.warnings);
  if (is_cancelled(options.cancel)) return Status::error(Code::cancelled, "the load was cancelled");
  return binder.finish();
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
  if (made.ok()) {
    tokenizer_ = std::move(made).value();
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

MemoryUse Model::memory() const noexcept {
  MemoryUse use;
  use[MemoryClass::mapped] = weights_->mapped_bytes();
  use[MemoryClass::weights] = weights_->owned_bytes();
  const TokenizerSpec& t = descriptor_.tokenizer;
  use[MemoryClass::vocab] = t.tokens.memory() + t.merges.memory() + t.scores.capacity() * sizeof(float) +
                            t.types.capacity() * sizeof(std::int32_t) + (tokenizer_ ? tokenizer_->memory() : 0);
  use[MemoryClass::other] = descriptor_.tensors.capacity() * sizeof(TensorMeta) +
                            descriptor_.metadata.capacity() * sizeof(MetaEntry) +
                            (decoder_ ? decoder_->layers.capacity() * sizeof(Layer) : 0);
  return use;
}

}  // namespace infer
