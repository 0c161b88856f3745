/*
 * date_zone.c - time zones from the tz database. See date.h.
 *
 * A tz file (RFC 8536) holds the changes that are known and, as a POSIX TZ text, the rule for all
 * years after them. Only version 2 and later is read: the 64-bit part and the rule behind it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/date.h"
#include "base/mem.h"

#define ZONE_DIR "/usr/share/zoneinfo"
#define FILE_MAX_BYTES ((size_t)256 << 10)
#define CHANGES_MAX 20000
#define TYPES_MAX 256

struct type {
    int32_t offset;
    uint8_t is_dst;
    char name[10];
};

/* One end of the summer rule: the day, and the second of it on the wall. */
struct change_rule {
    char kind; /* 'M' month.week.day, 'J' day 1-365 without 29 February, 'D' day 0-365 */
    int month, week, day;
    int32_t second;
};

struct date_zone {
    size_t n_changes, n_types;
    int64_t *at;    /* one block with kind */
    uint8_t *kind;
    struct type types[TYPES_MAX];
    int has_rule, has_summer;
    struct type winter, summer;
    struct change_rule begin, end; /* of summer */
};

/* ---- the rule text ---- */

static int rule_number(const char **s, int low, int high, int *out)
{
    const char *from = *s;
    int v = 0;

    while (**s >= '0' && **s <= '9' && v < 100000)
        v = v * 10 + (*(*s)++ - '0');
    *out = v;
    return *s == from || v < low || v > high ? -1 : 0;
}

/* [+-]hh[:mm[:ss]] */
static int rule_clock(const char **s, int32_t *out)
{
    int h, m = 0, sec = 0, sign = 1;

    if (**s == '+' || **s == '-')
        sign = *(*s)++ == '-' ? -1 : 1;
    if (rule_number(s, 0, 167, &h) != 0)
        return -1;
    if (**s == ':') {
        ++*s;
        if (rule_number(s, 0, 59, &m) != 0)
            return -1;
        if (**s == ':') {
            ++*s;
            if (rule_number(s, 0, 59, &sec) != 0)
                return -1;
        }
    }
    *out = sign * (h * 3600 + m * 60 + sec);
    return 0;
}

static int rule_name(const char **s, char *out, size_t room)
{
    const char *from = *s;
    size_t n;

    if (**s == '<') {
        n = strcspn(++from, ">");
        if (from[n] != '>')
            return -1;
        *s = from + n + 1;
    } else {
        n = strspn(from, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
        *s = from + n;
    }
    if (n < 1 || n >= room)
        return -1;
    memcpy(out, from, n);
    out[n] = '\0';
    return 0;
}

static int rule_change(const char **s, struct change_rule *r)
{
    if (*(*s)++ != ',')
        return -1;
    r->kind = **s == 'M' || **s == 'J' ? *(*s)++ : 'D';
    if (r->kind == 'M') {
        if (rule_number(s, 1, 12, &r->month) != 0 || *(*s)++ != '.' ||
            rule_number(s, 1, 5, &r->week) != 0 || *(*s)++ != '.' ||
            rule_number(s, 0, 6, &r->day) != 0)
            return -1;
    } else if (rule_number(s, r->kind == 'J', 365, &r->day) != 0) {
        return -1;
    }
    r->second = 7200;
    if (**s == '/') {
        ++*s;
        return rule_clock(s, &r->second);
    }
    return 0;
}

static int rule_parse(struct date_zone *z, const char *s)
{
    int32_t west;

    if (*s == '\0')
        return 0;
    if (rule_name(&s, z->winter.name, sizeof z->winter.name) != 0 || rule_clock(&s, &west) != 0)
        return -1;
    z->winter.offset = -west;
    z->has_rule = 1;
    if (*s == '\0')
        return 0;
    if (rule_name(&s, z->summer.name, sizeof z->summer.name) != 0)
        return -1;
    z->summer.offset = z->winter.offset + 3600;
    z->summer.is_dst = 1;
    if (*s != ',') {
        if (rule_clock(&s, &west) != 0)
            return -1;
        z->summer.offset = -west;
    }
    z->has_summer = 1;
    return rule_change(&s, &z->begin) != 0 || rule_change(&s, &z->end) != 0 || *s != '\0' ? -1 : 0;
}

/* The wall-clock second (as if UTC) at which a rule strikes in a year. */
static int64_t rule_moment(const struct change_rule *r, int year)
{
    int64_t days = date_days(year, 1, 1);

    if (r->kind == 'J') {
        days += r->day - 1 + (date_is_leap(year) && r->day > 59);
    } else if (r->kind == 'D') {
        days += r->day;
    } else {
        int64_t first = date_days(year, r->month, 1);
        int64_t weekday = ((first + 4) % 7 + 7) % 7; /* 0 = Sunday */
        int64_t day = (r->day - weekday + 7) % 7 + 7 * (r->week - 1);
        while (day >= date_month_days(year, r->month))
            day -= 7;
        days = first + day;
    }
    return days * 86400 + r->second;
}

static const struct type *rule_type(const struct date_zone *z, int64_t seconds)
{
    int year, month, day;

    if (!z->has_summer)
        return &z->winter;
    int64_t wall = seconds + z->winter.offset;
    date_civil((wall >= 0 ? wall : wall - 86399) / 86400, &year, &month, &day);
    int64_t begin = rule_moment(&z->begin, year) - z->winter.offset;
    int64_t end = rule_moment(&z->end, year) - z->summer.offset;
    int is_summer = begin < end ? seconds >= begin && seconds < end : seconds >= begin || seconds < end;
    return is_summer ? &z->summer : &z->winter;
}

/* ---- the file ---- */

struct header {
    uint32_t isutcnt, isstdcnt, leapcnt, timecnt, typecnt, charcnt;
};

static uint32_t be32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t be64(const unsigned char *p)
{
    return (int64_t)((uint64_t)be32(p) << 32 | be32(p + 4));
}

/* The header at *p; -1 when it is none. */
static int header_read(const unsigned char *p, const unsigned char *end, struct header *h)
{
    if (end - p < 44 || memcmp(p, "TZif", 4) != 0 || p[4] < '2')
        return -1;
    h->isutcnt = be32(p + 20);
    h->isstdcnt = be32(p + 24);
    h->leapcnt = be32(p + 28);
    h->timecnt = be32(p + 32);
    h->typecnt = be32(p + 36);
    h->charcnt = be32(p + 40);
    return h->timecnt > CHANGES_MAX || h->typecnt > TYPES_MAX || h->typecnt == 0 ||
           h->charcnt > 4096 || h->leapcnt > 4096 || h->isutcnt > TYPES_MAX || h->isstdcnt > TYPES_MAX
               ? -1 : 0;
}

static size_t block_bytes(const struct header *h, size_t word)
{
    return h->timecnt * (word + 1) + h->typecnt * 6 + h->charcnt + h->leapcnt * (word + 4) +
           h->isstdcnt + h->isutcnt;
}

static int block_read(struct date_zone *z, const unsigned char *p, const struct header *h)
{
    const unsigned char *kinds = p + h->timecnt * 8, *types = kinds + h->timecnt;
    const unsigned char *names = types + h->typecnt * 6;

    z->at = mem_alloc(h->timecnt * 9 + 1);
    if (z->at == NULL)
        return -2;
    z->kind = (uint8_t *)(z->at + h->timecnt);
    z->n_changes = h->timecnt;
    z->n_types = h->typecnt;
    for (size_t i = 0; i < h->timecnt; i++) {
        z->at[i] = be64(p + 8 * i);
        z->kind[i] = kinds[i];
        if (kinds[i] >= h->typecnt || (i > 0 && z->at[i] <= z->at[i - 1]))
            return -1;
    }
    for (size_t i = 0; i < h->typecnt; i++) {
        const unsigned char *t = types + 6 * i;
        z->types[i].offset = (int32_t)be32(t);
        z->types[i].is_dst = t[4] != 0;
        if (t[5] >= h->charcnt || z->types[i].offset < -93600 || z->types[i].offset > 93600)
            return -1;
        size_t n = 0;
        while (t[5] + n < h->charcnt && names[t[5] + n] != '\0' && n < sizeof z->types[i].name - 1)
            n++;
        memcpy(z->types[i].name, names + t[5], n);
    }
    return 0;
}

int date_zone_parse(struct date_zone **out, const unsigned char *data, size_t n, struct err *e)
{
    const unsigned char *p = data, *end = data + n;
    struct header h;
    char rule[128];
    int rc = -1;
    struct date_zone *z = mem_zero(1, sizeof *z);

    *out = NULL;
    if (z == NULL)
        return err_set(e, ERR_NOMEM, "no memory for a time zone");
    if (header_read(p, end, &h) != 0 || (size_t)(end - p) - 44 < block_bytes(&h, 4))
        goto done;
    p += 44 + block_bytes(&h, 4);
    if (header_read(p, end, &h) != 0 || (size_t)(end - p) - 44 < block_bytes(&h, 8))
        goto done;
    if ((rc = block_read(z, p + 44, &h)) != 0)
        goto done;
    p += 44 + block_bytes(&h, 8);
    const unsigned char *last = end - p >= 2 && *p == '\n' ? memchr(p + 1, '\n', (size_t)(end - p) - 1) : NULL;
    rc = -1;
    if (last == NULL || (size_t)(last - p) > sizeof rule || memchr(p, '\0', (size_t)(last - p)) != NULL)
        goto done;
    memcpy(rule, p + 1, (size_t)(last - p) - 1);
    rule[last - p - 1] = '\0';
    rc = rule_parse(z, rule);
done:
    if (rc == 0) {
        *out = z;
        return 0;
    }
    date_zone_close(z);
    return err_set(e, rc == -2 ? ERR_NOMEM : ERR_CORRUPT,
                   rc == -2 ? "no memory for a time zone" : "not a tz file of version 2 or later");
}

static int is_name(const char *name)
{
    size_t n = strlen(name);

    return n > 0 && n < 64 && name[0] != '/' && strstr(name, "..") == NULL &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-/") == n;
}

int date_zone_open(struct date_zone **out, const char *name, struct err *e)
{
    char path[128];
    struct stat st;

    *out = NULL;
    if (strcmp(name, "UTC") == 0 || strcmp(name, "Z") == 0) { /* also where there is no database */
        *out = mem_zero(1, sizeof **out);
        if (*out == NULL)
            return err_set(e, ERR_NOMEM, "no memory for a time zone");
        (*out)->has_rule = 1;
        memcpy((*out)->winter.name, "UTC", 4);
        return 0;
    }
    if (!is_name(name))
        return err_set(e, ERR_INVALID, "\"%.60s\" is no time zone; one like Europe/Moscow expected", name);
    snprintf(path, sizeof path, ZONE_DIR "/%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, errno, "time zone %s", name);
    int rc = -1;
    unsigned char *data = NULL;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > (off_t)FILE_MAX_BYTES) {
        err_set(e, ERR_NOTFOUND, "time zone %s: there is no such file", name);
        goto done;
    }
    if ((data = mem_alloc((size_t)st.st_size + 1)) == NULL) {
        err_set(e, ERR_NOMEM, "no memory for a time zone");
        goto done;
    }
    ssize_t n = read(fd, data, (size_t)st.st_size);
    rc = n < 0 ? err_errno(e, errno, "time zone %s", name) : date_zone_parse(out, data, (size_t)n, e);
    if (rc != 0)
        err_wrap(e, "time zone %s", name);
done:
    mem_free(data);
    close(fd);
    return rc;
}

void date_zone_close(struct date_zone *z)
{
    if (z != NULL)
        mem_free(z->at);
    mem_free(z);
}

/* ---- using it ---- */

static const struct type *type_at(const struct date_zone *z, int64_t seconds)
{
    size_t low = 0, high = z->n_changes;

    if (z->n_changes == 0 || seconds < z->at[0]) {
        if (z->n_changes == 0 && z->has_rule)
            return rule_type(z, seconds);
        return &z->types[0];
    }
    if (seconds >= z->at[z->n_changes - 1] && z->has_rule)
        return rule_type(z, seconds);
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (z->at[mid] <= seconds)
            low = mid;
        else
            high = mid;
    }
    return &z->types[z->kind[low]];
}

void date_local(const struct date_zone *z, int64_t seconds, struct date_parts *out)
{
    static const struct type utc = { 0, 0, "UTC" };
    const struct type *t = z ? type_at(z, seconds) : &utc;
    int64_t wall = seconds + t->offset;
    int64_t days = (wall >= 0 ? wall : wall - 86399) / 86400;
    int rest = (int)(wall - days * 86400);

    date_civil(days, &out->year, &out->month, &out->day);
    out->hour = rest / 3600;
    out->minute = rest / 60 % 60;
    out->second = rest % 60;
    out->weekday = (int)(((days + 3) % 7 + 7) % 7) + 1;
    out->yearday = (int)(days - date_days(out->year, 1, 1)) + 1;
    out->offset = t->offset;
    out->is_dst = t->is_dst;
    snprintf(out->zone, sizeof out->zone, "%s", t->name);
}

int64_t date_utc(const struct date_zone *z, const struct date_parts *p)
{
    int64_t wall = date_days(p->year, p->month, p->day) * 86400 + (int64_t)p->hour * 3600 +
                   (int64_t)p->minute * 60 + p->second;

    if (z == NULL)
        return wall;
    /* offsets a day before and after surround any change; the earlier moment that shows `wall` */
    int64_t before = type_at(z, wall - 86400)->offset, after = type_at(z, wall + 86400)->offset;
    int64_t first = wall - before, second = wall - after;
    int first_fits = type_at(z, first)->offset == before, second_fits = type_at(z, second)->offset == after;
    if (first_fits && second_fits)
        return first < second ? first : second;
    return second_fits ? second : first;
}
