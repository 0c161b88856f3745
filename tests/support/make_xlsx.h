/*
 * make_xlsx.h - workbooks for tests, made of parts given as texts. Needs check.h before it.
 */
#ifndef TESTS_MAKE_XLSX_H
#define TESTS_MAKE_XLSX_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <zip.h>

struct make_part {
    const char *name, *text;
    size_t n; /* 0: strlen(text) */
};

/* A name for a file of this test, in the folder of temporary files; static, eight at a time. */
static inline const char *make_path(const char *name)
{
    static char paths[8][512];
    static int at;
    const char *dir = getenv("TMPDIR");
    char *p = paths[at++ % 8];

    snprintf(p, 512, "%s/plastinka-test-%ld-%s", dir != NULL ? dir : "/tmp", (long)getpid(), name);
    return p;
}

static inline void make_file(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");

    if (f == NULL || fwrite(data, 1, n, f) != n || fclose(f) != 0) {
        printf("%s cannot be written\n", path);
        check_failed++;
    }
}

static inline void make_zip(const char *path, const struct make_part *parts, size_t n)
{
    int err;
    zip_t *z;

    unlink(path);
    z = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, &err);
    for (size_t i = 0; z != NULL && i < n; i++) {
        zip_source_t *s = zip_source_buffer(
            z, parts[i].text, parts[i].n ? parts[i].n : strlen(parts[i].text), 0);
        if (zip_file_add(z, parts[i].name, s, ZIP_FL_ENC_UTF_8) < 0)
            check_failed++;
    }
    if (z == NULL || zip_close(z) != 0) {
        printf("%s cannot be written\n", path);
        check_failed++;
    }
}

#define MAKE_NS "xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\""
#define MAKE_REL "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
#define MAKE_RELS_NS "xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\""

static const char MAKE_TOP_RELS[] =
    "<Relationships " MAKE_RELS_NS "><Relationship Id=\"rId1\" Type=\"" MAKE_REL
    "/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>";
static const char MAKE_BOOK_RELS[] =
    "<Relationships " MAKE_RELS_NS ">"
    "<Relationship Id=\"rId1\" Type=\"" MAKE_REL "/worksheet\" Target=\"worksheets/sheet1.xml\"/>"
    "<Relationship Id=\"rId2\" Type=\"" MAKE_REL "/worksheet\" Target=\"/xl/worksheets/sheet2.xml\"/>"
    "<Relationship Id=\"rId3\" Type=\"" MAKE_REL "/styles\" Target=\"styles.xml\"/>"
    "<Relationship Id=\"rId4\" Type=\"" MAKE_REL "/sharedStrings\" Target=\"sharedStrings.xml\"/>"
    "</Relationships>";
static const char MAKE_STYLES[] =
    "<styleSheet " MAKE_NS "><numFmts count=\"3\">"
    "<numFmt numFmtId=\"164\" formatCode=\"dd\\.mm\\.yyyy\\ hh:mm\"/>"
    "<numFmt numFmtId=\"165\" formatCode=\"#,##0.00&quot; руб. (d)&quot;\"/>"
    "<numFmt numFmtId=\"166\" formatCode=\"[h]:mm\"/></numFmts>"
    "<cellStyleXfs count=\"1\"><xf numFmtId=\"14\"/></cellStyleXfs>"
    "<cellXfs count=\"5\"><xf numFmtId=\"0\"/><xf numFmtId=\"164\"/><xf numFmtId=\"14\"/>"
    "<xf numFmtId=\"165\"/><xf numFmtId=\"166\"/></cellXfs></styleSheet>";

/* A workbook of one or two sheets (`two` may be NULL). Styles: 0 plain, 1 and 2 dates, 3 money, 4 hours. */
static inline void make_book(const char *path, int is_1904, const char *strings, const char *one,
                             const char *two)
{
    char book[1024];
    struct make_part parts[] = {
        { "_rels/.rels", MAKE_TOP_RELS, 0 },
        { "xl/workbook.xml", book, 0 },
        { "xl/_rels/workbook.xml.rels", MAKE_BOOK_RELS, 0 },
        { "xl/styles.xml", MAKE_STYLES, 0 },
        { "xl/sharedStrings.xml", strings, 0 },
        { "xl/worksheets/sheet1.xml", one, 0 },
        { "xl/worksheets/sheet2.xml", two, 0 },
    };

    snprintf(book, sizeof book,
             "<?xml version=\"1.0\" encoding=\"UTF-8\"?><workbook " MAKE_NS " xmlns:r=\"" MAKE_REL
             "\"><workbookPr date1904=\"%d\"/><sheets><sheet name=\"Первый\" sheetId=\"1\" "
             "r:id=\"rId1\"/>%s</sheets></workbook>",
             is_1904, two != NULL ? "<sheet name=\"Второй\" sheetId=\"2\" r:id=\"rId2\"/>" : "");
    make_zip(path, parts, two != NULL ? 7 : 6);
}

#endif
