/*
 * fuzz_xlsx.c - workbooks. The input is a whole zip file; or, when it begins with '<', the XML of a sheet,
 * or with '!', that of the shared texts, put into a workbook here, so that mutations get past the
 * packing. Also format codes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz_file.h"
#include "sheet/xlsx_format.h"
#include "sheet/xlsx_strings.h"
#include "sheet/xml_scan.h"

struct bytes {
    const uint8_t *p;
    size_t n;
};

/* Few bytes at a time: tokens end up on the edge of the window. */
static int64_t give(void *from, char *to, size_t room, struct err *e)
{
    struct bytes *b = from;
    size_t n = b->n < 7 ? b->n : 7;

    (void)e;
    n = n < room ? n : room;
    memcpy(to, b->p, n);
    b->p += n;
    b->n -= n;
    return (int64_t)n;
}

static void scan(const uint8_t *data, size_t size)
{
    struct bytes b = { data, size };
    struct xml_scan x;
    struct buf text;
    struct err e;
    enum xml_token t;

    if (xml_scan_init(&x, give, &b, "part", &e) != 0)
        return;
    buf_init(&text, 1 << 20);
    while ((t = xml_scan_next(&x, &e)) > XML_END) {
        buf_clear(&text);
        if (t == XML_TEXT)
            (void)xml_scan_decode(&x, x.text, x.is_literal, &text, &e);
        if (t == XML_OPEN && xml_scan_is(&x, "si")) {
            if (xlsx_strings_item(&x, &text, &e) != 0)
                break;
        }
    }
    if (t == XML_END && x.depth != 0)
        abort();
    xml_scan_deinit(&x);
    buf_deinit(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char date[XLSX_DATE_MAX];
    double serial;

    (void)xlsx_format_is_date((const char *)data, size);
    if (size >= 8) {
        memcpy(&serial, data, 8);
        (void)xlsx_format_date(date, serial, size & 1);
    }
    if (size > 0 && (data[0] == '<' || data[0] == '!')) {
        scan(data + (data[0] == '!'), size - (data[0] == '!'));
        fuzz_file_book(data, size);
    } else {
        fuzz_file_read(fuzz_file(data, size));
    }
    return 0;
}
