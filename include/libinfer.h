/* SPDX-License-Identifier: MIT
 *
 * libinfer.h: the C ABI of libinfer, and all that a program needs to include. This file is the reference; docs/c_api.md
 * explains the conventions at leisure.
 *
 * Three tiers, each complete in itself:
 *   simple   infer_model_load_path, infer_session_create, infer_generate
 *   session  infer_model_load, infer_session_create, infer_stream_start, infer_stream_next
 *   token    infer_tokenize, infer_feed, infer_step, infer_logits, infer_sample, infer_detokenize
 *
 * Conventions
 *   Status    A function that can fail returns infer_status: 0 is success, > 0 success with a note, < 0 failure. It takes
 *             an infer_error ** last; NULL is allowed. On failure *err receives an error object (release it), out
 *             parameters are set to 0 or NULL (but *need of INFER_E_BUFFER), and objects stay as they were. On success
 *             *err is set to NULL: release the error of one call before the next.
 *   Ownership What comes back through infer_X **out is one reference of yours, unless it is called borrowed; _retain adds
 *             one, _release drops one; NULL is allowed there. A call needs a reference until it returns, but infer_generate,
 *             loads and quantisation, whose callbacks may release what they were given.
 *             Children hold references on what they were made from: release in any order. "Borrowed" results are valid
 *             until the next call on that object that is not class R, or for the time that is stated.
 *   Strings   In: pointer and length in bytes, UTF-8; the length INFER_STR_NUL means NUL-terminated. Keys (const char *
 *             without a length) are NUL-terminated. Out: a caller's buffer with its capacity, *need is the length
 *             without the NUL; the result is NUL-terminated when capacity > 0; INFER_E_BUFFER when it did not fit (NULL
 *             with capacity 0 asks for the length).
 *   Threads   Each function names its class. T: any thread, any time. R: any number of threads while no W call runs on
 *             the same object. W: one thread at a time per object; a second one gets INFER_E_BUSY and nothing happens.
 *             S: T, and async-signal-safe.
 *   Stack     A call needs less than 512 KiB of the caller's stack, whatever a model's chat template nests; without
 *             templates less than 64 KiB.
 *   Never     The library does not abort, exit, print, throw, change signals, locale or environment.
 */
#ifndef LIBINFER_H
#define LIBINFER_H

#include <stddef.h>
#include <stdint.h>

#if defined(INFER_API)   /* a generator of bindings may define it as nothing */
#elif defined(_WIN32)
#define INFER_API
#elif defined(__GNUC__)
#define INFER_API __attribute__((visibility("default")))
#else
#define INFER_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The ABI described here; infer_abi_version() tells what the library at run time has. Major 0 is not frozen yet: it may
 * still change until release 1.0, and the SONAME (libinfer.so.0) says so. */
#define INFER_ABI_MAJOR 0
#define INFER_ABI_MINOR 1

/* As a length: the string ends at its NUL. */
#define INFER_STR_NUL ((size_t)-1)

/* ---- Status codes. The numbers are pinned. --------------------------------------------------------------------- */

typedef int32_t infer_status;

enum {
  INFER_OK = 0,
  INFER_DONE = 1,                /* nothing is left to give */
  INFER_E_INTERNAL = -1,         /* a defect of the library */
  INFER_E_NOMEM = -2,
  INFER_E_BUDGET = -3,
  INFER_E_ARGUMENT = -4,         /* a NULL, an unknown key, a wrong type, malformed text */
  INFER_E_RANGE = -5,            /* a number outside its limits */
  INFER_E_STATE = -6,            /* not now: the message says what has to happen first */
  INFER_E_BUSY = -7,             /* another thread is inside the object */
  INFER_E_CANCELLED = -8,
  INFER_E_BUFFER = -10,          /* the caller's buffer is too small; *need says how much */
  INFER_E_UNSUPPORTED = -11,
  INFER_E_NOTFOUND = -12,
  INFER_E_HANDLE = -13,          /* a handle of another kind, or released */
  INFER_E_FORKED = -14,          /* made by the parent process: a session does not survive a fork, a model does */
  INFER_E_CALLBACK = -16,        /* a callback of the host's stopped the call, or failed it */
  INFER_E_IO = -20,
  INFER_E_NOFILE = -21,
  INFER_E_PERMISSION = -22,
  INFER_E_TRUNCATED_FILE = -23,
  INFER_E_FORMAT = -30,          /* not a model file */
  INFER_E_VERSION = -31,
  INFER_E_LIMIT = -32,
  INFER_E_ARCH = -33,
  INFER_E_METADATA = -34,
  INFER_E_TENSOR = -35,
  INFER_E_QUANT_TYPE = -36,
  INFER_E_VOCAB = -37,
  INFER_E_PRETOKENIZER = -38,
  INFER_E_SHARD = -40,
  INFER_E_TOKEN = -50,           /* a token id outside the vocabulary */
  INFER_E_UTF8 = -51,
  INFER_E_TEMPLATE = -52,
  INFER_E_TEMPLATE_LIMIT = -53,
  INFER_E_CONTEXT_FULL = -60,
  INFER_E_SEQUENCE = -61,        /* no such sequence, or none left */
  INFER_E_KV_TYPE = -62,
  INFER_E_SAMPLER = -73
  /* -1000 and below are the host's. */
};

/* ---- Objects --------------------------------------------------------------------------------------------------- */

typedef struct infer_error infer_error;
typedef struct infer_options infer_options;
typedef struct infer_env infer_env;
typedef struct infer_cancel infer_cancel;
typedef struct infer_source infer_source;
typedef struct infer_model infer_model;
typedef struct infer_decoder infer_decoder;
typedef struct infer_template infer_template;
typedef struct infer_messages infer_messages;
typedef struct infer_prompt infer_prompt;
typedef struct infer_session infer_session;
typedef struct infer_chat infer_chat;
typedef struct infer_imatrix infer_imatrix;
typedef struct infer_sampler infer_sampler;
typedef struct infer_stream infer_stream;
typedef struct infer_event infer_event;

/* Called once when the library no longer needs `user`; may be NULL. */
typedef void (*infer_destroy_fn)(void *user);

/* ---- Library and errors ---------------------------------------------------------------------------------------- */

INFER_API uint32_t infer_abi_version(void);                            /* S  major << 16 | minor */
INFER_API const char *infer_version_string(void);                      /* S  "0.1.0"; static */
INFER_API const char *infer_build_info(void);                          /* S  version and compiler; static */
/* T  What computes what, as JSON: {"chosen": "avx2", "tables": [{"name", "runs_here"}], "kernels": [{"op", "type",
   "tables": [those with a kernel of their own]}]}. The chosen table is the best that this machine runs, or the one that the
   environment variable INFER_FORCE_ISA names; all give the same results. Errors: UNSUPPORTED (INFER_FORCE_ISA), BUFFER. */
INFER_API infer_status infer_kernels_json(char *buffer, size_t capacity, size_t *need, infer_error **err);
INFER_API const char *infer_status_name(infer_status code);            /* S  "INFER_E_NOFILE"; static */
INFER_API const char *infer_status_text(infer_status code);            /* S  one sentence; static */

/* All R; borrowed for the life of the error. NULL gives INFER_OK, "", "" and -1. */
INFER_API infer_status infer_error_code(const infer_error *err);
INFER_API const char *infer_error_message(const infer_error *err);     /* a sentence that says what, where and what to do */
INFER_API const char *infer_error_subject(const infer_error *err);     /* the path, key, tensor or option, or "" */
INFER_API int64_t infer_error_offset(const infer_error *err);          /* byte offset in the file, or -1 */
INFER_API void infer_error_release(infer_error *err);                  /* T */

/* ---- Options: values by key name, checked when they are set ------------------------------------------------------ */

enum {
  INFER_OPTIONS_MODEL = 1,
  INFER_OPTIONS_SESSION = 2,
  INFER_OPTIONS_SAMPLER = 3,
  INFER_OPTIONS_GENERATE = 4,
  INFER_OPTIONS_QUANT = 5
};
enum { INFER_TYPE_I64 = 1, INFER_TYPE_F64 = 2, INFER_TYPE_STR = 3, INFER_TYPE_BOOL = 4, INFER_TYPE_STR_LIST = 5 };

/* What an option is. infer_option_describe lists all of a kind; INFER_OPTIONS_GENERATE has the SAMPLER keys too. */
typedef struct infer_option_info {
  size_t struct_size;       /* set by the caller to sizeof(infer_option_info) */
  const char *key;          /* static, like all strings here */
  int32_t type;             /* INFER_TYPE_* */
  double min, max;          /* of numbers */
  const char *default_text; /* the default, as infer_options_parse takes it; "" where nothing is set */
  const char *doc;          /* one sentence */
} infer_option_info;

INFER_API size_t infer_option_count(int32_t kind);                                                              /* T */
INFER_API infer_status infer_option_describe(int32_t kind, size_t index, infer_option_info *info, infer_error **err); /* T */

INFER_API infer_status infer_options_create(int32_t kind, infer_options **out, infer_error **err);              /* T */
INFER_API void infer_options_retain(infer_options *options);                                                    /* T */
INFER_API void infer_options_release(infer_options *options);                                                   /* T */

/* Class W. A wrong key lists the known ones, a number outside its limits names them. Booleans are i64 0 or 1.
 * Setting a string list adds one string to it. */
INFER_API infer_status infer_options_set_i64(infer_options *options, const char *key, int64_t value, infer_error **err);
INFER_API infer_status infer_options_set_f64(infer_options *options, const char *key, double value, infer_error **err);
INFER_API infer_status infer_options_set_str(infer_options *options, const char *key, const char *value, size_t length,
                                             infer_error **err);
/* Lines of key=value (spaces around are dropped, # begins a comment). Nothing is set when a line is wrong. */
INFER_API infer_status infer_options_parse(infer_options *options, const char *text, size_t length, infer_error **err);
/* Class R: what is in force. A list gives its strings joined by newlines. */
INFER_API infer_status infer_options_get_i64(const infer_options *options, const char *key, int64_t *value, infer_error **err);
INFER_API infer_status infer_options_get_f64(const infer_options *options, const char *key, double *value, infer_error **err);
INFER_API infer_status infer_options_get_str(const infer_options *options, const char *key, char *buffer, size_t capacity,
                                             size_t *need, infer_error **err);
INFER_API infer_status infer_options_reset(infer_options *options, infer_error **err);                          /* W */

/* ---- Environment: what models share. There is no global state; several environments live side by side. ---------- */

/* INFO: what was loaded and how it runs. WARNING: what is odd in a file or not used. ERROR: why a load failed. */
enum { INFER_LOG_DEBUG = 0, INFER_LOG_INFO = 1, INFER_LOG_WARNING = 2, INFER_LOG_ERROR = 3, INFER_LOG_OFF = 4 };

/* One call is one complete record without a newline. Runs on the thread that called into the library. */
typedef void (*infer_log_fn)(void *user, int32_t level, const char *component, const char *message);

INFER_API infer_status infer_env_create(infer_env **out, infer_error **err);                                    /* T */
INFER_API void infer_env_retain(infer_env *env);                                                                /* T */
INFER_API void infer_env_release(infer_env *env);                                                               /* T */
/* Records at `level` and above go to fn; NULL silences. Before the first load, quantisation or probe with this environment,
 * else STATE. `destroy` runs when the sink is replaced or the environment ends. */
INFER_API infer_status infer_env_set_log(infer_env *env, int32_t level, infer_log_fn fn, void *user,
                                         infer_destroy_fn destroy, infer_error **err);                          /* W */

/* The host's threads in the place of the library's. The function calls task(arg, i) once for each i below n_tasks, on any
 * threads, one after another or at once, and returns when all have returned. It is called from within the W calls of
 * sessions, from loads (which pack weights), infer_quantize, infer_machine_probe and infer_tokenize of more than a mebibyte,
 * for several of them at once if they are used at once, and must not call into its session nor throw: hold no lock around a
 * load that the function needs. */
typedef void (*infer_task_fn)(void *arg, size_t i);
typedef void (*infer_parallel_for_fn)(void *user, size_t n_tasks, infer_task_fn task, void *arg);

/* Sessions of models that are loaded with this environment make no threads and use fn; n_threads is their default and
 * thus the number of tasks at a time. NULL takes it back. When: as the log.
 * `destroy` runs when the executor is replaced or the environment ends. */
INFER_API infer_status infer_env_set_executor(infer_env *env, int32_t n_threads, infer_parallel_for_fn fn, void *user,
                                              infer_destroy_fn destroy, infer_error **err);                     /* W */

/* Facts, read anew with each call: cores (that this process may use: its affinity mask and the CPU quota of its control
 * groups), threads_default (of a session that is not told a number). INFER_E_NOTFOUND names the known keys. R */
INFER_API infer_status infer_env_get_i64(const infer_env *env, const char *key, int64_t *value, infer_error **err);
/* Memory of the environment: models loaded with it and their sessions count in one account, by class (INFER_MEMORY_*).
 * The budget is the most bytes that they may own (all classes but MAPPED); 0 for no limit. A load or a session that needs
 * more is refused with INFER_E_BUDGET before its weights are read or anything for them is allocated (its header and vocabulary are
 * read first, to know the need); the message says need, limit and use.
 * INFER_E_BUDGET here when more is in use already: the old budget holds. Samplers and streams, 12 bytes for each token of
 * the vocabulary and 8 for each of penalty_window, are counted (OTHER) and not refused. W */
INFER_API infer_status infer_env_set_budget(infer_env *env, uint64_t bytes, infer_error **err);
/* Bytes now, and the most at any time; either place may be NULL. R */
INFER_API infer_status infer_env_memory(const infer_env *env, int32_t memory_class, uint64_t *now, uint64_t *peak,
                                        infer_error **err);
/* Memory of the host's for the big blocks: session arenas, read and expanded weights. (Vocabulary, metadata and handles
 * come from the C++ runtime.) alloc answers `size` bytes at a multiple of `alignment`, a power of two, or NULL, which is
 * INFER_E_NOMEM (as is an exception, of alloc alone); both are called from whichever thread loads, creates or releases.
 * Both NULL: the system's again. When: as the log. `destroy` runs when the allocator is replaced, or when the environment and
 * all that was taken are gone. A failed call takes nothing over. */
typedef void *(*infer_alloc_fn)(void *user, size_t size, size_t alignment);
typedef void (*infer_free_fn)(void *user, void *memory, size_t size);
INFER_API infer_status infer_env_set_allocator(infer_env *env, infer_alloc_fn alloc, infer_free_fn free_memory, void *user,
                                               infer_destroy_fn destroy, infer_error **err);                    /* W */

/* ---- Machine: the limits that speeds are held against ------------------------------------------------------------- */

/* Of all threads together, the best of several attempts: of reading a block of 512 MiB from start to end; of multiply-adds with
 * the chosen kernels' instructions for 8-bit codes, for floats, and for bfloat16, on registers alone. */
typedef struct infer_machine_limits {
  size_t struct_size;   /* set by the caller to sizeof(infer_machine_limits) */
  double read_bytes_per_second, dot_mul_adds_per_second, fma_mul_adds_per_second, bf16_mul_adds_per_second;
} infer_machine_limits;
/* Measures for about half a second, on n_threads threads (0: threads_default; never more than there are cores) or the
 * environment's executor. Memory is counted in the environment (SCRATCH), which may be NULL. Errors: RANGE, UNSUPPORTED
 * (INFER_FORCE_ISA), BUDGET, NOMEM. T */
INFER_API infer_status infer_machine_probe(infer_env *env, int32_t n_threads, infer_machine_limits *limits, infer_error **err);

/* What the matrix products of one pass ask of the machine, attention apart. */
typedef struct infer_work {
  size_t struct_size;    /* set by the caller to sizeof(infer_work) */
  double bytes;          /* of weights, as in the file, each read once */
  double dot_mul_adds;   /* multiply-adds with weights that are codes */
  double fma_mul_adds;   /* with weights that are floats, F32 or F16 */
  double bf16_mul_adds;  /* with weights that are bfloat16 */
} infer_work;
/* Of n_tokens at once, of which n_logits rows of logits are wanted: the last layer makes keys and values of all tokens, and the
 * rest of these rows alone. Of experts, as many are read as tokens meet that choose at random. Errors: RANGE, STATE (only the
 * vocabulary was loaded). R */
INFER_API infer_status infer_model_work(const infer_model *model, int64_t n_tokens, int64_t n_logits, infer_work *work,
                                        infer_error **err);

/* ---- Cancel: a flag that long calls look at. May outlive the calls that use it. ---------------------------------- */

INFER_API infer_status infer_cancel_create(infer_cancel **out, infer_error **err);                              /* T */
INFER_API void infer_cancel_retain(infer_cancel *cancel);                                                       /* T */
INFER_API void infer_cancel_release(infer_cancel *cancel);                                                      /* T */
INFER_API void infer_cancel_trigger(infer_cancel *cancel);                                                      /* S */
INFER_API void infer_cancel_reset(infer_cancel *cancel);                                                        /* S */
INFER_API int32_t infer_cancel_is_set(const infer_cancel *cancel);                                              /* S  1 or 0 */

/* ---- Source: where a model's bytes come from ---------------------------------------------------------------------- */

/* A file. Of a sharded model the first part (-00001-of-0000N.gguf); the siblings are found beside it. */
INFER_API infer_status infer_source_path(const char *path, size_t length, infer_source **out, infer_error **err);     /* T */
/* Bytes of the host's; they stay untouched until `destroy` is called, after the last model made from them is gone. */
INFER_API infer_status infer_source_memory(const void *data, size_t size, infer_destroy_fn destroy, void *user,
                                           infer_source **out, infer_error **err);                              /* T */
/* A range of an open file (length 0: to its end). The descriptor is used only while loading and never closed. */
INFER_API infer_status infer_source_fd(int32_t fd, uint64_t offset, uint64_t length, infer_source **out,
                                       infer_error **err);                                                      /* T */
INFER_API void infer_source_retain(infer_source *source);                                                       /* T */
INFER_API void infer_source_release(infer_source *source);                                                      /* T */

/* ---- Model: immutable once loaded, shared by any number of sessions and threads ---------------------------------- */

/* Bytes of the current file that were read, and its size; of a sharded model each part counts anew. Of a mapped model: how
 * much of it is packed, from 0 to the size of all its files. Return 0 to go on, anything else to stop the load
 * (INFER_E_CALLBACK). Must not throw; where it does, that stops the load, too. */
typedef int32_t (*infer_progress_fn)(void *user, uint64_t done, uint64_t total);

/* The simple way: defaults, silent. */
INFER_API infer_status infer_model_load_path(const char *path, size_t length, infer_model **out, infer_error **err);  /* T */
/* env, options (kind MODEL), cancel and progress may be NULL. BUSY while another thread sets the environment. */
INFER_API infer_status infer_model_load(infer_env *env, const infer_source *source, const infer_options *options,
                                        const infer_cancel *cancel, infer_progress_fn progress, void *user,
                                        infer_model **out, infer_error **err);                                  /* T */
INFER_API void infer_model_retain(infer_model *model);                                                          /* T */
INFER_API void infer_model_release(infer_model *model);                                                         /* T */

/* Facts. Integers: n_params, tensor_bytes, n_tensors, n_vocab, n_layers, n_embd, n_ff, n_heads, n_kv_heads, head_dim,
 * n_ctx_train, sliding_window, n_experts, n_experts_used, n_ff_expert, n_ff_shared, packed, vocab_only. Numbers:
 * rope_base, norm_epsilon. Strings: architecture, format, name, tokenizer, kernels. INFER_E_NOTFOUND names the known keys, or
 * says that the file does not tell. All R. */
INFER_API infer_status infer_model_get_i64(const infer_model *model, const char *key, int64_t *value, infer_error **err);
INFER_API infer_status infer_model_get_f64(const infer_model *model, const char *key, double *value, infer_error **err);
INFER_API infer_status infer_model_get_str(const infer_model *model, const char *key, char *buffer, size_t capacity,
                                           size_t *need, infer_error **err);

/* Metadata of the file, in its order. All R; the strings are borrowed for the life of the model. */
typedef struct infer_meta_info {
  size_t struct_size;   /* set by the caller */
  const char *key;      /* NUL-terminated */
  const char *type;     /* "u32", "string", "array of f32" */
  uint64_t count;       /* elements of an array, else 1 */
  uint64_t fingerprint; /* of all bytes of the value: other values of the type and count have another one, but by chance and in
                           2^64 cases; not made against those who look for two that are equal */
} infer_meta_info;
INFER_API size_t infer_model_meta_count(const infer_model *model);
INFER_API infer_status infer_model_meta_at(const infer_model *model, size_t index, infer_meta_info *info, infer_error **err);
/* The value as JSON text: numbers, true/false, strings quoted, arrays whole. Bytes that are not UTF-8 become U+FFFD. What is not
 * kept or has no JSON is null: arrays within arrays, very long ones, precompiled_charsmap, NaN and infinity. */
INFER_API infer_status infer_model_meta_json(const infer_model *model, const char *key, char *buffer, size_t capacity,
                                             size_t *need, infer_error **err);

typedef struct infer_tensor_info {
  size_t struct_size;   /* set by the caller */
  const char *name;     /* NUL-terminated; borrowed for the life of the model */
  const char *type;     /* "Q8_0"; static */
  int32_t n_dims;
  int32_t file;         /* index of the shard */
  int64_t dims[4];      /* innermost first: dims[0] is the row length */
  uint64_t offset;      /* in its file */
  uint64_t bytes;
} infer_tensor_info;
INFER_API size_t infer_model_tensor_count(const infer_model *model);                                            /* R */
INFER_API infer_status infer_model_tensor_at(const infer_model *model, size_t index, infer_tensor_info *info,
                                             infer_error **err);                                                /* R */

/* Elements first .. first + n - 1 of a tensor, counted along its rows, as the floats that products work with. Any stretch; big
 * tensors are read piece by piece. With the option vocab_only, too: then the file is neither rearranged nor need its
 * architecture be known. Errors: RANGE, QUANT_TYPE (no numbers can be made of its type); nothing is written then. R */
INFER_API infer_status infer_model_tensor_read(const infer_model *model, size_t index, uint64_t first, size_t n, float *values,
                                               infer_error **err);

/* Oddities that did not stop the load. R; borrowed for the life of the model; NULL past the end. */
INFER_API size_t infer_model_warning_count(const infer_model *model);
INFER_API const char *infer_model_warning(const infer_model *model, size_t index);

/* Looks at every weight of the file for NaN and infinity, which a load does not: it reads the whole file. INFER_E_TENSOR
 * names the first ten tensors that have one, with the element; INFER_E_STATE when only the vocabulary was loaded. cancel may
 * be NULL. R */
INFER_API infer_status infer_model_validate(const infer_model *model, const infer_cancel *cancel, infer_error **err);

/* Memory by class, in bytes. MAPPED belongs to the page cache or to the host; all others are owned. */
enum {
  INFER_MEMORY_WEIGHTS = 0,  /* weights packed, read or widened into owned memory */
  INFER_MEMORY_MAPPED = 1,
  INFER_MEMORY_KV = 2,
  INFER_MEMORY_SCRATCH = 3,  /* activations, logits */
  INFER_MEMORY_VOCAB = 4,
  INFER_MEMORY_OTHER = 5,
  INFER_MEMORY_OWNED = 100   /* the sum of all but MAPPED */
};
INFER_API uint64_t infer_model_memory(const infer_model *model, int32_t memory_class);                          /* R */

/* What a load and a session will take, in bytes by class. All but vocab and other are exact to the byte; those two, which
 * lie in containers, are exact to a few per cent. infer_model_memory and infer_session_memory tell the same numbers. */
typedef struct infer_memory_plan {
  size_t struct_size;   /* set by the caller to sizeof(infer_memory_plan) */
  uint64_t weights, mapped, kv, scratch, vocab, other;
  uint64_t owned;       /* the sum of all but mapped: the least budget that is enough */
} infer_memory_plan;
/* From header and metadata: no weights are read. env, model_options (kind MODEL) and session_options (kind SESSION) may be
 * NULL; a session with defaults is then counted. With vocab_only there is none. Errors: as of a load and of a session,
 * without BUDGET. T */
INFER_API infer_status infer_model_plan(infer_env *env, const infer_source *source, const infer_options *model_options,
                                        const infer_options *session_options, infer_memory_plan *plan, infer_error **err);

/* ---- Quantising: a model file to another one of fewer bits ---------------------------------------------------------- */

/* Options (kind QUANT) name the type, such as Q4_K_M, and what differs from its rule. `env` and `cancel` may be NULL; the
 * source is any that a model is loaded from.
 *
 * The plan, as JSON: {"type", "tensors": [{"name", "shape", "from", "to", "bytes_from", "bytes_to", "importance"}],
 * "bytes_from", "bytes_to", "bits_per_weight", "file_bytes": [of each file], "warnings"}. Headers are read, nothing is computed or
 * written. Errors: those of opening a source and reading its header; ARGUMENT (no type, a tensor_type that is not
 * PATTERN=TYPE or matches nothing), QUANT_TYPE (an unknown type; a tensor that cannot be brought to its type: it is quantised already,
 * its rows are not whole blocks, or the type needs an importance matrix and none speaks of the tensor), TENSOR (the importance
 * matrix is of another model, or no measurement), LIMIT (a row too long to be held), BUFFER. T */
INFER_API infer_status infer_quantize_plan(infer_env *env, const infer_source *source, const infer_options *options,
                                           char *buffer, size_t capacity, size_t *need, infer_error **err);
/* Makes it: a temporary file beside `path` is written, brought to the disk, read back and parsed, and then takes the
 * place of an older file at once. With keep_split and a source of N > 1 parts the files are NAME-0000X-of-0000N.gguf, for the path
 * NAME.gguf. On any failure the older file stays and no other is left
 * (of several files, renamed one after another, some may be new when a rename fails). Memory: a chunk of rows, some megabytes, counted in
 * the environment (SCRATCH). Same bytes for any number of threads. Progress is in bytes of the source's tensors, on the
 * calling thread. Errors: those of the plan; ARGUMENT (a malformed path; the output is the source), NOFILE (no such folder),
 * PERMISSION, IO (no room left, the path is a folder, the disk answers other bytes), LIMIT (the process may not write so much),
 * TENSOR (a weight is NaN, infinite or too large for its type: which and where), CANCELLED, CALLBACK, BUDGET, NOMEM. T */
INFER_API infer_status infer_quantize(infer_env *env, const infer_source *source, const char *path, size_t length,
                                      const infer_options *options, const infer_cancel *cancel, infer_progress_fn progress,
                                      void *user, infer_error **err);

/* ---- Tokens --------------------------------------------------------------------------------------------------------
 * An unknown tokenizer does not stop a load: its error comes from these calls. */

enum {
  INFER_TOKENIZE_ADD_SPECIAL = 1,    /* BOS and EOS where the vocabulary says so */
  INFER_TOKENIZE_PARSE_SPECIAL = 2,  /* texts of control tokens become them; never for text of users */
  INFER_TOKENIZE_ONE_THREAD = 4      /* even above a mebibyte of text, where it would be threads_default; same tokens */
};
enum {
  INFER_DETOKENIZE_REMOVE_SPECIAL = 1,   /* drop the leading BOS and trailing EOS that ADD_SPECIAL adds, and the space that
                                            vocabularies of SentencePiece put behind that BOS; without a BOS it goes anyway */
  INFER_DETOKENIZE_RENDER_SPECIAL = 2    /* control tokens as their text instead of as nothing */
};
enum {
  INFER_TOKEN_NORMAL = 1,
  INFER_TOKEN_UNKNOWN = 2,
  INFER_TOKEN_CONTROL = 3,
  INFER_TOKEN_USER_DEFINED = 4,
  INFER_TOKEN_UNUSED = 5,
  INFER_TOKEN_BYTE = 6
};

/* *need is the number of tokens. All R. */
INFER_API infer_status infer_tokenize(const infer_model *model, const char *text, size_t length, int32_t flags,
                                      int32_t *tokens, size_t capacity, size_t *need, infer_error **err);
/* The same, and where in `text` each token stands: tokens[i] is for the bytes from begins[i] up to ends[i]. What was added (BOS,
 * EOS, a space in front) is an empty span; what was left out belongs to no token, but may lie inside a span. Where a normal form
 * changed a stretch as a whole, every token with a part of what it became has all of the stretch. Each array has room for `capacity`. */
INFER_API infer_status infer_tokenize_spans(const infer_model *model, const char *text, size_t length, int32_t flags,
                                            int32_t *tokens, size_t *begins, size_t *ends, size_t capacity, size_t *need,
                                            infer_error **err);
/* Exact bytes, which need not be UTF-8 and may hold NULs. */
INFER_API infer_status infer_detokenize(const infer_model *model, const int32_t *tokens, size_t n_tokens, int32_t flags,
                                        char *buffer, size_t capacity, size_t *need, infer_error **err);
/* The bytes of one token by itself; borrowed for the life of the model, not NUL-terminated. flags: RENDER_SPECIAL. */
INFER_API infer_status infer_token_bytes(const infer_model *model, int32_t token, int32_t flags, const char **bytes,
                                         size_t *length, infer_error **err);
/* "bos", "eos", "unk", "sep", "pad", "eot", "eom"; INFER_E_NOTFOUND when the model has none. */
INFER_API infer_status infer_token_special(const infer_model *model, const char *role, int32_t *token, infer_error **err);
INFER_API infer_status infer_token_type(const infer_model *model, int32_t token, int32_t *type, infer_error **err);
/* 1 when the token ends a generation. */
INFER_API infer_status infer_token_is_end(const infer_model *model, int32_t token, int32_t *is_end, infer_error **err);

/* Tokens to text one by one: whole UTF-8 characters only. flags: RENDER_SPECIAL. Text is borrowed until the next call; class W. */
INFER_API infer_status infer_decoder_create(const infer_model *model, int32_t flags, infer_decoder **out, infer_error **err); /* T */
INFER_API void infer_decoder_release(infer_decoder *decoder);                                                   /* T */
INFER_API infer_status infer_decoder_push(infer_decoder *decoder, int32_t token, const char **text, size_t *length,
                                          infer_error **err);
/* What is still held back, as U+FFFD; the decoder then starts anew. */
INFER_API infer_status infer_decoder_flush(infer_decoder *decoder, const char **text, size_t *length, infer_error **err);

/* ---- Chat templates: a conversation to the text that a model was trained on. Class R but for what makes and releases.
 * A template is a Jinja program; it is interpreted with budgets and reaches nothing of the host. Errors: TEMPLATE (what is
 * wrong, or what the template raises; line and column in the message, the byte of the template as infer_error_offset),
 * TEMPLATE_LIMIT (too large, too deep, too many steps, too much output). */

INFER_API infer_status infer_template_compile(const char *text, size_t length, infer_template **out, infer_error **err); /* T */
INFER_API void infer_template_retain(infer_template *chat_template);                                                 /* T */
INFER_API void infer_template_release(infer_template *chat_template);                                                /* T */
/* The template of a model's file: the default one (name NULL), or the one of tokenizer.chat_template.NAME. A file that has none
 * gets the built-in one whose turn marks its vocabulary has, and infer_template_origin says so; NOTFOUND when there are none: then
 * name one. T */
INFER_API infer_status infer_template_of(const infer_model *model, const char *name, infer_template **out, infer_error **err);
/* Ours, by name: "chatml", "llama2", "llama3", "mistral-v1", "mistral-v3", "mistral-v7", "gemma", "phi3", "phi4", "zephyr" ...
 * (NOTFOUND lists them). T */
INFER_API infer_status infer_template_builtin(const char *name, infer_template **out, infer_error **err);
/* The name of number i, NULL past the last; static. T */
INFER_API const char *infer_template_builtin_name(size_t index);
/* The text of the template, and in a sentence where it comes from. Borrowed until the release. */
INFER_API infer_status infer_template_source(const infer_template *chat_template, const char **text, size_t *length,
                                             infer_error **err);
INFER_API infer_status infer_template_origin(const infer_template *chat_template, const char **text, size_t *length,
                                             infer_error **err);
/* 1 when infer_template_of found none in the file and took a built-in one: tell your user. */
INFER_API int32_t infer_template_is_chosen_by_rule(const infer_template *chat_template);
/* A line for each construct of the template that is not supported; empty when all is well. */
INFER_API infer_status infer_template_check(const infer_template *chat_template, char *buffer, size_t capacity, size_t *need,
                                            infer_error **err);
/* `request` is a JSON object: "messages", "tools", "documents", "add_generation_prompt" (false), "bos_token", "eos_token",
   "now" ("2025-03-09T14:05:07": the library looks at no clock), "extra" (an object of further variables). Other keys are
   left alone. */
INFER_API infer_status infer_template_render_json(const infer_template *chat_template, const char *request, size_t length,
                                                  infer_prompt **out, infer_error **err);

/* A conversation, and what else a template is told. Texts are UTF-8 (INFER_E_UTF8). Contents, names, tools and arguments are never
 * taken for control tokens; roles that are plain words and the variables bos_token and eos_token are the host's own words: never
 * take these from users. A failed call changes nothing. Class W. */
INFER_API infer_status infer_messages_create(infer_messages **out, infer_error **err);                               /* T */
INFER_API void infer_messages_retain(infer_messages *messages);                                                      /* T */
INFER_API void infer_messages_release(infer_messages *messages);                                                     /* T */
/* role: "system", "user", "assistant", or what else the template knows. */
INFER_API infer_status infer_messages_add(infer_messages *messages, const char *role, const char *content, size_t length,
                                          infer_error **err);
/* One more part of the last message, whose content is a list of {"type": "text", "text": ...} then. STATE without a message. */
INFER_API infer_status infer_messages_add_part(infer_messages *messages, const char *text, size_t length, infer_error **err);
/* A message as a JSON object with a "role" and any other keys, or a list of them. */
INFER_API infer_status infer_messages_add_json(infer_messages *messages, const char *json, size_t length, infer_error **err);
/* A call in the last message, which must be the assistant's (else STATE): arguments is a JSON object; id may be NULL. */
INFER_API infer_status infer_messages_add_tool_call(infer_messages *messages, const char *id, const char *name,
                                                    const char *arguments, size_t length, infer_error **err);
/* A message of role "tool"; id and name may be NULL. */
INFER_API infer_status infer_messages_add_tool_result(infer_messages *messages, const char *id, const char *name,
                                                      const char *content, size_t length, infer_error **err);
/* A JSON list of tool definitions ({"type": "function", "function": {"name", "description", "parameters"}}), or null. */
INFER_API infer_status infer_messages_set_tools(infer_messages *messages, const char *json, size_t length, infer_error **err);
/* A variable of the template as JSON: "enable_thinking", "documents", "bos_token" ... */
INFER_API infer_status infer_messages_set_variable(infer_messages *messages, const char *name, const char *json, size_t length,
                                                   infer_error **err);
/* The local time for templates that ask, "2025-03-09T14:05:07": the library looks at no clock. NULL: none, and strftime_now is
 * undefined. ARGUMENT for what is no day of the calendar, or no time. */
INFER_API infer_status infer_messages_set_now(infer_messages *messages, const char *time, infer_error **err);
INFER_API size_t infer_messages_count(const infer_messages *messages);                                               /* R */
/* All messages as a JSON list, which infer_messages_add_json takes. TEMPLATE_LIMIT beyond 16 MiB, in which each
 * text counts 16 bytes more. R */
INFER_API infer_status infer_messages_json(const infer_messages *messages, char *buffer, size_t capacity, size_t *need,
                                           infer_error **err);
/* Forgets the messages from number n on; tools, variables and the time stay. */
INFER_API infer_status infer_messages_truncate(infer_messages *messages, size_t n, infer_error **err);

enum { INFER_RENDER_GENERATION_PROMPT = 1 };   /* the prompt ends where the assistant is to go on */
/* model (may be NULL) gives the texts of BOS and EOS, and its tokenizer the tokens of the prompt (VOCAB when it has none). R on
 * all. */
INFER_API infer_status infer_template_render(const infer_template *chat_template, const infer_model *model,
                                             const infer_messages *messages, int32_t flags, infer_prompt **out, infer_error **err);

/* What a template made of a conversation. Texts are borrowed until the release. */
INFER_API void infer_prompt_release(infer_prompt *prompt);                                                           /* T */
/* Control tokens come from what the template says alone, and BOS stands at the beginning exactly once: feed them as they are.
 * *need is their number. STATE when it was rendered without a model. */
INFER_API infer_status infer_prompt_tokens(const infer_prompt *prompt, int32_t *tokens, size_t capacity, size_t *need,
                                           infer_error **err);
INFER_API infer_status infer_prompt_text(const infer_prompt *prompt, const char **text, size_t *length, infer_error **err);
INFER_API size_t infer_prompt_segment_count(const infer_prompt *prompt);
/* The prompt in pieces: *is_trusted is 1 for what the template says, 0 for what came from messages, in which texts of
   control tokens are not to be parsed. */
INFER_API infer_status infer_prompt_segment(const infer_prompt *prompt, size_t index, const char **text, size_t *length,
                                            int32_t *is_trusted, infer_error **err);

/* ---- Session: everything that changes. One thread at a time. ---------------------------------------------------------
 * A session belongs to the process that made it. After a fork() W calls on it answer INFER_E_FORKED in the child; it can
 * be released there, and new sessions can be made of its model. */

/* All memory is taken here. options (kind SESSION) may be NULL. Among them kv_type is how keys and values are stored: "i16" (66
 * bytes per block of 32 entries, up to 523968: integers with a scale; about as exact as "f16", and faster), "f16" (2 bytes per entry, up
 * to 65504), "bf16" (2 bytes, any size, fewer digits), "f32" (4 bytes), "q8_0" and "q4_0" (34 and 18 bytes per block of 32 entries), or
 * "auto" (the default): i16 where a head's keys and values are multiples of 32 entries, else f16. Errors: KV_TYPE (an
 * unknown one; blocks where a head's keys or values are no multiple of 32). */
INFER_API infer_status infer_session_create(infer_model *model, const infer_options *options, infer_session **out,
                                            infer_error **err);                                                 /* T */
INFER_API void infer_session_retain(infer_session *session);                                                    /* T */
INFER_API void infer_session_release(infer_session *session);                                                   /* T */
/* What infer_session_create will take with these options (kind SESSION, may be NULL). T */
INFER_API infer_status infer_session_plan(const infer_model *model, const infer_options *options, infer_memory_plan *plan,
                                          infer_error **err);
/* In force: n_ctx, n_seq, n_batch, n_logits, n_threads. Bytes that one position takes in the KV cache, and a step reads of it for each
 * that it sees: kv_position_bytes in the layers that see all, kv_window_position_bytes in those with a sliding window. R */
INFER_API infer_status infer_session_get_i64(const infer_session *session, const char *key, int64_t *value,
                                             infer_error **err);
INFER_API uint64_t infer_session_memory(const infer_session *session, int32_t memory_class);                    /* R */

/* Sequences. Sequence 0 is open from the start; n_seq - 1 more can be opened. All W. */
INFER_API infer_status infer_seq_open(infer_session *session, int32_t *seq, infer_error **err);
INFER_API infer_status infer_seq_close(infer_session *session, int32_t seq, infer_error **err);
INFER_API infer_status infer_seq_clear(infer_session *session, int32_t seq, infer_error **err);   /* forgets its tokens */
/* Tokens held, and how many more fit (room may be NULL). */
INFER_API infer_status infer_seq_length(infer_session *session, int32_t seq, int64_t *length, int64_t *room,
                                        infer_error **err);

/* Forgets all but the first `length` tokens. UNSUPPORTED when the model's sliding window has passed what it would see there: clear
 * the sequence and feed it again. W */
INFER_API infer_status infer_seq_truncate(infer_session *session, int32_t seq, int64_t length, infer_error **err);
/* The tokens that a sequence holds; *need is their number. W */
INFER_API infer_status infer_seq_tokens(infer_session *session, int32_t seq, int32_t *tokens, size_t capacity, size_t *need,
                                        infer_error **err);

enum { INFER_LOGITS_NONE = 0, INFER_LOGITS_LAST = 1, INFER_LOGITS_ALL = 2 };

/* Appends tokens to a sequence, in batches of n_batch. All or nothing: on failure, INFER_E_CANCELLED included, the
 * sequence holds what it held before. INFER_E_CONTEXT_FULL says how many tokens were to be fed and how many fit.
 * want: of which positions logits are kept (ALL: at most n_logits tokens). cancel may be NULL. W */
INFER_API infer_status infer_feed(infer_session *session, int32_t seq, const int32_t *tokens, size_t n_tokens, int32_t want,
                                  const infer_cancel *cancel, infer_error **err);
/* One token for each of n different sequences in one pass; logits row i is of seqs[i]. All or nothing. n <= n_batch,
 * n <= n_logits. W */
INFER_API infer_status infer_step(infer_session *session, const int32_t *seqs, const int32_t *tokens, size_t n,
                                  const infer_cancel *cancel, infer_error **err);
/* Row i of the last feed or step, in the order of its tokens; n_vocab floats, borrowed until the next feed or step. */
INFER_API infer_status infer_logits(const infer_session *session, size_t row, const float **logits, size_t *n_vocab,
                                    infer_error **err);                                                         /* R */

/* ---- Importance matrix: how large the activations are that meet each column of the weights, for quantising ----------------
 * Class W, like a session: while a session that fills one computes, the imatrix is in use, too. Sums are the same for any
 * number of threads and any batches. */

/* For the matrices of a model; its memory (class OTHER) is taken here. It keeps a reference to the model. */
INFER_API infer_status infer_imatrix_create(infer_model *model, infer_imatrix **out, infer_error **err);        /* T */
INFER_API void infer_imatrix_retain(infer_imatrix *imatrix);                                                    /* T */
INFER_API void infer_imatrix_release(infer_imatrix *imatrix);                                                   /* T */
/* From now on what this session computes (feeds, steps, streams) is added to the imatrix, to which it keeps a reference; NULL
 * ends that. A call that fails adds nothing. The head of a model meets only positions whose logits are kept. Several sessions
 * may fill one imatrix in turn. ARGUMENT when it is of another model. W on the session */
INFER_API infer_status infer_session_set_imatrix(infer_session *session, infer_imatrix *imatrix, infer_error **err);
/* Adds what was saved before, of the same matrices (else TENSOR). All or nothing. W */
INFER_API infer_status infer_imatrix_add(infer_imatrix *imatrix, const infer_source *source, infer_error **err);
/* Writes a GGUF file in the common form, which infer_quantize and other quantisers read; it replaces `path` when it is
 * complete. dataset: a name for the text; chunk_size: tokens that were fed at a time (both are only noted). STATE when
 * nothing was computed yet. W */
INFER_API infer_status infer_imatrix_save(infer_imatrix *imatrix, const char *path, size_t length, const char *dataset,
                                          size_t dataset_length, int64_t chunk_size, infer_error **err);

/* ---- Sampler ------------------------------------------------------------------------------------------------------- */

/* options (kind SAMPLER or GENERATE) may be NULL. */
INFER_API infer_status infer_sampler_create(const infer_model *model, const infer_options *options, infer_sampler **out,
                                            infer_error **err);                                                 /* T */
INFER_API void infer_sampler_release(infer_sampler *sampler);                                                   /* T */
/* Chooses a token from row `row`; logprob (may be NULL) is the natural logarithm of the model's own probability. Does
 * not feed it. W on the sampler, R on the session. */
INFER_API infer_status infer_sample(const infer_session *session, infer_sampler *sampler, size_t row, int32_t *token,
                                    float *logprob, infer_error **err);
/* Counts a token (of the prompt, or chosen) for the penalties. W */
INFER_API infer_status infer_sampler_accept(infer_sampler *sampler, int32_t token, infer_error **err);
/* Forgets accepted tokens and starts the generator again from its seed. W */
INFER_API infer_status infer_sampler_reset(infer_sampler *sampler, infer_error **err);
/* The seed in use, also when it was drawn from the system. R */
INFER_API infer_status infer_sampler_seed(const infer_sampler *sampler, uint64_t *seed, infer_error **err);
/* The chain in words. R */
INFER_API infer_status infer_sampler_describe(const infer_sampler *sampler, char *buffer, size_t capacity, size_t *need,
                                              infer_error **err);

/* ---- Generation stream: pull events until INFER_DONE ----------------------------------------------------------------- */

enum {
  INFER_EVENT_PROMPT = 1,   /* a batch of the prompt was fed: prompt_done of prompt_total */
  INFER_EVENT_TOKEN = 2,    /* a token was chosen; its text may be empty while a character or stop string is undecided */
  INFER_EVENT_END = 3       /* the last event: remaining text and the finish reason */
};
enum {
  INFER_FINISH_NONE = 0,
  INFER_FINISH_EOG = 1,       /* an end-of-generation token */
  INFER_FINISH_STOP = 2,      /* a stop string */
  INFER_FINISH_LENGTH = 3,    /* max_tokens */
  INFER_FINISH_CONTEXT = 4,   /* the context is full */
  INFER_FINISH_CANCELLED = 5
};

/* Continues sequence `seq` with a prompt. options (kind GENERATE) and cancel may be NULL; the stream keeps references.
 * A prompt that does not fit is INFER_E_CONTEXT_FULL, before anything is computed; a stop string that is no text, UTF8. No
 * work is done here: each infer_stream_next does one batch of the prompt or one token, on the caller's thread. Penalties count
 * all tokens that the sequence holds. W on the session, which must not be used for seq otherwise while the stream lives. */
INFER_API infer_status infer_stream_start(infer_session *session, int32_t seq, const int32_t *tokens, size_t n_tokens,
                                          const infer_options *options, infer_cancel *cancel, infer_stream **out,
                                          infer_error **err);
/* The same with text, tokenised with ADD_SPECIAL where the sequence is empty (and PARSE_SPECIAL by option); also behind other
 * text it gets the space in front that vocabularies of SentencePiece put there. A cancel while
 * it is tokenised is INFER_E_CANCELLED. */
INFER_API infer_status infer_stream_start_text(infer_session *session, int32_t seq, const char *text, size_t length,
                                               const infer_options *options, infer_cancel *cancel, infer_stream **out,
                                               infer_error **err);
/* INFER_OK with an event, borrowed until the next call; after the END event INFER_DONE with NULL. After EOG, STOP and
 * LENGTH the sequence holds the prompt and all reported tokens, so that another prompt continues them, unless it is full; then,
 * and after CONTEXT and CANCELLED, the last reported token is missing (`position` tells). A cancel gives an END event with
 * INFER_FINISH_CANCELLED; whole batches and tokens fed before it are kept. W */
INFER_API infer_status infer_stream_next(infer_stream *stream, const infer_event **event, infer_error **err);
INFER_API void infer_stream_release(infer_stream *stream);                /* T; of a chat's answer: see infer_chat_answer */

/* Accessors of events never fail; what an event does not have is 0, -1 or "". R */
INFER_API int32_t infer_event_kind(const infer_event *event);
INFER_API const char *infer_event_text(const infer_event *event, size_t *length);   /* whole characters; NUL-terminated */
INFER_API int32_t infer_event_token(const infer_event *event);
INFER_API double infer_event_logprob(const infer_event *event);
INFER_API size_t infer_event_top_count(const infer_event *event);                   /* of option logprobs */
INFER_API int32_t infer_event_top_token(const infer_event *event, size_t index);
INFER_API double infer_event_top_logprob(const infer_event *event, size_t index);
INFER_API int32_t infer_event_finish_reason(const infer_event *event);
INFER_API const char *infer_event_stop_string(const infer_event *event);            /* the one that was found */
INFER_API int64_t infer_event_prompt_done(const infer_event *event);
INFER_API int64_t infer_event_prompt_total(const infer_event *event);

/* Integers: prompt_tokens (that were fed), reused_tokens (of a chat's prompt: that the sequence held already), generated_tokens,
 * position (tokens the sequence holds), seed (bit pattern). Numbers:
 * prompt_seconds, decode_seconds, first_token_seconds, prompt_tokens_per_second, decode_tokens_per_second. R */
INFER_API infer_status infer_stream_get_i64(const infer_stream *stream, const char *key, int64_t *value, infer_error **err);
INFER_API infer_status infer_stream_get_f64(const infer_stream *stream, const char *key, double *value, infer_error **err);

/* ---- Chat: a conversation in one sequence. What was said is not fed again. ---------------------------------------------- */

/* chat_template may be NULL: that of the model (errors of infer_template_of). The sequence is the chat's alone from now on. It
 * keeps references to the session and to what it needs of the template. VOCAB without a tokenizer, SEQUENCE, FORKED. W on the
 * session */
INFER_API infer_status infer_chat_create(infer_session *session, int32_t seq, infer_template *chat_template, infer_chat **out,
                                         infer_error **err);
INFER_API void infer_chat_retain(infer_chat *chat);                                                                  /* T */
INFER_API void infer_chat_release(infer_chat *chat);                                                                 /* T */
/* The conversation: add the user's message, cut it, set tools, between answers. Borrowed until the chat's release; retain it to
 * keep it longer. T */
INFER_API infer_status infer_chat_messages(infer_chat *chat, infer_messages **messages, infer_error **err);
/* The template in use; infer_template_origin tells how it was chosen. Borrowed likewise. T */
INFER_API infer_status infer_chat_template(infer_chat *chat, infer_template **chat_template, infer_error **err);
/* The assistant's next message as a stream. Feeds what the sequence does not hold of the prompt. When the stream ends, is
 * cancelled, fails or is released, what was said is added to the messages (nothing, when no token was reported); only then another
 * answer may be asked for (else STATE). When there is no memory for that, infer_stream_next answers NOMEM and may be called again.
 * Errors: those of infer_template_render and infer_stream_start, and CANCELLED while the prompt is made; nothing is added then, but
 * the sequence may have been cut to what it has in common with the prompt. W on the session and the messages, as are
 * infer_stream_next of such a stream and its release. */
INFER_API infer_status infer_chat_answer(infer_chat *chat, const infer_options *options, infer_cancel *cancel, infer_stream **out,
                                         infer_error **err);

/* The simple way: prompt text in, pieces of text out, until the end. fn gets whole characters (NUL-terminated) and
 * returns 0 to go on; anything else stops with INFER_E_CALLBACK. finish_reason may be NULL. W on the session. */
typedef int32_t (*infer_text_fn)(void *user, const char *text, size_t length);
INFER_API infer_status infer_generate(infer_session *session, int32_t seq, const char *prompt, size_t length,
                                      const infer_options *options, infer_cancel *cancel, infer_text_fn fn, void *user,
                                      int32_t *finish_reason, infer_error **err);

#ifdef __cplusplus
}
#endif

#endif /* LIBINFER_H */
