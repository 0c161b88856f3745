#include "base/mem.h"
#include "check.h"
#include "make_xlsx.h"
#include "sheet/sheet_load.h"
#include "sheet/sheet_write.h"

static sqlite3 *db;

static const struct sheet_write_column COLUMNS[] = {
    { "Название", SHEET_STYLE_PLAIN, 0 }, { "Дата", SHEET_STYLE_DATE, 0 },
    { "Момент", SHEET_STYLE_TIME, 0 },    { "Цена", SHEET_STYLE_MONEY, 12 },
    { "Штук", SHEET_STYLE_WHOLE, 0 },
};

static const char DATA[] =
    "VALUES ('=cmd()|x', '2025-03-05', '2025-03-05 10:20:30', 2490.5, 3),"
    "('+7 900', 'нет', '2025-03-05', -1.0, 9007199254740993),"
    "('-5', NULL, '', 9e999, -2), ('a,\"b\"' || char(10) || ' c ', '1900-01-05', NULL, 1e-7, 0),"
    "('@x', '', NULL, NULL, x'00'), ('_x0041_', NULL, NULL, NULL, NULL), (' 🎵', NULL, NULL, NULL, NULL)";

static int64_t write_query(const char *path, struct sheet_write_options o, const char *sql, struct err *e)
{
    sqlite3_stmt *st = NULL;
    struct sheet_write *w;
    int64_t n;

    if (sheet_write_open(&w, path, &o, e) != 0)
        return -1;
    CHECK_INT(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    n = sheet_write_rows(w, st, NULL, NULL, e);
    sqlite3_finalize(st);
    if (n < 0) {
        sheet_write_drop(w);
        return -1;
    }
    return sheet_write_close(w, e) != 0 ? -1 : n;
}

static const char *sql(const char *text)
{
    static char out[4096];
    sqlite3_stmt *st = NULL;
    size_t at = 0;

    CHECK_INT(sqlite3_prepare_v2(db, text, -1, &st, NULL), SQLITE_OK);
    out[0] = '\0';
    while (sqlite3_step(st) == SQLITE_ROW)
        at += (size_t)snprintf(out + at, sizeof out - at, "%s;", sqlite3_column_text(st, 0));
    sqlite3_finalize(st);
    return out;
}

static void load(const char *path)
{
    struct sheet_load what = { .path = path, .table = "back" };
    struct sheet_loaded out;
    struct err e = { 0 };

    sqlite3_exec(db, "DROP TABLE IF EXISTS back", NULL, NULL, NULL);
    CHECK_INT(sheet_load(&what, db, &out, &e), 0);
    CHECK_STR(e.text, "");
    sheet_loaded_deinit(&out);
}

static void workbook(void)
{
    const char *path = make_path("w.xlsx");
    struct err e = { 0 };

    CHECK_INT(write_query(path, (struct sheet_write_options){ .columns = COLUMNS, .n_columns = 5,
                                                              .sheet = "Отчёт" }, DATA, &e), 7);
    load(path);
    CHECK_STR(sql("SELECT quote(Название) FROM back ORDER BY row"),
              "'=cmd()|x';'+7 900';'-5';'a,\"b\"\n c ';'@x';'_x0041_';' 🎵';");
    CHECK_STR(sql("SELECT quote(Дата) FROM back ORDER BY row"),
              "'2025-03-05';'нет';NULL;'1900-01-05';NULL;NULL;NULL;");
    CHECK_STR(sql("SELECT quote(Момент) FROM back ORDER BY row LIMIT 3"),
              "'2025-03-05 10:20:30';'2025-03-05';NULL;");
    CHECK_STR(sql("SELECT quote(Цена) FROM back ORDER BY row LIMIT 4"), "2490.5;-1;NULL;1.0e-07;");
    CHECK_STR(sql("SELECT quote(Штук) FROM back ORDER BY row LIMIT 5"),
              "3;'9007199254740993';-2;0;NULL;");
    unlink(path);
}

static void text(void)
{
    const char *path = make_path("w.csv");
    struct err e = { 0 };
    char bytes[1024] = { 0 };
    FILE *f;

    CHECK_INT(write_query(path, (struct sheet_write_options){ .format = SHEET_WRITE_CSV,
                                                              .columns = COLUMNS, .n_columns = 5,
                                                              .has_mark = 1 }, DATA, &e), 7);
    f = fopen(path, "rb");
    CHECK(f != NULL && fread(bytes, 1, sizeof bytes - 1, f) > 0);
    fclose(f);
    CHECK_STR(bytes, "\xef\xbb\xbfНазвание,Дата,Момент,Цена,Штук\r\n"
                     "'=cmd()|x,2025-03-05,2025-03-05 10:20:30,2490.5,3\r\n"
                     "'+7 900,нет,2025-03-05,-1,9007199254740993\r\n"
                     "-5,,,,-2\r\n"
                     "\"a,\"\"b\"\"\n c \",1900-01-05,,1e-07,0\r\n"
                     "'@x,,,,\r\n_x0041_,,,,\r\n\" 🎵\",,,,\r\n");
    load(path);
    CHECK_STR(sql("SELECT count(*) FROM back"), "7;");
    unlink(path);
}

static void refused(void)
{
    const char *path = make_path("none/w.xlsx"), *good = make_path("w2");
    struct sheet_write_options o = { .columns = COLUMNS, .n_columns = 5 };
    struct err e;

    CHECK_INT(write_query(path, o, DATA, &e), -1);
    o.format = SHEET_WRITE_CSV;
    CHECK_INT(write_query(path, o, DATA, &e), -1);
    CHECK_INT(e.code, ERR_NOTFOUND);
    for (int i = 0; i < 2; i++) {
        o.format = i == 0 ? SHEET_WRITE_XLSX : SHEET_WRITE_CSV;
        CHECK_INT(write_query(good, o, "VALUES (1,2,3,4,5,6)", &e), -1);
        CHECK_INT(e.code, ERR_SHAPE);
        CHECK_INT(write_query(good, o, "VALUES (cast(x'ff' AS text))", &e), -1);
        CHECK_INT(e.code, ERR_PARSE);
        CHECK(access(good, F_OK) != 0);
    }
    o.format = SHEET_WRITE_XLSX;
    CHECK_INT(write_query(good, o, "VALUES (printf('%.*c', 32768, 'x'))", &e), -1);
    CHECK_INT(e.code, ERR_LIMIT);
    CHECK_INT(write_query(good, o, "VALUES (printf('%.*c', 32767, 'x'))", &e), 1);
    o.sheet = "a/b";
    CHECK_INT(write_query(good, o, DATA, &e), -1);
    CHECK_INT(e.code, ERR_INVALID);
    o.sheet = NULL;
    o.n_columns = 0;
    CHECK_INT(write_query(good, o, DATA, &e), -1);
    unlink(good);
}

/* What does not fit the type of a column is an error that says where. */
static void columns_of_types(void)
{
    static const struct sheet_write_column TYPED[] = {
        { "т", SHEET_STYLE_PLAIN, 0 }, { "d", SHEET_STYLE_DATE, 0 }, { "n", SHEET_STYLE_INTEGER, 0 },
        { "x", SHEET_STYLE_NUMBER, 0 },
    };
    static const struct sheet_write_column TWICE[] = { { "a", SHEET_STYLE_PLAIN, 0 }, { "a", SHEET_STYLE_PLAIN, 0 } };
    static const char *const BAD[][2] = {
        { "VALUES (NULL, NULL, NULL, NULL), (1, NULL, NULL, NULL)", "row 2, т: a number, text expected" },
        { "VALUES ('a', '5.3.2025', NULL, NULL)", "row 1, d: a text that is none, date expected" },
        { "VALUES ('a', '2025-02-29', NULL, NULL)", "row 1, d: a text that is none, date expected" },
        { "VALUES ('a', NULL, 0.5, NULL)", "row 1, n: a number, whole number expected" },
        { "VALUES ('a', NULL, 1e300, NULL)", "row 1, n: a number, whole number expected" },
        { "VALUES ('a', NULL, NULL, 'x')", "row 1, x: a text, number expected" },
    };
    const char *path = make_path("p.parquet");
    struct sheet_write_options o = { .format = SHEET_WRITE_PARQUET, .columns = TYPED, .n_columns = 4 };
    struct err e;

    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        CHECK_INT(write_query(path, o, BAD[i][0], &e), -1);
        CHECK_INT(e.code, ERR_INVALID);
        CHECK_STR(e.text, BAD[i][1]);
        CHECK(access(path, F_OK) != 0);
    }
    CHECK_INT(write_query(path, o, "VALUES ('=1', '1969-12-31', 2.0, 3), (NULL, NULL, NULL, 9e999)", &e), 2);
    o.columns = TWICE;
    o.n_columns = 2;
    CHECK_INT(write_query(path, o, "VALUES (1, 2)", &e), -1);
    CHECK_STR(e.text, "two columns are called a");
    CHECK_INT(write_query("/nowhere/x.parquet", (struct sheet_write_options){ .format = SHEET_WRITE_PARQUET,
              .columns = TYPED, .n_columns = 4 }, "VALUES (1, 2, 3, 4)", &e), -1);
    CHECK_INT(e.code, ERR_NOTFOUND);
    unlink(path);
}

/* Every allocation of ours fails in turn: no file stays, nothing is lost. */
static void out_of_memory(void)
{
    const char *path = make_path("oom");
    struct sheet_write_options o = { .columns = COLUMNS, .n_columns = 5 };
    struct err e;

    for (int i = 0; i < 3; i++) {
        static const struct sheet_write_column TYPED[] = {
            { "a", SHEET_STYLE_PLAIN, 0 }, { "b", SHEET_STYLE_DATE, 0 }, { "c", SHEET_STYLE_INTEGER, 0 },
            { "d", SHEET_STYLE_NUMBER, 0 }, { "e", SHEET_STYLE_WHOLE, 0 },
        };
        size_t n = 1;
        int64_t rc = -1;
        o.format = (enum sheet_write_format)i;
        o.columns = o.format == SHEET_WRITE_PARQUET ? TYPED : COLUMNS;
        for (; rc < 0 && n < 100; n++) {
            mem_fail_at(n);
            rc = write_query(path, o, o.columns == TYPED ? "VALUES ('x', '2025-03-05', 3, 0.5, NULL)" : DATA, &e);
            mem_fail_at(0);
            CHECK_INT(mem_live(), 0);
            CHECK_INT(access(path, F_OK) == 0, rc >= 0);
            unlink(path);
            if (rc < 0)
                CHECK_INT(e.code, ERR_NOMEM);
        }
        CHECK(n > 4 && n < 100);
    }
}

int main(void)
{
    CHECK_INT(sqlite3_open(":memory:", &db), SQLITE_OK);
    workbook();
    text();
    refused();
    columns_of_types();
    out_of_memory();
    sqlite3_close(db);
    CHECK_INT(mem_live(), 0);
    return check_done();
}
