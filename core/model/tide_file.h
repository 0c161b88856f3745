/*
 * tide_file.h - a TiDE in a model file: sections "config" (JSON), "params" (f32), "meta" (what the
 * caller adds: scalers, feature names, metrics; any text) and, in a checkpoint, the fit's state.
 */
#ifndef MODEL_TIDE_FILE_H
#define MODEL_TIDE_FILE_H

#include "base/buf.h"
#include "model/model_file.h"
#include "model/tide.h"

/* Members of tide_conf by the names they have in files and in Lua. */
struct tide_member {
    const char *name;
    size_t at;   /* in struct tide_conf */
    char kind;   /* 'i' whole number, 'b' yes or no, 'd' number */
};
extern const struct tide_member tide_members[];

/* The configuration as JSON, and back (checked: -1 with `corrupt` or `invalid`). */
int tide_conf_write(struct buf *out, const struct tide_conf *c, struct err *e);
int tide_conf_parse(struct tide_conf *c, const char *text, size_t bytes, struct err *e);

/* meta may be NULL. */
int tide_save(const struct tide *t, const char *path, const char *meta, size_t meta_bytes,
              struct err *e);

/*
 * The model of an open file. Its parameters are read where they lie: `file` must stay open as long
 * as the model, which cannot be trained.
 */
int tide_open(struct tide **out, const struct model_file *file, struct err *e);

#endif
