/*
 * zip_part.h - the parts of a workbook's zip file, unpacked as a stream (libzip).
 *
 * Bounds, counted over everything read through one archive: ZIP_UNPACKED_MAX bytes, as said by the
 * directory and as found; and a part that is large and packed more than ZIP_RATIO_MAX to one is
 * taken for a bomb. Sums of parts are checked when a part has been read to its end. One thread at a
 * time.
 */
#ifndef SHEET_ZIP_PART_H
#define SHEET_ZIP_PART_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define ZIP_UNPACKED_MAX (1ull << 30)
#define ZIP_RATIO_FROM (64ull << 20) /* smaller parts may be packed as tightly as they like */
#define ZIP_RATIO_MAX 500

struct zip_box;
struct zip_part;

/* -1: `io`, `parse` (no or a broken directory), `limit`, `unsupported` (password), `nomem`. */
int zip_box_open(struct zip_box **box, const char *path, struct err *e);
void zip_box_close(struct zip_box *box); /* after its parts; NULL is fine */

/*
 * Number of the part of that name, without regard to case and kind of slash; -1 when there is none.
 */
int64_t zip_box_find(const struct zip_box *box, const char *name);

/* Opens one part; several may be open. `name` is kept for messages. */
int zip_part_open(struct zip_part **part, struct zip_box *box, const char *name, struct err *e);
void zip_part_close(struct zip_part *part); /* NULL is fine */

/* At most `room` bytes: how many, 0 at the end, -1 (fits xml_read). */
int64_t zip_part_read(void *part, char *to, size_t room, struct err *e);

/* Share of the part that has been read, 0 … 1. */
double zip_part_done(const struct zip_part *part);

#endif
