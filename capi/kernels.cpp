// SPDX-License-Identifier: MIT
// What can be computed how: every entry of the kernel tables, as JSON.
#include <string>
#include <vector>

#include <fmt/format.h>

#include "capi/handles.h"
#include "libinfer/library.h"

using infer::KernelTable;
using infer::Status;
using namespace infer::capi;

namespace {

using AnyFn = void (*)();

/// One computation and the function that a table has for it.
struct Entry {
  std::string op, type;   ///< type: "" where there is but one
  AnyFn (*of)(const KernelTable& table, int index);
  int index;
};

template <class Fn>
AnyFn any(Fn fn) noexcept {
  return reinterpret_cast<AnyFn>(fn);
}

std::vector<Entry> entries(const infer::Library& library) {
  std::vector<Entry> all;
  for (const infer::QuantFormat* q : library.quants) {
    all.push_back({"matmul", infer::info(q->dtype).name, [](const KernelTable& t, int i) { return any(t.matmul[i].run); },
                   static_cast<int>(q->dtype)});
  }
  for (const auto& [type, form] : {std::pair{"f32", infer::InputForm::f32}, std::pair{"bf16", infer::InputForm::bf16},
                                   std::pair{"q8", infer::InputForm::q8},
                                   std::pair{"q8_k", infer::InputForm::q8_k}}) {
    all.push_back({"input", type, [](const KernelTable& t, int i) { return any(t.input[i]); }, static_cast<int>(form)});
  }
  for (const infer::KvKind* kv : library.kv_kinds.all()) {
    const int i = static_cast<int>(kv->type);
    all.push_back({"attention", std::string(kv->name), [](const KernelTable& t, int n) { return any(t.attention[n]); }, i});
    all.push_back({"kv_store", std::string(kv->name), [](const KernelTable& t, int n) { return any(t.kv_store[n]); }, i});
  }
  for (const auto& [type, style] :
       {std::pair{"interleaved", infer::RopeStyle::interleaved}, std::pair{"halves", infer::RopeStyle::halves}}) {
    all.push_back({"rope", type, [](const KernelTable& t, int i) { return any(t.rope[i]); }, static_cast<int>(style)});
  }
  all.push_back({"rms_norm", "", [](const KernelTable& t, int) { return any(t.rms_norm); }, 0});
  all.push_back({"layer_norm", "", [](const KernelTable& t, int) { return any(t.layer_norm); }, 0});
  for (const auto& [type, kind] : {std::pair{"silu", infer::Activation::silu}, std::pair{"gelu", infer::Activation::gelu}}) {
    all.push_back({"activation", type, [](const KernelTable& t, int i) { return any(t.activation[i]); }, static_cast<int>(kind)});
    all.push_back({"gated", type, [](const KernelTable& t, int i) { return any(t.gated[i]); }, static_cast<int>(kind)});
  }
  all.push_back({"softcap", "", [](const KernelTable& t, int) { return any(t.softcap); }, 0});
  all.push_back({"add", "", [](const KernelTable& t, int) { return any(t.add); }, 0});
  all.push_back({"add_scaled", "", [](const KernelTable& t, int) { return any(t.add_scaled); }, 0});
  return all;
}

/// Names are identifiers: nothing needs an escape.
std::string describe(const infer::Library& library, const KernelTable& chosen) {
  const auto tables = library.kernels.all();
  std::string out = fmt::format("{{\"chosen\":\"{}\",\"tables\":[", chosen.name);
  for (std::size_t i = 0; i < tables.size(); ++i) {
    out += fmt::format("{}{{\"name\":\"{}\",\"runs_here\":{}}}", i == 0 ? "" : ",", tables[i]->name, tables[i]->runs_here());
  }
  out += "],\"kernels\":[";
  const KernelTable& specification = *tables.back();
  bool first = true;
  for (const Entry& e : entries(library)) {
    out += fmt::format("{}{{\"op\":\"{}\",\"type\":\"{}\",\"tables\":[", first ? "" : ",", e.op, e.type);
    bool first_table = true;
    for (const KernelTable* t : tables) {
      if (t != &specification && e.of(*t, e.index) == e.of(specification, e.index)) continue;   // borrowed from it
      out += fmt::format("{}\"{}\"", first_table ? "" : ",", t->name);
      first_table = false;
    }
    out += "]}";
    first = false;
  }
  return out + "]}";
}

}  // namespace

extern "C" {

infer_status infer_kernels_json(char* buffer, size_t capacity, size_t* need, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_text(buffer, capacity, need));
    const auto library = infer::Library::builtin();
    INFER_ASSIGN(const KernelTable* const chosen, infer::choose_kernels(*library));
    return copy_out(describe(*library, *chosen), buffer, capacity, need);
  });
}

}  // extern "C"
