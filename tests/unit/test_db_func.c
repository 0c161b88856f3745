#include "base/mem.h"
#include "check.h"
#include "db/db_func.h"

#include <stdlib.h>

static sqlite3 *db;

/* The first column of all rows, with blanks between; "NULL" for NULL, "!message" for an error. */
static const char *sql(const char *text)
{
    static char out[4096];
    sqlite3_stmt *st = NULL;
    size_t at = 0;
    int rc = sqlite3_prepare_v2(db, text, -1, &st, NULL);

    out[0] = '\0';
    if (rc == SQLITE_OK) {
        while ((rc = sqlite3_step(st)) == SQLITE_ROW && at < sizeof out - 600) {
            const char *p = (const char *)sqlite3_column_text(st, 0);
            at += (size_t)snprintf(out + at, sizeof out - at, "%s%.500s", at > 0 ? " " : "",
                                   p ? p : "NULL");
        }
    }
    if (rc != SQLITE_DONE)
        snprintf(out, sizeof out, "!%s", sqlite3_errmsg(db));
    sqlite3_finalize(st);
    return out;
}

static double num(const char *text)
{
    const char *s = sql(text);
    return s[0] == '!' || s[0] == 'N' ? NAN : strtod(s, NULL);
}

static void scalars(void)
{
    CHECK_STR(sql("SELECT text_of(2490.0)"), "2490");
    CHECK_STR(sql("SELECT text_of(0.1+0.2)"), "0.30000000000000004");
    CHECK_STR(sql("SELECT text_of(1e-7)"), "1e-07");
    CHECK_STR(sql("SELECT text_of(4601234567890)"), "4601234567890");
    CHECK_STR(sql("SELECT text_of(NULL)"), "NULL");
    CHECK_STR(sql("SELECT text_of(x'41')"), "NULL");
    CHECK_STR(sql("SELECT text_clean(char(160)||' Pink  Floyd'||char(10))"), "Pink Floyd");
    CHECK_STR(sql("SELECT text_clean(' '||char(8239))"), "NULL");
    CHECK_STR(sql("SELECT text_clean('')"), "NULL");
    CHECK_STR(sql("SELECT text_clean('NA')"), "NA");
    CHECK_STR(sql("SELECT length(text_clean(printf('%10000s', 'я')||' '||printf('%.1000c', 'x')))"), "1002");
    CHECK_STR(sql("SELECT ltrim(text_squeeze(' 00 46 012'||char(160)||'34'), '0')"), "4601234");
    CHECK_STR(sql("SELECT quote(text_squeeze('  '))"), "''");
    CHECK_STR(sql("SELECT text_fold(' ЦЕНА, руб. ')"), "цена, руб.");
    CHECK_STR(sql("SELECT leading_digits('198?')"), "198");
    CHECK_STR(sql("SELECT leading_digits(1999.0)"), "1999");
    CHECK_STR(sql("SELECT quote(leading_digits('x1'))"), "''");
    CHECK_STR(sql("SELECT substr(leading_digits('20')||'0000',1,4)"), "2000");
    CHECK_STR(sql("SELECT typeof(number_of('2 490,00'))||number_of('2 490,00')"), "integer2490");
    CHECK_STR(sql("SELECT number_of('-0,5')"), "-0.5");
    CHECK_STR(sql("SELECT number_of('#DIV/0!')"), "NULL");
    CHECK_STR(sql("SELECT number_of(9e999)"), "NULL");
    CHECK_STR(sql("SELECT date_of('05.03.2025 10:20')"), "2025-03-05");
    CHECK_STR(sql("SELECT date_of('2025-03-05')"), "2025-03-05");
    CHECK_STR(sql("SELECT date_of(45721.9)"), "2025-03-05");
    CHECK_STR(sql("SELECT date_of(44227, 1904)"), "2025-02-01");
    CHECK_STR(sql("SELECT date_of('44227', 1)"), "2025-02-01");
    CHECK_STR(sql("SELECT date_of(1741132800)"), "2025-03-05");
    CHECK_STR(sql("SELECT date_of('сегодня')"), "NULL");
    CHECK(strstr(sql("SELECT date_of(1, 7)"), "!date_of") != NULL);
    CHECK_STR(sql("SELECT round_even(column1) FROM (VALUES (0.5),(1.5),(2.5),(-0.5),(-1.5),(14.5),(2.4999),(7))"),
              "0 2 2 0 -2 14 2 7");
    CHECK_STR(sql("SELECT round_even(column1, column2) FROM (VALUES (1,2),(3,2),(29,2),(-1,2),(-3,2),(7,-2),(1,3),"
                  "(9007199254740993,2),(1,0),(1.5,1),(NULL,1),('a',1))"),
              "0 2 14 0 -2 -4 0 4503599627370496 NULL 2 NULL NULL");
#define BREAKS ", 0, 689.999, 2490, 3990, 5590, 7390, 8590, 11990, 9e999)"
    CHECK_STR(sql("SELECT interval_of(0" BREAKS), "NULL");
    CHECK_STR(sql("SELECT interval_of(689" BREAKS), "(0.0, 689.999]");
    CHECK_STR(sql("SELECT interval_of(690" BREAKS), "(689.999, 2490.0]");
    CHECK_STR(sql("SELECT interval_of(2490" BREAKS), "(689.999, 2490.0]");
    CHECK_STR(sql("SELECT interval_of(2491" BREAKS), "(2490.0, 3990.0]");
    CHECK_STR(sql("SELECT interval_of(11990" BREAKS), "(8590.0, 11990.0]");
    CHECK_STR(sql("SELECT interval_of(11991" BREAKS), "(11990.0, inf]");
    CHECK(strstr(sql("SELECT interval_of(1, 2, 1)"), "!interval_of") != NULL);
    CHECK(strstr(sql("SELECT interval_of(1, 2)"), "!interval_of") != NULL);
}

static void counting(void)
{
    CHECK_STR(sql("SELECT mode(column1) FROM (VALUES ('b'),('a'),(NULL),('b'),('a'),('c'))"), "a");
    CHECK_STR(sql("SELECT mode(column1) FROM (VALUES ('b'),(2),(2.0),('b'),(3))"), "2");
    CHECK_STR(sql("SELECT mode(column1) FROM (VALUES (NULL))"), "NULL");
    CHECK_STR(sql("SELECT mode(1) WHERE 0"), "NULL");
    CHECK_STR(sql("WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i+1 FROM n WHERE i < 9999)"
                  " SELECT mode('v'||(CASE WHEN i % 3 = 0 THEN 77 ELSE i END)) FROM n"), "v77");
    CHECK_STR(sql("SELECT mode(column1) OVER (ROWS 1 PRECEDING) FROM (VALUES ('b'),('a'),('a'),('c'))"),
              "b a a a");
    CHECK_STR(sql("SELECT median(column1) FROM (VALUES (3),(1),(NULL),(2),(10))"), "2.5");
    CHECK_STR(sql("SELECT median(column1) FROM (VALUES (NULL))"), "NULL");
    CHECK_STR(sql("SELECT quantile(column1, 0.1) FROM (VALUES (1),(2),(3),(4),(5))"), "1.4");
    CHECK_STR(sql("SELECT quantile(column1, 1) FROM (VALUES (1),(2),(3))"), "3.0");
    CHECK(strstr(sql("SELECT quantile(1, 1.5)"), "!quantile") != NULL);
    CHECK_STR(sql("SELECT median('abc')"), "!median: 'abc' is not a number");
    CHECK_STR(sql("SELECT median(column1) OVER (ROWS 2 PRECEDING) FROM (VALUES (5),(NULL),(1),(9),(2))"),
              "5.0 5.0 3.0 5.0 2.0");
    CHECK_STR(sql("SELECT first_by(column1, column2) FROM (VALUES ('x','2025-02-01'),('y','2025-01-01'),"
                  "('w','2025-01-01'),(NULL,'2024-01-01'),('z',NULL))"), "w");
    CHECK_STR(sql("SELECT first_by(1, 1) WHERE 0"), "NULL");
    /* a window much longer than what has left it */
    CHECK_STR(sql("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 5000)"
                  " SELECT sum(m) FROM (SELECT median(i) OVER (ORDER BY i ROWS 2 PRECEDING) AS m FROM n)"),
              "12497501.5");
}

#define SERIES "FROM (SELECT column1 AS t, column2 AS x FROM (VALUES (1,NULL),(2,2),(3,NULL),(4,5),(5,1),(6,1)))"

static void series(void)
{
    CHECK_STR(sql("SELECT ewm_mean(x, 3) OVER (ORDER BY t) " SERIES), "NULL 2.0 2.0 4.0 2.5 1.75");
    static const double VAR[] = { NAN, NAN, NAN, 4.5, 5.318182, 3.351064 };
    for (int i = 0; i < 6; i++) {
        char text[256];
        snprintf(text, sizeof text, "SELECT ewm_var(x, 3, -t) FROM (SELECT -t AS t, x FROM "
                 "(SELECT column1 AS t, column2 AS x FROM (VALUES (1,NULL),(2,2),(3,NULL),(4,5),(5,1),(6,1))"
                 ") WHERE t <= %d)", i + 1);
        if (isnan(VAR[i]))
            CHECK_STR(sql(text), "NULL");
        else
            CHECK_NEAR(num(text), VAR[i], 1e-6, 0);
        snprintf(text, sizeof text, "SELECT v FROM (SELECT t, ewm_var(x, 3) OVER (ORDER BY t) AS v " SERIES
                 ") WHERE t = %d", i + 1);
        if (!isnan(VAR[i]))
            CHECK_NEAR(num(text), VAR[i], 1e-6, 0);
    }
    CHECK_STR(sql("SELECT ewm_mean(x, 3, 'd'||t) " SERIES), "1.75");
    /* a frame that slides is computed from its own first row */
    CHECK_STR(sql("SELECT ewm_mean(x, 3) OVER (ORDER BY t ROWS 1 PRECEDING) " SERIES), "NULL 2.0 2.0 5.0 3.0 1.0");
    CHECK(strstr(sql("SELECT ewm_mean(1, 0)"), "!ewm") != NULL);
    CHECK(strstr(sql("SELECT ewm_mean(1, 3, NULL)"), "!ewm") != NULL);
    CHECK_STR(sql("SELECT ewm_mean(1, 3) WHERE 0"), "NULL");
    CHECK_STR(sql("SELECT regr_slope(column1, column2) FROM (VALUES (1,1),(3,2),(5,3),(NULL,9),(9,NULL))"), "2.0");
    CHECK_STR(sql("SELECT regr_slope(column1, column2) FROM (VALUES (1,1),(3,1))"), "NULL");
    CHECK_STR(sql("SELECT regr_slope(column1, column2) FROM (VALUES (1,1))"), "NULL");
    CHECK_STR(sql("SELECT month_series(column1, column2, '2025-11-01', 4) FROM (VALUES ('2026-02-28',1.5),"
                  "('2025-11-03',2),('2025-11-30',1),('2025-10-31',9),('2026-03-01',9),(NULL,1),('2026-01-01',NULL))"),
              "3 0 0 1.5");
    CHECK_STR(sql("SELECT month_series(column1, 1, '2025-11', 2) FROM (VALUES ('x')) WHERE 0"), "NULL");
    CHECK(sql("SELECT month_series(column1, 1, '2025-11', 2) FROM (VALUES ('yesterday'))")[0] == '!');
    CHECK(sql("SELECT month_series('2025-11-01', 1, '2025-13', 2)")[0] == '!');
    CHECK(sql("SELECT month_series('2025-11-01', 1, '2025-11', 0)")[0] == '!');
    CHECK(sql("SELECT month_series('2025-11-01', 'x', '2025-11', 2)")[0] == '!');
    CHECK_STR(sql("SELECT regr_slope(column1, column2) OVER (ROWS 1 PRECEDING) FROM (VALUES (1,1),(3,2),(2,2),(0,4))"),
              "NULL 2.0 NULL -1.0");
    CHECK_NEAR(num("SELECT regr_slope(column1, column2) FROM (VALUES (1,1e9+1),(3,1e9+2),(5,1e9+3))"), 2, 1e-9, 0);
}

static void draws(void)
{
#define N "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 20000) SELECT i FROM n)"
    CHECK_STR(sql("SELECT chance(1, 'a', 2) = chance(1, 'a', 2)"), "1");
    CHECK_STR(sql("SELECT count(DISTINCT x) FROM (SELECT chance(1, 'a', 2) AS x UNION ALL SELECT chance(1, 'a', 3)"
                  " UNION ALL SELECT chance(2, 'a', 1) UNION ALL SELECT chance(1, 'b', 2) UNION ALL"
                  " SELECT chance(1, 'a') UNION ALL SELECT chance(1, 'a', 2.0) UNION ALL SELECT chance('1', 'a', 2))"),
              "7");
    CHECK_STR(sql("SELECT min(x) > 0 AND max(x) < 1 AND count(DISTINCT x) = 20000 FROM"
                  " (SELECT chance(7, i) AS x FROM " N ")"), "1");
    /* even: mean 1/2, variance 1/12; neighbours know nothing of each other (5 standard errors) */
    CHECK(fabs(num("SELECT avg(chance(7, i)) FROM " N) - 0.5) < 0.0103);
    CHECK(fabs(num("SELECT avg(power(chance(7, i) - 0.5, 2)) FROM " N) - 1.0 / 12) < 0.0027);
    CHECK(fabs(num("SELECT avg((chance(7, i) - 0.5) * (chance(7, i + 1) - 0.5)) FROM " N)) < 0.003);
    CHECK_STR(sql("SELECT chance(1, NULL)"), "NULL");
    CHECK_STR(sql("SELECT quote(poisson(0, 0.99))||poisson(2.5, 0.08)||poisson(2.5, 0.083)||poisson(2.5, 0.9)"), "0015");
    CHECK_STR(sql("SELECT typeof(poisson(3, 0.5))"), "integer");
    CHECK(fabs(num("SELECT avg(poisson(2.5, chance(3, i))) FROM " N) - 2.5) < 0.056);
    CHECK(fabs(num("SELECT avg(power(poisson(2.5, chance(3, i)) - 2.5, 2)) FROM " N) - 2.5) < 0.14);
    CHECK(fabs(num("SELECT avg(poisson(399, chance(3, i))) FROM " N) - 399) < 0.75);
    CHECK(fabs(num("SELECT avg(poisson(10000, chance(3, i))) FROM " N) - 10000) < 4);
    CHECK_STR(sql("SELECT poisson(399, 0.5)||' '||poisson(401, 0.5)||' '||poisson(1e6, 0.5)"), "399 401 1000000");
    CHECK_STR(sql("SELECT poisson(399, 1 - 1e-16) < 700"), "1");
    CHECK_STR(sql("SELECT poisson(NULL, 0.5)"), "NULL");
    CHECK_STR(sql("SELECT poisson(1, NULL)"), "NULL");
    CHECK_STR(sql("SELECT poisson(-1, 0.5)"), "!poisson: a mean of 0 to 1e6 and a chance in (0, 1) expected");
    CHECK_STR(sql("SELECT poisson(9e999, 0.5)"), "!poisson: a mean of 0 to 1e6 and a chance in (0, 1) expected");
    CHECK_STR(sql("SELECT poisson(1, 1)"), "!poisson: a mean of 0 to 1e6 and a chance in (0, 1) expected");
    CHECK_STR(sql("SELECT poisson('x', 0.5)"), "!poisson: 'x' is not a number");
#undef N
}

/* Each allocation of ours fails in turn: an error, nothing lost. */
static void out_of_memory(void)
{
    static const char *const QUERIES[] = {
        "SELECT mode('v'||(column1 % 20)), median(column1), first_by('a'||column1, 'b'||column1),"
        " ewm_mean(column1, 3, 'o'||column1), regr_slope(column1, column1)"
        " FROM (WITH RECURSIVE n(column1) AS (SELECT 1 UNION ALL SELECT column1+1 FROM n WHERE column1 < 40)"
        " SELECT column1 FROM n)",
        "SELECT text_fold(printf('%5000s', 'x')), median(1) OVER ()",
        "SELECT month_series('2025-11-01', 1, '2025-01', 600)",
    };
    size_t before = mem_live();

    for (size_t q = 0; q < sizeof QUERIES / sizeof *QUERIES; q++) {
        size_t n = 1, n_failed = 0;
        for (int ok = 0; !ok && n < 1000; n++) {
            mem_fail_at(n);
            ok = sql(QUERIES[q])[0] != '!';
            mem_fail_at(0);
            n_failed += !ok;
            CHECK_INT(mem_live(), before);
        }
        CHECK(n_failed >= 2 && n < 1000);
    }
}

int main(void)
{
    struct err e;

    CHECK_INT(sqlite3_open(":memory:", &db), SQLITE_OK);
    CHECK_INT(db_func_add(db, &e), 0);
    scalars();
    counting();
    series();
    draws();
    out_of_memory();
    sqlite3_close(db);
    CHECK_INT(mem_live(), 0);
    return check_done();
}
