// SPDX-License-Identifier: MIT
// See model_files.h.
#include "src/runtime/model_files.h"

#include <fmt/format.h>

#include "formats/formats.h"
#include "libinfer/text.h"

namespace infer {

Status open_model_files(const Library& library, const Source& source, const OpenOptions& options,
                        std::vector<MappedFile>& files, ModelDescriptor& descriptor) {
  INFER_ASSIGN(MappedFile first, MappedFile::open(source, options));
  const FormatParser* parser = nullptr;
  for (const FormatParser* f : library.formats.all()) {
    if (f->sniff(first.bytes())) {
      parser = f;
      break;
    }
  }
  const std::string name = source.describe();   // messages of open() have it already
  if (parser == nullptr) return Status::error(Code::format, describe_foreign(first.bytes())).with_context(name);

  const std::string folder = folder_of(source.path);
  const std::string_view file_name = std::string_view(source.path).substr(folder.size());
  files.push_back(std::move(first));   // with errors too: whether all of it was read decides what they mean
  Result<std::vector<std::string>> parts = parser->parts(files.front().bytes(), file_name, options.cancel);
  if (!parts.ok()) return std::move(parts).status().with_context(name);
  if (files.front().mapped() && !options.progress(0, files.front().bytes().size())) {
    return Status::error(Code::cancelled, "the load was cancelled");
  }
  for (std::size_t i = 1; i < parts.value().size(); ++i) {
    const std::string path = folder + parts.value()[i];
    Result<MappedFile> part = MappedFile::open(Source::from_path(path), options);
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
  descriptor = std::move(parsed).value();
  return {};
}

}  // namespace infer
