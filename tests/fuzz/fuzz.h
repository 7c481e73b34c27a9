// SPDX-License-Identifier: MIT
// What the fuzz targets share. A target is one file with one function; with -DINFER_FUZZ=ON (clang) each becomes a program
// of libFuzzer, and always each is linked with replay.cpp to a plain test that runs its corpus and mutations of it.
//
//   cmake -S . -B build-fuzz -G Ninja -DCMAKE_CXX_COMPILER=clang++-16 -DINFER_FUZZ=ON -DINFER_SANITIZE=address,undefined
//   ninja -C build-fuzz fuzz_gguf_load && build-fuzz/fuzz_gguf_load tests/fuzz/corpus/gguf_load
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "libinfer/memory.h"
#include "libinfer/model.h"
#include "libinfer/session.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace infer::fuzz {

/// A property of the target that must hold for any input.
inline void require(bool holds) {
  if (!holds) __builtin_trap();
}

/// Takes values off the front of the input; zeros once it is used up.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) noexcept : data_(data), size_(size) {}

  template <class T>
  T take() noexcept {
    T value{};
    const std::size_t n = size_ < sizeof(T) ? size_ : sizeof(T);
    if (n > 0) std::memcpy(&value, data_, n);
    data_ += n;
    size_ -= n;
    return value;
  }
  std::vector<std::byte> take_bytes(std::size_t n) {
    n = size_ < n ? size_ : n;
    const auto* begin = reinterpret_cast<const std::byte*>(data_);
    data_ += n;
    size_ -= n;
    return {begin, begin + n};
  }
  std::size_t left() const noexcept { return size_; }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
};

/// Loads a model from memory as a host would that does not trust it: with a budget.
inline Result<std::shared_ptr<const Model>> load(std::span<const std::byte> file) {
  static const std::shared_ptr<const Library> library = Library::builtin();
  ModelOptions options;
  options.memory = MemoryAccount::create();
  static_cast<void>(options.memory->set_budget(std::uint64_t{256} << 20));
  return Model::load(library, Source::from_memory(file), options);
}

/// A message is text that can be printed: the file's own text in it is escaped.
inline void require_message(const Status& status) {
  require(!status.message().empty());
  for (const char c : status.message()) require(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
}

/// Runs a few tokens, whatever the model says they mean.
inline void run(const std::shared_ptr<const Model>& model) {
  Result<std::unique_ptr<Session>> session = Session::create(model, {.n_ctx = 64, .n_batch = 16, .n_threads = 1});
  if (!session.ok()) return require_message(session.status());
  std::vector<Token> tokens;
  for (std::int64_t i = 0; i < 5; ++i) tokens.push_back(static_cast<Token>(i * 7 % model->n_vocab()));
  for (int round = 0; round < 2; ++round) {
    const Status fed = session.value()->feed(0, tokens, WantLogits::last, nullptr);
    if (!fed.ok()) require_message(fed);
    require(session.value()->length(0) == 5 * (round + (fed.ok() ? 1 : 0)));
    if (!fed.ok()) return;
    require(session.value()->logits(0).ok());
  }
}

}  // namespace infer::fuzz
