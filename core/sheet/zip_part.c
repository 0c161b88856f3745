/*
 * zip_part.c - see zip_part.h.
 */
#include "sheet/zip_part.h"

#include <errno.h>
#include <string.h>

#include <zip.h>

#include "base/mem.h"

struct zip_box {
    zip_t *zip;
    uint64_t n_read; /* unpacked bytes of all parts so far */
};

struct zip_part {
    struct zip_box *box;
    zip_file_t *file;
    char *name;
    uint64_t n_read, n_said;
};

static int fail(const struct zip_part *p, struct err *e, enum err_code code, zip_error_t *why)
{
    int kind = zip_error_code_zip(why);

    if (kind == ZIP_ER_MEMORY)
        code = ERR_NOMEM;
    else if (kind == ZIP_ER_NOPASSWD || kind == ZIP_ER_COMPNOTSUPP || kind == ZIP_ER_ENCRNOTSUPP ||
             kind == ZIP_ER_MULTIDISK)
        code = ERR_UNSUPPORTED;
    else if ((kind == ZIP_ER_READ || kind == ZIP_ER_SEEK || kind == ZIP_ER_OPEN) &&
             zip_error_code_system(why) != 0)
        code = ERR_IO;
    return err_set(e, code, "%s: %s", p->name, zip_error_strerror(why));
}

/* What the directory says must be within the bounds before anything is unpacked. */
static int check_sizes(struct zip_box *box, struct err *e)
{
    zip_int64_t n = zip_get_num_entries(box->zip, 0);
    uint64_t total = 0;

    for (zip_int64_t i = 0; i < n; i++) {
        zip_stat_t st;
        if (zip_stat_index(box->zip, (zip_uint64_t)i, 0, &st) != 0)
            return err_set(e, ERR_PARSE, "damaged zip directory: %s", zip_strerror(box->zip));
        if ((st.valid & ZIP_STAT_ENCRYPTION_METHOD) && st.encryption_method != ZIP_EM_NONE)
            return err_set(e, ERR_UNSUPPORTED, "a zip file with a password");
        if (!(st.valid & ZIP_STAT_SIZE))
            continue;
        total = st.size > ZIP_UNPACKED_MAX ? ZIP_UNPACKED_MAX + 1 : total + st.size;
        if (total > ZIP_UNPACKED_MAX)
            return err_set(e, ERR_LIMIT, "unpacks to more than %llu MiB",
                           ZIP_UNPACKED_MAX >> 20);
        if (st.size > ZIP_RATIO_FROM && (st.valid & ZIP_STAT_COMP_SIZE) &&
            st.size / ZIP_RATIO_MAX > st.comp_size)
            return err_set(e, ERR_LIMIT, "%s: %llu bytes packed into %llu, more than %d to 1",
                           st.name, (unsigned long long)st.size,
                           (unsigned long long)st.comp_size, ZIP_RATIO_MAX);
    }
    return 0;
}

int zip_box_open(struct zip_box **box, const char *path, struct err *e)
{
    struct zip_box *b = mem_zero(1, sizeof *b);
    int kind = 0;

    *box = NULL;
    if (b == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    b->zip = zip_open(path, ZIP_RDONLY, &kind);
    if (b->zip == NULL) {
        zip_error_t why;
        zip_error_init_with_code(&why, kind);
        enum err_code code = kind == ZIP_ER_MEMORY                          ? ERR_NOMEM
                             : kind == ZIP_ER_OPEN || kind == ZIP_ER_NOENT ? ERR_IO
                             : kind == ZIP_ER_MULTIDISK                     ? ERR_UNSUPPORTED
                                                                            : ERR_PARSE;
        err_set(e, code, "%s",
                kind == ZIP_ER_NOZIP ? "a zip file that is cut short: its directory is missing"
                                     : zip_error_strerror(&why));
        zip_error_fini(&why);
        goto fail;
    }
    if (check_sizes(b, e) != 0)
        goto fail;
    *box = b;
    return 0;
fail:
    zip_box_close(b);
    return -1;
}

void zip_box_close(struct zip_box *box)
{
    if (box == NULL)
        return;
    if (box->zip != NULL)
        zip_discard(box->zip);
    mem_free(box);
}

static int is_same_name(const char *a, const char *b)
{
    for (; *a != '\0' && *b != '\0'; a++, b++) {
        char x = *a == '\\' ? '/' : *a, y = *b;
        if (x >= 'A' && x <= 'Z')
            x = (char)(x + 32);
        if (y >= 'A' && y <= 'Z')
            y = (char)(y + 32);
        if (x != y)
            return 0;
    }
    return *a == *b;
}

int64_t zip_box_find(const struct zip_box *box, const char *name)
{
    zip_int64_t n = zip_get_num_entries(box->zip, 0), at;

    at = zip_name_locate(box->zip, name, ZIP_FL_ENC_RAW);
    for (zip_int64_t i = 0; at < 0 && i < n; i++) {
        const char *found = zip_get_name(box->zip, (zip_uint64_t)i, ZIP_FL_ENC_RAW);
        if (found != NULL && is_same_name(found, name))
            at = i;
    }
    return at < 0 ? -1 : at;
}

int zip_part_open(struct zip_part **part, struct zip_box *box, const char *name, struct err *e)
{
    struct zip_part *p = mem_zero(1, sizeof *p);
    zip_stat_t st;
    int64_t at = zip_box_find(box, name);

    *part = NULL;
    if (p == NULL || (p->name = mem_dup(name)) == NULL) {
        err_set(e, ERR_NOMEM, "out of memory");
        goto fail;
    }
    p->box = box;
    if (at < 0) {
        err_set(e, ERR_PARSE, "the part %s is missing", name);
        goto fail;
    }
    if (zip_stat_index(box->zip, (zip_uint64_t)at, 0, &st) == 0 && (st.valid & ZIP_STAT_SIZE))
        p->n_said = st.size;
    p->file = zip_fopen_index(box->zip, (zip_uint64_t)at, 0);
    if (p->file == NULL) {
        fail(p, e, ERR_PARSE, zip_get_error(box->zip));
        goto fail;
    }
    *part = p;
    return 0;
fail:
    zip_part_close(p);
    return -1;
}

void zip_part_close(struct zip_part *part)
{
    if (part == NULL)
        return;
    if (part->file != NULL)
        zip_fclose(part->file);
    mem_free(part->name);
    mem_free(part);
}

int64_t zip_part_read(void *part, char *to, size_t room, struct err *e)
{
    struct zip_part *p = part;
    zip_int64_t n = zip_fread(p->file, to, room);

    if (n < 0)
        return fail(p, e, ERR_PARSE, zip_file_get_error(p->file));
    p->n_read += (uint64_t)n;
    p->box->n_read += (uint64_t)n;
    if (p->box->n_read > ZIP_UNPACKED_MAX)
        return err_set(e, ERR_LIMIT, "unpacks to more than %llu MiB", ZIP_UNPACKED_MAX >> 20);
    return n;
}

double zip_part_done(const struct zip_part *part)
{
    if (part->n_said == 0)
        return 1;
    return part->n_read >= part->n_said ? 1 : (double)part->n_read / (double)part->n_said;
}
