#include "base/mem.h"
#include "check.h"
#include "make_xlsx.h"
#include "sheet/sheet_load.h"

static sqlite3 *db;
static const char *path;

static const char *sql(const char *text)
{
    static char out[4096];
    sqlite3_stmt *st = NULL;
    size_t at = 0;

    out[0] = '\0';
    if (sqlite3_prepare_v2(db, text, -1, &st, NULL) != SQLITE_OK)
        snprintf(out, sizeof out, "!%s", sqlite3_errmsg(db));
    while (st != NULL && sqlite3_step(st) == SQLITE_ROW)
        at += (size_t)snprintf(out + at, sizeof out - at, "%s;", sqlite3_column_text(st, 0));
    sqlite3_finalize(st);
    return out;
}

static const char *HEADERS[] = { "Цена, руб.", "Price", NULL };
static const struct sheet_column COLUMNS[] = { { "price", HEADERS, 1 }, { "album", NULL, 0 } };

/* "ok ROWS CELLS HEADER" or "FAULT names | message". */
static const char *load(struct sheet_load what)
{
    static char found[1024];
    struct sheet_loaded out;
    struct err e = { 0 };

    what.path = path;
    what.table = "t";
    if (sheet_load(&what, db, &out, &e) == 0) {
        snprintf(found, sizeof found, "ok %lld %lld %lld", (long long)out.n_rows,
                 (long long)out.n_cells, (long long)out.header_row);
    } else {
        size_t at = (size_t)snprintf(found, sizeof found, "%s", sheet_fault_name(out.trouble.fault));
        for (size_t i = 0; i < out.trouble.names.len; i += strlen(out.trouble.names.data + i) + 1)
            at += (size_t)snprintf(found + at, sizeof found - at, " %s", out.trouble.names.data + i);
        snprintf(found + at, sizeof found - at, " | %s", e.text);
    }
    sheet_loaded_deinit(&out);
    CHECK_INT(mem_live(), 0);
    return found;
}

static void make(const char *text)
{
    make_file(path, text, strlen(text));
}

#define ASKED .columns = COLUMNS, .n_columns = 2

static void columns(void)
{
    make("\n\n ЦЕНА, РУБ. ;x;Album\n1,5;;A\n;;\n;y;\n2;3;4\n");
    CHECK_STR(load((struct sheet_load){ ASKED, .file_column = "file", .file_id = 7 }), "ok 3 4 3");
    CHECK_STR(sql("SELECT file||' '||row||' '||ifnull(price,'-')||' '||ifnull(album,'-') FROM t"),
              "7 4 1,5 A;7 6 - -;7 7 2 4;");
    CHECK_STR(load((struct sheet_load){ ASKED, .file_column = "file", .file_id = 8 }), "ok 3 4 3");
    CHECK_STR(sql("SELECT count(*) FROM t; "), "6;");
    make("Album,x\n1,2\n");
    CHECK_STR(load((struct sheet_load){ ASKED, .file_column = "file" }),
              "missing_columns price | row 1 is no header with all the columns; missing: Цена, руб.");
    make("price,\"Цена, руб.\"\n1,2\n");
    CHECK_STR(load((struct sheet_load){ ASKED, .file_column = "file" }),
              "duplicate_columns price | row 1: two columns for price (Цена, руб.)");
    make("price,album\n\n,\n");
    CHECK_STR(load((struct sheet_load){ ASKED, .file_column = "file" }),
              "empty_file | no row of data below the header");
    make("");
    CHECK_STR(load((struct sheet_load){ ASKED }), "empty_file | the file is empty: it has no bytes");
    make("\n");
    CHECK_STR(load((struct sheet_load){ ASKED }), "empty_file | the file is empty");
    CHECK_STR(sql("SELECT count(*) FROM t"), "6;"); /* what failed has left nothing */
    sql("DROP TABLE t");
}

static void all_columns(void)
{
    make("row,a \" b,,A  \" B,4\n1,2,3,4,5\n");
    CHECK_STR(load((struct sheet_load){ .n_columns = 0 }), "ok 1 4 1");
    CHECK_STR(sql("SELECT group_concat(name, '|') FROM pragma_table_info('t')"),
              "row|row_2|a \" b|A \" B_2|4;");
    CHECK_STR(sql("SELECT \"row_2\"||\"a \"\" b\"||\"A \"\" B_2\"||\"4\" FROM t"), "1245;");
    sql("DROP TABLE t");
}

static int stop_at(void *arg, int64_t n_rows, double done)
{
    CHECK(done >= 0 && done <= 1);
    return n_rows >= *(int64_t *)arg;
}

/* In pieces: nothing of the connection is kept between them. */
static void steps(void)
{
    struct sheet_load what = { ASKED, .path = path, .table = "t" };
    struct sheet_loaded out;
    struct sheet_loader *l;
    struct err e;
    int rc, n = 0;
    double done = 0;

    CHECK_INT(sheet_load_open(&l, &what, &out, &e), 0);
    while ((rc = sheet_load_step(l, db, 2000, &e)) == 1) {
        n++;
        CHECK_INT(out.n_rows, n * 2000);
        CHECK(sheet_load_done(l) >= done && sheet_load_done(l) <= 1);
        done = sheet_load_done(l);
        CHECK(sqlite3_next_stmt(db, NULL) == NULL);
    }
    CHECK_INT(rc, 0);
    CHECK_INT(out.n_rows, 5000);
    CHECK_INT(n, 2);
    sheet_load_close(l);
    sheet_loaded_deinit(&out);
    CHECK_STR(sql("SELECT count(*) FROM t"), "5000;");
    sql("DELETE FROM t");
}

static void transactions(void)
{
    static char text[200000];
    size_t n = (size_t)snprintf(text, sizeof text, "price,album\n");
    int64_t limit = 3000;

    for (int i = 0; i < 5000; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%d,x\n", i);

    make_file(path, text, n);
    CHECK_STR(load((struct sheet_load){ ASKED, .tick = stop_at, .tick_arg = &limit }),
              "system | stopped at row 3073");
    CHECK(strstr(sql("SELECT * FROM t"), "!no such table") != NULL);
    CHECK_INT(sqlite3_get_autocommit(db), 1);
    sql("CREATE TABLE t(row, price, album)");
    sql("BEGIN");
    sql("INSERT INTO t(price) VALUES (1)");
    CHECK_STR(load((struct sheet_load){ ASKED, .tick = stop_at, .tick_arg = &limit }),
              "system | stopped at row 3073");
    CHECK_STR(sql("SELECT count(*) FROM t"), "1;"); /* the caller's row is still there */
    CHECK_STR(load((struct sheet_load){ ASKED }), "ok 5000 10000 1");
    sql("ROLLBACK");
    CHECK_STR(sql("SELECT count(*) FROM t"), "0;");
    steps();
    sql("CREATE UNIQUE INDEX i ON t(album)");
    CHECK_STR(load((struct sheet_load){ ASKED }), "system | row 3: t: UNIQUE constraint failed: t.album");
    sql("DROP TABLE t");
}

static void kinds(void)
{
    static const char STRINGS[] = "<sst " MAKE_NS "><si><t>price</t></si><si><t>album</t></si></sst>";

    make_book(path, 1, STRINGS,
              "<worksheet " MAKE_NS "><sheetData><row r=\"2\"><c t=\"s\"><v>0</v></c><c t=\"s\"><v>1</v></c></row>"
              "<row><c><v>2490.0</v></c><c s=\"2\"><v>44227</v></c></row>"
              "<row><c><v>0.1</v></c><c t=\"b\"><v>1</v></c><c><v>9</v></c></row>"
              "<row><c><v>1e300</v></c><c t=\"e\"><v>#N/A</v></c></row></sheetData></worksheet>", NULL);
    CHECK_STR(load((struct sheet_load){ .columns = (struct sheet_column[]){ { "price", NULL, 1 }, { "album", NULL, 1 } },
                                        .n_columns = 2 }), "ok 3 6 2");
    CHECK_STR(sql("SELECT row||typeof(price)||price||typeof(album)||album FROM t"),
              "3integer2490text2025-02-01;4real0.1textTRUE;5real1.0e+300text#N/A;");
    sql("DROP TABLE t");
}

static void out_of_memory(void)
{
    size_t n = 1;
    int failed = 1;

    make("price,album\n1,2\n");
    for (; failed && n < 200; n++) {
        mem_fail_at(n);
        failed = load((struct sheet_load){ ASKED })[0] != 'o';
        mem_fail_at(0);
        CHECK_INT(sqlite3_get_autocommit(db), 1);
    }
    CHECK(n > 8 && n < 200);
    sql("DROP TABLE t");
}

int main(void)
{
    path = strdup(make_path("load"));
    CHECK_INT(sqlite3_open(":memory:", &db), SQLITE_OK);
    columns();
    all_columns();
    transactions();
    kinds();
    out_of_memory();
    unlink(path);
    free((char *)path);
    sqlite3_close(db);
    return check_done();
}
