/*
 * xlsx_strings.h - the shared texts of a workbook, by number.
 *
 * Runs of rich text are joined, phonetic hints left out, _xHHHH_ stands for one character. Any
 * number of texts in bounded memory: large tables live in a temporary file (spill.h).
 */
#ifndef SHEET_XLSX_STRINGS_H
#define SHEET_XLSX_STRINGS_H

#include <stddef.h>
#include <stdint.h>

#include "sheet/spill.h"
#include "sheet/xml_scan.h"
#include "sheet/zip_part.h"

struct xlsx_strings {
    struct spill bytes, ends; /* all texts; where each ends, as uint64_t */
    uint64_t n;
};

void xlsx_strings_init(struct xlsx_strings *s, const char *temp_dir);
void xlsx_strings_deinit(struct xlsx_strings *s); /* may run twice */

/* Reads the part once. -1: what the part or the temporary file said. */
int xlsx_strings_load(struct xlsx_strings *s, struct zip_box *box, const char *part, struct err *e);

/*
 * Text number `i` (below n). *text points to it until deinit; or it is NULL, and the text (n_bytes)
 * has been added to `to`. -1 `io`, `limit`, `nomem`.
 */
int xlsx_strings_get(struct xlsx_strings *s, uint64_t i, const char **text, size_t *n_bytes,
                     struct buf *to, struct err *e);

/*
 * After XML_OPEN of an <si> or <is>: adds its text to `to` and reads on to its XML_CLOSE. Texts
 * longer than `to` takes are the `limit` error.
 */
int xlsx_strings_item(struct xml_scan *x, struct buf *to, struct err *e);

/* Puts the characters that _xHHHH_ stands for into data[from …len). */
void xlsx_strings_unescape(struct buf *b, size_t from);

#endif
