// SPDX-License-Identifier: MIT
// Tests of formats/formats.h: the table of formats, and the kinds of file that are named when none of them fits.
#include "formats/formats.h"

#include <gtest/gtest.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "libinfer/text.h"

namespace infer {
namespace {

Bytes bytes_of(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }

std::string describe(std::string_view text) { return describe_foreign(bytes_of(text)); }

bool sniffed(std::string_view text) {
  for (const FormatParser* format : builtin_formats()) {
    if (format->sniff(bytes_of(text))) return true;
  }
  return false;
}

TEST(Formats, TheTableHasGguf) {
  ASSERT_EQ(builtin_formats().size(), 1U);
  EXPECT_EQ(builtin_formats()[0]->name, "gguf");
}

TEST(Formats, GgufIsKnownByItsFirstFourBytes) {
  EXPECT_TRUE(sniffed("GGUF\x03"));
  EXPECT_FALSE(sniffed("GGML\x03"));
  EXPECT_FALSE(sniffed("gguf"));
  EXPECT_FALSE(sniffed(" GGUF"));
}

TEST(Formats, TheBeginningOfTheMagicCountsAsATruncatedFile) {
  EXPECT_TRUE(sniffed("G"));
  EXPECT_TRUE(sniffed("GGU"));
  EXPECT_FALSE(sniffed("GGX"));
  EXPECT_FALSE(sniffed(""));
}

struct Kind {
  const char* name;
  std::string file;
  const char* text;
};

std::string tar_header() {
  std::string header(512, '\0');
  header.replace(0, 10, "model.gguf");
  header.replace(257, 5, "ustar");
  return header;
}

/// A length and a JSON header, as long as the length says or cut off.
std::string safetensors(bool whole) {
  const std::string json = R"({"weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  std::string file(8, '\0');
  file[0] = static_cast<char>(json.size());
  return file + (whole ? json : json.substr(0, 12));
}

const Kind kKinds[] = {
    {"GitLfsPointer", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
     "this is a Git LFS pointer, not a model; run `git lfs pull`"},
    {"Png", "\x89PNG\r\n\x1a\n", "this is a PNG image"},
    {"Jpeg", "\xff\xd8\xff\xe0", "this is a JPEG image"},
    {"Gif", "GIF89a", "this is a GIF image"},
    {"Pdf", "%PDF-1.7\n", "this is a PDF document"},
    {"Zip", "PK\x03\x04\x14", "this is a ZIP archive, such as a PyTorch checkpoint"},
    {"Pickle", "\x80\x02}q", "this is a Python pickle"},
    {"Hdf5", "\x89HDF\r\n\x1a\n", "this is an HDF5 file"},
    {"Numpy", "\x93NUMPY\x01", "this is a NumPy array"},
    {"Safetensors", safetensors(true), "this is a safetensors file"},
    {"HtmlPage", "<!DOCTYPE html>\n<html>404</html>", "this is an HTML page"},
    {"HtmlInLowerCase", "\n\n  <html><body>", "this is an HTML page"},
    {"HtmlWithByteOrderMark", "\xef\xbb\xbf<!doctype HTML>", "this is an HTML page"},
    {"Xml", "<?xml version=\"1.0\"?><Error>", "this is an XML document"},
    {"Json", "{\"error\":\"not found\"}", "this is JSON text"},
    {"Gzip", "\x1f\x8b\x08", "this is a gzip archive; decompress it"},
    {"Zstandard", "\x28\xb5\x2f\xfd", "this is a Zstandard archive"},
    {"Bzip2", "BZh9", "this is a bzip2 archive"},
    {"Xz", std::string("\xfd" "7zXZ\0", 6), "this is an xz archive"},
    {"SevenZip", "7z\xbc\xaf\x27\x1c", "this is a 7z archive"},
    {"Tar", tar_header(), "this is a tar archive"},
    {"Elf", "\x7f" "ELF\x02", "this is an ELF program"},
    {"WindowsProgram", "MZ\x90", "this is a Windows program"},
    {"Script", "#!/bin/sh\n", "this is a script"},
    {"GgmlAsWritten", "lmgg\x01", "this is a GGML file from before GGUF; convert"},
    {"GgmlBigEndian", "ggml\x01", "this is a GGML file"},
    {"Ggjt", "tjgg\x03", "this is a GGJT file"},
    {"Ggmf", "fmgg\x01", "this is a GGMF file"},
    {"Ggla", "algg\x01", "this is a GGLA adapter"},
    {"BigEndianGguf", "FUGG\x03", "this is a big-endian GGUF file; only little-endian"},
    {"PlainText", "Happy families are all alike.\n",
     "this is plain text, not a model; it begins with 'Happy families are all alike.\\x0a'"},
    {"Binary", std::string("\x01\x02\x00\xfe", 4),
     "this is not a file of a known kind; its first bytes are 01 02 00 fe"},
    {"SafetensorsCutOff", safetensors(false), "this is not a file of a known kind"},
    {"Empty", "", "file is empty"},
};

class ForeignFile : public ::testing::TestWithParam<Kind> {};

TEST_P(ForeignFile, IsNamed) {
  EXPECT_FALSE(sniffed(GetParam().file));
  EXPECT_TRUE(describe(GetParam().file).starts_with(GetParam().text)) << describe(GetParam().file);
}

INSTANTIATE_TEST_SUITE_P(Kinds, ForeignFile, ::testing::ValuesIn(kKinds),
                         [](const auto& test) { return test.param.name; });

TEST(ForeignFiles, TextIsRecognisedThoughACharacterIsCutAtTheEndOfTheProbe) {
  for (std::size_t lead = 0; lead < 4; ++lead) {
    std::string text(lead, 'a');
    while (text.size() < 2000) text += "\xf0\x9f\x98\x80";   // U+1F600
    EXPECT_TRUE(describe(text).starts_with("this is plain text")) << lead;
  }
}

TEST(ForeignFiles, TextThatEndsInHalfACharacterIsNotText) {
  EXPECT_TRUE(describe("half a character \xf0\x9f").starts_with("this is not a file of a known kind"));
}

TEST(ForeignFiles, WhatIsShownCannotForgeALogLine) {
  for (unsigned first = 0; first < 256; ++first) {
    const std::string file = std::string(1, static_cast<char>(first)) + "\n\x1b[2J";
    EXPECT_TRUE(is_printable_utf8(describe(file))) << first;
  }
}

TEST(ForeignFiles, EveryPrefixOfEveryKindHasAnAnswer) {
  for (const Kind& kind : kKinds) {
    for (std::size_t n = 0; n < kind.file.size(); ++n) {
      // Memory of exactly that size: the sanitizer sees a read past its end.
      const std::vector<char> prefix(kind.file.begin(), kind.file.begin() + static_cast<std::ptrdiff_t>(n));
      EXPECT_FALSE(describe({prefix.data(), prefix.size()}).empty());
    }
  }
}

}  // namespace
}  // namespace infer
