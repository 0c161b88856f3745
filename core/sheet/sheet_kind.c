/*
 * sheet_kind.c - see sheet_kind.h.
 */
#include "sheet/sheet_kind.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sheet/sheet_fault.h"

#define HEAD_BYTES 4096
#define OLE_NAMES_BYTES 4096 /* the first entries of its directory */

static int64_t read_at(int fd, char *to, size_t n, int64_t at)
{
    ssize_t got;

    do
        got = pread(fd, to, n, at);
    while (got < 0 && errno == EINTR);
    return got;
}

static uint32_t u32(const char *p)
{
    const unsigned char *s = (const unsigned char *)p;

    return s[0] | (uint32_t)s[1] << 8 | (uint32_t)s[2] << 16 | (uint32_t)s[3] << 24;
}

/* True when the OLE directory has an entry of that name (UTF-16 in the file). */
static int has_entry(const char *dir, size_t n, const char *name)
{
    char wide[64];
    size_t k = strlen(name);

    memset(wide, 0, sizeof wide);
    for (size_t i = 0; i < k; i++)
        wide[2 * i] = name[i];
    for (size_t at = 0; at + 64 <= n; at += 128)
        if (memcmp(dir + at, wide, 2 * k + 2) == 0)
            return 1;
    return 0;
}

/* OLE compound files: old workbooks, and new ones that are locked with a password. */
static int fail_ole(int fd, const char *head, size_t n, struct err *e)
{
    char dir[OLE_NAMES_BYTES];
    uint32_t shift = n >= 512 ? (unsigned char)head[30] : 0;
    int64_t got = 0;

    if (shift >= 7 && shift <= 16)
        got = read_at(fd, dir, sizeof dir, ((int64_t)u32(head + 48) + 1) << shift);
    if (got > 0 && has_entry(dir, (size_t)got, "EncryptedPackage"))
        return err_set(e, ERR_UNSUPPORTED,
                       "a workbook locked with a password: save it without one");
    if (got > 0 && has_entry(dir, (size_t)got, "WordDocument"))
        return err_set(e, ERR_UNSUPPORTED, "a Word document, not a workbook");
    return err_set(e, ERR_UNSUPPORTED, "an old workbook (.xls): save it as .xlsx");
}

static int begins(const char *p, size_t n, const char *mark, size_t n_mark)
{
    return n >= n_mark && memcmp(p, mark, n_mark) == 0;
}

/* Web pages and XML that programs like to call .xls. */
static int fail_markup(const char *p, size_t n, struct err *e)
{
    static const char *const HTML[] = {
        "<html", "<!doctype html", "<table", "<head", "<body", "<meta",
    };

    if (begins(p, n, "\xef\xbb\xbf", 3)) {
        p += 3;
        n -= 3;
    }
    while (n > 0 && (*p == ' ' || (*p >= '\t' && *p <= '\r'))) {
        p++;
        n--;
    }
    for (size_t i = 0; i < sizeof HTML / sizeof *HTML; i++)
        if (n >= strlen(HTML[i]) && strncasecmp(p, HTML[i], strlen(HTML[i])) == 0)
            return err_set(e, ERR_UNSUPPORTED,
                           "a web page (HTML), whatever its name: "
                           "open it in Excel, save it as .xlsx");
    if (begins(p, n, "<?xml", 5))
        return err_set(e, ERR_UNSUPPORTED,
                       "an XML file, not a workbook: open it in Excel, save it as .xlsx");
    return 0;
}

int sheet_kind_find(enum sheet_format *format, const char *path, struct err *e)
{
    static const struct { const char *mark; size_t n; const char *what; } MARKS[] = {
        { "%PDF-", 5, "a PDF document" },
        { "\x1f\x8b", 2, "a gzip file: unpack it first" },
        { "Rar!\x1a\x07", 6, "a RAR archive: unpack it first" },
        { "7z\xbc\xaf\x27\x1c", 6, "a 7-Zip archive: unpack it first" },
        { "PAR1", 4, "a Parquet file" },
        { "SQLite format 3", 16, "an SQLite database" },
        { "\x89PNG", 4, "a picture (PNG)" },
        { "\xff\xd8\xff", 3, "a picture (JPEG)" },
        { "{\\rtf", 5, "a text document (RTF)" },
    };
    char head[HEAD_BYTES];
    int fd = open(path, O_RDONLY | O_CLOEXEC), rc = 0;
    struct stat st;
    int64_t n;

    *format = SHEET_FORMAT_CSV;
    if (fd < 0)
        return sheet_fault_errno(e, errno, path);
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        rc = err_set(e, ERR_IO, "%s is a folder", path);
        goto done;
    }
    n = read_at(fd, head, sizeof head, 0);
    if (n < 0) {
        rc = sheet_fault_errno(e, errno, path);
        goto done;
    }
    size_t len = (size_t)n;
    if (len == 0) {
        *format = SHEET_FORMAT_EMPTY;
    } else if (begins(head, len, "PK\3\4", 4) || begins(head, len, "PK\5\6", 4) ||
               begins(head, len, "PK\7\10", 4)) {
        *format = SHEET_FORMAT_XLSX;
    } else if (begins(head, len, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 8)) {
        rc = fail_ole(fd, head, len, e);
    } else {
        rc = fail_markup(head, len, e);
        for (size_t i = 0; rc == 0 && i < sizeof MARKS / sizeof *MARKS; i++)
            if (begins(head, len, MARKS[i].mark, MARKS[i].n))
                rc = err_set(e, ERR_UNSUPPORTED, "%s, not a table", MARKS[i].what);
    }
done:
    close(fd);
    return rc;
}
