#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "check.h"
#include "model/calibrate.h"

#define N 4000

static double score[N], label[N];

/* Labels with chance 1 / (1 + exp(-(2 s - 1))). */
static void make(void)
{
    uint64_t state = 88172645463325252u;

    for (int i = 0; i < N; i++) {
        double u[2];

        for (int k = 0; k < 2; k++) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            u[k] = (double)(state >> 11) * 0x1p-53;
        }
        score[i] = 6 * u[0] - 3;
        label[i] = u[1] < 1 / (1 + exp(-(2 * score[i] - 1)));
    }
}

static void test_platt(void)
{
    struct calibrate_platt c;
    double sum = 0, sum_label = 0;
    struct err e;

    CHECK_INT(calibrate_platt_fit(&c, score, label, NULL, N, &e), 0);
    CHECK_NEAR(c.a, -2, 0.1, 1);
    CHECK_NEAR(c.b, 1, 0.1, 1);
    for (int i = 0; i < N; i++) {
        sum += calibrate_platt_value(&c, score[i]);
        sum_label += label[i];
    }
    CHECK_NEAR(sum, sum_label, 2e-3, 1); /* at the optimum but for the smoothed targets */
    CHECK_NEAR(calibrate_platt_value(&c, 1e308), 1, 1e-12, 1);
    CHECK_NEAR(calibrate_platt_value(&c, -1e308), 0, 1e-12, 1);
}

static void test_isotonic(void)
{
    static const double s[] = { 1, 2, 3, 4, 4, 5 }, y[] = { 0, 1, 0, 1, 1, 1 };
    struct calibrate_isotonic c;
    struct err e;
    double before = 0;

    CHECK_INT(calibrate_isotonic_fit(&c, s, y, NULL, 6, &e), 0);
    CHECK_NEAR(calibrate_isotonic_value(&c, 0), 0, 0, 1);
    CHECK_NEAR(calibrate_isotonic_value(&c, 1.5), 0.25, 1e-15, 1);
    CHECK_NEAR(calibrate_isotonic_value(&c, 2.5), 0.5, 1e-15, 1);
    CHECK_NEAR(calibrate_isotonic_value(&c, 3.5), 0.75, 1e-15, 1);
    CHECK_NEAR(calibrate_isotonic_value(&c, 9), 1, 0, 1);
    CHECK(isnan(calibrate_isotonic_value(&c, NAN)));
    calibrate_isotonic_deinit(&c);
    calibrate_isotonic_deinit(&c);
    CHECK_INT(calibrate_isotonic_fit(&c, score, label, NULL, N, &e), 0);
    for (double x = -3; x < 3; x += 0.01) {
        double p = calibrate_isotonic_value(&c, x);

        CHECK(p >= before && p <= 1);
        before = p;
    }
    CHECK_NEAR(calibrate_isotonic_value(&c, 0.5), 0.5, 0.1, 1);
    calibrate_isotonic_deinit(&c);
}

static void test_threshold(void)
{
    static const double p[] = { 0.1, 0.2, 0.3, 0.6, 0.7, 0.9 }, y[] = { 0, 0, 1, 0, 1, 1 };
    struct calibrate_choice c;
    struct err e;

    CHECK_INT(calibrate_threshold(&c, CALIBRATE_F1, 0, 0, p, y, NULL, 6, &e), 0);
    CHECK_NEAR(c.value, 6.0 / 7, 1e-15, 1); /* all from 0.3 up: 3 hits, 1 false alarm */
    CHECK_NEAR(c.threshold, 0.25, 1e-15, 1);
    CHECK_NEAR(c.recall, 1, 0, 1);
    CHECK_NEAR(c.precision, 0.75, 0, 1);
    CHECK_INT(calibrate_threshold(&c, CALIBRATE_COST, 10, 1, p, y, NULL, 6, &e), 0);
    CHECK_NEAR(c.threshold, 0.65, 1e-15, 1); /* a false alarm is dear */
    CHECK_NEAR(c.value, -1.0 / 6, 1e-15, 1);
    CHECK_INT(calibrate_threshold(&c, CALIBRATE_ACCURACY, 0, 0, p, y, NULL, 6, &e), 0);
    CHECK_NEAR(c.value, 5.0 / 6, 1e-15, 1);
    CHECK_INT(calibrate_threshold(&c, CALIBRATE_BALANCED, 0, 0, p, y, NULL, 6, &e), 0);
    CHECK_NEAR(c.value, 5.0 / 6, 1e-15, 1);
}

static void test_bad(void)
{
    static const double s[] = { 1, 2, NAN }, one[] = { 1, 1, 1 }, y[] = { 0, 1, 0.5 };
    struct calibrate_isotonic iso;
    struct calibrate_choice c;
    struct calibrate_platt p;
    struct err e;

    CHECK_INT(calibrate_platt_fit(&p, s, one, NULL, 2, &e), -1);
    CHECK_INT(e.code, ERR_INVALID);
    CHECK_INT(calibrate_platt_fit(&p, s, y, NULL, 3, &e), -1);
    CHECK_INT(e.code, ERR_NAN);
    CHECK_INT(calibrate_isotonic_fit(&iso, one, y, NULL, 3, &e), -1);
    CHECK_INT(e.code, ERR_INVALID);
    CHECK_INT(calibrate_threshold(&c, CALIBRATE_F1, 0, 0, s, y, NULL, 0, &e), -1);
    for (size_t n = 1; n <= 4; n++) {
        mem_fail_at(n);
        CHECK_INT(calibrate_isotonic_fit(&iso, score, label, NULL, N, &e), -1);
        CHECK_INT(e.code, ERR_NOMEM);
    }
    mem_fail_at(1);
    CHECK_INT(calibrate_threshold(&c, CALIBRATE_F1, 0, 0, score, label, NULL, N, &e), -1);
    mem_fail_at(0);
}

int main(void)
{
    make();
    test_platt();
    test_isotonic();
    test_threshold();
    test_bad();
    CHECK_INT(mem_live(), 0);
    return check_done();
}
