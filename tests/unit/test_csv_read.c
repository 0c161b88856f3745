#include "base/mem.h"
#include "check.h"
#include "make_xlsx.h"
#include "sheet/csv_read.h"
#include "sheet/sheet.h"

static char out[1 << 20];

/* All records as text: "1: 0'a' 2'b';". */
static const char *rows(const void *data, size_t n, char separator)
{
    const char *path = make_path("x.csv");
    struct csv_read *r;
    struct sheet_row row;
    struct err e = { 0 };
    size_t at = 0;
    int rc;

    make_file(path, data, n);
    out[0] = '\0';
    rc = csv_read_open(&r, path, &e);
    if (rc == 0)
        rc = csv_read_rewind(r, separator, &e);
    while (rc >= 0 && (rc = csv_read_row(r, &row, &e)) == 1) {
        at += (size_t)snprintf(out + at, sizeof out - at, "%lld:", (long long)row.number);
        for (uint32_t i = 0; i < row.n_cells && at < sizeof out - 4096; i++)
            at += (size_t)snprintf(out + at, sizeof out - at, " %u'%.*s'", row.cells[i].column,
                                   row.cells[i].n_bytes > 2000 ? 2000 : (int)row.cells[i].n_bytes,
                                   row.cells[i].text);
        at += (size_t)snprintf(out + at, sizeof out - at, ";");
    }
    if (rc < 0)
        snprintf(out + at, sizeof out - at, "!%s %s", err_name(e.code), e.text);
    csv_read_close(r);
    unlink(path);
    CHECK_INT(mem_live(), 0);
    return out;
}

#define ROWS(text, separator) rows(text, sizeof text - 1, separator)

static void records(void)
{
    CHECK_STR(ROWS("a,b\r\nc,\r\n,d", ','), "1: 0'a' 1'b';2: 0'c';3: 1'd';");
    CHECK_STR(ROWS("a;b\nc;d\n", ';'), "1: 0'a' 1'b';2: 0'c' 1'd';");
    CHECK_STR(ROWS("a\tb\rc\td\r", '\t'), "1: 0'a' 1'b';2: 0'c' 1'd';");
    CHECK_STR(ROWS("a\n\n,,\nb", ','), "1: 0'a';4: 0'b';");
    CHECK_STR(ROWS("\"a,\"\"b\"\"\nc\",\"\",d\"e\"\n\" \"x", ','), "1: 0'a,\"b\"\nc' 2'd\"e\"';2: 0' x';");
    CHECK_STR(ROWS("\"a\"b\"c\",d", ','), "1: 0'ab\"c\"' 1'd';");
    CHECK_STR(ROWS("\"\"\"\"", ','), "1: 0'\"';");
    CHECK_STR(ROWS("\n\n", ','), "");
    CHECK_STR(ROWS("", ','), "");
    CHECK_STR(ROWS("a,b\n\"c", ','), "1: 0'a' 1'b';!parse row 2: a quote is not closed");
    CHECK_STR(ROWS("x\n\"a\"\"", ','), "1: 0'x';!parse row 2: a quote is not closed");
    CHECK_STR(ROWS("a\0b", ','), "!parse neither a workbook nor text: it has bytes of value 0");
}

static void encodings(void)
{
    CHECK_STR(ROWS("\xef\xbb\xbf\"я\",b", ','), "1: 0'я' 1'b';");
    CHECK_STR(ROWS("\xd6\xe5\xed\xe0;\xb8\x98\x88\n", ';'), "1: 0'Цена' 1'ё\xc2\x98€';");
    CHECK_STR(ROWS("\xff\xfe\x4f\x04,\0b\0\x0a\0\x3c\xd8\xb5\xdf", ','), "1: 0'я' 1'b';2: 0'🎵';");
    CHECK_STR(ROWS("\xfe\xff\x04\x4f\0,\0b", ','), "1: 0'я' 1'b';");
    CHECK_STR(ROWS("\xff\xfe\x3d\xd8,\0", ','), "!parse the file says it is UTF-16 and is not");
    CHECK_STR(ROWS("\xff\xfe\x3d\xd8", ','), "!parse the file ends within a UTF-16 character");
    CHECK_STR(ROWS("\xff\xfe,\0a", ','), "!parse the file ends within a UTF-16 character");
    CHECK_STR(ROWS("\xef\xbb\xbf\xff", ','), "!parse the file says it is UTF-8 and is not");
}

/* Chunks end anywhere: the same records whatever stands where a chunk ends. */
static void chunks(void)
{
    static const char ROW[] = "\"я\"\"\n\",б\r\n";
    size_t n = 0, row = sizeof ROW - 1, rows_n = 40000;
    char *data = malloc(rows_n * row + 16);
    const char *path = make_path("chunks.csv");
    struct csv_read *r;
    struct sheet_row line;
    struct err e;

    for (size_t shift = 0; shift < row; shift++) {
        memset(data, '\n', shift);
        n = shift;
        for (size_t i = 0; i < rows_n; i++, n += row)
            memcpy(data + n, ROW, row);
        make_file(path, data, n);
        CHECK_INT(csv_read_open(&r, path, &e), 0);
        CHECK_INT(csv_read_row(r, &line, &e), 1);
        int64_t seen = 1;
        int same = 1;
        while (csv_read_row(r, &line, &e) == 1) {
            seen++;
            same = same && line.n_cells == 2 && line.cells[0].n_bytes == 4 &&
                   memcmp(line.cells[0].text, "я\"\n", 4) == 0 && line.cells[1].n_bytes == 2;
        }
        CHECK(same);
        if (shift == 0)
            CHECK_INT(seen, rows_n);
        csv_read_close(r);
    }
    unlink(path);
    free(data);
}

static void limits(void)
{
    size_t n = CSV_RECORD_MAX + (4u << 20);
    char *data = malloc(n);

    memset(data, ',', n);
    CHECK(strstr(rows(data, n, ','), "!parse row 1 has more than 16384 fields") != NULL);
    CHECK(strstr(rows(data, 16383, ','), "!") == NULL);
    memset(data, 'x', n);
    data[0] = '"';
    CHECK(strstr(rows(data, n, ','), "!parse row 1 is longer") != NULL);
    free(data);
}

static const char *header_of(const char *text, const char *const *known)
{
    const char *path = make_path("sep.csv");
    struct sheet_options o = { NULL, known, NULL };
    struct sheet_trouble t;
    struct sheet *s;
    struct sheet_row row;
    struct err e = { 0 };
    static char found[64];

    make_file(path, text, strlen(text));
    sheet_trouble_init(&t);
    int rc = sheet_open(&s, path, &o, &t, &e);
    if (rc == 0)
        rc = sheet_next_row(s, &row, &t, &e);
    struct sheet_info info = { .separator = '?' };
    if (s != NULL)
        sheet_get_info(s, &info);
    if (rc < 0)
        snprintf(found, sizeof found, "!%s", sheet_fault_name(t.fault));
    else
        snprintf(found, sizeof found, "%c%u", info.separator, rc == 0 ? 0 : row.n_cells);
    sheet_close(s);
    sheet_trouble_deinit(&t);
    unlink(path);
    CHECK_INT(mem_live(), 0);
    return found;
}

static void separators(void)
{
    static const char *const KNOWN[] = { "Цена, руб.", "Альбом", "Тип", NULL };

    CHECK_STR(header_of("\n;;\n цена, Руб. ;АЛЬБОМ;x,y,z,1\n", KNOWN), ";3");
    CHECK_STR(header_of("Альбом,\"Цена, руб.\",Тип;Тип\n", KNOWN), ",3");
    CHECK_STR(header_of("Альбом\tЦена, руб.\n", KNOWN), "\t2");
    CHECK_STR(header_of("a;b;c\n", KNOWN), ",1");
    CHECK_STR(header_of("a;b;c\n", NULL), ";3");
    CHECK_STR(header_of("\"a;b,c\n", NULL), "!corrupt_file");
    CHECK_STR(header_of("Альбом,\"Тип\n", KNOWN), "!corrupt_file");
    CHECK_STR(header_of(",,\n;\n", KNOWN), ",1");
}

int main(void)
{
    records();
    encodings();
    chunks();
    limits();
    separators();
    return check_done();
}
