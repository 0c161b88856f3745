/*
 * golden_upload_read.c - every upload of golden/upload and its bad/: files are read or refused as the
 * README there says, with the right code and details; the right rows are found fit or rejected.
 * Reading and the SQL functions only; what becomes of the rows is the upload job's test.
 */
#include <cjson/cJSON.h>
#include <dirent.h>
#include <stdlib.h>

#include "base/mem.h"
#include "check.h"
#include "db/db_func.h"
#include "sheet/sheet_load.h"

#define H(...) (const char *const[]){ __VA_ARGS__, NULL }

/* plastinka.md 3.2 with the additions of upload.md 1 */
static const struct sheet_column STOCK[] = {
    { "barcode", H("Штрихкод", "Barcode"), 1 },      { "artist", H("Исполнитель"), 1 },
    { "album", H("Альбом"), 1 },                     { "cover_type", H("Конверт"), 1 },
    { "price", H("Цена, руб."), 1 },                 { "release_type", H("Тип"), 1 },
    { "recording_year", H("Год записи"), 1 },        { "release_year", H("Год выпуска"), 1 },
    { "style", H("Стиль"), 1 },                      { "created_date", H("Дата создания", "Дата добавления"), 1 },
    { "count", H("Экземпляры", "Количество"), 1 },
};
static const struct sheet_column SALES[] = {
    { "barcode", H("Штрихкод", "Barcode"), 1 },      { "artist", H("Исполнитель"), 1 },
    { "album", H("Альбом"), 1 },                     { "cover_type", H("Конверт"), 1 },
    { "price", H("Цена, руб."), 1 },                 { "release_type", H("Тип"), 1 },
    { "recording_year", H("Год записи"), 1 },        { "release_year", H("Год выпуска"), 1 },
    { "style", H("Стиль"), 1 },                      { "created_date", H("Дата создания", "Дата добавления"), 1 },
    { "sold_date", H("Дата заказа", "Дата продажи"), 1 }, { "count", H("Экземпляры", "Количество"), 0 },
};

static sqlite3 *db;
static char root[1024];
static int n_files, n_refused;

static void run(const char *sql)
{
    char *why = NULL;

    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK) {
        printf("%s: %s\n", sql, why);
        check_failed++;
    }
    sqlite3_free(why);
}

static int64_t whole(const char *sql)
{
    sqlite3_stmt *st = NULL;
    int64_t n = -1;

    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW)
        n = sqlite3_column_int64(st, 0);
    else
        printf("%s: %s\n", sql, sqlite3_errmsg(db));
    sqlite3_finalize(st);
    return n;
}

static cJSON *read_json(const char *name)
{
    char path[2048];
    FILE *f;
    cJSON *j = NULL;

    snprintf(path, sizeof path, "%s/%s", root, name);
    f = fopen(path, "rb");
    if (f != NULL) {
        char *text = calloc(1, 4 << 20);
        if (fread(text, 1, (4 << 20) - 1, f) > 0)
            j = cJSON_Parse(text);
        free(text);
        fclose(f);
    }
    if (j == NULL) {
        printf("%s is missing or no JSON\n", path);
        check_failed++;
    }
    return j;
}

static const char *text_of(const cJSON *j, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, name));
}

/* Loads one file into raw(file, row, …); the outcome is in *out. */
static int load(const char *folder, const char *file, int is_sales, int id, const char *sheet,
                struct sheet_loaded *out, struct err *e)
{
    char path[2048];
    struct sheet_load what = {
        .path = path, .table = is_sales ? "sales" : "stock",
        .columns = is_sales ? SALES : STOCK,
        .n_columns = is_sales ? sizeof SALES / sizeof *SALES : sizeof STOCK / sizeof *STOCK,
        .file_column = "file", .file_id = id, .sheet = sheet,
    };

    n_files++;
    if (strlen(root) + strlen(folder) + strlen(file) + 4 > sizeof path)
        return -1;
    snprintf(path, sizeof path, "%s/%s/%s", root, folder, file);
    int rc = sheet_load(&what, db, out, e);
    char sql[200];
    snprintf(sql, sizeof sql, "INSERT INTO files VALUES(%d, %d)", id, rc == 0 ? out->is_1904 : 0);
    run(sql);
    return rc;
}

static void start(void)
{
    run("DROP TABLE IF EXISTS stock; DROP TABLE IF EXISTS sales; DROP TABLE IF EXISTS files;"
        "DROP TABLE IF EXISTS expected; CREATE TABLE files(file, is_1904);"
        "CREATE TABLE expected(file, row, column_name, reason)");
}

/* The cells as the rules read them, and what is wrong with each row. */
static void judge(void)
{
    run("DROP TABLE IF EXISTS fit; DROP TABLE IF EXISTS rejects;"
        "CREATE TABLE IF NOT EXISTS stock(file,row,barcode,artist,album,cover_type,price,release_type,"
        "recording_year,release_year,style,created_date,count);"
        "CREATE TABLE IF NOT EXISTS sales(file,row,barcode,artist,album,cover_type,price,release_type,"
        "recording_year,release_year,style,created_date,sold_date,count);"
        "CREATE TABLE fit AS SELECT file, row, is_sales, ltrim(text_squeeze(barcode),'0') AS barcode,"
        " text_clean(artist) AS artist, text_clean(album) AS album, text_clean(cover_type) AS cover_type,"
        " number_of(price) AS price, text_clean(price) AS price_text, text_clean(release_type) AS release_type,"
        " number_of(recording_year) AS year, text_clean(recording_year) AS year_text,"
        " leading_digits(text_clean(release_year)) AS release_year, text_clean(style) AS style,"
        " date_of(created_date, is_1904) AS created, text_clean(created_date) AS created_text,"
        " date_of(sold_date, is_1904) AS sold, text_clean(sold_date) AS sold_text,"
        " cast(coalesce(number_of(count), 1) AS int) AS count FROM"
        " (SELECT 0 AS is_sales, file,row,barcode,artist,album,cover_type,price,release_type,recording_year,"
        "  release_year,style,created_date,NULL AS sold_date,count FROM stock UNION ALL"
        "  SELECT 1,file,row,barcode,artist,album,cover_type,price,release_type,recording_year,release_year,"
        "  style,created_date,sold_date,count FROM sales) JOIN files USING (file);"
        "CREATE TABLE rejects AS SELECT file, row, substr(why, 1, instr(why, ' ') - 1) AS column_name,"
        " substr(why, instr(why, ' ') + 1) AS reason FROM (SELECT file, row, CASE"
        " WHEN artist IS NULL THEN 'artist missing' WHEN album IS NULL THEN 'album missing'"
        " WHEN created_text IS NULL THEN 'created_date missing' WHEN created IS NULL THEN 'created_date unreadable'"
        " WHEN price_text IS NULL THEN 'price missing' WHEN price IS NULL THEN 'price unreadable'"
        " WHEN price < 1 THEN 'price not_positive'"
        " WHEN year_text IS NULL THEN 'recording_year missing' WHEN year IS NULL THEN 'recording_year unreadable'"
        " WHEN is_sales AND sold_text IS NULL THEN 'sold_date missing'"
        " WHEN is_sales AND sold IS NULL THEN 'sold_date unreadable'"
        " WHEN count < 0 THEN 'count negative' WHEN is_sales AND count = 0 THEN 'count not_positive'"
        " END AS why FROM fit) WHERE why IS NOT NULL");
}

static void check_rejects(const char *name)
{
    int64_t wrong = whole("SELECT (SELECT count(*) FROM (SELECT * FROM expected EXCEPT SELECT * FROM rejects)) +"
                          " (SELECT count(*) FROM (SELECT * FROM rejects EXCEPT SELECT * FROM expected))");
    check_made++;
    if (wrong == 0)
        return;
    check_failed++;
    printf("%s: %lld rejected rows differ\n", name, (long long)wrong);
    sqlite3_stmt *st;
    sqlite3_prepare_v2(db, "SELECT '-', * FROM (SELECT * FROM expected EXCEPT SELECT * FROM rejects) UNION ALL"
                           " SELECT '+', * FROM (SELECT * FROM rejects EXCEPT SELECT * FROM expected) LIMIT 8",
                       -1, &st, NULL);
    while (sqlite3_step(st) == SQLITE_ROW)
        printf("  %s file %s row %s %s %s\n", sqlite3_column_text(st, 0), sqlite3_column_text(st, 1),
               sqlite3_column_text(st, 2), sqlite3_column_text(st, 3), sqlite3_column_text(st, 4));
    sqlite3_finalize(st);
}

/* --- index.json ---------------------------------------------------------------------------- */

/* Number of the file (0 is stock) whose name without extension is this one. */
static int file_number(const cJSON *one, const char *name)
{
    const cJSON *sales = cJSON_GetObjectItem(one, "sales");
    size_t n = strcspn(name, ".");

    for (int i = -1; i < cJSON_GetArraySize(sales); i++) {
        const char *path = i < 0 ? text_of(one, "stock")
                                 : cJSON_GetStringValue(cJSON_GetArrayItem(sales, i));
        const char *slash = strrchr(path, '/');
        const char *base = slash == NULL ? path : slash + 1;
        if (strcspn(base, ".") == n && strncmp(base, name, n) == 0)
            return i + 1;
    }
    return -1;
}

static void load_expected(const cJSON *one)
{
    char path[2048];
    struct sheet_load what = { .path = path, .table = "raw_rejects", .row_column = "line" };
    struct sheet_loaded out;
    struct err e;
    sqlite3_stmt *st;

    run("DROP TABLE IF EXISTS raw_rejects");
    snprintf(path, sizeof path, "%s/%s/rejects.csv", root, text_of(one, "expected"));
    int rc = sheet_load(&what, db, &out, &e);
    enum sheet_fault fault = out.trouble.fault;
    sheet_loaded_deinit(&out);
    if (rc != 0) {
        CHECK_INT(fault, SHEET_EMPTY);
        return;
    }
    sqlite3_prepare_v2(db, "SELECT file, cast(row AS int), \"column\", reason FROM raw_rejects", -1, &st,
                       NULL);
    while (sqlite3_step(st) == SQLITE_ROW) {
        char *sql = sqlite3_mprintf("INSERT INTO expected VALUES(%d, %lld, %Q, %Q)",
                                    file_number(one, (const char *)sqlite3_column_text(st, 0)),
                                    sqlite3_column_int64(st, 1), sqlite3_column_text(st, 2),
                                    sqlite3_column_text(st, 3));
        run(sql);
        sqlite3_free(sql);
    }
    sqlite3_finalize(st);
}

static void check_counts(const cJSON *one)
{
    char name[1024];
    cJSON *summary, *files, *f;

    snprintf(name, sizeof name, "%s/summary.json", text_of(one, "expected"));
    summary = read_json(name);
    files = cJSON_GetObjectItem(summary, "files");
    CHECK(cJSON_GetArraySize(files) > 0);
    cJSON_ArrayForEach(f, files)
    {
        char sql[200];
        snprintf(sql, sizeof sql, "SELECT count(*) FROM fit WHERE file = %d",
                 file_number(one, text_of(f, "file")));
        CHECK_INT(whole(sql), cJSON_GetNumberValue(cJSON_GetObjectItem(f, "read")));
    }
    cJSON_Delete(summary);
}

/* One case; variants of a set, which share `expected`, must give the same cells. */
static void check_case(const cJSON *one, char last[256])
{
    const char *name = text_of(one, "name"), *expected = text_of(one, "expected");
    const cJSON *sales = cJSON_GetObjectItem(one, "sales");
    char set[256];

    start();
    for (int i = -1; i < cJSON_GetArraySize(sales); i++) {
        struct sheet_loaded out;
        struct err e = { 0 };
        const char *path = i < 0 ? text_of(one, "stock")
                                 : cJSON_GetStringValue(cJSON_GetArrayItem(sales, i));
        CHECK_INT(load(".", path, i >= 0, i + 1, NULL, &out, &e), 0);
        CHECK_STR(e.text, "");
        sheet_loaded_deinit(&out);
    }
    judge();
    load_expected(one);
    check_rejects(name);
    check_counts(one);
    snprintf(set, sizeof set, "%.*s", (int)strcspn(expected, "/"), expected);
    if (strcmp(set, last) == 0) {
        int64_t wrong = whole("SELECT count(*) FROM (SELECT file,row,barcode,artist,album,cover_type,price,"
                              "release_type,year,release_year,style,created,sold,count FROM fit EXCEPT "
                              "SELECT file,row,barcode,artist,album,cover_type,price,"
                              "release_type,year,release_year,style,created,sold,count FROM first_fit)");
        if (wrong != 0)
            printf("%s: %lld rows differ from the first variant\n", name, (long long)wrong);
        CHECK_INT(wrong, 0);
    } else {
        run("DROP TABLE IF EXISTS first_fit; CREATE TABLE first_fit AS SELECT * FROM fit");
        snprintf(last, 256, "%s", set);
    }
}

/* --- bad/ ---------------------------------------------------------------------------------- */

static int has_text(const cJSON *list, const char *text)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, list)
        if (cJSON_IsString(item) && strcmp(item->valuestring, text) == 0)
            return 1;
    return 0;
}

/* The names of the fault must be those of the details, in their order. */
static void check_names(const struct sheet_loaded *out, const cJSON *expected)
{
    const char *p = out->trouble.names.data, *end = p + out->trouble.names.len;
    const cJSON *item;

    cJSON_ArrayForEach(item, expected)
    {
        CHECK(p < end);
        if (p >= end)
            return;
        CHECK_STR(p, item->valuestring);
        p += strlen(p) + 1;
    }
    CHECK(p == end);
}

static void check_refused(const char *name, const cJSON *expect, const char *file,
                          const struct sheet_loaded *out, const struct err *e)
{
    const cJSON *details = cJSON_GetObjectItem(expect, "details");
    const char *code = sheet_fault_name(out->trouble.fault);

    n_refused++;
    if (!has_text(cJSON_GetObjectItem(expect, "codes"), code)) {
        printf("%s: %s refused with %s: %s\n", name, file, code, e->text);
        check_failed++;
    }
    if (text_of(details, "file") != NULL)
        CHECK_STR(file, text_of(details, "file"));
    CHECK(strlen(e->text) > 10);
    if (out->trouble.fault == SHEET_DUPLICATE)
        CHECK_STR(out->trouble.names.data, text_of(details, "column"));
    if (out->trouble.fault == SHEET_MISSING)
        check_names(out, cJSON_GetObjectItem(details, "columns"));
    if (out->trouble.fault == SHEET_SEVERAL && cJSON_GetObjectItem(details, "sheets") != NULL)
        check_names(out, cJSON_GetObjectItem(details, "sheets"));
}

/* Codes that reading alone must find. */
static int is_ours(const cJSON *expect)
{
    const cJSON *codes = cJSON_GetObjectItem(expect, "codes");
    int found = 0;

    for (int i = SHEET_UNSUPPORTED; i < SHEET_SYSTEM; i++)
        found = found || has_text(codes, sheet_fault_name((enum sheet_fault)i));
    return found;
}

static void check_step(const char *name, const cJSON *step)
{
    const cJSON *expect = cJSON_GetObjectItem(step, "expect"), *sales = cJSON_GetObjectItem(step, "sales");
    const cJSON *fields = cJSON_GetObjectItem(step, "fields"), *rejected, *r;
    char folder[512];
    int n_bad = 0;

    snprintf(folder, sizeof folder, "bad/%s", name);
    start();
    for (int i = -1; i < cJSON_GetArraySize(sales) && n_bad == 0; i++) {
        const cJSON *f = i < 0 ? cJSON_GetObjectItem(step, "stock") : cJSON_GetArrayItem(sales, i);
        struct sheet_loaded out;
        struct err e = { 0 };
        if (f == NULL)
            continue;
        if (load(folder, text_of(f, "path"), i >= 0, i + 1, text_of(fields, "sheet"), &out, &e) != 0) {
            check_refused(name, expect, text_of(f, "upload_as"), &out, &e);
            n_bad++;
        }
        sheet_loaded_deinit(&out);
    }
    CHECK_INT(n_bad, is_ours(expect));
    rejected = cJSON_GetObjectItem(expect, "rejected");
    if (rejected == NULL)
        return;
    cJSON_ArrayForEach(r, rejected)
    {
        const char *file = cJSON_GetStringValue(cJSON_GetArrayItem(r, 0));
        int number = 0;
        for (int i = 0; i < cJSON_GetArraySize(sales); i++)
            if (strcmp(text_of(cJSON_GetArrayItem(sales, i), "upload_as"), file) == 0)
                number = i + 1;
        char *sql = sqlite3_mprintf("INSERT INTO expected VALUES(%d, %d, %Q, %Q)", number,
                                    (int)cJSON_GetNumberValue(cJSON_GetArrayItem(r, 1)),
                                    cJSON_GetStringValue(cJSON_GetArrayItem(r, 2)),
                                    cJSON_GetStringValue(cJSON_GetArrayItem(r, 3)));
        run(sql);
        sqlite3_free(sql);
    }
    judge();
    check_rejects(name);
}

int main(void)
{
    const char *golden = getenv("GOLDEN_DIR");
    char path[1200], last[256] = "";
    cJSON *index, *one;
    struct err e;

    snprintf(root, sizeof root, "%s/upload", golden != NULL ? golden : "tests/golden");
    CHECK_INT(sqlite3_open(":memory:", &db), SQLITE_OK);
    CHECK_INT(db_func_add(db, &e), 0);
    index = read_json("index.json");
    cJSON_ArrayForEach(one, index)
        check_case(one, last);
    CHECK(cJSON_GetArraySize(index) > 0);
    cJSON_Delete(index);

    snprintf(path, sizeof path, "%s/bad", root);
    DIR *dir = opendir(path);
    CHECK(dir != NULL);
    for (struct dirent *d; dir != NULL && (d = readdir(dir)) != NULL;) {
        if (strchr(d->d_name, '.') != NULL)
            continue;
        snprintf(path, sizeof path, "bad/%s/expected.json", d->d_name);
        cJSON *bad = read_json(path), *step;
        cJSON_ArrayForEach(step, cJSON_GetObjectItem(bad, "steps"))
            check_step(d->d_name, step);
        cJSON_Delete(bad);
    }
    if (dir != NULL)
        closedir(dir);
    printf("%d files, %d refused\n", n_files, n_refused);
    CHECK(n_files > 0 && n_refused > 0);
    sqlite3_close(db);
    CHECK_INT(mem_live(), 0);
    return check_done();
}
