/*
 * gbt_text.h - LightGBM's text model files, versions v2 to v4: a model trained there serves here,
 * one trained here loads there.
 *
 * What is written re-reads to the same bits: values and thresholds carry 17 digits. Linear trees
 * are `unsupported`.
 */
#ifndef MODEL_GBT_TEXT_H
#define MODEL_GBT_TEXT_H

#include "base/buf.h"
#include "model/gbt_model.h"

#define GBT_TEXT_MAX ((size_t)1 << 30)

/* Reads `len` bytes (no NUL needed). The model is owned by the caller. Errors: parse with the line's
 * or tree's number, limit, unsupported, nomem. */
int gbt_text_read(struct gbt_model **out, const char *text, size_t len, struct err *e);

/* Adds the text of the first `n_iter` iterations (0 = all) to `b`. Errors: limit, nomem. */
int gbt_text_write(const struct gbt_model *m, int n_iter, struct buf *b, struct err *e);

/* The same with files. Errors also: io, notfound, full. The file is replaced whole or not at all. */
int gbt_text_load(struct gbt_model **out, const char *path, struct err *e);
int gbt_text_save(const struct gbt_model *m, int n_iter, const char *path, struct err *e);

#endif
