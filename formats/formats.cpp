// SPDX-License-Identifier: MIT
// The table of formats. A new one is a file with a FormatParser and one name here. Below it: the kinds of file that
// people give by mistake. Tested by tests/formats/formats_test.cpp.
#include "formats/formats.h"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

#include "libinfer/text.h"
#include "src/base/checked.h"

namespace infer {

extern const FormatParser gguf_parser;   // formats/gguf.cpp

namespace {

constexpr const FormatParser* kFormats[] = {&gguf_parser};

/// A kind of file that is known by its first bytes.
struct Foreign {
  std::string_view magic;
  const char* text;
};

using namespace std::string_view_literals;   // magics may hold NULs

constexpr Foreign kForeign[] = {
    {"version https://git-lfs"sv, "this is a Git LFS pointer, not a model; run `git lfs pull` to get the file itself"},
    {"FUGG"sv, "this is a big-endian GGUF file; only little-endian files are supported"},
    {"lmgg"sv, "this is a GGML file from before GGUF; convert the original model to GGUF"},
    {"tjgg"sv, "this is a GGJT file from before GGUF; convert the original model to GGUF"},
    {"fmgg"sv, "this is a GGMF file from before GGUF; convert the original model to GGUF"},
    {"algg"sv, "this is a GGLA adapter from before GGUF, not a model; convert the original adapter to GGUF"},
    {"GGML"sv, "this is a GGML file from before GGUF; convert the original model to GGUF"},
    {"GGJT"sv, "this is a GGJT file from before GGUF; convert the original model to GGUF"},
    {"GGMF"sv, "this is a GGMF file from before GGUF; convert the original model to GGUF"},
    {"GGLA"sv, "this is a GGLA adapter from before GGUF, not a model; convert the original adapter to GGUF"},
    {"ggml"sv, "this is a GGML file from before GGUF; convert the original model to GGUF"},
    {"ggjt"sv, "this is a GGJT file from before GGUF; convert the original model to GGUF"},
    {"ggmf"sv, "this is a GGMF file from before GGUF; convert the original model to GGUF"},
    {"ggla"sv, "this is a GGLA adapter from before GGUF, not a model; convert the original adapter to GGUF"},
    {"PK\x03\x04"sv, "this is a ZIP archive, such as a PyTorch checkpoint; convert the model to GGUF"},
    {"\x80\x02"sv, "this is a Python pickle, such as an old PyTorch checkpoint; convert the model to GGUF"},
    {"\x89HDF\r\n\x1a\n"sv, "this is an HDF5 file; convert the model to GGUF"},
    {"\x93NUMPY"sv, "this is a NumPy array, not a model"},
    {"\x89PNG\r\n\x1a\n"sv, "this is a PNG image, not a model"},
    {"\xff\xd8\xff"sv, "this is a JPEG image, not a model"},
    {"GIF8"sv, "this is a GIF image, not a model"},
    {"%PDF-"sv, "this is a PDF document, not a model"},
    {"\x1f\x8b"sv, "this is a gzip archive; decompress it and give the file that comes out"},
    {"\x28\xb5\x2f\xfd"sv, "this is a Zstandard archive; decompress it and give the file that comes out"},
    {"BZh"sv, "this is a bzip2 archive; decompress it and give the file that comes out"},
    {"\xfd"
     "7zXZ\0"sv, "this is an xz archive; decompress it and give the file that comes out"},
    {"7z\xbc\xaf\x27\x1c"sv, "this is a 7z archive; unpack it and give the model file in it"},
    {"\x7f"
     "ELF"sv, "this is an ELF program or library, not a model"},
    {"MZ"sv, "this is a Windows program, not a model"},
    {"#!"sv, "this is a script, not a model"},
};

constexpr std::size_t kProbeBytes = 512;
constexpr std::size_t kShownBytes = 16;

/// A tar archive has its mark in the middle of the first header.
bool is_tar(std::string_view start) { return start.size() >= 262 && start.substr(257, 5) == "ustar"; }

/// 64-bit length of a JSON header, then the header.
bool is_safetensors(Bytes file) {
  if (file.size() < 10 || file[8] != std::byte{'{'}) return false;
  std::uint64_t header = 0;
  for (std::size_t i = 8; i-- > 0;) header = header << 8 | std::to_integer<std::uint64_t>(file[i]);
  return header >= 2 && inside(8, header, file.size());
}

bool starts_with_ignoring_case(std::string_view text, std::string_view lower) {
  const auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b; };
  return text.size() >= lower.size() && std::equal(lower.begin(), lower.end(), text.begin(),
                                                   [&](char b, char a) { return same(a, b); });
}

/// Whether the bytes read as text; `whole` says that no character can be cut off at their end.
bool is_text(std::string_view start, bool whole) {
  for (const char c : start) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte == 0x7F || (byte < 0x20 && c != '\n' && c != '\r' && c != '\t' && c != '\f')) return false;
  }
  for (int cut = 0; cut < (whole ? 1 : 4); ++cut) {
    if (is_utf8(start.substr(0, start.size() - static_cast<std::size_t>(cut)))) return true;
  }
  return false;
}

std::string first_bytes(Bytes file) {
  std::string hex;
  for (const std::byte b : file.first(std::min(file.size(), kShownBytes))) {
    hex += fmt::format("{}{:02x}", hex.empty() ? "" : " ", std::to_integer<unsigned>(b));
  }
  return hex;
}

}  // namespace

std::span<const FormatParser* const> builtin_formats() noexcept { return kFormats; }

std::string describe_foreign(Bytes file) {
  if (file.empty()) return "file is empty";
  const std::string_view start(reinterpret_cast<const char*>(file.data()), std::min(file.size(), kProbeBytes));
  for (const Foreign& kind : kForeign) {
    if (start.starts_with(kind.magic)) return kind.text;
  }
  if (is_safetensors(file)) return "this is a safetensors file; convert the model to GGUF";
  if (is_tar(start)) return "this is a tar archive; unpack it and give the model file in it";

  if (is_text(start, start.size() == file.size())) {
    std::string_view text = start.substr(start.starts_with("\xEF\xBB\xBF") ? 3 : 0);
    text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n\f"), text.size()));
    if (starts_with_ignoring_case(text, "<!doctype html") || starts_with_ignoring_case(text, "<html")) {
      return "this is an HTML page, perhaps an error page saved instead of the download; download the model again";
    }
    if (text.starts_with('<')) return "this is an XML document, not a model";
    if (text.starts_with('{') || text.starts_with('[')) {
      return "this is JSON text, not a model; give the path of the .gguf file";
    }
    return fmt::format("this is plain text, not a model; it begins with {}", quoted(text.substr(0, 32)));
  }
  return fmt::format("this is not a file of a known kind; its first bytes are {}", first_bytes(file));
}

}  // namespace infer
