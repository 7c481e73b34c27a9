// SPDX-License-Identifier: MIT
// Tests of include/libinfer/status.h: the numbers that the C ABI pins, their names, and how a Status and a Result
// travel.
#include "libinfer/status.h"

#include <gtest/gtest.h>

#include <iterator>
#include <memory>
#include <set>
#include <string>

namespace infer {
namespace {

using namespace std::string_literals;

struct Pinned {
  Code code;
  int number;
  const char* name;
};

// Changing a line of this table breaks every program that was compiled before.
constexpr Pinned kPinned[] = {
    {Code::ok, 0, "INFER_OK"},
    {Code::done, 1, "INFER_DONE"},
    {Code::internal, -1, "INFER_E_INTERNAL"},
    {Code::nomem, -2, "INFER_E_NOMEM"},
    {Code::budget, -3, "INFER_E_BUDGET"},
    {Code::argument, -4, "INFER_E_ARGUMENT"},
    {Code::range, -5, "INFER_E_RANGE"},
    {Code::state, -6, "INFER_E_STATE"},
    {Code::busy, -7, "INFER_E_BUSY"},
    {Code::cancelled, -8, "INFER_E_CANCELLED"},
    {Code::buffer, -10, "INFER_E_BUFFER"},
    {Code::unsupported, -11, "INFER_E_UNSUPPORTED"},
    {Code::notfound, -12, "INFER_E_NOTFOUND"},
    {Code::handle, -13, "INFER_E_HANDLE"},
    {Code::forked, -14, "INFER_E_FORKED"},
    {Code::callback, -16, "INFER_E_CALLBACK"},
    {Code::io, -20, "INFER_E_IO"},
    {Code::nofile, -21, "INFER_E_NOFILE"},
    {Code::permission, -22, "INFER_E_PERMISSION"},
    {Code::truncated_file, -23, "INFER_E_TRUNCATED_FILE"},
    {Code::format, -30, "INFER_E_FORMAT"},
    {Code::version, -31, "INFER_E_VERSION"},
    {Code::limit, -32, "INFER_E_LIMIT"},
    {Code::arch, -33, "INFER_E_ARCH"},
    {Code::metadata, -34, "INFER_E_METADATA"},
    {Code::tensor, -35, "INFER_E_TENSOR"},
    {Code::quant_type, -36, "INFER_E_QUANT_TYPE"},
    {Code::vocab, -37, "INFER_E_VOCAB"},
    {Code::pretokenizer, -38, "INFER_E_PRETOKENIZER"},
    {Code::shard, -40, "INFER_E_SHARD"},
    {Code::token, -50, "INFER_E_TOKEN"},
    {Code::utf8, -51, "INFER_E_UTF8"},
    {Code::chat_template, -52, "INFER_E_TEMPLATE"},
    {Code::template_limit, -53, "INFER_E_TEMPLATE_LIMIT"},
    {Code::context_full, -60, "INFER_E_CONTEXT_FULL"},
    {Code::sequence, -61, "INFER_E_SEQUENCE"},
    {Code::kv_type, -62, "INFER_E_KV_TYPE"},
    {Code::sampler, -73, "INFER_E_SAMPLER"},
};

TEST(Code, NumbersAndNamesArePinned) {
  for (const Pinned& row : kPinned) {
    EXPECT_EQ(static_cast<int>(row.code), row.number) << row.name;
    EXPECT_STREQ(code_name(row.code), row.name);
  }
}

TEST(Code, EachHasASentenceOfItsOwn) {
  std::set<std::string> texts;
  for (const Pinned& row : kPinned) texts.insert(code_text(row.code));
  EXPECT_EQ(texts.size(), std::size(kPinned));
  EXPECT_FALSE(texts.contains(""));
}

TEST(Code, ANumberThatIsNoCodeHasANameToo) {
  for (const int number : {-1000, -9, 2, 12345}) {
    EXPECT_STREQ(code_name(static_cast<Code>(number)), "INFER_E_UNKNOWN");
    EXPECT_STRNE(code_text(static_cast<Code>(number)), "");
  }
}

TEST(Status, SuccessIsEmpty) {
  const Status status;
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(status.code(), Code::ok);
  EXPECT_EQ(status.message(), "");
  EXPECT_EQ(status.subject(), "");
  EXPECT_EQ(status.offset(), Status::kNoOffset);
}

TEST(Status, SuccessStaysEmptyWhateverIsAdded) {
  const Status status = Status().about("a key").at(7).with_context("gguf");
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(status.message(), "");
  EXPECT_EQ(status.offset(), Status::kNoOffset);
}

TEST(Status, AnErrorCarriesCodeMessageSubjectAndOffset) {
  const Status status = Status::error(Code::metadata, "key 'a': is odd").about("a").at(64).with_context("gguf");
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(status.code(), Code::metadata);
  EXPECT_EQ(status.message(), "gguf: key 'a': is odd");
  EXPECT_EQ(status.subject(), "a");
  EXPECT_EQ(status.offset(), 64);
}

TEST(Status, AnErrorNeedsNeitherSubjectNorOffset) {
  const Status status = Status::error(Code::io, "no");
  EXPECT_EQ(status.subject(), "");
  EXPECT_EQ(status.offset(), Status::kNoOffset);
}

TEST(Status, AMoveLeavesSuccessBehind) {
  Status first = Status::error(Code::io, "no");
  const Status second = std::move(first);
  EXPECT_EQ(second.message(), "no");
  EXPECT_TRUE(first.ok());   // NOLINT(bugprone-use-after-move): documented
}

TEST(Status, ACloneIsItsOwn) {
  const Status status = Status::error(Code::io, "no").about("file").at(3);
  const Status copy = status.clone().with_context("open");
  EXPECT_EQ(copy.message(), "open: no");
  EXPECT_EQ(copy.subject(), "file");
  EXPECT_EQ(copy.offset(), 3);
  EXPECT_EQ(status.message(), "no");
  EXPECT_TRUE(Status().clone().ok());
}

TEST(Result, HoldsAValueOrAnError) {
  const Result<std::string> value = "yes"s;
  ASSERT_TRUE(value.ok());
  EXPECT_EQ(value.value(), "yes");
  const Result<std::string> error = Status::error(Code::io, "no");
  ASSERT_FALSE(error.ok());
  EXPECT_EQ(error.status().message(), "no");
}

TEST(Result, GivesUpItsValueWhenMoved) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(7);
  const std::unique_ptr<int> value = std::move(result).value();
  EXPECT_EQ(*value, 7);
}

Result<int> half(int n) {
  if (n % 2 != 0) return Status::error(Code::argument, std::to_string(n) + " is odd");
  return n / 2;
}

Result<int> quarter(int n) {
  INFER_ASSIGN(const int first, half(n));
  INFER_ASSIGN(const int second, half(first));
  return second;
}

Status check(int n) {
  INFER_TRY(quarter(n).ok() ? Status() : Status::error(Code::range, "not a multiple of 4"));
  return {};
}

TEST(StatusMacros, PassErrorsUp) {
  EXPECT_EQ(quarter(8).value(), 2);
  EXPECT_EQ(quarter(6).status().message(), "3 is odd");
  EXPECT_EQ(quarter(5).status().message(), "5 is odd");
  EXPECT_TRUE(check(4).ok());
  EXPECT_EQ(check(6).code(), Code::range);
}

}  // namespace
}  // namespace infer
