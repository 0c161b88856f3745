/*
 * xlsx_book.c - see xlsx_book.h. Start at xlsx_book_open.
 */
#include "sheet/xlsx_book.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "sheet/xlsx_format.h"
#include "sheet/xml_part.h"

#define PATH_MAX_BYTES 1024
#define STYLES_MAX (1u << 20)
#define FORMATS_MAX (1 << 16)
#define RELATIONS_MAX (1u << 14)

struct relation {
    char *id, *path;
    enum { REL_OTHER, REL_BOOK, REL_SHEET, REL_STYLES, REL_STRINGS } kind;
};

struct loader {
    struct xlsx_book *book;
    const char *base;           /* folder that targets are relative to, "" or "xl/" */
    struct relation *relations;
    size_t n_relations, n_relations_cap, n_sheets_cap, n_styles_cap;
    uint8_t *formats;           /* by number format id: enum format */
    int is_in_cell_styles;
};

enum format { FORMAT_BUILT_IN, FORMAT_DATE, FORMAT_OTHER }; /* the latter two: spelled out */

/* Makes room for one more item of `bytes`; the array may move. */
static int grow(void *items, size_t n, size_t *cap, size_t max, size_t bytes, struct err *e)
{
    void **array = items;
    size_t wider = *cap < 16 ? 16 : *cap * 2;

    if (n < *cap)
        return 0;
    if (n >= max)
        return err_set(e, ERR_LIMIT, "the workbook lists more than %zu things of one kind", max);
    void *p = mem_resize(*array, wider * bytes);
    if (p == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    *array = p;
    *cap = wider;
    return 0;
}

static int ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), k = strlen(end);

    return n >= k && strcmp(text + n - k, end) == 0;
}

/* The path in the zip of a target: "/xl/a.xml", "../a.xml" or "a.xml" seen from `base`. */
static char *resolve(const char *base, const char *target, struct err *e)
{
    struct buf b;
    char *path = NULL;

    buf_init(&b, PATH_MAX_BYTES);
    if (target[0] != '/' && buf_adds(&b, base, e) != 0)
        goto done;
    for (const char *p = target; *p != '\0';) {
        size_t n = strcspn(p, "/\\"), step = n + (p[n] != '\0');
        if (n == 2 && p[0] == '.' && p[1] == '.') {
            if (b.len > 0)
                b.len--; /* its slash */
            while (b.len > 0 && b.data[b.len - 1] != '/')
                b.len--;
        } else if (n > 0 && !(n == 1 && p[0] == '.')) {
            if (buf_add(&b, p, n, e) != 0 || (p[n] != '\0' && buf_addc(&b, '/', e) != 0))
                goto done;
        }
        p += step;
    }
    if (buf_text(&b, e) != NULL && (path = mem_dup(b.data)) == NULL)
        err_set(e, ERR_NOMEM, "out of memory");
done:
    buf_deinit(&b);
    return path;
}

static int on_relation(void *arg, const char *name, const char **attrs, struct err *e)
{
    struct loader *l = arg;
    const char *id = xml_part_attr(attrs, "Id"), *type = xml_part_attr(attrs, "Type");
    const char *target = xml_part_attr(attrs, "Target"), *mode = xml_part_attr(attrs, "TargetMode");
    struct relation *r;

    if (strcmp(name, "Relationship") != 0 || id == NULL || type == NULL || target == NULL ||
        (mode != NULL && strcmp(mode, "External") == 0))
        return 0;
    if (grow(&l->relations, l->n_relations, &l->n_relations_cap, RELATIONS_MAX, sizeof *r, e) != 0)
        return -1;
    r = &l->relations[l->n_relations];
    r->kind = ends_with(type, "/officeDocument")  ? REL_BOOK
              : ends_with(type, "/worksheet")     ? REL_SHEET
              : ends_with(type, "/styles")        ? REL_STYLES
              : ends_with(type, "/sharedStrings") ? REL_STRINGS
                                                  : REL_OTHER;
    if (r->kind == REL_OTHER)
        return 0;
    r->path = resolve(l->base, target, e);
    if (r->path == NULL)
        return -1;
    r->id = mem_dup(id);
    l->n_relations++; /* from here on drop_relations frees it */
    return r->id == NULL ? err_set(e, ERR_NOMEM, "out of memory") : 0;
}

static void drop_relations(struct loader *l)
{
    for (size_t i = 0; i < l->n_relations; i++) {
        mem_free(l->relations[i].id);
        mem_free(l->relations[i].path);
    }
    l->n_relations = 0;
}

static const char *relation_of_kind(const struct loader *l, int kind)
{
    for (size_t i = 0; i < l->n_relations; i++)
        if ((int)l->relations[i].kind == kind)
            return l->relations[i].path;
    return NULL;
}

static int on_book(void *arg, const char *name, const char **attrs, struct err *e)
{
    struct loader *l = arg;
    struct xlsx_book *b = l->book;
    const char *id, *tab;

    if (strcmp(name, "workbookPr") == 0)
        b->is_1904 = xml_part_is_true(xml_part_attr(attrs, "date1904"));
    if (strcmp(name, "sheet") != 0)
        return 0;
    id = xml_part_attr(attrs, "id");
    tab = xml_part_attr(attrs, "name");
    for (size_t i = 0; id != NULL && i < l->n_relations; i++) {
        if (l->relations[i].kind != REL_SHEET || strcmp(l->relations[i].id, id) != 0)
            continue;
        if (grow(&b->sheets, b->n_sheets, &l->n_sheets_cap, XLSX_SHEETS_MAX, sizeof *b->sheets,
                 e) != 0)
            return -1;
        struct xlsx_sheet *s = &b->sheets[b->n_sheets++];
        s->name = mem_dup(tab != NULL ? tab : "");
        s->part = mem_dup(l->relations[i].path);
        return s->name == NULL || s->part == NULL ? err_set(e, ERR_NOMEM, "out of memory") : 0;
    }
    return 0; /* a chart or macro sheet */
}

/* Small whole number, -1 when it is none. */
static int number_of(const char *text)
{
    int x = 0;

    for (; *text >= '0' && *text <= '9'; text++)
        x = x < 1000000 ? x * 10 + (*text - '0') : x;
    return *text == '\0' ? x : -1;
}

static int on_style(void *arg, const char *name, const char **attrs, struct err *e)
{
    struct loader *l = arg;
    struct xlsx_book *b = l->book;
    const char *id = xml_part_attr(attrs, "numFmtId"), *code;
    int n_id = id == NULL ? 0 : number_of(id);

    if (strcmp(name, "cellXfs") == 0) {
        l->is_in_cell_styles = 1;
    } else if (strcmp(name, "numFmt") == 0 && (code = xml_part_attr(attrs, "formatCode")) != NULL) {
        if (n_id >= 0 && n_id < FORMATS_MAX)
            l->formats[n_id] = xlsx_format_is_date(code, strlen(code)) ? FORMAT_DATE : FORMAT_OTHER;
    } else if (strcmp(name, "xf") == 0 && l->is_in_cell_styles) {
        if (grow(&b->is_date, b->n_styles, &l->n_styles_cap, STYLES_MAX, 1, e) != 0)
            return -1;
        enum format f = n_id >= 0 && n_id < FORMATS_MAX ? l->formats[n_id] : FORMAT_OTHER;
        b->is_date[b->n_styles++] =
            f == FORMAT_DATE || (f == FORMAT_BUILT_IN && xlsx_format_is_date_id(n_id));
    }
    return 0;
}

static void on_style_end(void *arg, const char *name)
{
    struct loader *l = arg;

    if (strcmp(name, "cellXfs") == 0)
        l->is_in_cell_styles = 0;
}

/* A zip without a workbook: what is it? */
static int fail_no_book(const struct zip_box *zip, struct err *e)
{
    static const struct { const char *part, *what; } KINDS[] = {
        { "xl/workbook.bin", "a binary workbook (.xlsb): save it as .xlsx" },
        { "word/document.xml", "a Word document, not a workbook" },
        { "ppt/presentation.xml", "a presentation, not a workbook" },
        { "content.xml", "an OpenDocument file (.ods): save it as .xlsx" },
        { "index.numbers", "a Numbers table: export it as .xlsx" },
        { "Index/Document.iwa", "a Numbers table: export it as .xlsx" },
        { "META-INF/MANIFEST.MF", "a Java archive, not a workbook" },
    };

    for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++)
        if (zip_box_find(zip, KINDS[i].part) >= 0)
            return err_set(e, ERR_UNSUPPORTED, "%s", KINDS[i].what);
    return err_set(e, ERR_UNSUPPORTED, "a zip file without a workbook in it");
}

/* The folder of a part with its slash, and where its relations are. */
static int paths_of(const char *part, struct buf *folder, struct buf *relations, struct err *e)
{
    const char *slash = strrchr(part, '/');
    size_t n = slash == NULL ? 0 : (size_t)(slash + 1 - part);

    return buf_add(folder, part, n, e) != 0 || buf_text(folder, e) == NULL ||
                   buf_addf(relations, e, "%.*s_rels/%s.rels", (int)n, part, part + n) != 0 ||
                   buf_text(relations, e) == NULL
               ? -1
               : 0;
}

static int load(struct loader *l, struct err *e)
{
    static const struct xml_part_calls RELATIONS = { on_relation, NULL };
    static const struct xml_part_calls BOOK = { on_book, NULL };
    static const struct xml_part_calls STYLES = { on_style, on_style_end };
    struct xlsx_book *b = l->book;
    struct buf folder, relations;
    const char *found;
    char *part = NULL;
    int rc = -1;

    buf_init(&folder, PATH_MAX_BYTES);
    buf_init(&relations, PATH_MAX_BYTES + 32);
    l->base = "";
    if (zip_box_find(b->zip, "_rels/.rels") >= 0 &&
        xml_part_parse(b->zip, "_rels/.rels", &RELATIONS, l, e) != 0)
        goto done;
    found = relation_of_kind(l, REL_BOOK);
    part = mem_dup(found != NULL ? found : "xl/workbook.xml");
    if (part == NULL) {
        err_set(e, ERR_NOMEM, "out of memory");
        goto done;
    }
    drop_relations(l);
    if (zip_box_find(b->zip, part) < 0 || !ends_with(part, ".xml") ||
        strncmp(part, "word/", 5) == 0 || strncmp(part, "ppt/", 4) == 0) {
        fail_no_book(b->zip, e);
        goto done;
    }
    if (paths_of(part, &folder, &relations, e) != 0)
        goto done;
    l->base = buf_text(&folder, e);
    if (xml_part_parse(b->zip, relations.data, &RELATIONS, l, e) != 0 ||
        xml_part_parse(b->zip, part, &BOOK, l, e) != 0)
        goto done;
    found = relation_of_kind(l, REL_STYLES);
    if (found != NULL && zip_box_find(b->zip, found) >= 0 &&
        xml_part_parse(b->zip, found, &STYLES, l, e) != 0)
        goto done;
    found = relation_of_kind(l, REL_STRINGS);
    if (found != NULL && zip_box_find(b->zip, found) >= 0 &&
        (b->strings_part = mem_dup(found)) == NULL) {
        err_set(e, ERR_NOMEM, "out of memory");
        goto done;
    }
    rc = 0;
done:
    mem_free(part);
    buf_deinit(&folder);
    buf_deinit(&relations);
    return rc;
}

int xlsx_book_open(struct xlsx_book *b, const char *path, struct err *e)
{
    struct loader l = { .book = b };
    int rc;

    memset(b, 0, sizeof *b);
    if (zip_box_open(&b->zip, path, e) != 0)
        return -1;
    l.formats = mem_zero(FORMATS_MAX, 1);
    rc = l.formats == NULL ? err_set(e, ERR_NOMEM, "out of memory") : load(&l, e);
    drop_relations(&l);
    mem_free(l.relations);
    mem_free(l.formats);
    if (rc == 0 && b->n_sheets == 0)
        rc = err_set(e, ERR_PARSE, "a workbook without worksheets");
    return rc;
}

void xlsx_book_close(struct xlsx_book *b)
{
    for (size_t i = 0; i < b->n_sheets; i++) {
        mem_free(b->sheets[i].name);
        mem_free(b->sheets[i].part);
    }
    mem_free(b->sheets);
    mem_free(b->strings_part);
    mem_free(b->is_date);
    zip_box_close(b->zip);
    memset(b, 0, sizeof *b);
}
