/*
 * baseline_file.h - a fitted baseline as bytes and as a file.
 *
 * Little-endian: "plbase\r\n", version, length of everything, the options, the weights, CRC-32 of
 * all before it. Data only. Whatever the bytes are, reading ends in a model or in an error.
 */
#ifndef MODEL_BASELINE_FILE_H
#define MODEL_BASELINE_FILE_H

#include "base/buf.h"
#include "base/file.h"
#include "model/baseline_model.h"

#define BASELINE_FILE_MAX (160u << 20) /* bytes of one file */

/* Adds the model's bytes to `b`. `nomem`, `limit`. */
int baseline_file_write(const struct baseline_model *m, struct buf *b, struct err *e);

/* `corrupt` for bytes that are not a whole, undamaged model; `unsupported` for a later version. */
int baseline_file_read(struct baseline_model **out, const void *data, size_t bytes,
                       struct err *e);

/*
 * The same to and from a file below the roots (base/file.h): written beside and renamed, so a file
 * is whole or not there. roots NULL: every path is refused. Blocks: not for the loop thread.
 * Errors also: auth, io, notfound, full.
 */
int baseline_file_save(const struct baseline_model *m, const struct file_roots *roots,
                       const char *path, struct err *e);
int baseline_file_load(struct baseline_model **out, const struct file_roots *roots,
                       const char *path, struct err *e);

#endif
