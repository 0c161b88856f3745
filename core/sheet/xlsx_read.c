/*
 * xlsx_read.c - see xlsx_read.h. Start at xlsx_read_row; a cell is read_cell, its value take_value.
 *
 * Text that is not shared goes into `text`, which may move while the row grows: cells hold where it
 * begins (`at`) and get their pointers when the row is whole.
 */
#include "sheet/xlsx_read.h"

#include <string.h>

#include "base/mem.h"
#include "base/typed.h"
#include "sheet/xlsx_format.h"
#include "sheet/xml_scan.h"

enum cell_type { T_NUMBER, T_SHARED, T_TEXT, T_INLINE, T_BOOL, T_ERROR, T_DATE };

struct xlsx_read {
    const struct xlsx_book *book;
    struct xlsx_strings *strings;
    struct zip_part *part;
    struct xml_scan x;
    struct sheet_cell *cells;
    uint32_t n_cells, cap;
    struct buf text;      /* of this row */
    struct buf scratch;   /* a value that comes in pieces */
    int64_t row;
    int is_in_data, is_done;
};

int xlsx_read_open(struct xlsx_read **r, const struct xlsx_book *book,
                   struct xlsx_strings *strings, size_t sheet, struct err *e)
{
    struct xlsx_read *n = mem_zero(1, sizeof *n);
    const char *part = book->sheets[sheet].part;

    *r = NULL;
    if (n == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    n->book = book;
    n->strings = strings;
    buf_init(&n->text, SHEET_ROW_BYTES_MAX);
    buf_init(&n->scratch, XML_WINDOW_MAX);
    if (zip_part_open(&n->part, book->zip, part, e) != 0 ||
        xml_scan_init(&n->x, zip_part_read, n->part, part, e) != 0) {
        xlsx_read_close(n);
        return -1;
    }
    *r = n;
    return 0;
}

void xlsx_read_close(struct xlsx_read *r)
{
    if (r == NULL)
        return;
    xml_scan_deinit(&r->x);
    zip_part_close(r->part);
    buf_deinit(&r->text);
    buf_deinit(&r->scratch);
    mem_free(r->cells);
    mem_free(r);
}

double xlsx_read_done(const struct xlsx_read *r)
{
    return zip_part_done(r->part);
}

/* Column of "AB12": 27. -1 when it is no address of a sheet. */
static int32_t column_of(const struct xml_span *s)
{
    uint32_t c = 0;
    size_t i = 0;

    for (; i < s->n && i < 4 && s->p[i] >= 'A' && s->p[i] <= 'Z'; i++)
        c = c * 26 + (uint32_t)(s->p[i] - 'A' + 1);
    if (i == 0 || c > SHEET_COLUMNS_MAX || i == s->n)
        return -1;
    for (; i < s->n; i++)
        if (s->p[i] < '0' || s->p[i] > '9')
            return -1;
    return (int32_t)c - 1;
}

/* A whole number up to `max`, or -1. */
static int64_t whole_of(const struct xml_span *s, int64_t max)
{
    int64_t x = 0;

    for (size_t i = 0; i < s->n; i++) {
        if (s->p[i] < '0' || s->p[i] > '9')
            return -1;
        x = x * 10 + (s->p[i] - '0');
        if (x > max)
            return -1;
    }
    return s->n == 0 ? -1 : x;
}

static int type_of(const struct xml_span *s)
{
    static const struct { const char *name; enum cell_type type; } TYPES[] = {
        { "s", T_SHARED }, { "n", T_NUMBER }, { "str", T_TEXT }, { "inlineStr", T_INLINE },
        { "b", T_BOOL },   { "e", T_ERROR },  { "d", T_DATE },
    };

    for (size_t i = 0; i < sizeof TYPES / sizeof *TYPES; i++)
        if (strlen(TYPES[i].name) == s->n && memcmp(TYPES[i].name, s->p, s->n) == 0)
            return (int)TYPES[i].type;
    return -1;
}

/* Room for one more cell; its text, if it gets some, begins at the end of r->text. */
static struct sheet_cell *new_cell(struct xlsx_read *r, uint32_t column, struct err *e)
{
    if (r->n_cells == r->cap) {
        uint32_t cap = r->cap == 0 ? 64 : r->cap * 2;
        struct sheet_cell *p;
        if (r->n_cells == SHEET_COLUMNS_MAX) {
            xml_scan_fail(&r->x, e, "row %lld has more than %d cells", (long long)r->row,
                          SHEET_COLUMNS_MAX);
            return NULL;
        }
        p = mem_resize(r->cells, cap * sizeof *p);
        if (p == NULL) {
            err_set(e, ERR_NOMEM, "out of memory");
            return NULL;
        }
        r->cells = p;
        r->cap = cap;
    }
    struct sheet_cell *c = &r->cells[r->n_cells];
    *c = (struct sheet_cell){ .column = column, .at = (uint32_t)r->text.len };
    return c;
}

static int add_shared(struct xlsx_read *r, struct sheet_cell *c, struct xml_span v, struct err *e)
{
    typed_trim(&v.p, &v.n);
    int64_t i = whole_of(&v, INT64_MAX / 16);
    if (i < 0 || (uint64_t)i >= r->strings->n)
        return xml_scan_fail(&r->x, e, "row %lld: shared text %.*s, the workbook has %llu",
                             (long long)r->row, (int)(v.n < 40 ? v.n : 40), v.p,
                             (unsigned long long)r->strings->n);
    size_t n;
    if (xlsx_strings_get(r->strings, (uint64_t)i, &c->text, &n, &r->text, e) != 0)
        return -1;
    c->kind = SHEET_TEXT;
    c->n_bytes = (uint32_t)n;
    r->n_cells += n > 0;
    return 0;
}

/* Puts text of ours behind the row's text. */
static int add_text(struct xlsx_read *r, struct sheet_cell *c, const char *p, size_t n,
                    struct err *e)
{
    if (buf_add(&r->text, p, n, e) != 0)
        return -1;
    c->n_bytes = (uint32_t)(r->text.len - c->at);
    r->n_cells++;
    return 0;
}

/* "2025-03-05T10:20:30.000Z" becomes "2025-03-05 10:20:30"; anything else stays as it is. */
static void tidy_iso(struct xlsx_read *r, struct sheet_cell *c)
{
    char *p = r->text.data + c->at;
    size_t n = c->n_bytes;

    if (n < 19 || p[10] != 'T')
        return;
    p[10] = ' ';
    if (memcmp(p + 11, "00:00:00", 8) == 0)
        n = 10;
    else
        n = 19;
    c->n_bytes = (uint32_t)n;
    c->kind = SHEET_DATE;
}

/* A value in the spelling of the file, entities and all. */
static int add_value(struct xlsx_read *r, struct sheet_cell *c, enum cell_type type,
                     struct xml_span v, struct err *e)
{
    if (xml_scan_decode(&r->x, v, 0, &r->text, e) != 0)
        return -1;
    if (type == T_TEXT)
        xlsx_strings_unescape(&r->text, c->at);
    c->n_bytes = (uint32_t)(r->text.len - c->at);
    c->kind = type == T_ERROR ? SHEET_ERROR : SHEET_TEXT;
    if (type == T_DATE)
        tidy_iso(r, c);
    r->n_cells += c->n_bytes > 0;
    return 0;
}

static int add_number(struct xlsx_read *r, struct sheet_cell *c, uint32_t style, struct xml_span v,
                      struct err *e)
{
    char date[XLSX_DATE_MAX];
    size_t n;

    if (typed_float(v.p, v.n, &c->number) != 0) {
        typed_trim(&v.p, &v.n);
        if (v.n == 0)
            return 0;
        if (typed_float(v.p, v.n, &c->number) != 0) /* no number after all: shown as it stands */
            return add_value(r, c, T_NUMBER, v, e);
    }
    if (style < r->book->n_styles && r->book->is_date[style] &&
        (n = xlsx_format_date(date, c->number, r->book->is_1904)) > 0) {
        c->kind = SHEET_DATE;
        return add_text(r, c, date, n, e);
    }
    c->kind = SHEET_NUMBER;
    r->n_cells++;
    return 0;
}

static int take_value(struct xlsx_read *r, struct sheet_cell *c, enum cell_type type,
                      uint32_t style, struct xml_span v, struct err *e)
{
    switch (type) {
    case T_SHARED:
        return add_shared(r, c, v, e);
    case T_NUMBER:
        return add_number(r, c, style, v, e);
    case T_BOOL:
        typed_trim(&v.p, &v.n);
        if (v.n != 1 || (v.p[0] != '0' && v.p[0] != '1'))
            return add_value(r, c, T_TEXT, v, e);
        c->kind = SHEET_BOOL;
        c->number = v.p[0] - '0';
        return v.p[0] == '1' ? add_text(r, c, "TRUE", 4, e) : add_text(r, c, "FALSE", 5, e);
    default:
        return add_value(r, c, type, v, e);
    }
}

/* After XML_OPEN of <v>: all of its text, then its XML_CLOSE. */
static int read_value(struct xlsx_read *r, struct sheet_cell *c, enum cell_type type,
                      uint32_t style, struct err *e)
{
    struct xml_scan *x = &r->x;
    enum xml_token t = xml_scan_next(x, e);

    if (t == XML_TEXT && !x->is_literal && xml_scan_is_whole(x)) { /* nearly always */
        if (take_value(r, c, type, style, x->text, e) != 0)
            return -1;
        return xml_scan_next(x, e) == XML_CLOSE ? 0 : -1;
    }
    buf_clear(&r->scratch);
    for (; t != XML_CLOSE; t = xml_scan_next(x, e)) {
        if (t == XML_TEXT) { /* take_value decodes: marks of a CDATA section are written out */
            if (!x->is_literal && buf_add(&r->scratch, x->text.p, x->text.n, e) != 0)
                return -1;
            for (size_t i = 0; x->is_literal && i < x->text.n; i++)
                if ((x->text.p[i] == '&' ? buf_adds(&r->scratch, "&amp;", e)
                                         : buf_addc(&r->scratch, x->text.p[i], e)) != 0)
                    return -1;
        } else if (t == XML_OPEN) {
            return xml_scan_fail(x, e, "an element inside of a value");
        } else {
            return -1;
        }
    }
    if (r->scratch.len == 0)
        return 0;
    return take_value(r, c, type, style, (struct xml_span){ r->scratch.data, r->scratch.len }, e);
}

/* After XML_OPEN of <c>, up to its XML_CLOSE. */
static int read_cell(struct xlsx_read *r, int64_t *last_column, struct err *e)
{
    struct xml_scan *x = &r->x;
    int64_t column = *last_column + 1, style = 0;
    int type = T_NUMBER, depth = x->depth - 1, has_value = 0;
    struct sheet_cell *c;

    for (size_t i = 0; i < x->n_attrs; i++) {
        const struct xml_attr *a = &x->attrs[i];
        if (a->name.n != 1)
            continue;
        if (a->name.p[0] == 'r') {
            column = column_of(&a->value);
            if (column < 0)
                return xml_scan_fail(x, e, "row %lld: %.*s is no address of a cell",
                                     (long long)r->row, (int)(a->value.n < 40 ? a->value.n : 40),
                                     a->value.p);
        } else if (a->name.p[0] == 's') {
            style = whole_of(&a->value, UINT32_MAX);
            if (style < 0)
                return xml_scan_fail(x, e, "row %lld: a style that is no number",
                                     (long long)r->row);
        } else if (a->name.p[0] == 't') {
            type = type_of(&a->value);
            if (type < 0)
                return xml_scan_fail(x, e, "row %lld: cell type %.*s", (long long)r->row,
                                     (int)(a->value.n < 40 ? a->value.n : 40), a->value.p);
        }
    }
    if (column <= *last_column || column >= SHEET_COLUMNS_MAX)
        return xml_scan_fail(x, e, "row %lld: column %lld comes after column %lld of %d",
                             (long long)r->row, (long long)column + 1, (long long)*last_column + 1,
                             SHEET_COLUMNS_MAX);
    *last_column = column;
    c = new_cell(r, (uint32_t)column, e);
    if (c == NULL)
        return -1;
    for (;;) {
        enum xml_token t = xml_scan_next(x, e);
        if (t == XML_FAIL)
            return -1;
        if (t == XML_CLOSE && x->depth == depth)
            return 0;
        if (t != XML_OPEN)
            continue;
        if (!has_value && type != T_INLINE && x->name.n == 1 && x->name.p[0] == 'v') {
            has_value = 1;
            if (read_value(r, c, (enum cell_type)type, (uint32_t)style, e) != 0)
                return -1;
        } else if (!has_value && type == T_INLINE && xml_scan_is(x, "is")) {
            has_value = 1;
            c->kind = SHEET_TEXT;
            if (xlsx_strings_item(x, &r->text, e) != 0)
                return -1;
            c->n_bytes = (uint32_t)(r->text.len - c->at);
            r->n_cells += c->n_bytes > 0;
        } else if (xml_scan_skip(x, e) != 0) { /* formula, extensions */
            return -1;
        }
    }
}

/* After XML_OPEN of <row>, up to its XML_CLOSE. */
static int read_row(struct xlsx_read *r, struct err *e)
{
    struct xml_scan *x = &r->x;
    const struct xml_span *number = xml_scan_attr(x, "r");
    int64_t last_column = -1, row = r->row + 1;
    int depth = x->depth - 1;

    if (number != NULL)
        row = whole_of(number, INT32_MAX);
    if (row <= r->row || row > SHEET_ROWS_MAX)
        return xml_scan_fail(x, e, "row %lld comes after row %lld of %d", (long long)row,
                             (long long)r->row, SHEET_ROWS_MAX);
    r->row = row;
    r->n_cells = 0;
    buf_clear(&r->text);
    for (;;) {
        enum xml_token t = xml_scan_next(x, e);
        if (t == XML_FAIL)
            return -1;
        if (t == XML_CLOSE && x->depth == depth)
            return 0;
        if (t != XML_OPEN)
            continue;
        if (x->name.n == 1 && x->name.p[0] == 'c') {
            if (read_cell(r, &last_column, e) != 0)
                return -1;
        } else if (xml_scan_skip(x, e) != 0) {
            return -1;
        }
    }
}

/* What surrounds the rows: 1 at a row, 0 at the end of the part, -1. */
static int next_row_tag(struct xlsx_read *r, struct err *e)
{
    struct xml_scan *x = &r->x;

    for (;;) {
        switch (xml_scan_next(x, e)) {
        case XML_FAIL:
            return -1;
        case XML_END:
            return 0;
        case XML_OPEN:
            if (x->depth == 1 && !xml_scan_is(x, "worksheet"))
                return xml_scan_fail(x, e, "no worksheet");
            if (x->depth == 2)
                r->is_in_data = xml_scan_is(x, "sheetData");
            else if (x->depth == 3 && r->is_in_data && xml_scan_is(x, "row"))
                return 1;
            break;
        default:
            break;
        }
    }
}

int xlsx_read_row(struct xlsx_read *r, struct sheet_row *row, struct err *e)
{
    int rc;

    if (r->is_done)
        return 0;
    do {
        rc = next_row_tag(r, e);
        if (rc == 0)
            r->is_done = 1;
        if (rc <= 0)
            return rc;
        if (read_row(r, e) != 0)
            return -1;
    } while (r->n_cells == 0);
    for (uint32_t i = 0; i < r->n_cells; i++)
        if (r->cells[i].text == NULL && r->cells[i].kind != SHEET_NUMBER)
            r->cells[i].text = r->text.data + r->cells[i].at;
    *row = (struct sheet_row){ r->row, r->n_cells, r->cells };
    return 1;
}
