/*
 * sheet.c - see sheet.h. Start at sheet_open; choosing a sheet is choose_sheet, a separator
 * choose_separator.
 */
#include "sheet/sheet.h"

#include <string.h>

#include "base/mem.h"
#include "base/typed.h"
#include "sheet/csv_read.h"
#include "sheet/sheet_kind.h"
#include "sheet/xlsx_read.h"

#define NAMES_MAX_BYTES (1u << 20)

struct sheet {
    struct csv_read *csv; /* NULL: a workbook */
    char separator;
    struct xlsx_book book;
    struct xlsx_strings strings;
    struct xlsx_read *xlsx;
    size_t chosen;
};

void sheet_trouble_init(struct sheet_trouble *t)
{
    t->fault = SHEET_FINE;
    buf_init(&t->names, NAMES_MAX_BYTES);
}

void sheet_trouble_deinit(struct sheet_trouble *t)
{
    buf_deinit(&t->names);
}

int sheet_is_blank(const struct sheet_row *row)
{
    for (uint32_t i = 0; i < row->n_cells; i++) {
        const struct sheet_cell *c = &row->cells[i];
        if (c->kind != SHEET_TEXT || !typed_is_blank(c->text, c->n_bytes))
            return 0;
    }
    return 1;
}

static int raw_row(struct sheet *s, struct sheet_row *row, struct err *e)
{
    return s->csv != NULL ? csv_read_row(s->csv, row, e) : xlsx_read_row(s->xlsx, row, e);
}

static int next_row(struct sheet *s, struct sheet_row *row, struct err *e)
{
    int rc;

    while ((rc = raw_row(s, row, e)) == 1 && sheet_is_blank(row))
        ;
    return rc;
}

int sheet_next_row(struct sheet *s, struct sheet_row *row, struct sheet_trouble *t, struct err *e)
{
    int rc = next_row(s, row, e);

    if (rc < 0)
        t->fault = sheet_fault_of(e->code);
    return rc;
}

/* Known columns in the header, or its columns when none are known. */
static int64_t header_score(const struct sheet_row *row, const char *const *known, struct err *e)
{
    int64_t n = 0;
    struct buf name, other;

    if (known == NULL)
        return row->n_cells;
    buf_init(&name, CSV_RECORD_MAX);
    buf_init(&other, 1u << 16);
    for (uint32_t i = 0; i < row->n_cells && n >= 0; i++) {
        const struct sheet_cell *c = &row->cells[i];
        buf_clear(&name);
        char *folded = buf_room(&name, c->n_bytes, e);
        if (folded == NULL) {
            n = -1;
            break;
        }
        size_t len = typed_fold(folded, c->text, c->n_bytes);
        for (size_t k = 0; known[k] != NULL; k++) {
            size_t n_known = strlen(known[k]);
            char *to = buf_room(&other, n_known, e);
            if (to == NULL) {
                n = -1;
                break;
            }
            if (typed_fold(to, known[k], n_known) == len && memcmp(to, folded, len) == 0) {
                n++;
                break;
            }
        }
    }
    buf_deinit(&name);
    buf_deinit(&other);
    return n;
}

/* Most known columns win, then ',' before ';' before tab. */
static int choose_separator(struct sheet *s, const char *const *known, struct err *e)
{
    static const char SEPARATORS[] = { ',', ';', '\t' };
    int64_t best = -1;
    struct sheet_row row;
    struct err first = { .code = ERR_NONE };

    s->separator = ',';
    for (size_t i = 0; i < sizeof SEPARATORS; i++) {
        int rc = csv_read_rewind(s->csv, SEPARATORS[i], e);
        if (rc != 0)
            return -1;
        rc = next_row(s, &row, e);
        if (rc < 0 && e->code == ERR_PARSE) { /* another separator may put its quotes in order */
            if (first.code == ERR_NONE)
                first = *e;
            continue;
        }
        if (rc < 0)
            return -1;
        int64_t score = rc == 0 ? 0 : header_score(&row, known, e);
        if (score < 0)
            return -1;
        if (score > best) {
            best = score;
            s->separator = SEPARATORS[i];
        }
    }
    if (first.code != ERR_NONE && best <= (known == NULL ? 1 : 0)) { /* no: it makes no table */
        *e = first;
        return -1;
    }
    return csv_read_rewind(s->csv, s->separator, e);
}

static int open_sheet(struct sheet *s, size_t i, struct err *e)
{
    xlsx_read_close(s->xlsx);
    s->xlsx = NULL;
    s->chosen = i;
    return xlsx_read_open(&s->xlsx, &s->book, &s->strings, i, e);
}

/* The one sheet with data, or the one asked for among several. */
static int choose_sheet(struct sheet *s, const char *asked, struct sheet_trouble *t, struct err *e)
{
    size_t n_data = 0, last = 0, wanted = SIZE_MAX;

    if (s->book.n_sheets == 1)
        return open_sheet(s, 0, e);
    for (size_t i = 0; i < s->book.n_sheets; i++) {
        struct sheet_row row;
        if (open_sheet(s, i, e) != 0)
            return -1;
        int rc = next_row(s, &row, e);
        if (rc < 0)
            return -1;
        if (rc == 0)
            continue;
        const char *name = s->book.sheets[i].name;
        if (buf_add(&t->names, name, strlen(name) + 1, e) != 0)
            return -1;
        n_data++;
        last = i;
        if (asked != NULL && strcmp(name, asked) == 0)
            wanted = i;
    }
    if (n_data <= 1 || wanted != SIZE_MAX) {
        buf_clear(&t->names);
        return open_sheet(s, n_data <= 1 ? last : wanted, e);
    }
    t->fault = SHEET_SEVERAL;
    if (asked != NULL)
        return err_set(e, ERR_INVALID, "no sheet with data is called \"%s\"; %zu sheets have data",
                       asked, n_data);
    return err_set(e, ERR_INVALID, "%zu sheets have data: say which one to read", n_data);
}

static int open_any(struct sheet *s, const char *path, const struct sheet_options *o,
                    struct sheet_trouble *t, struct err *e)
{
    enum sheet_format format;

    if (sheet_kind_find(&format, path, e) != 0)
        return -1;
    if (format == SHEET_FORMAT_EMPTY) {
        t->fault = SHEET_EMPTY;
        return err_set(e, ERR_INVALID, "the file is empty: it has no bytes");
    }
    if (format == SHEET_FORMAT_CSV)
        return csv_read_open(&s->csv, path, e) != 0 ? -1 : choose_separator(s, o->known, e);
    if (xlsx_book_open(&s->book, path, e) != 0)
        return -1;
    if (s->book.strings_part != NULL &&
        xlsx_strings_load(&s->strings, s->book.zip, s->book.strings_part, e) != 0)
        return -1;
    return choose_sheet(s, o->sheet, t, e);
}

int sheet_open(struct sheet **s, const char *path, const struct sheet_options *options,
               struct sheet_trouble *t, struct err *e)
{
    static const struct sheet_options DEFAULTS = { NULL, NULL, NULL };
    const struct sheet_options *o = options != NULL ? options : &DEFAULTS;
    struct sheet *n = mem_zero(1, sizeof *n);

    *s = NULL;
    t->fault = SHEET_FINE;
    buf_clear(&t->names);
    if (n == NULL) {
        t->fault = SHEET_SYSTEM;
        return err_set(e, ERR_NOMEM, "out of memory");
    }
    xlsx_strings_init(&n->strings, o->temp_dir);
    if (open_any(n, path, o, t, e) != 0) {
        if (t->fault == SHEET_FINE)
            t->fault = sheet_fault_of(e->code);
        sheet_close(n);
        return -1;
    }
    *s = n;
    return 0;
}

void sheet_close(struct sheet *s)
{
    if (s == NULL)
        return;
    csv_read_close(s->csv);
    xlsx_read_close(s->xlsx);
    xlsx_strings_deinit(&s->strings);
    xlsx_book_close(&s->book);
    mem_free(s);
}

double sheet_done(const struct sheet *s)
{
    return s->csv != NULL ? csv_read_done(s->csv) : xlsx_read_done(s->xlsx);
}

void sheet_get_info(const struct sheet *s, struct sheet_info *info)
{
    *info = (struct sheet_info){
        .kind = s->csv != NULL ? "csv" : "xlsx",
        .name = s->csv != NULL ? "" : s->book.sheets[s->chosen].name,
        .encoding = s->csv != NULL ? csv_read_encoding(s->csv) : "utf-8",
        .separator = s->separator,
        .is_1904 = s->book.is_1904,
        .n_sheets = s->book.n_sheets,
    };
}

const char *sheet_name(const struct sheet *s, size_t i)
{
    return i < s->book.n_sheets ? s->book.sheets[i].name : "";
}
