/* SPDX-License-Identifier: MIT
 * The C ABI from plain C11: the three tiers, argument checks, ownership in any order. Takes the bundled model's path. */
#define _POSIX_C_SOURCE 200809L
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libinfer.h"

static int checks = 0, failures = 0;

#define CHECK(condition)                                                 \
  do {                                                                   \
    ++checks;                                                            \
    if (!(condition)) {                                                  \
      ++failures;                                                        \
      printf("%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition); \
    }                                                                    \
  } while (0)

/* The call fails with this code, and its message has this text. */
static void expect_error(int line, infer_status got, infer_error *err, infer_status code, const char *text) {
  ++checks;
  if (got != code || infer_error_code(err) != code || strstr(infer_error_message(err), text) == NULL) {
    ++failures;
    printf("line %d: got %s '%s', expected %s with '%s'\n", line, infer_status_name(got), infer_error_message(err),
           infer_status_name(code), text);
  }
  infer_error_release(err);
}
#define EXPECT_ERROR(call, code, text)              \
  do {                                              \
    infer_error *err = NULL;                        \
    infer_status got = (call);                      \
    expect_error(__LINE__, got, err, (code), (text)); \
  } while (0)

static void library(void) {
  CHECK(infer_abi_version() == ((uint32_t)INFER_ABI_MAJOR << 16 | INFER_ABI_MINOR));
  CHECK(strlen(infer_version_string()) > 0);
  CHECK(strcmp(infer_status_name(INFER_E_NOFILE), "INFER_E_NOFILE") == 0);
  CHECK(strlen(infer_status_text(INFER_E_CONTEXT_FULL)) > 0);
  CHECK(strlen(infer_status_name(-999)) > 0);
  CHECK(infer_error_code(NULL) == INFER_OK && infer_error_offset(NULL) == -1);
  infer_error_release(NULL);
}

static void options(void) {
  infer_options *o = NULL;
  int64_t i = 0;
  double d = 0;
  char text[64];
  size_t need = 0;
  const int32_t kinds[] = {INFER_OPTIONS_MODEL, INFER_OPTIONS_SESSION, INFER_OPTIONS_SAMPLER, INFER_OPTIONS_GENERATE,
                           INFER_OPTIONS_QUANT};
  for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); ++k) {
    CHECK(infer_option_count(kinds[k]) > 0);
    for (size_t n = 0; n < infer_option_count(kinds[k]); ++n) {
      infer_option_info info = {0};
      info.struct_size = sizeof info;
      CHECK(infer_option_describe(kinds[k], n, &info, NULL) == INFER_OK);
      CHECK(info.key != NULL && info.doc != NULL && info.default_text != NULL && info.min <= info.max);
    }
  }
  CHECK(infer_options_create(INFER_OPTIONS_GENERATE, &o, NULL) == INFER_OK);
  CHECK(infer_options_get_f64(o, "temperature", &d, NULL) == INFER_OK && d == 0.8);
  CHECK(infer_options_set_f64(o, "temperature", 0.25, NULL) == INFER_OK);
  CHECK(infer_options_get_f64(o, "temperature", &d, NULL) == INFER_OK && d == 0.25);
  CHECK(infer_options_set_i64(o, "seed", -1, NULL) == INFER_OK);
  CHECK(infer_options_get_i64(o, "seed", &i, NULL) == INFER_OK && i == -1);
  CHECK(infer_options_parse(o, " top_k = 7 # not a comment here\n", INFER_STR_NUL, NULL) == INFER_E_ARGUMENT);
  CHECK(infer_options_parse(o, "# a comment\n top_k = 7 \n\nstop=a\nstop=b", INFER_STR_NUL, NULL) == INFER_OK);
  CHECK(infer_options_get_i64(o, "top_k", &i, NULL) == INFER_OK && i == 7);
  CHECK(infer_options_get_str(o, "stop", text, sizeof text, &need, NULL) == INFER_OK && strcmp(text, "a\nb") == 0);
  CHECK(infer_options_get_str(o, "stop", NULL, 0, &need, NULL) == INFER_E_BUFFER && need == 3);
  EXPECT_ERROR(infer_options_set_f64(o, "top_p", 1.5, &err), INFER_E_RANGE, "option 'top_p' = 1.5 is outside 0..1");
  EXPECT_ERROR(infer_options_set_i64(o, "topk", 1, &err), INFER_E_ARGUMENT, "unknown option 'topk'; known: samplers");
  EXPECT_ERROR(infer_options_set_i64(o, "samplers", 1, &err), INFER_E_ARGUMENT, "'samplers' is a string");
  EXPECT_ERROR(infer_options_set_i64(o, "max_tokens", -1, &err), INFER_E_RANGE, "max_tokens");
  EXPECT_ERROR(infer_options_parse(o, "top_k=1\ntop_p=9", INFER_STR_NUL, &err), INFER_E_RANGE, "line 2");
  CHECK(infer_options_get_i64(o, "top_k", &i, NULL) == INFER_OK && i == 7);
  EXPECT_ERROR(infer_options_set_i64(NULL, "top_k", 1, &err), INFER_E_ARGUMENT, "'options' is NULL");
  EXPECT_ERROR(infer_options_set_i64(o, NULL, 1, &err), INFER_E_ARGUMENT, "'key' is NULL");
  CHECK(infer_options_reset(o, NULL) == INFER_OK);
  CHECK(infer_options_get_i64(o, "top_k", &i, NULL) == INFER_OK && i == 40);
  EXPECT_ERROR(infer_options_get_i64(o, "seed", &i, &err), INFER_E_NOTFOUND, "random");
  infer_options_release(o);
  EXPECT_ERROR(infer_options_create(77, &o, &err), INFER_E_ARGUMENT, "77");
}

struct log {
  int records, destroyed;
};
static void on_log(void *user, int32_t level, const char *component, const char *message) {
  (void)level;
  CHECK(strlen(component) > 0 && strlen(message) > 0 && strchr(message, '\n') == NULL);
  ++((struct log *)user)->records;
}
static void on_destroy(void *user) { ++((struct log *)user)->destroyed; }
static int32_t refuse(void *user, uint64_t done, uint64_t total) {
  (void)user, (void)done, (void)total;
  return 1;
}

/* Backwards, on the caller's thread. */
static int tasks_run = 0;
static void run_tasks(void *user, size_t n_tasks, infer_task_fn task, void *arg) {
  (void)user;
  while (n_tasks > 0) {
    task(arg, --n_tasks);
    ++tasks_run;
  }
}

/* Above a mebibyte the executor of the first model tokenises, unless one thread is asked for; the tokens are the same. */
static void long_text(const infer_model *with_executor, const infer_model *alone) {
  enum { kBytes = 1100000 };
  char *const text = malloc(kBytes);
  int32_t *const tokens = malloc(kBytes * sizeof(int32_t)), *const expected = malloc(kBytes * sizeof(int32_t));
  size_t n = 0, n_expected = 0;
  int before;
  for (size_t i = 0; i < kBytes; ++i) text[i] = i % 7 == 0 ? ' ' : (char)('a' + i % 23);
  CHECK(infer_tokenize(alone, text, kBytes, INFER_TOKENIZE_ONE_THREAD, expected, kBytes, &n_expected, NULL) == INFER_OK);
  before = tasks_run;
  CHECK(infer_tokenize(with_executor, text, kBytes, 0, tokens, kBytes, &n, NULL) == INFER_OK);
  CHECK(tasks_run == before + 3);
  CHECK(n == n_expected && memcmp(tokens, expected, n * sizeof(int32_t)) == 0);
  CHECK(infer_tokenize(with_executor, text, kBytes, INFER_TOKENIZE_ONE_THREAD, tokens, kBytes, &n, NULL) == INFER_OK);
  CHECK(tasks_run == before + 3);
  CHECK(infer_tokenize(alone, text, kBytes, 0, tokens, kBytes, &n, NULL) == INFER_OK);
  CHECK(n == n_expected && memcmp(tokens, expected, n * sizeof(int32_t)) == 0);
  EXPECT_ERROR(infer_tokenize(alone, text, 1, 8, tokens, 1, &n, &err), INFER_E_ARGUMENT, "flags = 8 has bits");
  free(text);
  free(tokens);
  free(expected);
}

static void executor(const char *path) {
  struct log ended = {0, 0}, replaced = {0, 0};
  infer_env *env = NULL;
  infer_source *source = NULL;
  infer_model *model = NULL, *alone = NULL;
  infer_session *sessions[2] = {NULL, NULL};
  const float *logits[2] = {NULL, NULL};
  const int32_t tokens[5] = {11, 12, 13, 14, 15};
  int64_t value = 0;
  size_t n_vocab = 0;
  CHECK(infer_env_create(&env, NULL) == INFER_OK);
  CHECK(infer_env_get_i64(env, "cores", &value, NULL) == INFER_OK && value >= 1);
  EXPECT_ERROR(infer_env_get_i64(env, "core", &value, &err), INFER_E_NOTFOUND, "known: cores, threads_default");
  EXPECT_ERROR(infer_env_set_executor(env, 0, run_tasks, NULL, NULL, &err), INFER_E_RANGE, "n_threads = 0 is outside");
  CHECK(infer_env_set_executor(env, 2, run_tasks, &replaced, on_destroy, NULL) == INFER_OK);
  CHECK(infer_env_set_executor(env, 3, run_tasks, &ended, on_destroy, NULL) == INFER_OK);
  CHECK(replaced.destroyed == 1);
  CHECK(infer_env_get_i64(env, "threads_default", &value, NULL) == INFER_OK && value == 3);
  CHECK(infer_source_path(path, INFER_STR_NUL, &source, NULL) == INFER_OK);
  CHECK(infer_model_load(env, source, NULL, NULL, NULL, NULL, &model, NULL) == INFER_OK);
  EXPECT_ERROR(infer_env_set_executor(env, 2, run_tasks, NULL, NULL, &err), INFER_E_STATE, "before the first load");
  CHECK(infer_model_load_path(path, INFER_STR_NUL, &alone, NULL) == INFER_OK);
  CHECK(infer_session_create(model, NULL, &sessions[0], NULL) == INFER_OK);
  CHECK(infer_session_create(alone, NULL, &sessions[1], NULL) == INFER_OK);
  CHECK(infer_session_get_i64(sessions[0], "n_threads", &value, NULL) == INFER_OK && value == 3);
  for (int i = 0; i < 2; ++i) {
    CHECK(infer_feed(sessions[i], 0, tokens, 5, INFER_LOGITS_LAST, NULL, NULL) == INFER_OK);
    CHECK(infer_logits(sessions[i], 0, &logits[i], &n_vocab, NULL) == INFER_OK);
  }
  CHECK(tasks_run > 0);
  CHECK(memcmp(logits[0], logits[1], n_vocab * sizeof(float)) == 0);
  long_text(model, alone);
  infer_env_release(env);
  infer_source_release(source);
  infer_model_release(model);
  infer_model_release(alone);
  infer_session_release(sessions[1]);
  CHECK(ended.destroyed == 0); /* the session still has it */
  infer_session_release(sessions[0]);
  CHECK(ended.destroyed == 1);
}

/* In a child process the session says what to do, and the model serves a new one. */
static void forked(const char *path) {
  infer_model *model = NULL;
  infer_session *session = NULL, *fresh = NULL;
  infer_stream *stream = NULL;
  const infer_event *event = NULL;
  const int32_t token = 11;
  int status = 0;
  pid_t child;
  CHECK(infer_model_load_path(path, INFER_STR_NUL, &model, NULL) == INFER_OK);
  CHECK(infer_session_create(model, NULL, &session, NULL) == INFER_OK);
  CHECK(infer_stream_start(session, 0, &token, 1, NULL, NULL, &stream, NULL) == INFER_OK);
  fflush(stdout);
  child = fork();
  if (child == 0) {
    int32_t seq = 0;
    const int before = failures;
    alarm(30);
    EXPECT_ERROR(infer_feed(session, 0, &token, 1, INFER_LOGITS_LAST, NULL, &err), INFER_E_FORKED, "create a new session");
    EXPECT_ERROR(infer_seq_open(session, &seq, &err), INFER_E_FORKED, "create a new session");
    EXPECT_ERROR(infer_seq_clear(session, 0, &err), INFER_E_FORKED, "create a new session");
    EXPECT_ERROR(infer_step(session, &seq, &token, 1, NULL, &err), INFER_E_FORKED, "create a new session");
    EXPECT_ERROR(infer_stream_next(stream, &event, &err), INFER_E_FORKED, "create a new session");
    infer_stream_release(stream);
    infer_session_release(session);
    CHECK(infer_session_create(model, NULL, &fresh, NULL) == INFER_OK);
    CHECK(infer_feed(fresh, 0, &token, 1, INFER_LOGITS_LAST, NULL, NULL) == INFER_OK);
    infer_session_release(fresh);
    infer_model_release(model);
    fflush(stdout);
    _exit(failures == before ? 42 : 1);
  }
  CHECK(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 42);
  CHECK(infer_stream_next(stream, &event, NULL) == INFER_OK);
  infer_stream_release(stream);
  infer_session_release(session);
  infer_model_release(model);
}

static void *read_file(const char *path, size_t *size) {
  FILE *f = fopen(path, "rb");
  void *data = NULL;
  if (f != NULL && fseek(f, 0, SEEK_END) == 0) {
    *size = (size_t)ftell(f);
    rewind(f);
    data = malloc(*size);
    if (data != NULL && fread(data, 1, *size, f) != *size) *size = 0;
  }
  if (f != NULL) fclose(f);
  return data;
}

static void loading(const char *path) {
  struct log log = {0, 0}, memory = {0, 0};
  infer_env *env = NULL;
  infer_source *source = NULL;
  infer_model *model = NULL;
  infer_options *o = NULL;
  infer_cancel *cancel = NULL;
  size_t size = 0;
  void *data = read_file(path, &size);
  CHECK(infer_env_create(&env, NULL) == INFER_OK);
  CHECK(infer_env_set_log(env, INFER_LOG_DEBUG, on_log, &log, on_destroy, NULL) == INFER_OK);
  CHECK(infer_source_path(path, INFER_STR_NUL, &source, NULL) == INFER_OK);
  CHECK(infer_model_load(env, source, NULL, NULL, NULL, NULL, &model, NULL) == INFER_OK);
  CHECK(log.records > 0);
  EXPECT_ERROR(infer_env_set_log(env, 0, on_log, &log, NULL, &err), INFER_E_STATE, "before the first load");
  infer_source_release(source);
  infer_env_release(env);
  CHECK(log.destroyed == 0); /* the model still has the environment */
  infer_model_release(model);
  CHECK(log.destroyed == 1);

  CHECK(infer_source_memory(data, size, on_destroy, &memory, &source, NULL) == INFER_OK);
  CHECK(infer_model_load(NULL, source, NULL, NULL, NULL, NULL, &model, NULL) == INFER_OK);
  infer_source_release(source);
  CHECK(memory.destroyed == 0);
  CHECK(infer_model_memory(model, INFER_MEMORY_MAPPED) == size);
  CHECK(infer_model_validate(model, NULL, NULL) == INFER_OK);
  EXPECT_ERROR(infer_model_validate(NULL, NULL, &err), INFER_E_ARGUMENT, "model");
  infer_model_release(model);
  CHECK(memory.destroyed == 1);
  free(data);

  /* Reading instead of mapping: progress and cancel. */
  CHECK(infer_options_create(INFER_OPTIONS_MODEL, &o, NULL) == INFER_OK);
  CHECK(infer_options_set_i64(o, "use_mmap", 0, NULL) == INFER_OK);
  CHECK(infer_source_path(path, INFER_STR_NUL, &source, NULL) == INFER_OK);
  EXPECT_ERROR(infer_model_load(NULL, source, o, NULL, refuse, NULL, &model, &err), INFER_E_CALLBACK, "progress");
  CHECK(infer_cancel_create(&cancel, NULL) == INFER_OK);
  infer_cancel_trigger(cancel);
  CHECK(infer_cancel_is_set(cancel) == 1);
  EXPECT_ERROR(infer_model_load(NULL, source, o, cancel, NULL, NULL, &model, &err), INFER_E_CANCELLED, "cancelled");
  CHECK(model == NULL);
  infer_cancel_reset(cancel);
  CHECK(infer_model_load(NULL, source, o, cancel, NULL, NULL, &model, NULL) == INFER_OK);
  CHECK(infer_model_memory(model, INFER_MEMORY_MAPPED) == 0);
  CHECK(infer_model_memory(model, INFER_MEMORY_WEIGHTS) >= size);
  infer_model_release(model);
  infer_cancel_release(cancel);
  infer_source_release(source);
  infer_options_release(o);

  EXPECT_ERROR(infer_model_load_path("no/such/file.gguf", INFER_STR_NUL, &model, &err), INFER_E_NOFILE, "no/such/file.gguf");
  EXPECT_ERROR(infer_model_load_path(".", INFER_STR_NUL, &model, &err), INFER_E_IO, "directory");
  EXPECT_ERROR(infer_model_load_path(NULL, 1, &model, &err), INFER_E_ARGUMENT, "NULL");
  EXPECT_ERROR(infer_model_load(NULL, NULL, NULL, NULL, NULL, NULL, &model, &err), INFER_E_ARGUMENT, "'source' is NULL");
}

struct host {
  size_t live;
  int calls, destroyed;
};
static void *host_alloc(void *user, size_t size, size_t alignment) {
  struct host *host = (struct host *)user;
  host->live += size;
  ++host->calls;
  return aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}
static void host_free(void *user, void *data, size_t size) {
  ((struct host *)user)->live -= size;
  free(data);
}
static void host_gone(void *user) { ++((struct host *)user)->destroyed; }

static void memory(const char *path) {
  struct host host = {0, 0, 0};
  infer_env *env = NULL;
  infer_source *source = NULL;
  infer_model *model = NULL;
  infer_session *session = NULL;
  infer_sampler *sampler = NULL;
  infer_options *o = NULL;
  infer_memory_plan both, alone;
  uint64_t now = 1, peak = 1;
  CHECK(infer_env_create(&env, NULL) == INFER_OK);
  CHECK(infer_source_path(path, INFER_STR_NUL, &source, NULL) == INFER_OK);
  CHECK(infer_options_create(INFER_OPTIONS_SESSION, &o, NULL) == INFER_OK);
  CHECK(infer_options_parse(o, "n_ctx=100\nn_seq=3\nn_threads=2", INFER_STR_NUL, NULL) == INFER_OK);

  EXPECT_ERROR(infer_env_set_allocator(env, host_alloc, NULL, &host, host_gone, &err), INFER_E_ARGUMENT, "neither");
  CHECK(infer_env_set_allocator(env, host_alloc, host_free, &host, host_gone, NULL) == INFER_OK);
  memset(&both, 0xff, sizeof both);
  EXPECT_ERROR(infer_model_plan(env, source, NULL, o, &both, &err), INFER_E_ARGUMENT, "struct_size");
  EXPECT_ERROR(infer_model_plan(env, source, NULL, o, NULL, &err), INFER_E_ARGUMENT, "'plan' is NULL");
  both.struct_size = alone.struct_size = sizeof both;
  CHECK(infer_model_plan(env, source, NULL, o, &both, NULL) == INFER_OK);
  CHECK(both.struct_size == sizeof both && both.kv > 0 && both.scratch > 0 && both.weights > 0 && both.mapped > 0);
  CHECK(both.owned == both.weights + both.kv + both.scratch + both.vocab + both.other);
  CHECK(infer_env_memory(env, INFER_MEMORY_OWNED, &now, &peak, NULL) == INFER_OK && now == 0 && peak == 0);
  EXPECT_ERROR(infer_env_memory(env, 77, &now, NULL, &err), INFER_E_ARGUMENT, "77");

  /* The plan is enough; a byte less is not, and the message says both numbers. */
  CHECK(infer_env_set_budget(env, both.owned - 1, NULL) == INFER_OK);
  CHECK(infer_model_load(env, source, NULL, NULL, NULL, NULL, &model, NULL) == INFER_OK);
  EXPECT_ERROR(infer_env_set_allocator(env, NULL, NULL, NULL, NULL, &err), INFER_E_STATE, "before the first load");
  CHECK(infer_session_plan(model, o, &alone, NULL) == INFER_OK);
  CHECK(alone.weights == 0 && alone.kv == both.kv && alone.scratch == both.scratch);
  EXPECT_ERROR(infer_session_create(model, o, &session, &err), INFER_E_BUDGET, "the budget is ");
  CHECK(infer_env_set_budget(env, both.owned, NULL) == INFER_OK);
  CHECK(infer_session_create(model, o, &session, NULL) == INFER_OK);
  CHECK(infer_session_memory(session, INFER_MEMORY_OWNED) == alone.owned);
  CHECK(infer_env_memory(env, INFER_MEMORY_OWNED, &now, &peak, NULL) == INFER_OK && now == both.owned && peak == now);
  CHECK(infer_env_memory(env, INFER_MEMORY_KV, &now, NULL, NULL) == INFER_OK && now == both.kv);
  CHECK(infer_env_memory(env, INFER_MEMORY_MAPPED, NULL, &peak, NULL) == INFER_OK && peak == both.mapped);
  EXPECT_ERROR(infer_env_set_budget(env, 1000, &err), INFER_E_BUDGET, "in use");
  CHECK(host.calls > 1 && host.live >= both.kv + both.scratch + both.weights);
  CHECK(infer_sampler_create(model, NULL, &sampler, NULL) == INFER_OK);
  CHECK(infer_env_memory(env, INFER_MEMORY_OWNED, &now, NULL, NULL) == INFER_OK && now > both.owned);
  infer_sampler_release(sampler);
  infer_session_release(session);
  CHECK(infer_env_memory(env, INFER_MEMORY_KV, &now, &peak, NULL) == INFER_OK && now == 0 && peak == both.kv);
  CHECK(infer_env_set_budget(env, 0, NULL) == INFER_OK);

  infer_options_release(o);
  infer_source_release(source);
  infer_env_release(env);
  CHECK(host.destroyed == 0); /* the model has its memory from it */
  infer_model_release(model);
  CHECK(host.live == 0 && host.destroyed == 1);
}

static int32_t count_progress(void *user, uint64_t done, uint64_t total) {
  ++*(int *)user;
  return done > total;
}
static int32_t stop_progress(void *user, uint64_t done, uint64_t total) {
  (void)user, (void)done, (void)total;
  return 1;
}

static void quantizing(const char *path) {
  infer_source *source = NULL;
  infer_options *o = NULL, *other = NULL;
  infer_cancel *cancel = NULL;
  infer_env *env = NULL;
  infer_model *model = NULL;
  char out[] = "/tmp/infer_c_api_XXXXXX";
  char small[8], *plan = NULL;
  size_t need = 0;
  int calls = 0;
  uint64_t now = 1, peak = 0;
  int fd = mkstemp(out);
  CHECK(fd >= 0);
  close(fd);
  CHECK(infer_source_path(path, INFER_STR_NUL, &source, NULL) == INFER_OK);
  CHECK(infer_options_create(INFER_OPTIONS_QUANT, &o, NULL) == INFER_OK);
  CHECK(infer_options_create(INFER_OPTIONS_MODEL, &other, NULL) == INFER_OK);
  CHECK(infer_cancel_create(&cancel, NULL) == INFER_OK);
  CHECK(infer_env_create(&env, NULL) == INFER_OK);

  EXPECT_ERROR(infer_quantize_plan(NULL, NULL, o, NULL, 0, NULL, &err), INFER_E_ARGUMENT, "source");
  EXPECT_ERROR(infer_quantize_plan(NULL, source, NULL, NULL, 0, NULL, &err), INFER_E_ARGUMENT, "no type");
  EXPECT_ERROR(infer_quantize_plan(NULL, source, other, NULL, 0, NULL, &err), INFER_E_ARGUMENT, "another kind");
  CHECK(infer_options_set_str(o, "type", "Q9_K", INFER_STR_NUL, NULL) == INFER_OK);
  EXPECT_ERROR(infer_quantize_plan(NULL, source, o, NULL, 0, NULL, &err), INFER_E_QUANT_TYPE, "Q4_K_M");
  CHECK(infer_options_set_str(o, "type", "F16", INFER_STR_NUL, NULL) == INFER_OK);
  EXPECT_ERROR(infer_quantize_plan(NULL, source, o, small, sizeof(small), &need, &err), INFER_E_BUFFER, "");
  plan = malloc(need + 1);
  CHECK(plan != NULL && infer_quantize_plan(env, source, o, plan, need + 1, &need, NULL) == INFER_OK);
  CHECK(strlen(plan) == need && strstr(plan, "\"blk.3.ffn_down.weight\",\"shape\":[512, 256],\"from\":\"Q8_0\",\"to\":\"F16\"") != NULL);
  free(plan);

  EXPECT_ERROR(infer_quantize(NULL, source, NULL, 0, o, NULL, NULL, NULL, &err), INFER_E_ARGUMENT, "path");
  EXPECT_ERROR(infer_quantize(NULL, source, path, INFER_STR_NUL, o, NULL, NULL, NULL, &err), INFER_E_ARGUMENT, "both input and output");
  EXPECT_ERROR(infer_quantize(NULL, source, "/no/such/x", INFER_STR_NUL, o, NULL, NULL, NULL, &err), INFER_E_NOFILE, "folder");
  EXPECT_ERROR(infer_quantize(NULL, source, out, INFER_STR_NUL, o, NULL, stop_progress, NULL, &err), INFER_E_CALLBACK, "stopped");
  infer_cancel_trigger(cancel);
  EXPECT_ERROR(infer_quantize(NULL, source, out, INFER_STR_NUL, o, cancel, NULL, NULL, &err), INFER_E_CANCELLED, "");
  EXPECT_ERROR(infer_model_load_path(out, INFER_STR_NUL, &model, &err), INFER_E_TRUNCATED_FILE, "empty");   /* as it was */
  CHECK(infer_env_set_budget(env, 1000, NULL) == INFER_OK);
  EXPECT_ERROR(infer_quantize(env, source, out, INFER_STR_NUL, o, NULL, NULL, NULL, &err), INFER_E_BUDGET, "");
  CHECK(infer_env_set_budget(env, 0, NULL) == INFER_OK);
  CHECK(infer_quantize(env, source, out, INFER_STR_NUL, o, NULL, count_progress, &calls, NULL) == INFER_OK);
  CHECK(calls > 2);
  CHECK(infer_env_memory(env, INFER_MEMORY_OWNED, &now, &peak, NULL) == INFER_OK);
  CHECK(now == 0 && peak > 0 && peak < (16 << 20));
  CHECK(infer_model_load_path(out, INFER_STR_NUL, &model, NULL) == INFER_OK);
  infer_model_release(model);
  unlink(out);
  infer_env_release(env);
  infer_cancel_release(cancel);
  infer_options_release(other);
  infer_options_release(o);
  infer_source_release(source);
}

static void facts(infer_model *model) {
  int64_t i = 0;
  double d = 0;
  char text[256];
  size_t need = 0;
  CHECK(infer_model_get_i64(model, "n_layers", &i, NULL) == INFER_OK && i == 4);
  CHECK(infer_model_get_i64(model, "n_params", &i, NULL) == INFER_OK && i == 2623744);
  CHECK(infer_model_get_f64(model, "rope_base", &d, NULL) == INFER_OK && d == 10000.0);
  CHECK(infer_model_get_str(model, "architecture", text, sizeof text, &need, NULL) == INFER_OK);
  CHECK(strcmp(text, "llama") == 0 && need == 5);
  EXPECT_ERROR(infer_model_get_i64(model, "n_wheels", &i, &err), INFER_E_NOTFOUND, "known: n_params");
  EXPECT_ERROR(infer_model_get_str(model, "architecture", text, 3, &need, &err), INFER_E_BUFFER, "6 are needed");
  CHECK(need == 5);
  CHECK(infer_model_meta_json(model, "llama.context_length", text, sizeof text, &need, NULL) == INFER_OK);
  CHECK(strcmp(text, "256") == 0);
  CHECK(infer_model_meta_json(model, "tokenizer.ggml.scores", NULL, 0, &need, NULL) == INFER_E_BUFFER && need > 1024);
  for (size_t n = 0; n < infer_model_meta_count(model); ++n) {
    infer_meta_info info = {0};
    info.struct_size = sizeof info;
    CHECK(infer_model_meta_at(model, n, &info, NULL) == INFER_OK && info.key[0] != 0 && info.count >= 1 && info.fingerprint != 0);
    info.fingerprint = 7;
    info.struct_size = offsetof(infer_meta_info, fingerprint);   /* an older caller */
    CHECK(infer_model_meta_at(model, n, &info, NULL) == INFER_OK && info.count >= 1 && info.fingerprint == 7);
  }
  for (size_t n = 0; n < infer_model_tensor_count(model); ++n) {
    infer_tensor_info info = {0};
    info.struct_size = sizeof info;
    CHECK(infer_model_tensor_at(model, n, &info, NULL) == INFER_OK && info.dims[0] > 0 && info.bytes > 0);
  }
  float two[2] = {0, 0}, one = 0;
  CHECK(infer_model_tensor_read(model, 0, 33, 2, two, NULL) == INFER_OK);
  CHECK(infer_model_tensor_read(model, 0, 34, 1, &one, NULL) == INFER_OK && one == two[1] && one != 0);
  CHECK(infer_model_tensor_read(model, 0, 0, 0, NULL, NULL) == INFER_OK);
  EXPECT_ERROR(infer_model_tensor_read(model, 0, 0, 1, NULL, &err), INFER_E_ARGUMENT, "values");
  EXPECT_ERROR(infer_model_tensor_read(model, 999, 0, 1, &one, &err), INFER_E_RANGE, "tensor 999");
  EXPECT_ERROR(infer_model_tensor_read(model, 0, UINT64_MAX, 1, &one, &err), INFER_E_RANGE, "it has 256");
  EXPECT_ERROR(infer_model_tensor_read(NULL, 0, 0, 1, &one, &err), INFER_E_ARGUMENT, "model");
  infer_tensor_info unset = {0};
  EXPECT_ERROR(infer_model_tensor_at(model, 0, &unset, &err), INFER_E_ARGUMENT, "struct_size");
}

static void tokens(infer_model *model) {
  const char *text = "Prince Andrew \xf0\x9f\x98\x80";
  int32_t ids[64], token = 0, type = 0;
  size_t n = 0, need = 0, length = 0;
  char back[64], streamed[64] = "";
  const char *piece = NULL;
  infer_decoder *decoder = NULL;
  CHECK(infer_tokenize(model, text, INFER_STR_NUL, 0, ids, 64, &n, NULL) == INFER_OK && n > 4);
  CHECK(infer_tokenize(model, text, INFER_STR_NUL, 0, NULL, 0, &need, NULL) == INFER_E_BUFFER && need == n);
  CHECK(infer_detokenize(model, ids, n, 0, back, sizeof back, &need, NULL) == INFER_OK && strcmp(back, text) == 0);
  size_t begins[64], ends[64], n_spans = 0;
  int32_t same[64];
  CHECK(infer_tokenize_spans(model, text, INFER_STR_NUL, 0, same, begins, ends, 64, &n_spans, NULL) == INFER_OK && n_spans == n);
  CHECK(memcmp(same, ids, n * sizeof *ids) == 0 && begins[0] == 0 && ends[n - 1] == strlen(text));
  for (size_t i = 1; i < n; ++i) CHECK(begins[i] == ends[i - 1]);
  CHECK(infer_tokenize_spans(model, text, INFER_STR_NUL, 0, NULL, NULL, NULL, 0, &need, NULL) == INFER_E_BUFFER && need == n);
  EXPECT_ERROR(infer_tokenize_spans(model, text, 3, 0, same, NULL, ends, 64, &n_spans, &err), INFER_E_ARGUMENT, "begins");
  CHECK(infer_decoder_create(model, 0, &decoder, NULL) == INFER_OK);
  for (size_t i = 0; i < n; ++i) {
    CHECK(infer_decoder_push(decoder, ids[i], &piece, &length, NULL) == INFER_OK && strlen(piece) == length);
    strcat(streamed, piece);
  }
  CHECK(infer_decoder_flush(decoder, &piece, &length, NULL) == INFER_OK && length == 0);
  CHECK(strcmp(streamed + 1, text) == 0); /* the space prefix is kept in a stream */
  infer_decoder_release(decoder);
  CHECK(infer_decoder_create(model, INFER_DETOKENIZE_RENDER_SPECIAL, &decoder, NULL) == INFER_OK);
  CHECK(infer_decoder_push(decoder, 2, &piece, &length, NULL) == INFER_OK && strcmp(piece, "</s>") == 0);
  infer_decoder_release(decoder);
  EXPECT_ERROR(infer_decoder_create(model, 64, &decoder, &err), INFER_E_ARGUMENT, "flags");
  CHECK(infer_token_special(model, "eos", &token, NULL) == INFER_OK && token == 2);
  EXPECT_ERROR(infer_token_special(model, "eot", &token, &err), INFER_E_NOTFOUND, "no eot");
  EXPECT_ERROR(infer_token_special(model, "king", &token, &err), INFER_E_ARGUMENT, "known: bos");
  CHECK(infer_token_type(model, 2, &type, NULL) == INFER_OK && type == INFER_TOKEN_CONTROL);
  CHECK(infer_token_is_end(model, 2, &type, NULL) == INFER_OK && type == 1);
  EXPECT_ERROR(infer_token_bytes(model, 4096, 0, &piece, &length, &err), INFER_E_TOKEN, "4096");
  ids[1] = -5;
  EXPECT_ERROR(infer_detokenize(model, ids, n, 0, back, sizeof back, &need, &err), INFER_E_TOKEN, "-5");
  EXPECT_ERROR(infer_tokenize(model, text, 3, 64, ids, 64, &n, &err), INFER_E_ARGUMENT, "flags");
}

static int32_t collect(void *user, const char *text, size_t length) {
  strncat((char *)user, text, length);
  return 0;
}
static int32_t stop_at_once(void *user, const char *text, size_t length) {
  (void)user, (void)text, (void)length;
  return 42;
}

/* The same greedy text through all three tiers. */
static void tiers(infer_model *model) {
  const char *prompt = "The old prince";
  enum { n_tokens = 24 };
  char simple[1024] = "", streamed[1024] = "", stepped[1024] = "";
  infer_session *session = NULL;
  infer_options *o = NULL;
  infer_stream *stream = NULL;
  infer_sampler *sampler = NULL;
  const infer_event *event = NULL;
  int32_t reason = 0, ids[64], seq = 0, finish = 0;
  int64_t i = 0, room = 0;
  double d = 0;
  size_t n = 0;
  infer_status status = INFER_OK;

  CHECK(infer_options_create(INFER_OPTIONS_GENERATE, &o, NULL) == INFER_OK);
  CHECK(infer_options_set_f64(o, "temperature", 0, NULL) == INFER_OK);
  CHECK(infer_options_set_i64(o, "max_tokens", n_tokens, NULL) == INFER_OK);
  CHECK(infer_session_create(model, NULL, &session, NULL) == INFER_OK);
  CHECK(infer_session_memory(session, INFER_MEMORY_KV) > 0 && infer_session_memory(session, INFER_MEMORY_OWNED) > 0);
  CHECK(infer_session_get_i64(session, "n_ctx", &i, NULL) == INFER_OK && i == 256);

  CHECK(infer_generate(session, 0, prompt, INFER_STR_NUL, o, NULL, collect, simple, &reason, NULL) == INFER_OK);
  CHECK(reason == INFER_FINISH_LENGTH && strlen(simple) > 0);
  EXPECT_ERROR(infer_generate(session, 0, prompt, INFER_STR_NUL, o, NULL, stop_at_once, NULL, &reason, &err),
               INFER_E_CALLBACK, "42");
  CHECK(infer_seq_clear(session, 0, NULL) == INFER_OK);

  CHECK(infer_stream_start_text(session, 0, prompt, INFER_STR_NUL, o, NULL, &stream, NULL) == INFER_OK);
  while ((status = infer_stream_next(stream, &event, NULL)) == INFER_OK) {
    strcat(streamed, infer_event_text(event, NULL));
    if (infer_event_kind(event) == INFER_EVENT_END) finish = infer_event_finish_reason(event);
  }
  CHECK(status == INFER_DONE && event == NULL && finish == INFER_FINISH_LENGTH);
  CHECK(infer_stream_next(stream, &event, NULL) == INFER_DONE);
  CHECK(infer_stream_get_i64(stream, "generated_tokens", &i, NULL) == INFER_OK && i == n_tokens);
  CHECK(infer_stream_get_f64(stream, "first_token_seconds", &d, NULL) == INFER_OK && d > 0);
  infer_stream_release(stream);
  CHECK(strcmp(simple, streamed) == 0);

  CHECK(infer_seq_clear(session, 0, NULL) == INFER_OK);
  CHECK(infer_tokenize(model, prompt, INFER_STR_NUL, INFER_TOKENIZE_ADD_SPECIAL, ids, 64, &n, NULL) == INFER_OK);
  CHECK(infer_sampler_create(model, o, &sampler, NULL) == INFER_OK);
  CHECK(infer_feed(session, 0, ids, n, INFER_LOGITS_LAST, NULL, NULL) == INFER_OK);
  for (int k = 0; k < n_tokens; ++k) {
    int32_t token = 0;
    const char *piece = NULL;
    size_t length = 0;
    float logprob = 1;
    CHECK(infer_sample(session, sampler, 0, &token, &logprob, NULL) == INFER_OK && logprob <= 0);
    CHECK(infer_sampler_accept(sampler, token, NULL) == INFER_OK);
    CHECK(infer_token_bytes(model, token, 0, &piece, &length, NULL) == INFER_OK);
    strncat(stepped, piece, length);
    CHECK(infer_step(session, &seq, &token, 1, NULL, NULL) == INFER_OK);
  }
  CHECK(strcmp(simple, stepped) == 0);
  CHECK(infer_seq_length(session, 0, &i, &room, NULL) == INFER_OK && i == (int64_t)n + n_tokens && i + room == 256);
  infer_sampler_release(sampler);

  EXPECT_ERROR(infer_seq_open(session, &seq, &err), INFER_E_SEQUENCE, "n_seq");
  EXPECT_ERROR(infer_feed(session, 0, ids, n, 9, NULL, &err), INFER_E_ARGUMENT, "want");
  infer_session_release(session);
  EXPECT_ERROR(infer_session_create(model, o, &session, &err), INFER_E_ARGUMENT, "another kind");
  CHECK(session == NULL);
  infer_options_release(o);
}

static void importance(infer_model *model, const char *path) {
  infer_imatrix *imatrix = NULL;
  infer_session *session = NULL;
  infer_source *source = NULL;
  infer_model *other = NULL;
  const int32_t tokens[] = {5, 6, 7};
  CHECK(infer_imatrix_create(model, &imatrix, NULL) == INFER_OK && imatrix != NULL);
  CHECK(infer_session_create(model, NULL, &session, NULL) == INFER_OK);
  EXPECT_ERROR(infer_imatrix_save(imatrix, "x", INFER_STR_NUL, NULL, 0, 8, &err), INFER_E_STATE, "empty");
  CHECK(infer_session_set_imatrix(session, imatrix, NULL) == INFER_OK);
  infer_imatrix *const first = imatrix;
  CHECK(infer_feed(session, 0, tokens, 3, INFER_LOGITS_LAST, NULL, NULL) == INFER_OK);
  EXPECT_ERROR(infer_imatrix_save(imatrix, "/no/such/folder/x", INFER_STR_NUL, "a", 1, 8, &err), INFER_E_NOFILE, "/no/such/folder");
  EXPECT_ERROR(infer_imatrix_save(imatrix, NULL, 1, "a", 1, 8, &err), INFER_E_ARGUMENT, "path");
  EXPECT_ERROR(infer_imatrix_save(imatrix, "x", INFER_STR_NUL, "a", 1, 0, &err), INFER_E_RANGE, "chunk_size");
  CHECK(infer_source_path(path, INFER_STR_NUL, &source, NULL) == INFER_OK);
  EXPECT_ERROR(infer_imatrix_add(imatrix, source, &err), INFER_E_FORMAT, "importance matrix");
  EXPECT_ERROR(infer_imatrix_add(imatrix, NULL, &err), INFER_E_ARGUMENT, "source");
  EXPECT_ERROR(infer_imatrix_create(NULL, &imatrix, &err), INFER_E_ARGUMENT, "model");
  infer_source_release(source);
  infer_imatrix_release(first); /* the session holds it */

  CHECK(infer_model_load_path(path, INFER_STR_NUL, &other, NULL) == INFER_OK);
  CHECK(infer_imatrix_create(other, &imatrix, NULL) == INFER_OK);
  EXPECT_ERROR(infer_session_set_imatrix(session, imatrix, &err), INFER_E_ARGUMENT, "another model");
  EXPECT_ERROR(infer_session_set_imatrix(session, (infer_imatrix *)(void *)model, &err), INFER_E_HANDLE, "imatrix");
  infer_model_release(other);
  infer_imatrix_retain(imatrix);
  infer_imatrix_release(imatrix);
  infer_imatrix_release(imatrix);
  infer_imatrix_release(NULL);
  CHECK(infer_session_set_imatrix(session, NULL, NULL) == INFER_OK);
  CHECK(infer_feed(session, 0, tokens, 3, INFER_LOGITS_LAST, NULL, NULL) == INFER_OK);
  infer_session_release(session);
}

static void handles(infer_model *model) {
  infer_session *session = NULL;
  infer_stream *stream = NULL;
  infer_cancel *cancel = NULL;
  const infer_event *event = NULL;
  CHECK(infer_session_create(model, NULL, &session, NULL) == INFER_OK);
  CHECK(infer_cancel_create(&cancel, NULL) == INFER_OK);
  EXPECT_ERROR(infer_seq_clear((infer_session *)(void *)cancel, 0, &err), INFER_E_HANDLE, "another kind");
  infer_session_release((infer_session *)(void *)cancel); /* leaves alone what is not its own */
  infer_model_retain((infer_model *)(void *)session);
  infer_model_release((infer_model *)(void *)session);
  CHECK(infer_model_meta_count((infer_model *)(void *)session) == 0 && infer_model_tensor_count(NULL) == 0);
  CHECK(infer_stream_start_text(session, 0, "Moscow", INFER_STR_NUL, NULL, cancel, &stream, NULL) == INFER_OK);
  /* Parents may go first: the stream holds them. */
  infer_session_release(session);
  infer_model_release(model);
  CHECK(infer_stream_next(stream, &event, NULL) == INFER_OK && infer_event_kind(event) == INFER_EVENT_PROMPT);
  CHECK(infer_event_prompt_done(event) == infer_event_prompt_total(event));
  infer_cancel_trigger(cancel);
  infer_cancel_release(cancel);
  CHECK(infer_stream_next(stream, &event, NULL) == INFER_OK);
  CHECK(infer_event_finish_reason(event) == INFER_FINISH_CANCELLED);
  infer_stream_release(stream);
  infer_stream_release(NULL);
  CHECK(infer_event_kind(NULL) == 0 && infer_event_text(NULL, NULL)[0] == 0);
}

int main(int argc, char **argv) {
  infer_model *model = NULL;
  if (argc != 2) return 2;
  library();
  options();
  loading(argv[1]);
  executor(argv[1]);
  forked(argv[1]);
  memory(argv[1]);
  quantizing(argv[1]);
  CHECK(infer_model_load_path(argv[1], INFER_STR_NUL, &model, NULL) == INFER_OK);
  if (model != NULL) {
    facts(model);
    tokens(model);
    tiers(model);
    importance(model, argv[1]);
    handles(model); /* releases it */
  }
  printf("%d checks, %d failed\n", checks, failures);
  return failures == 0 ? 0 : 1;
}
