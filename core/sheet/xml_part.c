/*
 * xml_part.c - see xml_part.h.
 */
#include "sheet/xml_part.h"

#include <string.h>

#include <expat.h>

#include "base/mem.h"

#define CHUNK_BYTES (32u << 10)

struct run {
    XML_Parser parser;
    const struct xml_part_calls *calls;
    void *arg;
    const char *part;
    struct err *e;
    int is_stopped;
};

static const char *local(const char *name)
{
    const char *colon = strchr(name, ':');

    return colon == NULL ? name : colon + 1;
}

static void stop(struct run *r)
{
    r->is_stopped = 1;
    XML_StopParser(r->parser, XML_FALSE);
}

static void on_start(void *arg, const XML_Char *name, const XML_Char **attrs)
{
    struct run *r = arg;

    if (!r->is_stopped && r->calls->on_open(r->arg, local(name), attrs, r->e) != 0)
        stop(r);
}

static void on_end(void *arg, const XML_Char *name)
{
    struct run *r = arg;

    if (!r->is_stopped && r->calls->on_close != NULL)
        r->calls->on_close(r->arg, local(name));
}

static void on_doctype(void *arg, const XML_Char *name, const XML_Char *system, const XML_Char *id,
                       int has_subset)
{
    struct run *r = arg;

    (void)name, (void)system, (void)id, (void)has_subset;
    err_set(r->e, ERR_PARSE, "%s: a document type, which no workbook has", r->part);
    stop(r);
}

int xml_part_parse(struct zip_box *box, const char *part, const struct xml_part_calls *calls,
                   void *arg, struct err *e)
{
    static const XML_Memory_Handling_Suite MEMORY = { mem_alloc, mem_resize, mem_free };
    struct run r = { .calls = calls, .arg = arg, .part = part, .e = e };
    struct zip_part *p = NULL;
    int64_t n;
    int rc = -1;

    if (zip_part_open(&p, box, part, e) != 0)
        return -1;
    r.parser = XML_ParserCreate_MM(NULL, &MEMORY, NULL);
    if (r.parser == NULL) {
        err_set(e, ERR_NOMEM, "%s: out of memory", part);
        goto done;
    }
    XML_SetUserData(r.parser, &r);
    XML_SetElementHandler(r.parser, on_start, on_end);
    XML_SetStartDoctypeDeclHandler(r.parser, on_doctype);
    do {
        void *room = XML_GetBuffer(r.parser, CHUNK_BYTES);
        if (room == NULL) {
            err_set(e, ERR_NOMEM, "%s: out of memory", part);
            goto done;
        }
        if ((n = zip_part_read(p, room, CHUNK_BYTES, e)) < 0)
            goto done;
        if (XML_ParseBuffer(r.parser, (int)n, n == 0) == XML_STATUS_OK)
            continue;
        enum XML_Error why = XML_GetErrorCode(r.parser);
        if (!r.is_stopped)
            err_set(e, why == XML_ERROR_NO_MEMORY ? ERR_NOMEM : ERR_PARSE, "%s, line %lu: %s", part,
                    (unsigned long)XML_GetCurrentLineNumber(r.parser), XML_ErrorString(why));
        goto done;
    } while (n > 0);
    rc = 0;
done:
    if (r.parser != NULL)
        XML_ParserFree(r.parser);
    zip_part_close(p);
    return rc;
}

const char *xml_part_attr(const char **attrs, const char *name)
{
    for (; attrs[0] != NULL; attrs += 2)
        if (strcmp(local(attrs[0]), name) == 0)
            return attrs[1];
    return NULL;
}

int xml_part_is_true(const char *value)
{
    return value != NULL &&
           (strcmp(value, "1") == 0 || strcmp(value, "true") == 0 || strcmp(value, "on") == 0);
}
