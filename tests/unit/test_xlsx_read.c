#include "base/mem.h"
#include "check.h"
#include "make_xlsx.h"
#include "sheet/sheet.h"
#include "sheet/xlsx_format.h"

static const char STRINGS[] =
    "<sst " MAKE_NS "><si><t>Цена</t></si><si><r><rPr><b/></rPr><t xml:space=\"preserve\">Pink </t></r>\n"
    "<r><t>Floyd</t></r><rPh sb=\"0\" eb=\"1\"><t>ピンク</t></rPh></si><si><t/></si>"
    "<si><t>a_x000D_b_x005F_x0041_</t></si><si/><si><t xml:space=\"preserve\">  </t></si></sst>";

#define SHEET(body) "<worksheet " MAKE_NS "><dimension ref=\"A1:XFD1048576\"/><sheetData>" body "</sheetData></worksheet>"

/* All rows as text: "1: A=t'Цена' B=n2.5; ". */
static const char *rows(const char *path, const char *sheet)
{
    static char out[1 << 16];
    struct sheet_options o = { sheet, NULL, NULL };
    struct sheet_trouble t;
    struct sheet *s;
    struct sheet_row row;
    struct err e = { 0 };
    size_t at = 0;
    int rc;

    out[0] = '\0';
    sheet_trouble_init(&t);
    rc = sheet_open(&s, path, &o, &t, &e);
    while (rc >= 0 && (rc = sheet_next_row(s, &row, &t, &e)) == 1) {
        at += (size_t)snprintf(out + at, sizeof out - at, "%lld:", (long long)row.number);
        for (uint32_t i = 0; i < row.n_cells; i++) {
            const struct sheet_cell *c = &row.cells[i];
            at += (size_t)snprintf(out + at, sizeof out - at, " %u", c->column);
            if (c->kind == SHEET_NUMBER)
                at += (size_t)snprintf(out + at, sizeof out - at, "=%.15g", c->number);
            else
                at += (size_t)snprintf(out + at, sizeof out - at, "%c'%.*s'", "tndbe"[c->kind],
                                       (int)c->n_bytes, c->text);
        }
        at += (size_t)snprintf(out + at, sizeof out - at, ";");
    }
    if (rc < 0)
        snprintf(out + at, sizeof out - at, "!%s", sheet_fault_name(t.fault));
    sheet_close(s);
    sheet_trouble_deinit(&t);
    CHECK_INT(mem_live(), 0);
    return out;
}

static const char *one(int is_1904, const char *sheet)
{
    const char *path = make_path("one.xlsx");

    make_book(path, is_1904, STRINGS, sheet, NULL);
    const char *found = rows(path, NULL);
    unlink(path);
    return found;
}

static void values(void)
{
    CHECK_STR(one(0, SHEET("<row r=\"1\"><c r=\"A1\" t=\"s\"><v>0</v></c><c r=\"C1\" t=\"s\"><v>1</v></c>"
                           "<c r=\"D1\" t=\"s\"><v>2</v></c><c r=\"E1\" t=\"s\"><v>3</v></c></row>")),
              "1: 0t'Цена' 2t'Pink Floyd' 4t'a\rb_x0041_';");
    CHECK_STR(one(0, SHEET("<row><c><v>2490.0</v></c><c><v> 1.5e3 </v></c><c/><c s=\"3\"><v>-2.50</v></c>"
                           "<c s=\"4\"><v>1.5</v></c><c><v></v></c><c><v>NaN</v></c></row>")),
              "1: 0=2490 1=1500 3=-2.5 4=1.5 6t'NaN';");
    CHECK_STR(one(0, SHEET("<row><c s=\"1\"><v>45721.5</v></c><c s=\"2\"><v>45721</v></c>"
                           "<c s=\"2\"><v>45721.999999</v></c><c s=\"1\"><v>0.25</v></c>"
                           "<c s=\"1\"><v>-3</v></c><c s=\"9\"><v>45721</v></c></row>")),
              "1: 0d'2025-03-05 12:00:00' 1d'2025-03-05' 2d'2025-03-05 23:59:59' 3d'06:00:00' 4=-3 5=45721;");
    CHECK_STR(one(1, SHEET("<row><c s=\"2\"><v>44227</v></c><c s=\"2\"><v>0</v></c></row>")),
              "1: 0d'2025-02-01' 1d'1904-01-01';");
    CHECK_STR(one(0, SHEET("<row><c t=\"b\"><v>1</v></c><c t=\"b\"><v>0</v></c><c t=\"e\"><v>#N/A</v></c>"
                           "<c t=\"str\"><f>A1&amp;B1</f><v>x &amp; y</v></c><c><f>1+1</f><v>2</v></c>"
                           "<c><f>B2</f></c><c t=\"d\"><v>2025-03-05T10:20:30.000Z</v></c>"
                           "<c t=\"d\"><v>2025-03-05</v></c></row>")),
              "1: 0b'TRUE' 1b'FALSE' 2e'#N/A' 3t'x & y' 4=2 6d'2025-03-05 10:20:30' 7t'2025-03-05';");
    CHECK_STR(one(0, SHEET("<row><c t=\"inlineStr\"><is><t>a</t></is></c><c t=\"inlineStr\"><is><r><t>b"
                           "</t></r><r><t>&#1082;</t></r></is></c><c t=\"inlineStr\"><is/></c>"
                           "<c t=\"str\"><v>x<!-- - -->y<![CDATA[&amp;]]></v></c></row>")),
              "1: 0t'a' 1t'bк' 3t'xy&amp;';");
}

static void places(void)
{
    /* rows that are not in the file, blank rows, rows and cells without address */
    CHECK_STR(one(0, SHEET("<row r=\"2\"><c r=\"B2\" t=\"s\"><v>5</v></c></row><row r=\"4\"/>"
                           "<row><c r=\"C5\"><v>1</v></c><c><v>2</v></c></row>"
                           "<row r=\"9\"><c><v>3</v></c></row>")),
              "5: 2=1 3=2;9: 0=3;");
    CHECK_STR(one(0, SHEET("<row r=\"1048576\"><c r=\"A1048576\"><v>1</v></c><c r=\"XFD1048576\"><v>7</v></c>"
                           "</row>")),
              "1048576: 0=1 16383=7;");
    CHECK_STR(one(0, SHEET("<row r=\"1048576\"><c r=\"XFD1048576\" s=\"1\"/></row>")), "");
    static const char *const WRONG[] = {
        SHEET("<row r=\"1048577\"><c><v>1</v></c></row>"), SHEET("<row r=\"0\"><c><v>1</v></c></row>"),
        SHEET("<row r=\"x\"/>"), SHEET("<row r=\"2\"/><row r=\"2\"/>"),
        SHEET("<row><c r=\"XFE1\"><v>1</v></c></row>"), SHEET("<row><c r=\"1\"><v>1</v></c></row>"),
        SHEET("<row><c r=\"A\"><v>1</v></c></row>"), SHEET("<row><c r=\"a1\"><v>1</v></c></row>"),
        SHEET("<row><c r=\"B1\"><v>1</v></c><c r=\"A1\"><v>1</v></c></row>"),
        SHEET("<row><c r=\"XFD1\"><v>1</v></c><c><v>1</v></c></row>"),
        SHEET("<row><c t=\"s\"><v>6</v></c></row>"), SHEET("<row><c t=\"s\"><v>-1</v></c></row>"),
        SHEET("<row><c t=\"s\"><v>99999999999999999999</v></c></row>"),
        SHEET("<row><c t=\"zz\"><v>1</v></c></row>"), SHEET("<row><c s=\"-1\"><v>1</v></c></row>"),
        SHEET("<row><c><v>1<b/></v></c></row>"), SHEET("<row><c><v>1</v></row>"),
        "<worksheet><sheetData><row><c><v>1</v></c></row>", "<chartsheet/>", "", "<worksheet>",
        "<!DOCTYPE w [<!ENTITY a \"b\">]><worksheet/>",
    };
    for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++) {
        const char *found = one(0, WRONG[i]);
        CHECK(strstr(found, "!corrupt_file") != NULL);
        if (strstr(found, "!corrupt_file") == NULL)
            printf("case %zu: %s\n", i, found);
    }
}

static void sheets(void)
{
    const char *path = make_path("two.xlsx");
    static const char FULL[] = SHEET("<row><c><v>1</v></c></row>");
    static const char BLANK[] = SHEET("<row r=\"3\"><c t=\"s\"><v>5</v></c></row>");

    make_book(path, 0, STRINGS, BLANK, FULL);
    CHECK_STR(rows(path, NULL), "1: 0=1;");
    CHECK_STR(rows(path, "Первый"), "1: 0=1;"); /* only one has data: the name does not matter */
    make_book(path, 0, STRINGS, FULL, FULL);
    CHECK_STR(rows(path, NULL), "!several_sheets");
    CHECK_STR(rows(path, "Третий"), "!several_sheets");
    CHECK_STR(rows(path, "Второй"), "1: 0=1;");
    make_book(path, 0, STRINGS, BLANK, BLANK);
    CHECK_STR(rows(path, NULL), "");
    unlink(path);
}

static void other_files(void)
{
    const char *path = make_path("other");
    static const struct { const char *name, *fault; } ZIPS[] = {
        { "xl/workbook.bin", "!unsupported_format" },
        { "content.xml", "!unsupported_format" },
        { "word/document.xml", "!unsupported_format" },
        { "a.txt", "!unsupported_format" },
        { "xl/workbook.xml", "!corrupt_file" }, /* and nothing else */
    };
    static const struct { const char *bytes; size_t n; const char *fault; } FILES[] = {
        { "", 0, "!empty_file" },
        { "PK\3\4 and no more of it", 22, "!corrupt_file" },
        { "%PDF-1.4", 8, "!unsupported_format" },
        { "\n <!DOCTYPE HTML><table>", 24, "!unsupported_format" },
        { "<?xml version='1.0'?><Workbook/>", 32, "!unsupported_format" },
        { "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 8, "!unsupported_format" },
        { "a,b\0c", 5, "!corrupt_file" },
        { "PAR1", 4, "!unsupported_format" },
    };

    for (size_t i = 0; i < sizeof ZIPS / sizeof *ZIPS; i++) {
        struct make_part p = { ZIPS[i].name, "<x/>", 0 };
        make_zip(path, &p, 1);
        CHECK_STR(rows(path, NULL), ZIPS[i].fault);
    }
    for (size_t i = 0; i < sizeof FILES / sizeof *FILES; i++) {
        make_file(path, FILES[i].bytes, FILES[i].n);
        CHECK_STR(rows(path, NULL), FILES[i].fault);
    }
    unlink(path);
    CHECK_STR(rows(path, NULL), "!system"); /* no such file */
}

/* OLE files: the name of an entry tells a locked workbook from an old one. */
static void compound_files(void)
{
    static const struct { const char *entry, *message; } KINDS[] = {
        { "Workbook", "save it as .xlsx" }, { "EncryptedPackage", "password" },
        { "WordDocument", "Word" },
    };
    const char *path = make_path("ole.xls");
    char file[2048];

    for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++) {
        memset(file, 0, sizeof file);
        memcpy(file, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 8);
        file[30] = 9; /* sectors of 512 bytes; the directory is in sector 1 */
        file[48] = 1;
        for (size_t k = 0; k < strlen(KINDS[i].entry); k++)
            file[1024 + 128 + 2 * k] = KINDS[i].entry[k];
        make_file(path, file, sizeof file);
        struct sheet_trouble t;
        struct sheet *s;
        struct err e = { 0 };
        sheet_trouble_init(&t);
        CHECK_INT(sheet_open(&s, path, NULL, &t, &e), -1);
        CHECK_INT(t.fault, SHEET_UNSUPPORTED);
        CHECK(strstr(e.text, KINDS[i].message) != NULL);
        sheet_trouble_deinit(&t);
    }
    unlink(path);
}

/* A part of zeros that packs a thousand to one. */
static void bomb(void)
{
    const char *path = make_path("bomb.xlsx");
    size_t n = 80u << 20;
    char *zeros = calloc(n, 1);
    struct make_part parts[] = { { "_rels/.rels", MAKE_TOP_RELS, 0 }, { "xl/workbook.xml", zeros, n } };

    make_zip(path, parts, 2);
    free(zeros);
    CHECK_STR(rows(path, NULL), "!file_too_large");
    unlink(path);
}

/* Every allocation of a reading fails in turn. */
static void out_of_memory(void)
{
    const char *path = make_path("oom.xlsx");
    int failed = 1;
    size_t n = 1;

    make_book(path, 0, STRINGS,
              SHEET("<row><c t=\"s\"><v>1</v></c><c s=\"1\"><v>45721.5</v></c><c t=\"str\"><v>x</v></c>"
                    "<c t=\"inlineStr\"><is><t>y</t></is></c></row>"), NULL);
    for (; failed && n < 500; n++) {
        mem_fail_at(n);
        failed = strstr(rows(path, NULL), "!system") != NULL;
        mem_fail_at(0);
    }
    CHECK(n > 15 && n < 500);
    unlink(path);
}

static void formats(void)
{
    static const struct { const char *code; int is_date; } CODES[] = {
        { "General", 0 }, { "0.00", 0 }, { "0.00E+00", 0 }, { "#,##0 \"d\"", 0 }, { "#,##0\\d", 0 },
        { "[Red]0", 0 }, { "[$-419]0", 0 }, { "@", 0 }, { "[h]:mm:ss", 0 }, { "[mm]:ss", 0 },
        { "0;yyyy", 0 }, { "_d0", 0 }, { "dd/mm/yyyy", 1 }, { "[$-419]D MMMM YYYY", 1 }, { "h:mm AM/PM", 1 },
        { "mm:ss.0", 1 }, { "[Red]yyyy", 1 }, { "ДД.ММ.ГГГГ", 1 }, { "0 \"руб\"", 0 }, { "\"", 0 },
        { "[", 0 }, { "\\", 0 }, { "", 0 }, { "General;[Red]-General", 0 },
    };

    for (size_t i = 0; i < sizeof CODES / sizeof *CODES; i++)
        if (xlsx_format_is_date(CODES[i].code, strlen(CODES[i].code)) != CODES[i].is_date)
            CHECK_STR(CODES[i].code, CODES[i].is_date ? "a date" : "no date");
    CHECK(xlsx_format_is_date_id(14) && xlsx_format_is_date_id(22) && !xlsx_format_is_date_id(46));
}

int main(void)
{
    values();
    places();
    sheets();
    other_files();
    bomb();
    compound_files();
    formats();
    out_of_memory();
    return check_done();
}
