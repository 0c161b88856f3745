/*
 * check.h - what every C test uses. CHECK* print both values with file and line and count; a test
 * program ends with `return check_done();` and fails when a check failed or none was made.
 */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H

#include <math.h>
#include <stdio.h>
#include <string.h>

static int check_made, check_failed;

#define CHECK(cond)                                                                               \
    do {                                                                                          \
        check_made++;                                                                             \
        if (!(cond)) {                                                                            \
            check_failed++;                                                                       \
            printf("%s:%d: failed: %s\n", __FILE__, __LINE__, #cond);                             \
        }                                                                                         \
    } while (0)

#define CHECK_INT(found, expected)                                                                \
    do {                                                                                          \
        long long f_ = (long long)(found), e_ = (long long)(expected);                            \
        check_made++;                                                                             \
        if (f_ != e_) {                                                                           \
            check_failed++;                                                                       \
            printf("%s:%d: %s is %lld, expected %lld\n", __FILE__, __LINE__, #found, f_, e_);     \
        }                                                                                         \
    } while (0)

#define CHECK_STR(found, expected)                                                                \
    do {                                                                                          \
        const char *f_ = (found), *e_ = (expected);                                               \
        check_made++;                                                                             \
        if (f_ == NULL || strcmp(f_, e_) != 0) {                                                  \
            check_failed++;                                                                       \
            printf("%s:%d: %s is \"%s\", expected \"%s\"\n", __FILE__, __LINE__, #found,          \
                   f_ ? f_ : "(null)", e_);                                                       \
        }                                                                                         \
    } while (0)

/* |found - expected| <= rel * max(1 * floor, |expected|) */
#define CHECK_NEAR(found, expected, rel, floor)                                                   \
    do {                                                                                          \
        double f_ = (found), e_ = (expected);                                                     \
        check_made++;                                                                             \
        if (!(fabs(f_ - e_) <= (rel) * fmax((floor), fabs(e_)))) {                                \
            check_failed++;                                                                       \
            printf("%s:%d: %s is %.17g, expected %.17g (off by %.3g)\n", __FILE__, __LINE__,      \
                   #found, f_, e_, fabs(f_ - e_));                                                \
        }                                                                                         \
    } while (0)

static inline int check_done(void)
{
    printf("%d checks, %d failed\n", check_made, check_failed);
    return check_failed > 0 || check_made == 0;
}

#endif
