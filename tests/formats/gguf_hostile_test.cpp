// SPDX-License-Identifier: MIT
// Malformed GGUF files: each gets the right error or is read all the same, takes little memory, and breaks nothing
// (run with sanitizers). One table of cases, then every prefix of a file, then every header byte changed, then shards.
// The numbers in the names count the ways in which a GGUF file is known to be wrong, so that gaps show.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <limits>

#include "formats/formats.h"
#include "formats/gguf_internal.h"
#include "libinfer/text.h"
#include "tests/testing/allocations.h"
#include "tests/testing/gguf_writer.h"

namespace infer {
namespace {

using testing::ByteSink;
using testing::GgufWriter;
using testing::kGgufArray;

using File = std::vector<std::byte>;

constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
constexpr std::size_t kMemoryBeyondFile = std::size_t{8} << 20;

const FormatParser& gguf() { return *builtin_formats()[0]; }

Result<ModelDescriptor> parse(const std::vector<File>& files) {
  std::vector<Bytes> bytes(files.begin(), files.end());
  return gguf().parse(bytes, nullptr);
}
Result<ModelDescriptor> parse(const File& file) {
  const Bytes bytes(file);
  return gguf().parse({&bytes, 1}, nullptr);
}

std::string warnings_of(const ModelDescriptor& model) {
  std::string all;
  for (const std::string& warning : model.warnings) all += warning + "\n";
  return all;
}

// ---- making files

/// Numbers and texts as they lie in a file.
template <class... T>
File bytes_of(const T&... values) {
  ByteSink sink;
  (sink.put(values), ...);
  return std::move(sink.bytes);
}

std::vector<std::byte> zeros(std::size_t n) { return std::vector<std::byte>(n); }

/// A right file: two tensors of 64 and 68 bytes, padding in front of both.
GgufWriter small() {
  GgufWriter w;
  w.set("general.architecture", "llama");
  w.set("general.name", "small");
  w.set("llama.block_count", std::uint32_t{1});
  w.set("llama.rope.freq_base", 10000.0f);
  w.set("tokenizer.ggml.model", "llama");
  w.set("tokenizer.ggml.tokens", std::vector<std::string>{"<unk>", "<s>", "</s>", "a"});
  w.set("tokenizer.ggml.scores", std::vector<float>{0, 0, 0, -1});
  w.set("tokenizer.ggml.token_type", std::vector<std::int32_t>{2, 3, 3, 1});
  w.tensor("a.weight", DType::f32, {8, 2}, zeros(64));
  w.tensor("bc.weight", DType::q8_0, {32, 2}, zeros(68));
  return w;
}

template <class Change>
std::function<File()> changed(Change change) {
  return [change] {
    GgufWriter w = small();
    change(w);
    return w.build();
  };
}

/// The file with one more key.
template <class T>
std::function<File()> with(const std::string& key, const T& value) {
  return changed([key, value](GgufWriter& w) { w.set(key, value); });
}
std::function<File()> with_raw(const std::string& key, std::uint32_t type, File value) {
  return changed([key, type, value](GgufWriter& w) { w.raw(key, type, value); });
}

/// The first tensor changed.
template <class Change>
std::function<File()> tensor(Change change) {
  return changed([change](GgufWriter& w) { change(w.tensors[0]); });
}
std::function<File()> dims(std::uint32_t type, std::vector<std::uint64_t> shape) {
  return tensor([=](GgufWriter::Tensor& t) {
    t.type = type;
    t.dims = shape;
  });
}

std::size_t place_of(const File& file, std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return static_cast<std::size_t>(std::search(file.begin(), file.end(), bytes.begin(), bytes.end()) - file.begin());
}

/// Cut `extra` bytes after the beginning of a text.
std::function<File()> cut_after(std::string_view text, std::size_t extra) {
  return [=] {
    File file = small().build();
    file.resize(place_of(file, text) + extra);
    return file;
  };
}
std::function<File()> first_bytes(std::size_t n) {
  return [n] {
    File file = small().build();
    file.resize(n);
    return file;
  };
}

template <class T>
std::function<File()> patched(std::size_t at, T value) {
  return [=] {
    File file = small().build();
    std::memcpy(file.data() + at, &value, sizeof(value));
    return file;
  };
}

/// Arrays in arrays; the innermost has one byte.
File nested(int depth) {
  ByteSink sink;
  for (int i = 1; i < depth; ++i) {
    sink.put(kGgufArray);
    sink.put(std::uint64_t{1});
  }
  sink.put(std::uint32_t{0});
  sink.put(std::uint64_t{1});
  sink.put(std::uint8_t{7});
  return std::move(sink.bytes);
}

File text_of(const char* text) {
  const auto bytes = std::as_bytes(std::span(text, std::strlen(text)));
  return {bytes.begin(), bytes.end()};
}

// ---- the table

struct Case {
  std::string name;
  std::function<File()> make;
  Code code;            ///< ok: the file is read
  std::string text;     ///< part of the message, or of the warnings of a file that is read
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

std::vector<Case> file_cases() {
  constexpr std::size_t kVersion = 4;
  constexpr std::size_t kTensors = 8;
  constexpr std::size_t kKeys = 16;
  std::vector<Case> cases = {
      {"5_empty", first_bytes(0), Code::truncated_file, "header: 4 bytes needed at offset 0, file has 0"},
      {"7_cut_in_a_key", cut_after("general.name", 5), Code::truncated_file, "key 2 of 8"},
      {"7_cut_in_a_value", cut_after("small", 3), Code::truncated_file, "key 'general.name'"},
      {"7_cut_in_a_number", cut_after("llama.block_count", 17 + 4 + 2), Code::truncated_file,
       "key 'llama.block_count'"},
      {"7_cut_in_an_array", cut_after("</s>", 4), Code::truncated_file, "key 'tokenizer.ggml.tokens': element 3"},
      {"8_cut_in_the_tensor_table", cut_after("bc.weight", 9 + 4 + 3), Code::truncated_file,
       "tensor 'bc.weight' (2 of 2)"},
      {"8_cut_in_a_tensor_name", cut_after("bc.weight", 4), Code::truncated_file, "tensor 2 of 2"},
      {"9_data_short_by_one",
       [] {
         File file = small().build();
         file.pop_back();
         return file;
       },
       Code::tensor, "tensor 'bc.weight': ends at "},
      {"12_bytes_after_the_last_tensor",
       [] {
         File file = small().build();
         file.resize(file.size() + 28 + 5);   // 28 bytes are its padding
         return file;
       },
       Code::ok, "5 bytes after the last tensor"},
      {"13_other_magic", patched(0, std::uint32_t{0x04034b50}), Code::format, "does not begin with GGUF"},
      {"14_magic_of_other_byte_order", patched(0, std::uint32_t{0x47475546}), Code::format, "does not begin with GGUF"},
      {"15_version_0", patched(kVersion, std::uint32_t{0}), Code::version, "version 0 does not exist"},
      {"16_version_1", patched(kVersion, std::uint32_t{1}), Code::version, "version 1 is not supported"},
      {"17_version_4", patched(kVersion, std::uint32_t{4}), Code::version, "version 4 is newer"},
      {"17_version_2_31", patched(kVersion, std::uint32_t{1} << 31), Code::version, "version 2147483648 is newer"},
      {"17_version_most", patched(kVersion, std::uint32_t{0xffffffff}), Code::version, "version 4294967295 is newer"},
      {"18_version_of_other_byte_order", patched(kVersion, std::uint32_t{0x03000000}), Code::version, "big-endian"},
      {"19_no_tensors", changed([](GgufWriter& w) { w.tensors.clear(); }), Code::ok, ""},
      // More than present: what stands behind the table is read as an entry. Zeros of the padding are no truncated file, and
      // to download it again would not help; where nothing stands there the file is truncated.
      {"20_one_tensor_too_many", changed([](GgufWriter& w) { w.n_tensors = 3; }), Code::tensor,
       "empty name; is the tensor count in the header right?"},
      {"20_one_tensor_and_no_table",
       changed([](GgufWriter& w) {
         w.tensors.clear();
         w.n_tensors = 1;
       }),
       Code::truncated_file, "tensor 1 of 1"},
      {"20_one_tensor_too_few", changed([](GgufWriter& w) { w.n_tensors = 1; }), Code::tensor, "padding"},
      {"21_tensors_past_the_limit", patched(kTensors, std::uint64_t{16385}), Code::limit,
       "16385 tensors exceed the limit of 16384"},
      {"21_tensors_at_the_limit", patched(kTensors, std::uint64_t{16384}), Code::tensor, "empty name"},
      {"21_tensors_2_32", patched(kTensors, std::uint64_t{1} << 32), Code::limit, "4294967296 tensors"},
      {"21_tensors_2_63", patched(kTensors, std::uint64_t{1} << 63), Code::limit, "tensors exceed"},
      {"21_tensors_most", patched(kTensors, kMost), Code::limit, "tensors exceed"},
      {"22_keys_2_32", patched(kKeys, std::uint64_t{1} << 32), Code::limit, "4294967296 keys exceed the limit"},
      {"22_keys_2_63", patched(kKeys, (std::uint64_t{1} << 63) - 1), Code::limit, "keys exceed"},
      {"22_keys_most", patched(kKeys, kMost), Code::limit, "keys exceed"},
      {"23_no_keys", changed([](GgufWriter& w) { w.keys.clear(); }), Code::metadata, "general.architecture is missing"},
      {"24_a_million_keys",
       changed([](GgufWriter& w) {
         w.keys.resize(1000000, {"k", 0, zeros(1)});
       }),
       Code::limit, "1000000 keys exceed"},
  };
  for (const std::size_t size : {1U, 3U, 4U, 7U, 8U, 15U, 23U}) {
    cases.push_back({"6_only_" + std::to_string(size) + "_bytes", first_bytes(size), Code::truncated_file,
                     "bytes needed at offset"});
  }
  return cases;
}

std::vector<Case> key_cases() {
  const std::string long_key(65535, 'k');
  return {
      {"25_empty_key", with("", std::uint8_t{1}), Code::metadata, "empty key"},
      {"26_longest_key", with(long_key, std::uint8_t{1}), Code::ok, ""},
      {"26_key_too_long", with(long_key + "k", std::uint8_t{1}), Code::limit, "65536 bytes is longer than 65535"},
      {"27_key_length_most", patched(24, kMost), Code::truncated_file, "key 1 of 8"},
      {"27_key_length_2_63", patched(24, std::uint64_t{1} << 63), Code::truncated_file, "key 1 of 8"},
      {"27_key_length_past_the_end", patched(24, std::uint64_t{small().build().size() - 32 + 1}), Code::truncated_file,
       "key 1 of 8"},
      {"28_key_with_nul", with(std::string("a\0b", 3), std::uint8_t{1}), Code::metadata,
       "key 'a\\x00b': the key has control"},
      {"28_key_with_newline", with("a\nERROR", std::uint8_t{1}), Code::metadata, "'a\\x0aERROR'"},
      {"28_key_with_escape", with("a\x1b[2J", std::uint8_t{1}), Code::metadata, "'a\\x1b[2J'"},
      {"28_key_with_c1_control", with("a\xc2\x9b", std::uint8_t{1}), Code::metadata, "'a\\xc2\\x9b'"},
      {"28_key_not_utf8", with("a\xff", std::uint8_t{1}), Code::metadata, "'a\\xff'"},
      {"29_duplicate_key", changed([](GgufWriter& w) { w.keys.push_back(w.keys[1]); }), Code::metadata,
       "key 'general.name': duplicate key, first at offset"},
      {"30_duplicate_architecture",
       changed([](GgufWriter& w) { w.keys.push_back({"general.architecture", 8, bytes_of("gemma")}); }), Code::metadata,
       "duplicate key"},
      {"31_keys_that_differ_in_case", with("General.Architecture", "gemma"), Code::ok, ""},
      {"31_key_that_is_a_prefix", with("general.architectur", "gemma"), Code::ok, ""},
      {"31_key_with_trailing_nul", with(std::string("general.name\0", 13), "x"), Code::metadata, "control"},
      {"32_type_13", with_raw("k", 13, zeros(8)), Code::metadata, "key 'k': unknown type 13"},
      {"32_type_255", with_raw("k", 255, zeros(8)), Code::metadata, "unknown type 255"},
      {"32_type_most", with_raw("k", 0xffffffff, zeros(8)), Code::metadata, "unknown type 4294967295"},
      {"33_string_length_most", with_raw("k", 8, bytes_of(kMost)), Code::truncated_file,
       "key 'k': 18446744073709551615 bytes"},
      {"34_string_of_a_gibibyte", with_raw("k", 8, bytes_of(std::uint64_t{1} << 30)), Code::truncated_file, "key 'k'"},
      {"35_bool_2", with_raw("k", 7, bytes_of(std::uint8_t{2})), Code::metadata, "a bool must be 0 or 1, found 2"},
      {"35_bool_255", with_raw("k", 7, bytes_of(std::uint8_t{255})), Code::metadata, "found 255"},
      {"35_bool_2_in_an_array", with_raw("k", 9, bytes_of(std::uint32_t{7}, std::uint64_t{1}, std::uint8_t{2})),
       Code::metadata, "a bool must be 0 or 1"},
      {"36_parameter_nan", with("llama.rope.freq_base", std::numeric_limits<float>::quiet_NaN()), Code::metadata,
       "key 'llama.rope.freq_base': nan is not a finite number"},
      {"36_parameter_infinite", with("llama.rope.freq_base", -std::numeric_limits<double>::infinity()), Code::metadata,
       "-inf is not a finite number"},
      {"36_parameter_denormal", with("llama.rope.freq_base", std::numeric_limits<float>::denorm_min()), Code::ok, ""},
      {"36_nan_where_nobody_looks", with("k", std::numeric_limits<float>::quiet_NaN()), Code::ok, ""},
  };
}

std::vector<Case> value_cases() {
  const auto array = [](std::uint32_t element, std::uint64_t count) {
    return with_raw("k", 9, bytes_of(element, count));
  };
  std::vector<Case> cases = {
      {"37_arrays_4_deep", with_raw("k", 9, nested(4)), Code::ok, ""},
      {"37_arrays_5_deep", with_raw("k", 9, nested(5)), Code::limit, "key 'k': arrays are nested deeper than 4"},
      {"37_arrays_100000_deep", changed([](GgufWriter& w) { w.raw("k", 9, nested(100000)); }), Code::limit, "nested deeper than 4"},
      {"38_array_of_type_13", array(13, 1), Code::metadata, "key 'k': unknown element type 13"},
      {"38_array_of_type_13_in_an_array",
       with_raw("k", 9, bytes_of(kGgufArray, std::uint64_t{1}, std::uint32_t{13}, std::uint64_t{1})), Code::metadata,
       "unknown element type 13"},
      {"39_array_length_most", array(0, kMost), Code::truncated_file, "18446744073709551615 values of type u8"},
      {"39_array_length_that_wraps", array(10, std::uint64_t{1} << 61), Code::truncated_file, "values of type u64"},
      {"39_array_length_2_32", array(6, std::uint64_t{1} << 32), Code::truncated_file, "4294967296 values of type f32"},
      {"39_array_of_arrays_length_most", array(9, kMost), Code::truncated_file, "key 'k'"},
      {"40_a_billion_strings", array(8, 1000000000), Code::truncated_file, "1000000000 strings do not fit"},
      {"40_strings_most", array(8, kMost), Code::truncated_file, "strings do not fit"},
      {"41_one_string_longer_than_the_file",
       with_raw("k", 9, bytes_of(std::uint32_t{8}, std::uint64_t{2}, "first", std::uint64_t{1} << 40)),
       Code::truncated_file, "key 'k': element 1"},
      {"42_no_tokens", with("tokenizer.ggml.tokens", std::vector<std::string>{}), Code::ok, ""},
      {"43_integer_too_large", with("llama.block_count", kMost), Code::metadata,
       "key 'llama.block_count': 18446744073709551615 exceeds 2^63 - 1"},
      {"44_integer_as_string", with("llama.block_count", "1"), Code::metadata, "expected integer, found string"},
      {"44_integer_as_float", with("llama.block_count", 1.0f), Code::metadata, "expected integer, found f32"},
      {"44_integer_as_bool", with("llama.block_count", true), Code::metadata, "expected integer, found bool"},
      {"44_integer_as_array", with("llama.block_count", std::vector<std::uint32_t>{1}), Code::metadata,
       "expected integer, found array of u32"},
      {"44_float_as_integer", with("llama.rope.freq_base", std::uint32_t{10000}), Code::metadata,
       "expected float, found u32"},
      {"44_per_layer_as_floats", with("llama.attention.head_count", std::vector<float>{1}), Code::metadata,
       "expected integers, found array of f32"},
      {"44_per_layer_too_many", with("llama.attention.head_count", std::vector<std::uint8_t>(4097)), Code::limit,
       "4097 values exceed the limit of 4096"},
      {"45_alignment_0", with("general.alignment", std::uint32_t{0}), Code::metadata,
       "must be a power of two of at least 8, found 0"},
      {"47_alignment_2_31", with("general.alignment", std::uint32_t{1} << 31), Code::limit,
       "alignment 2147483648 exceeds 1048576"},
      {"47_alignment_2_32", with("general.alignment", std::uint64_t{1} << 32), Code::limit,
       "alignment 4294967296 exceeds"},
      {"47_alignment_2_63", with("general.alignment", std::uint64_t{1} << 63), Code::limit, "exceeds"},
      {"48_alignment_i32", with("general.alignment", std::int32_t{32}), Code::metadata,
       "expected unsigned integer, found i32"},
      {"48_alignment_string", with("general.alignment", "32"), Code::metadata,
       "expected unsigned integer, found string"},
      {"48_alignment_f32", with("general.alignment", 32.0f), Code::metadata, "expected unsigned integer, found f32"},
      {"48_alignment_array", with("general.alignment", std::vector<std::uint32_t>{32}), Code::metadata,
       "expected unsigned integer, found array of u32"},
      {"49_alignment_twice",
       changed([](GgufWriter& w) {
         w.set("general.alignment", std::uint32_t{32});
         w.keys.push_back({"general.alignment", 4, bytes_of(std::uint32_t{64})});
       }),
       Code::metadata, "key 'general.alignment': duplicate key"},
      {"50_architecture_missing", changed([](GgufWriter& w) { w.remove("general.architecture"); }), Code::ok, ""},
      {"50_architecture_a_number", with("general.architecture", std::uint32_t{7}), Code::metadata,
       "expected string, found u32"},
      {"50_architecture_empty", with("general.architecture", ""), Code::metadata, "key 'general.architecture': "},
      {"50_architecture_of_a_mebibyte", changed([](GgufWriter& w) { w.set("general.architecture", std::string(1 << 20, 'x')); }),
       Code::metadata, "is not the name of an architecture"},
      {"50_architecture_with_nul", with("general.architecture", std::string("llama\0x", 7)), Code::metadata,
       "'llama\\x00x'"},
      {"51_file_type_a_string", with("general.file_type", "nonsense"), Code::ok,
       "ignored: key 'general.file_type': expected integer, found string"},
      {"51_file_type_unknown", with("general.file_type", std::uint32_t{2048}), Code::ok,
       "ignored: key 'general.file_type' = 2048 is outside 0..2047"},
      {"51_file_type_negative", with("general.file_type", std::int32_t{-1}), Code::ok, "= -1 is outside 0..2047"},
      {"51_quantization_version_most", with("general.quantization_version", kMost), Code::ok,
       "ignored: key 'general.quantization_version': 18446744073709551615 exceeds 2^63 - 1"},
      {"51_quantization_version_unknown", with("general.quantization_version", std::uint32_t{3}), Code::ok,
       "= 3 is outside 0..2"},
      {"77_tokens_a_string", with("tokenizer.ggml.tokens", "a"), Code::vocab, "expected array of string, found string"},
      {"77_tokens_integers", with("tokenizer.ggml.tokens", std::vector<std::int32_t>{1}), Code::vocab,
       "found array of i32"},
      {"79_token_too_long", with("tokenizer.ggml.tokens", std::vector<std::string>{"a", std::string(65537, 'x')}),
       Code::limit,
       "65537 bytes"},
      {"81_scores_integers", with("tokenizer.ggml.scores", std::vector<std::int32_t>{1}), Code::vocab,
       "expected array of f32"},
      {"81_token_types_floats", with("tokenizer.ggml.token_type", std::vector<float>{1}), Code::vocab,
       "expected array of i32"},
      {"81_token_type_past_32_bits", with("tokenizer.ggml.token_type", std::vector<std::int64_t>{std::int64_t{1}
          << 40}),
       Code::vocab, "1099511627776 is not a token type"},
      {"82_merges_a_number", with("tokenizer.ggml.merges", std::uint32_t{0}), Code::vocab,
       "expected array of string, found u32"},
      {"85_token_id_a_string", with("tokenizer.ggml.bos_token_id", "1"), Code::vocab, "expected integer, found string"},
      {"87_add_bos_a_number", with("tokenizer.ggml.add_bos_token", std::uint32_t{1}), Code::metadata,
       "expected bool, found u32"},
      {"89_chat_template_too_long", changed([](GgufWriter& w) { w.set("tokenizer.chat_template", std::string((1 << 20) + 1, 'x')); }),
       Code::ok,
       "key 'tokenizer.chat_template' is ignored: 1048577 bytes exceed the limit of 1048576 for all chat templates together"},
      {"89_chat_template_of_100_mib", changed([](GgufWriter& w) { w.set("tokenizer.chat_template", std::string(100 << 20, 'x')); }),
       Code::ok,
       "key 'tokenizer.chat_template' is ignored: 104857600 bytes exceed the limit of 1048576 for all chat templates together"},
      {"89_chat_template_a_number", with("tokenizer.chat_template", std::uint32_t{1}), Code::ok,
       "ignored: key 'tokenizer.chat_template': expected string, found u32"},
      {"89_chat_template_not_utf8", with("tokenizer.chat_template", "{{ '\xff' }}"), Code::ok, ""},
      {"89_chat_template_with_nul", with("tokenizer.chat_template", std::string("a\0b", 3)), Code::ok, ""},
      {"90_chat_template_nested", changed([](GgufWriter& w) { w.set("tokenizer.chat_template", "{{ " + std::string(100000, '(')); }),
       Code::ok, ""},
      {"93_chat_templates_without_their_keys", changed([](GgufWriter& w) {
         w.set("tokenizer.chat_templates", std::vector<std::string>{"tool_use", "default"}).set("tokenizer.chat_template.rag", "x");
       }), Code::ok, "key 'tokenizer.chat_templates' names 'tool_use', but there is no usable key 'tokenizer.chat_template.tool_use'"},
      {"93_chat_template_without_a_name", with("tokenizer.chat_template.tool_use", "{{ x }}"), Code::ok, ""},
      {"93_chat_templates_a_number", with("tokenizer.chat_templates", std::uint32_t{1}), Code::ok,
       "key 'tokenizer.chat_templates': expected array of string of at most 64, found u32 of 1"},
      {"133_adapter", with("general.type", "adapter"), Code::format, "this is a LoRA adapter, not a model"},
      {"135_importance_matrix", with("general.type", "imatrix"), Code::format,
       "this is an importance matrix, not a model"},
      {"136_vision_projector", with("general.type", "mmproj"), Code::arch, "this is a vision projector"},
  };
  for (const std::uint32_t alignment : {1U, 2U, 3U, 4U, 24U, 31U}) {
    cases.push_back({"46_alignment_" + std::to_string(alignment), with("general.alignment", alignment), Code::metadata,
                     "found " + std::to_string(alignment)});
  }
  return cases;
}

std::vector<Case> tensor_cases() {
  const auto named = [](std::string name) { return tensor([name](GgufWriter::Tensor& t) { t.name = name; }); };
  const auto at = [](std::uint64_t offset) { return tensor([offset](GgufWriter::Tensor& t) { t.offset = offset; }); };
  const auto typed = [](std::uint32_t type) { return dims(type, {256, 1}); };
  std::vector<Case> cases = {
      {"94_name_empty", named(""), Code::tensor, "a tensor has an empty name"},
      {"94_name_of_64_bytes", named(std::string(64, 'n')), Code::ok, ""},
      {"94_name_of_65_bytes", named(std::string(65, 'n')), Code::limit, "name of 65 bytes is longer than 64"},
      {"94_name_length_most",
       [] {
         File file = small().build();
         std::memcpy(file.data() + place_of(file, "a.weight") - 8, &kMost, 8);
         return file;
       },
       Code::truncated_file, "tensor 1 of 2"},
      {"95_name_twice", named("bc.weight"), Code::tensor, "tensor 'bc.weight': duplicate name, first at offset"},
      {"95_name_with_nul", named(std::string("a\0b", 3)), Code::tensor, "tensor 'a\\x00b'"},
      {"95_name_with_a_path", named("../../etc/passwd"), Code::tensor, "'../'"},
      {"95_name_not_utf8", named("a\xc0\x80"), Code::tensor, "'a\\xc0\\x80'"},
      {"96_no_dimensions", dims(0, {}), Code::tensor, "0 dimensions; 1 to 4"},
      {"97_five_dimensions", dims(0, {1, 1, 1, 1, 1}), Code::tensor, "5 dimensions; 1 to 4"},
      {"97_dimensions_most",
       [] {
         File file = small().build();
         const std::uint32_t most = 0xffffffff;
         std::memcpy(file.data() + place_of(file, "a.weight") + 8, &most, 4);
         return file;
       },
       Code::tensor, "4294967295 dimensions"},
      {"98_first_dimension_zero", dims(0, {0, 2}), Code::tensor, "tensor 'a.weight': dimension 0 is zero"},
      {"98_last_dimension_zero", dims(0, {1, 1, 1, 0}), Code::tensor, "dimension 3 is zero"},
      {"98_dimension_of_blocks_zero", dims(8, {0, 1}), Code::tensor, "dimension 0 is zero"},
      {"99_dimension_2_63", dims(0, {std::uint64_t{1} << 63}), Code::tensor, "dimension 0 is 9223372036854775808"},
      {"99_dimension_most", dims(0, {1, kMost}), Code::tensor, "dimension 1 is 18446744073709551615"},
      {"100_elements_wrap", dims(0, {std::uint64_t{1} << 32, std::uint64_t{1} << 32}), Code::tensor,
       "does not fit in 63 bits"},
      {"100_elements_past_63_bits", dims(8, {std::uint64_t{1} << 32, std::uint64_t{1} << 31}), Code::tensor,
       "does not fit in 63 bits"},
      {"101_bytes_wrap", dims(0, {std::uint64_t{1} << 62}), Code::tensor, "does not fit in 63 bits"},
      {"102_huge_times_zero", dims(0, {std::uint64_t{1} << 62, std::uint64_t{1} << 62, 0}), Code::tensor,
       "dimension 2 is zero"},
      {"103_row_of_31_with_q4_0", dims(2, {31, 2}), Code::tensor,
       "rows of 31 elements are not whole Q4_0 blocks of 32"},
      {"103_row_of_128_with_q4_k", dims(12, {128, 2}), Code::tensor,
       "rows of 128 elements are not whole Q4_K blocks of 256"},
      {"105_type_41", typed(41), Code::quant_type, "unknown element type 41"},
      {"105_type_2_31", typed(std::uint32_t{1} << 31), Code::quant_type, "unknown element type 2147483648"},
      {"105_type_most", typed(0xffffffff), Code::quant_type, "unknown element type 4294967295"},
      {"108_offset_not_aligned", at(1), Code::tensor, "offset 1 is not a multiple of the alignment 32"},
      {"109_offset_most", at(kMost), Code::tensor, "is not a multiple of the alignment"},
      {"109_offset_that_wraps", at(kMost - 31), Code::tensor, "is past 2^64"},
      {"110_offset_beyond_the_file", at(std::uint64_t{1} << 40), Code::tensor, "file has"},
      {"110_end_beyond_the_file", dims(0, {8, 6}), Code::tensor, "tensor 'a.weight': ends at"},
      {"111_tensors_overlap", changed([](GgufWriter& w) { w.tensors[1].offset = 32; }), Code::tensor,
       "tensor 'bc.weight': overlaps tensor 'a.weight'"},
      {"111_tensors_at_one_place", changed([](GgufWriter& w) { w.tensors[1].offset = 0; }), Code::tensor,
       "overlaps tensor"},
      {"112_padding_not_zero",
       [] {
         File file = small().build();
         file[file.size() - 64 - 68 - 1] = std::byte{1};
         return file;
       },
       Code::tensor, "the padding in front of the tensor data is not zero"},
      {"113_gap",
       [] {
         GgufWriter w = small();
         w.tensors[1].offset = 128;
         File file = w.build();
         file.resize(file.size() + 64);
         return file;
       },
       Code::ok, "64 bytes between the tensors belong to none"},
      {"113_not_in_order",
       changed([](GgufWriter& w) {
         w.tensors[1].type = 0;
         w.tensors[1].dims = {8, 2};
         w.tensors[0].offset = 64;
         w.tensors[1].offset = 0;
       }),
       Code::ok, "not in the order of the tensor table"},
      {"114_sizes_that_wrap_together",
       changed([](GgufWriter& w) {
         w.tensors.clear();
         for (int i = 0; i < 8; ++i) w.tensors.push_back({"t" + std::to_string(i), 0, {std::uint64_t{1} << 60}, {},
                                                          {}});
       }),
       Code::tensor, "tensor 't0': ends at"},
  };
  for (const std::uint32_t type : {4U, 5U, 31U, 32U, 33U, 36U, 37U, 38U}) {
    cases.push_back({"104_type_" + std::to_string(type), typed(type), Code::quant_type, "was removed from GGUF"});
  }
  for (std::uint32_t type = 0; type < kDTypeCount; ++type) {
    const DTypeInfo& facts = kDTypes[type];
    if (facts.use != DTypeUse::weight || facts.block_elems == 1) continue;
    for (const std::uint32_t row : {facts.block_elems + 1, facts.block_elems + 16, 2 * facts.block_elems - 1}) {
      const std::string name = facts.name, cols = std::to_string(row);
      cases.push_back({"103_row_of_" + cols + "_with_" + name, dims(type, {row, 2}), Code::tensor,
                       "tensor 'a.weight': rows of " + cols + " elements are not whole " + name + " blocks of " +
                           std::to_string(facts.block_elems)});
    }
  }
  for (const DType type : {DType::q8_1, DType::q8_k, DType::i8, DType::i16, DType::i32, DType::i64, DType::f64}) {
    cases.push_back({std::string("106_type_") + info(type).name, typed(static_cast<std::uint32_t>(type)),
                     Code::quant_type,
                     "is not a type for weights"});
  }
  return cases;
}

/// Parses and holds the answer to what is true of every answer.
Result<ModelDescriptor> parse_checked(const File& file) {
  const std::size_t before = testing::live_bytes();
  testing::reset_peak();
  Result<ModelDescriptor> model = parse(file);
  EXPECT_LE(testing::peak_bytes() - before, file.size() + kMemoryBeyondFile);
  if (!model.ok()) {
    EXPECT_FALSE(model.status().message().empty());
    EXPECT_TRUE(is_printable_utf8(model.status().message())) << model.status().message();
    EXPECT_TRUE(is_printable_utf8(model.status().subject())) << model.status().subject();
    EXPECT_LE(model.status().message().size(), 1000U);
    EXPECT_LE(model.status().offset(), static_cast<std::int64_t>(file.size()));
  }
  return model;
}

class GgufHostile : public ::testing::TestWithParam<Case> {};

TEST_P(GgufHostile, GetsTheRightAnswer) {
  const Case& param = GetParam();
  const File file = param.make();

  const Result<ModelDescriptor> model = parse_checked(file);

  if (model.ok()) {
    EXPECT_EQ(Code::ok, param.code) << "the file was read";
    EXPECT_NE(warnings_of(model.value()).find(param.text), std::string::npos) << warnings_of(model.value());
  } else {
    EXPECT_EQ(model.status().code(), param.code) << model.status().message();
    EXPECT_NE(model.status().message().find(param.text), std::string_view::npos) << model.status().message();
  }
}

std::string name_of(const ::testing::TestParamInfo<Case>& test) { return "Case" + test.param.name; }

INSTANTIATE_TEST_SUITE_P(File, GgufHostile, ::testing::ValuesIn(file_cases()), name_of);
INSTANTIATE_TEST_SUITE_P(Keys, GgufHostile, ::testing::ValuesIn(key_cases()), name_of);
INSTANTIATE_TEST_SUITE_P(Values, GgufHostile, ::testing::ValuesIn(value_cases()), name_of);
INSTANTIATE_TEST_SUITE_P(Tensors, GgufHostile, ::testing::ValuesIn(tensor_cases()), name_of);

TEST(GgufStrings, Row80_HaveOneLimitOfBytesTogether) {
  gguf::RawEntry entry;   // a file of that size is too large for a test; the check comes before anything is read
  entry.key = "tokenizer.ggml.tokens";
  entry.text_bytes = (std::uint64_t{1} << 31);
  const Result<StringList> strings = gguf::strings_of(entry, nullptr);
  ASSERT_FALSE(strings.ok());
  EXPECT_EQ(strings.status().code(), Code::limit);
  EXPECT_EQ(strings.status().message(),
            "key 'tokenizer.ggml.tokens': strings of 2147483648 bytes together exceed the limit of 2147483647");
}

// ---- sweeps

TEST(GgufSweep, NoPrefixOfAFileIsAModel) {
  const File file = small().build();
  for (std::size_t n = 0; n < file.size(); ++n) {
    // Memory of exactly that size: the sanitizer sees a read past its end.
    const File prefix(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(n));
    const Result<ModelDescriptor> model = parse_checked(prefix);
    ASSERT_FALSE(model.ok()) << n << " bytes";
    EXPECT_TRUE(model.status().code() == Code::truncated_file || model.status().code() == Code::tensor) << n
        << " bytes";
  }
}

TEST(GgufSweep, NoHeaderByteBreaksTheParser) {
  const File right = small().build();
  const std::size_t header = right.size() - 64 - 68;
  for (std::size_t i = 0; i < header; ++i) {
    for (const unsigned value : {0x00U, 0x7fU, 0x80U, 0xffU}) {
      File file = right;
      file[i] = static_cast<std::byte>(value);
      (void)parse_checked(file);
      if (HasFailure()) FAIL() << "byte " << i << " as " << value;
    }
  }
}

TEST(GgufSweep, NoHeaderByteBreaksTheSearchForParts) {
  GgufWriter w = small();
  w.set("split.count", std::uint16_t{2}).set("split.no", std::uint16_t{0});
  const File right = w.build();
  const std::size_t header = right.size() - 64 - 68;
  for (std::size_t i = 0; i < header; ++i) {
    for (const unsigned value : {0x00U, 0x7fU, 0x80U, 0xffU}) {
      File file = right;
      file[i] = static_cast<std::byte>(value);
      const auto parts = gguf().parts(file, "m-00001-of-00002.gguf", nullptr);
      if (!parts.ok()) {
        EXPECT_FALSE(parts.status().message().empty()) << "byte " << i << " as " << value;
      }
    }
  }
}

TEST(GgufMemory, IsBoundedForAFileAtAllLimits) {
  GgufWriter w;
  w.alignment = 8;
  w.set("general.architecture", "llama").set("general.alignment", std::uint32_t{8});
  w.set("tokenizer.chat_template", std::string(1 << 20, 'x'));
  w.set("bytes", std::vector<std::uint8_t>(149000));   // as numbers, about 1 MiB more than in the file
  while (w.keys.size() < 16384) w.keys.push_back({"k" + std::to_string(w.keys.size()), 0, zeros(1)});
  for (int i = 0; i < 16384; ++i) w.tensors.push_back({"t" + std::to_string(i), 0, {1}, zeros(4), {}});
  const File file = w.build();

  const Result<ModelDescriptor> model = parse_checked(file);

  ASSERT_TRUE(model.ok()) << model.status().message();
  EXPECT_EQ(model.value().tensors.size(), 16384U);
}

TEST(GgufMemory, LeavesOutArraysThatWouldGrow) {
  const std::size_t n = std::size_t{4} << 20;
  GgufWriter w = small();
  w.set("bytes", std::vector<std::uint8_t>(n));

  const Result<ModelDescriptor> model = parse_checked(w.build());

  ASSERT_TRUE(model.ok()) << model.status().message();
  EXPECT_EQ(model.value().find_meta("bytes")->value, MetaValue(MovedArray{"u8", n}));
  EXPECT_NE(warnings_of(model.value()).find("4194304 values are too many to keep"), std::string::npos);
}

TEST(GgufParser, RefusesAnEmptyListOfFiles) {
  EXPECT_EQ(parse(std::vector<File>{}).status().code(), Code::argument);
}

// ---- shards

/// Part `number` of a model in `count` parts with one tensor in each.
GgufWriter part(std::uint16_t number, std::uint16_t count) {
  GgufWriter w = number == 0 ? small() : GgufWriter();
  w.tensors.clear();
  w.set("split.no", number).set("split.count", count).set("split.tensors.count", static_cast<std::int32_t>(count));
  w.tensor("t" + std::to_string(number), DType::f32, {8}, zeros(32));
  return w;
}

struct ShardCase {
  std::string name;
  std::function<void(std::vector<GgufWriter>&)> change;
  std::string text;
};

std::vector<ShardCase> shard_cases() {
  using Parts = std::vector<GgufWriter>;
  return {
      // Row 126 has a count of 0 as an error: tools that merge parts leave one behind, so it stands for a whole file
      // (ACountOfZeroIsAWholeFile, below), and is refused beside other parts only. Types of keys are row 44: metadata.
      {"126_count_too_large", [](Parts& p) { p[0].set("split.count", std::uint16_t{65535}); },
       "65535 parts exceed the limit"},
      {"126_count_not_the_files", [](Parts& p) { p.pop_back(); }, "3 parts, 2 given"},
      {"126_count_zero", [](Parts& p) { p[0].set("split.count", std::uint16_t{0}); }, "part"},
      {"126_count_negative", [](Parts& p) { p[0].set("split.count", std::int32_t{-3}); }, "-3 parts"},
      {"127_number_past_the_count", [](Parts& p) { p[1].set("split.no", std::uint16_t{3}); }, "part number 3"},
      {"127_number_twice", [](Parts& p) { p[2].set("split.no", std::uint16_t{1}); }, "part 2 of 3"},
      {"127_out_of_order", [](Parts& p) { std::swap(p[1], p[2]); }, "part 3 of 3"},
      {"127_first_not_zero", [](Parts& p) { std::swap(p[0], p[1]); }, "part 2 of 3"},
      {"128_tensors_negative", [](Parts& p) { p[0].set("split.tensors.count", std::int32_t{-1}); },
       "split.tensors.count"},
      {"128_tensors_not_the_sum", [](Parts& p) { p[0].set("split.tensors.count", std::int32_t{4}); }, "4 tensors"},
      {"129_other_model_by_count", [](Parts& p) { p[1].set("split.count", std::uint16_t{4}); }, "4 parts"},
      {"129_other_model_by_tensors", [](Parts& p) { p[1].set("split.tensors.count", std::int32_t{7}); }, "7 tensors"},
      {"129_other_architecture", [](Parts& p) { p[1].set("general.architecture", "gemma"); }, "different models"},
      {"129_other_version", [](Parts& p) { p[1].version = 2; },
       "version 2 differs from the first part's version 3"},
      {"129_no_split_keys", [](Parts& p) { p[1].keys.clear(); }, "part"},
      {"130_tensor_twice", [](Parts& p) { p[2].tensors[0].name = "t1"; }, "tensor 't1' is in part 2 and in part 3"},
  };
}

class GgufHostileShards : public ::testing::TestWithParam<ShardCase> {};

TEST_P(GgufHostileShards, AreRefused) {
  std::vector<GgufWriter> writers = {part(0, 3), part(1, 3), part(2, 3)};
  GetParam().change(writers);
  std::vector<File> files;
  for (const GgufWriter& w : writers) files.push_back(w.build());

  const Result<ModelDescriptor> model = parse(files);

  ASSERT_FALSE(model.ok());
  EXPECT_EQ(model.status().code(), Code::shard) << model.status().message();
  EXPECT_NE(model.status().message().find(GetParam().text), std::string_view::npos) << model.status().message();
}

INSTANTIATE_TEST_SUITE_P(Shards, GgufHostileShards, ::testing::ValuesIn(shard_cases()),
                         [](const auto& test) { return "Case" + test.param.name; });

TEST(GgufShards, AKeyOfAnotherTypeIsAnErrorOfTheMetadata) {
  for (const char* key : {"split.count", "split.no", "split.tensors.count"}) {
    const Result<ModelDescriptor> model = parse({part(0, 2).build(), part(1, 2).set(key, "1").build()});
    EXPECT_EQ(model.status().code(), Code::metadata) << key;
    EXPECT_NE(model.status().message().find("expected integer, found string"), std::string_view::npos) << key;
  }
}

TEST(GgufShards, Row126_ACountOfZeroIsAWholeFile) {
  const Result<ModelDescriptor> model = parse(small().set("split.count", std::uint16_t{0}).build());
  EXPECT_TRUE(model.ok()) << model.status().message();
}

TEST(GgufShards, APartThatIsNotGgufIsNamed) {
  const Result<ModelDescriptor> model = parse({part(0, 2).build(), text_of("not a model")});
  EXPECT_EQ(model.status().code(), Code::format);
  EXPECT_NE(model.status().message().find("part 2 of 2"), std::string_view::npos) << model.status().message();
}

TEST(GgufShards, HaveOneLimitOfTensorsTogether) {
  std::vector<GgufWriter> writers = {part(0, 2), part(1, 2)};
  for (int i = 0; i < 9000; ++i) {
    for (int p = 0; p < 2; ++p) {
      writers[static_cast<std::size_t>(p)].tensors.push_back({std::to_string(p) + "." + std::to_string(i), 0, {1},
                                                              zeros(4), {}});
    }
  }
  const Result<ModelDescriptor> model = parse({writers[0].build(), writers[1].build()});
  EXPECT_EQ(model.status().code(), Code::limit) << model.status().message();
}

TEST(GgufShards, OnlySiblingsAreEverNamed) {
  const File first = part(0, 2).build();
  EXPECT_FALSE(gguf().parts(first, "../m-00001-of-00002.gguf", nullptr).ok());
  EXPECT_EQ(gguf().parts(first, "m-00001-of-00003.gguf", nullptr).status().code(), Code::shard);
  EXPECT_EQ(gguf().parts(first, "m.gguf", nullptr).status().code(), Code::shard);
  EXPECT_EQ(gguf().parts(first, "", nullptr).status().code(), Code::shard);
}

TEST(GgufShards, ALaterPartSaysWhichFileToGive) {
  const auto parts = gguf().parts(part(1, 2).build(), "m-00002-of-00002.gguf", nullptr);
  ASSERT_FALSE(parts.ok());
  EXPECT_EQ(parts.status().code(), Code::shard);
  EXPECT_NE(parts.status().message().find("m-00001-of-00002.gguf"), std::string_view::npos) << parts.status().message();
}

TEST(GgufShards, TheLimitOfPartsHoldsForTheirNamesToo) {
  GgufWriter w = part(0, 2);
  w.set("split.count", std::uint32_t{99999});
  EXPECT_EQ(gguf().parts(w.build(), "m-00001-of-99999.gguf", nullptr).status().code(), Code::shard);
}

}  // namespace
}  // namespace infer
