// SPDX-License-Identifier: MIT
// Importance matrices: made for a model, filled by its sessions, saved to a file.
#include "capi/handles.h"

using infer::Code;
using infer::Status;
using namespace infer::capi;

extern "C" {

infer_status infer_imatrix_create(infer_model* model, infer_imatrix** out, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(clear_out(out, "out"));
    INFER_TRY(check(model, "model"));
    auto imatrix = std::make_unique<infer_imatrix>();
    INFER_ASSIGN(imatrix->matrix, infer::ImportanceMatrix::create(model->model));
    imatrix->model = Ref<infer_model>(model);
    *out = imatrix.release();
    return {};
  });
}
void infer_imatrix_retain(infer_imatrix* imatrix) { retain(imatrix); }
void infer_imatrix_release(infer_imatrix* imatrix) { release(imatrix); }

infer_status infer_session_set_imatrix(infer_session* session, infer_imatrix* imatrix, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(check(session, "session"));
    INFER_TRY(check_optional(imatrix, "imatrix"));
    Ref<infer_imatrix> before(imatrix);   // holds the old one until the session is left
    INFER_ENTER_SESSION(session);
    INFER_TRY(session->session->set_importance(imatrix == nullptr ? nullptr : imatrix->matrix));
    std::swap(session->imatrix, before);
    return {};
  });
}

infer_status infer_imatrix_add(infer_imatrix* imatrix, const infer_source* source, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(check(imatrix, "imatrix"));
    INFER_TRY(check(source, "source"));
    INFER_ENTER(imatrix, "importance matrix");
    return imatrix->matrix->add_file(source->source);
  });
}

infer_status infer_imatrix_save(infer_imatrix* imatrix, const char* path, size_t length, const char* dataset,
                                size_t dataset_length, int64_t chunk_size, infer_error** err) {
  return guard(err, [&]() -> Status {
    INFER_TRY(check(imatrix, "imatrix"));
    INFER_ASSIGN(const std::string_view to, text_argument(path, length, "path"));
    INFER_ASSIGN(const std::string_view name, text_argument(dataset, dataset_length, "dataset"));
    INFER_ENTER(imatrix, "importance matrix");
    return imatrix->matrix->save(std::string(to), name, chunk_size);
  });
}

}  // extern "C"
