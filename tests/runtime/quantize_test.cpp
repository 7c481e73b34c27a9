// SPDX-License-Identifier: MIT
// Making quantised files: what is in them, that they are whole or not there, the same for any number of threads, and
// small in memory while they are made.
#include "libinfer/quantize.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <thread>

#include <gtest/gtest.h>

#include "formats/formats.h"
#include "libinfer/model.h"
#include "src/runtime/quantize/plan.h"
#include "tests/testing/golden.h"
#include "tests/testing/quantizing.h"
#include "tests/testing/random.h"
#include "tests/testing/temporary_directory.h"
#include "tests/testing/tiny_model.h"

namespace infer {
namespace {

using testing::GgufWriter;

std::vector<std::byte> half_bytes(const std::vector<float>& values) {
  std::vector<std::byte> bytes(values.size() * 2);
  find_format(*Library::builtin(), DType::f16)
      ->encode(values.data(), nullptr, bytes.data(), static_cast<std::int64_t>(values.size()));
  return bytes;
}

/// A model of 64 columns, two layers, with experts in the second.
GgufWriter some_model(std::uint64_t seed = 1) {
  testing::Random random(seed);
  GgufWriter w;
  w.set("general.architecture", "llama").set("llama.block_count", std::uint32_t{2}).set("general.name", "some");
  w.set("general.file_type", std::uint32_t{1}).set("llama.expert_count", std::uint32_t{3});
  w.set("tokenizer.ggml.tokens", std::vector<std::string>{"a", "b", "c"});
  const auto add = [&](const char* name, const std::vector<std::int64_t>& shape) {
    std::int64_t n = 1;
    for (const std::int64_t d : shape) n *= d;
    w.tensor(name, DType::f16, shape, half_bytes(random.normals(n)));
  };
  add("token_embd.weight", {64, 100});
  w.tensor("output_norm.weight", DType::f32, {64}, testing::float_bytes(random.normals(64)));
  add("output.weight", {64, 100});
  add("blk.0.ffn_down.weight", {96, 64});
  add("blk.1.ffn_down_exps.weight", {96, 37, 3});
  return w;
}

class Quantize : public ::testing::Test {
 protected:
  std::string write(const std::string& name, const GgufWriter& writer) {
    const std::vector<std::byte> bytes = writer.build();
    const std::string path = directory_.file(name);
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return path;
  }
  Result<QuantizePlan> run(const std::string& source, const std::function<void(QuantizeOptions&)>& change = {}) {
    QuantizeOptions options;
    options.type = "Q8_0";
    if (change) change(options);
    return quantize(*library_, Source::from_path(source), out_, options);
  }
  std::size_t n_files() const {
    std::size_t n = 0;
    for ([[maybe_unused]] const auto& f :
         std::filesystem::directory_iterator(std::filesystem::path(out_).parent_path()))
      ++n;
    return n;
  }
  static ModelDescriptor parse(const std::vector<std::vector<std::byte>>& files) {
    std::vector<Bytes> bytes(files.begin(), files.end());
    auto parsed = builtin_formats().front()->parse(bytes, nullptr);
    EXPECT_TRUE(parsed.ok()) << (parsed.ok() ? "" : parsed.status().message());
    return parsed.ok() ? std::move(parsed).value() : ModelDescriptor();
  }

  std::shared_ptr<const Library> library_ = Library::builtin();
  testing::TemporaryDirectory directory_;
  std::string out_ = directory_.file("out.gguf");
};

TEST_F(Quantize, EveryRowIsWhatTheEncoderMakesOfIt) {
  const GgufWriter model = some_model();
  const auto made = run(write("in.gguf", model));
  ASSERT_TRUE(made.ok()) << made.status().message();

  const std::vector<std::byte> file = testing::read_bytes(out_);
  const ModelDescriptor written = parse({file});
  ASSERT_EQ(written.tensors.size(), model.tensors.size());
  EXPECT_EQ(file.size(), made.value().file_bytes());
  const QuantFormat& f16 = *find_format(*library_, DType::f16);
  const QuantFormat& q8 = *find_format(*library_, DType::q8_0);
  for (std::size_t i = 0; i < written.tensors.size(); ++i) {
    const TensorMeta& t = written.tensors[i];
    const std::vector<std::byte>& before = model.tensors[i].data;
    const std::vector<std::byte> after(file.begin() + static_cast<std::ptrdiff_t>(t.offset),
                                       file.begin() + static_cast<std::ptrdiff_t>(t.offset + t.bytes));
    if (t.shape.n_dims == 1) {
      EXPECT_EQ(after, before) << t.name;
      continue;
    }
    EXPECT_EQ(t.dtype, DType::q8_0) << t.name;
    const std::int64_t n = t.shape.rows() * t.shape.cols();
    std::vector<float> floats(static_cast<std::size_t>(n));
    f16.decode(before.data(), floats.data(), n);
    std::vector<std::byte> wanted(t.bytes);
    for (std::int64_t r = 0; r < t.shape.rows(); ++r) {
      q8.encode(floats.data() + r * t.shape.cols(), nullptr,
                wanted.data() + static_cast<std::size_t>(r) * static_cast<std::size_t>(t.shape.cols()) / 32 * 34,
                t.shape.cols());
    }
    EXPECT_EQ(after, wanted) << t.name;
  }
}

TEST_F(Quantize, KeysAreKeptButForWhatHasChanged) {
  const std::string in = write("in.gguf", some_model());
  ASSERT_TRUE(run(in).ok());
  const ModelDescriptor before = parse({testing::read_bytes(in)}), after = parse({testing::read_bytes(out_)});
  for (const MetaEntry& e : before.metadata) {
    const MetaEntry* const kept = after.find_meta(e.key);
    ASSERT_NE(kept, nullptr) << e.key;
    EXPECT_EQ(kept->type, e.type) << e.key;
    if (e.key == "general.file_type") EXPECT_EQ(std::get<std::int64_t>(kept->value), 7);
    else EXPECT_EQ(kept->value, e.value) << e.key;
  }
  ASSERT_NE(after.find_meta("general.quantization_version"), nullptr);
  EXPECT_EQ(std::get<std::int64_t>(after.find_meta("general.quantization_version")->value), 2);
  EXPECT_EQ(after.metadata.size(), before.metadata.size() + 1);
  EXPECT_EQ(after.tokenizer, before.tokenizer);
}

TEST_F(Quantize, AnyNumberOfThreadsGivesTheSameBytes) {
  const std::string in = write("in.gguf", some_model());
  std::vector<std::byte> first;
  for (const int n : {1, 2, 3, 0}) {
    ASSERT_TRUE(run(in, [&](QuantizeOptions& o) { o.n_threads = n; }).ok());
    if (first.empty()) first = testing::read_bytes(out_);
    EXPECT_EQ(testing::read_bytes(out_), first) << n;
  }
  const Executor one_after_another{
      .n_threads = 5, .parallel_for = [](void*, std::size_t n, void (*task)(void*, std::size_t), void* arg) {
        for (std::size_t i = n; i-- > 0;) task(arg, i);
      }};
  ASSERT_TRUE(run(in, [&](QuantizeOptions& o) { o.executor = one_after_another; }).ok());
  EXPECT_EQ(testing::read_bytes(out_), first);
}

/// Encodes the importance that it is given, so that a test sees it.
std::shared_ptr<const Library> library_that_shows_importance() {
  static QuantFormat format = [] {
    QuantFormat f = *find_format(*Library::builtin(), DType::q8_0);
    f.encode = [](const float*, const float* importance, std::byte* out, std::int64_t n) noexcept {
      std::fill(out, out + n / 32 * 34, std::byte{0});
      for (std::int64_t i = 0; i < n / 32; ++i) {
        const float w = importance == nullptr ? -1.0f : importance[32 * i];
        std::memcpy(out + i * 34 + 2, &w, sizeof w);
      }
    };
    return f;
  }();
  static const QuantFormat* formats[] = {find_format(*Library::builtin(), DType::f16),
                                         find_format(*Library::builtin(), DType::f32), &format};
  auto library = std::make_shared<Library>(*Library::builtin());
  library->quants = formats;
  return library;
}

TEST_F(Quantize, EachExpertHasItsOwnImportance) {
  library_ = library_that_shows_importance();
  GgufWriter matrix = testing::imatrix_writer();
  std::vector<float> sums;
  for (int m = 0; m < 3; ++m) sums.insert(sums.end(), 96, static_cast<float>(10 * (m + 1)));
  testing::add_importance(matrix, "blk.1.ffn_down_exps.weight", sums, {10, 10, 0});
  const std::string path = write("importance.gguf", matrix);

  const auto made = run(write("in.gguf", some_model()), [&](QuantizeOptions& o) { o.imatrix = path; });

  ASSERT_TRUE(made.ok()) << made.status().message();
  const std::vector<std::byte> file = testing::read_bytes(out_);
  const ModelDescriptor model = parse({file});
  const auto shown = [&](const TensorMeta& t, std::int64_t row) {
    float w = 0;
    std::memcpy(
        &w,
        file.data() + t.offset + static_cast<std::size_t>(row) * t.bytes / static_cast<std::size_t>(t.shape.rows()) + 2,
        sizeof w);
    return w;
  };
  const TensorMeta& experts = *model.find_tensor("blk.1.ffn_down_exps.weight");
  for (std::int64_t r = 0; r < 111; ++r) EXPECT_EQ(shown(experts, r), r < 37 ? 1.0f : r < 74 ? 2.0f : 1.0f) << r;
  EXPECT_EQ(shown(*model.find_tensor("output.weight"), 5), -1.0f);
  EXPECT_EQ(std::get<std::string>(model.find_meta("quantize.imatrix.file")->value), "importance.gguf");
  EXPECT_EQ(std::get<std::string>(model.find_meta("quantize.imatrix.dataset")->value), "text.txt");
  EXPECT_EQ(std::get<std::int64_t>(model.find_meta("quantize.imatrix.entries_count")->value), 1);
  EXPECT_EQ(std::get<std::int64_t>(model.find_meta("quantize.imatrix.chunks_count")->value), 7);
}

/// The model in two parts.
std::pair<GgufWriter, GgufWriter> in_two_parts(const GgufWriter& whole) {
  GgufWriter a = whole, b;
  b.tensors.assign(whole.tensors.begin() + 2, whole.tensors.end());
  a.tensors.resize(2);
  for (GgufWriter* part : {&a, &b}) {
    part->set("split.no", static_cast<std::uint16_t>(part == &a ? 0 : 1)).set("split.count", std::uint16_t{2});
    part->set("split.tensors.count", static_cast<std::int32_t>(whole.tensors.size()));
  }
  return {std::move(a), std::move(b)};
}

TEST_F(Quantize, PartsBecomeOneFileOrStayParts) {
  const auto [a, b] = in_two_parts(some_model());
  const std::string in = write("in-00001-of-00002.gguf", a);
  write("in-00002-of-00002.gguf", b);
  ASSERT_TRUE(run(write("whole.gguf", some_model())).ok());
  const std::vector<std::byte> wanted = testing::read_bytes(out_);

  const auto merged = run(in);
  ASSERT_TRUE(merged.ok()) << merged.status().message();
  EXPECT_EQ(testing::read_bytes(out_), wanted);

  std::filesystem::remove(out_);
  const auto kept = run(in, [](QuantizeOptions& o) { o.keep_split = true; });
  ASSERT_TRUE(kept.ok()) << kept.status().message();
  ASSERT_EQ(kept.value().files.size(), 2U);
  EXPECT_EQ(kept.value().files[1].path, directory_.file("out-00002-of-00002.gguf"));
  EXPECT_FALSE(std::filesystem::exists(out_));
  const ModelDescriptor parts = parse({testing::read_bytes(directory_.file("out-00001-of-00002.gguf")),
                                       testing::read_bytes(directory_.file("out-00002-of-00002.gguf"))});
  const ModelDescriptor whole = parse({wanted});
  ASSERT_EQ(parts.tensors.size(), whole.tensors.size());
  for (std::size_t i = 0; i < whole.tensors.size(); ++i) {
    EXPECT_EQ(parts.tensors[i].name, whole.tensors[i].name);
    EXPECT_EQ(parts.tensors[i].dtype, whole.tensors[i].dtype);
    EXPECT_EQ(parts.tensors[i].file, i < 2 ? 0 : 1);
  }
}

TEST_F(Quantize, PartsKeepTheirAlignments) {
  auto [a, b] = in_two_parts(some_model());
  a.alignment = 128;
  a.set("general.alignment", std::uint32_t{128});
  const std::string in = write("in-00001-of-00002.gguf", a);
  write("in-00002-of-00002.gguf", b);
  ASSERT_TRUE(run(write("whole.gguf", some_model())).ok());
  const std::vector<std::byte> wanted = testing::read_bytes(out_);
  const ModelDescriptor whole = parse({wanted});
  const auto same_bytes = [&](const ModelDescriptor& model, const std::vector<std::vector<std::byte>>& files) {
    ASSERT_EQ(model.tensors.size(), whole.tensors.size());
    for (std::size_t i = 0; i < whole.tensors.size(); ++i) {
      const TensorMeta &t = model.tensors[i], &w = whole.tensors[i];
      const auto place = files[static_cast<std::size_t>(t.file)].begin() + static_cast<std::ptrdiff_t>(t.offset);
      const auto right = wanted.begin() + static_cast<std::ptrdiff_t>(w.offset);
      EXPECT_EQ(t.offset % (t.file == 0 ? 128 : 32), 0U) << t.name;
      ASSERT_EQ(t.bytes, w.bytes) << t.name;
      EXPECT_TRUE(std::equal(right, right + static_cast<std::ptrdiff_t>(w.bytes), place)) << t.name;
    }
  };

  ASSERT_TRUE(run(in).ok());
  const std::vector<std::byte> merged = testing::read_bytes(out_);
  same_bytes(parse({merged}), {merged});

  ASSERT_TRUE(run(in, [](QuantizeOptions& o) { o.keep_split = true; }).ok());
  const std::vector<std::vector<std::byte>> parts = {testing::read_bytes(directory_.file("out-00001-of-00002.gguf")),
                                                     testing::read_bytes(directory_.file("out-00002-of-00002.gguf"))};
  same_bytes(parse(parts), parts);
}

TEST_F(Quantize, ARunnableModelStaysOne) {
  testing::TinyModel tiny;
  const std::string in = write("in.gguf", testing::tiny_model_writer(tiny));
  ASSERT_TRUE(run(in).ok());
  const auto model = Model::load(library_, Source::from_path(out_), {});
  EXPECT_TRUE(model.ok()) << model.status().message();
}

TEST_F(Quantize, WeightsThatAreNoNumbersAreNamed) {
  const struct {
    DType type;
    float value;
    const char* to;
    const char* word;
  } cases[] = {
      {DType::f32, std::numeric_limits<float>::quiet_NaN(), "Q8_0", "nan"},
      {DType::f32, std::numeric_limits<float>::infinity(), "F16", "inf"},
      {DType::f32, -1e30f, "F16", "too large for F16"},
      {DType::f32, 1e30f, "Q8_0", "too large for Q8_0"},
  };
  for (const auto& c : cases) {
    GgufWriter w = some_model();
    std::vector<float> values(96 * 64, 0.5f);
    values[96 * 41 + 7] = c.value;
    values[96 * 50 + 2] = c.value;   // the first is told, whichever thread sees it
    w.remove_tensor("blk.0.ffn_down.weight")
        .tensor("blk.0.ffn_down.weight", c.type, {96, 64}, testing::float_bytes(values));
    std::ofstream(out_) << "old";
    const auto made = run(write("in.gguf", w), [&](QuantizeOptions& o) { o.type = c.to; });
    ASSERT_FALSE(made.ok()) << c.word;
    EXPECT_EQ(made.status().code(), Code::tensor);
    EXPECT_EQ(made.status().subject(), "blk.0.ffn_down.weight");
    EXPECT_NE(made.status().message().find("row 41, column 7"), std::string_view::npos) << made.status().message();
    EXPECT_NE(made.status().message().find(c.word), std::string_view::npos) << made.status().message();
    EXPECT_EQ(testing::read_bytes(out_).size(), 3U);
    EXPECT_EQ(n_files(), 2U);
  }
}

TEST_F(Quantize, CancelAndAStoppedProgressLeaveTheOldFile) {
  const std::string in = write("in.gguf", some_model());
  std::ofstream(out_) << "old";
  CancelFlag cancel;
  cancel.set = true;
  EXPECT_EQ(run(in, [&](QuantizeOptions& o) { o.cancel = &cancel; }).status().code(), Code::cancelled);
  EXPECT_EQ(n_files(), 2U);

  for (int stop_at = 0;; ++stop_at) {
    struct State {
      int left;
      std::uint64_t last = 0;
      bool all = false;
    } state{stop_at};
    const Progress progress{.report = [](void* user, std::uint64_t done, std::uint64_t total) {
                              State& s = *static_cast<State*>(user);
                              EXPECT_GE(done, s.last);
                              s.last = done;
                              s.all = done == total;
                              return s.left-- > 0;
                            },
                            .user = &state};
    const auto made = run(in, [&](QuantizeOptions& o) { o.progress = progress; });
    if (made.ok()) {
      EXPECT_TRUE(state.all);
      EXPECT_GT(stop_at, 4);
      break;
    }
    EXPECT_EQ(made.status().code(), Code::cancelled) << made.status().message();
    EXPECT_EQ(testing::read_bytes(out_).size(), 3U) << stop_at;
    EXPECT_EQ(n_files(), 2U) << stop_at;
  }
}

TEST_F(Quantize, NothingIsWrittenWhereThePlanIsRefused) {
  const std::string in = write("in.gguf", some_model());
  EXPECT_FALSE(run(in, [](QuantizeOptions& o) { o.output_type = "IQ2_XS"; }).ok());
  EXPECT_FALSE(run(in, [](QuantizeOptions& o) { o.tensor_types = {"nothing=Q4_0"}; }).ok());
  EXPECT_EQ(run("/no/such/file").status().code(), Code::nofile);
  EXPECT_EQ(n_files(), 1U);
  out_ = directory_.file("no/such/folder.gguf");
  EXPECT_EQ(run(in).status().code(), Code::nofile);
}

TEST_F(Quantize, AnOutputThatIsTheInputIsRefused) {
  const std::string in = write("in.gguf", some_model());
  const std::vector<std::byte> before = testing::read_bytes(in);
  out_ = in;
  EXPECT_EQ(run(in).status().code(), Code::argument);
  std::filesystem::create_hard_link(in, directory_.file("linked.gguf"));
  out_ = directory_.file("linked.gguf");
  EXPECT_EQ(run(in).status().code(), Code::argument);
  EXPECT_EQ(testing::read_bytes(in), before);

  const auto [a, b] = in_two_parts(some_model());
  const std::string first = write("in-00001-of-00002.gguf", a);
  out_ = write("in-00002-of-00002.gguf", b);
  EXPECT_EQ(run(first).status().code(), Code::argument);
}

TEST_F(Quantize, MemoryIsCountedBoundedAndSmall) {
  GgufWriter w = some_model();
  const std::vector<float> zeros(4096 * 2048, 0.25f);   // 32 MiB in one tensor
  w.tensor("blk.0.ffn_up.weight", DType::f32, {4096, 2048}, testing::float_bytes(zeros));
  const std::string in = write("in.gguf", w);
  const auto account = MemoryAccount::create();
  ASSERT_TRUE(run(in, [&](QuantizeOptions& o) { o.memory = account; }).ok());
  EXPECT_GT(account->peak_owned(), 0U);
  EXPECT_LT(account->peak_owned(), std::uint64_t{4} << 20);
  EXPECT_EQ(account->owned(), 0U);

  const std::uint64_t enough = account->peak_owned();
  ASSERT_TRUE(account->set_budget(enough).ok());
  EXPECT_TRUE(run(in, [&](QuantizeOptions& o) { o.memory = account; }).ok());
  ASSERT_TRUE(account->set_budget(enough - 1).ok());
  EXPECT_EQ(run(in, [&](QuantizeOptions& o) { o.memory = account; }).status().code(), Code::budget);
  EXPECT_EQ(n_files(), 2U);
}

TEST_F(Quantize, SourcesInMemoryAndDescriptorsGiveTheSameFile) {
  const std::string in = write("in.gguf", some_model());
  ASSERT_TRUE(run(in).ok());
  const std::vector<std::byte> wanted = testing::read_bytes(out_), bytes = testing::read_bytes(in);
  QuantizeOptions options;
  options.type = "Q8_0";
  ASSERT_TRUE(quantize(*library_, Source::from_memory(bytes), out_, options).ok());
  EXPECT_EQ(testing::read_bytes(out_), wanted);
}

}  // namespace
}  // namespace infer
