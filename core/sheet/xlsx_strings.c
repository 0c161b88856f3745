/*
 * xlsx_strings.c - see xlsx_strings.h.
 */
#include "sheet/xlsx_strings.h"

#include <string.h>

#include "base/text.h"
#include "base/typed.h"

#define ITEM_MAX (4u << 20)       /* bytes of one text */
#define COUNT_MAX (1ull << 28)    /* texts; their ends are 2 GiB of file then */

void xlsx_strings_init(struct xlsx_strings *s, const char *temp_dir)
{
    memset(s, 0, sizeof *s);
    spill_init(&s->bytes, temp_dir);
    spill_init(&s->ends, temp_dir);
}

void xlsx_strings_deinit(struct xlsx_strings *s)
{
    spill_deinit(&s->bytes);
    spill_deinit(&s->ends);
    s->n = 0;
}

int xlsx_strings_get(struct xlsx_strings *s, uint64_t i, const char **text, size_t *n_bytes,
                     struct buf *to, struct err *e)
{
    uint64_t ends[2] = { 0, 0 };
    size_t first = i == 0; /* before text 0 nothing has ended */

    if (spill_read(&s->ends, (i - 1 + first) * sizeof *ends, (2 - first) * sizeof *ends,
                   (char *)(ends + first), e) != 0)
        return -1;
    *n_bytes = (size_t)(ends[1] - ends[0]);
    if (!spill_is_file(&s->bytes)) {
        *text = *n_bytes > 0 ? spill_data(&s->bytes) + ends[0] : "";
        return 0;
    }
    *text = NULL;
    char *room = buf_room(to, *n_bytes, e);
    if (room == NULL || spill_read(&s->bytes, ends[0], *n_bytes, room, e) != 0)
        return -1;
    to->len += *n_bytes;
    return 0;
}

static int hex_of(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The UTF-16 unit of "_xHHHH_" at p, or -1. */
static int32_t unit_at(const char *p, size_t n)
{
    int32_t unit = 0;

    if (n < 7 || p[0] != '_' || p[1] != 'x' || p[6] != '_')
        return -1;
    for (int i = 2; i < 6; i++) {
        int digit = hex_of(p[i]);
        if (digit < 0)
            return -1;
        unit = unit * 16 + digit;
    }
    return unit;
}

void xlsx_strings_unescape(struct buf *b, size_t from)
{
    size_t out;

    if (b->len - from < 7 || memchr(b->data + from, '_', b->len - from) == NULL)
        return;
    out = from;
    for (size_t i = from; i < b->len;) {
        int32_t unit = unit_at(b->data + i, b->len - i);
        if (unit <= 0 || (unit >= 0xd800 && unit < 0xe000)) { /* not one, or no character */
            b->data[out++] = b->data[i++];
            continue;
        }
        out += text_utf8_put(b->data + out, (uint32_t)unit);
        i += 7;
    }
    b->len = out;
}

int xlsx_strings_item(struct xml_scan *x, struct buf *to, struct err *e)
{
    int outer = x->depth - 1, is_in_text = 0;
    size_t from = to->len;

    for (;;) {
        switch (xml_scan_next(x, e)) {
        case XML_OPEN:
            if (xml_scan_is(x, "rPh") || xml_scan_is(x, "phoneticPr") || xml_scan_is(x, "rPr")) {
                if (xml_scan_skip(x, e) != 0)
                    return -1;
            } else {
                is_in_text = xml_scan_is(x, "t");
            }
            break;
        case XML_TEXT:
            if (is_in_text && xml_scan_decode(x, x->text, x->is_literal, to, e) != 0)
                return -1;
            break;
        case XML_CLOSE:
            is_in_text = 0;
            if (x->depth == outer) {
                xlsx_strings_unescape(to, from);
                return 0;
            }
            break;
        default:
            return -1;
        }
    }
}

static int read_all(struct xlsx_strings *s, struct xml_scan *x, struct err *e)
{
    struct buf item;
    int rc = -1;

    buf_init(&item, ITEM_MAX);
    for (;;) {
        enum xml_token t = xml_scan_next(x, e);
        if (t == XML_FAIL)
            break;
        if (t == XML_END) {
            rc = 0;
            break;
        }
        if (t != XML_OPEN)
            continue;
        if (x->depth == 1 && !xml_scan_is(x, "sst")) {
            xml_scan_fail(x, e, "no table of shared texts");
            break;
        }
        if (x->depth != 2 || !xml_scan_is(x, "si"))
            continue;
        buf_clear(&item);
        if (xlsx_strings_item(x, &item, e) != 0 ||
            spill_add(&s->bytes, item.data, item.len, e) != 0 ||
            spill_add(&s->ends, &s->bytes.len, sizeof s->bytes.len, e) != 0)
            break;
        if (++s->n > COUNT_MAX) {
            err_set(e, ERR_LIMIT, "%s: more than %llu shared texts", x->what, COUNT_MAX);
            break;
        }
    }
    buf_deinit(&item);
    return rc;
}

int xlsx_strings_load(struct xlsx_strings *s, struct zip_box *box, const char *part, struct err *e)
{
    struct zip_part *p = NULL;
    struct xml_scan x = { 0 };
    int rc = -1;

    if (zip_part_open(&p, box, part, e) != 0 || xml_scan_init(&x, zip_part_read, p, part, e) != 0 ||
        read_all(s, &x, e) != 0 || spill_seal(&s->bytes, e) != 0 || spill_seal(&s->ends, e) != 0)
        goto done;
    rc = 0;
done:
    xml_scan_deinit(&x);
    zip_part_close(p);
    return rc;
}
