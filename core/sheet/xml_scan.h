/*
 * xml_scan.h - pulls tags and text out of large XML parts of a workbook, one token at a time.
 *
 * Why not expat here: a sheet is tens of megabytes of tiny tags. Inflating one and running expat
 * over it with empty callbacks costs more than twice of what reading it whole costs this way
 * (tests/bench/sheet_bench.c measures both). Small parts (workbook, styles, relations) go through
 * expat. What this scanner takes is a subset of XML:
 *
 *   - UTF-8 only; another encoding in the declaration is the `unsupported` error
 *   - a document type is refused, so there are no entities but the five of XML and &#N;
 *   - names are compared without their prefix, namespaces are not looked at
 *   - it does not look for one attribute given twice, nor at the characters of names
 *
 * and in return it is strict about the rest: nesting, quotes, one root, nothing behind it.
 * Memory is one window that grows to XML_WINDOW_MAX; a longer tag or text is the `limit` error.
 * Spans point into that window and live until the next call.
 */
#ifndef SHEET_XML_SCAN_H
#define SHEET_XML_SCAN_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define XML_WINDOW_MAX (1u << 20)
#define XML_ATTRS_MAX 32
#define XML_DEPTH_MAX 64

/* Gives at most `room` bytes: how many, 0 at the end, -1 with an error. */
typedef int64_t (*xml_read)(void *from, char *to, size_t room, struct err *e);

enum xml_token { XML_FAIL = -1, XML_END, XML_OPEN, XML_CLOSE, XML_TEXT };

struct xml_span {
    const char *p;
    size_t n;
};

struct xml_attr {
    struct xml_span name, value; /* the value as written, see xml_scan_decode */
};

struct xml_scan {
    xml_read read;
    void *from;
    const char *what; /* for messages: "xl/worksheets/sheet1.xml"; borrowed */

    /* of the token given last */
    struct xml_span name;        /* XML_OPEN, XML_CLOSE: without prefix */
    struct xml_attr attrs[XML_ATTRS_MAX];
    size_t n_attrs;              /* XML_OPEN */
    struct xml_span text;        /* XML_TEXT, as written */
    int is_literal;              /* XML_TEXT of a CDATA section: nothing in it to decode */
    int depth;                   /* open elements: with one just opened, not one just closed */

    /* inside */
    char *win;
    size_t pos, len, cap;
    uint64_t n_before;           /* bytes that left the window */
    int is_eof, is_started, close_next, had_root;
    char names[XML_DEPTH_MAX * 32];
    uint16_t name_end[XML_DEPTH_MAX + 1];
};

/* -1 `nomem`. `what` and `from` are borrowed until deinit. */
int xml_scan_init(struct xml_scan *x, xml_read read, void *from, const char *what, struct err *e);
void xml_scan_deinit(struct xml_scan *x); /* may run twice */

/*
 * The next token. An empty element gives XML_OPEN, then XML_CLOSE. Comments and instructions are
 * skipped, and may cut a text in two. XML_END comes after the end of the root element, when
 * everything behind it has been read too. XML_FAIL: `parse`, `limit`, `unsupported`, or what `read`
 * said.
 */
enum xml_token xml_scan_next(struct xml_scan *x, struct err *e);

/* After XML_OPEN: on to its XML_CLOSE. */
int xml_scan_skip(struct xml_scan *x, struct err *e);

/* True when the text just given is followed by a closing tag: it is all there is. */
int xml_scan_is_whole(const struct xml_scan *x);

int xml_scan_is(const struct xml_scan *x, const char *name);

/* The value of an attribute by its full name, or NULL. */
const struct xml_span *xml_scan_attr(const struct xml_scan *x, const char *name);

/*
 * Adds the characters that a text or value stands for: entities, line ends made LF, and checked to
 * be UTF-8 and allowed in XML. -1 `parse`, `limit`, `nomem`.
 */
int xml_scan_decode(const struct xml_scan *x, struct xml_span s, int is_literal, struct buf *to,
                    struct err *e);

/* "WHAT, byte N: text" as a `parse` error. Returns -1. */
int xml_scan_fail(const struct xml_scan *x, struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
