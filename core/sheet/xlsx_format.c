/*
 * xlsx_format.c - see xlsx_format.h.
 */
#include "sheet/xlsx_format.h"

#include <math.h>
#include <string.h>

#include "base/day.h"

int xlsx_format_is_date_id(int id)
{
    return (id >= 14 && id <= 22) || (id >= 27 && id <= 36) || id == 45 || id == 47 ||
           (id >= 50 && id <= 58);
}

static int is_letter(char c, char lower)
{
    return c == lower || c == lower - 32;
}

/* Cyrillic date letters (D, M, G): some programs write codes as their users see them. */
static int is_cyrillic_date(const char *p, size_t n)
{
    static const char *const LETTERS[] = { "Д", "М", "Г", "д", "м", "г" };

    for (size_t i = 0; i < sizeof LETTERS / sizeof *LETTERS; i++)
        if (n >= 4 && memcmp(p, LETTERS[i], 2) == 0 && memcmp(p + 2, LETTERS[i], 2) == 0)
            return 1;
    return 0;
}

int xlsx_format_is_date(const char *code, size_t n)
{
    int is_date = 0;

    for (size_t i = 0; i < n; i++) {
        char c = code[i];
        if (c == ';') /* end of the first section */
            break;
        if (c == '\\' || c == '_' || c == '*') { /* the next one is only shown */
            i++;
        } else if (c == '"') {
            while (++i < n && code[i] != '"')
                ;
        } else if (c == '[') { /* colour, condition, language, or elapsed time */
            size_t first = ++i;
            while (i < n && code[i] != ']')
                i++;
            if (i > first && strchr("hHmMsS", code[first]) != NULL) {
                size_t k = first;
                while (k < i && code[k] == code[first])
                    k++;
                if (k == i)
                    return 0;
            }
        } else if (n - i >= 7 && strncasecmp(code + i, "general", 7) == 0) {
            i += 6;
        } else if (is_letter(c, 'e') && i + 1 < n && (code[i + 1] == '+' || code[i + 1] == '-')) {
            i++; /* exponent */
        } else if (is_letter(c, 'y') || is_letter(c, 'm') || is_letter(c, 'd') ||
                   is_letter(c, 'h') || is_letter(c, 's') || is_cyrillic_date(code + i, n - i)) {
            is_date = 1;
        }
    }
    return is_date;
}

static void two_digits(char *to, int x)
{
    to[0] = (char)('0' + x / 10);
    to[1] = (char)('0' + x % 10);
}

size_t xlsx_format_date(char to[XLSX_DATE_MAX], double serial, int is_1904)
{
    int64_t day;
    int has_day = day_of_serial(serial, is_1904, &day) == 0;
    size_t n = 0;

    if (!has_day && !(serial >= 0 && serial < 1))
        return 0;
    double part = serial - floor(serial);
    int s = (int)(part * 86400 + 0.5);
    if (s > 86399)
        s = 86399;
    if (has_day) {
        day_write(to, day);
        n = DAY_TEXT;
        if (s == 0)
            return n;
        to[n++] = ' ';
    }
    two_digits(to + n, s / 3600);
    to[n + 2] = ':';
    two_digits(to + n + 3, s / 60 % 60);
    to[n + 5] = ':';
    two_digits(to + n + 6, s % 60);
    return n + 8;
}
