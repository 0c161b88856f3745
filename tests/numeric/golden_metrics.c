/*
 * golden_metrics.c - every case of golden/metrics, in f64 and in f32.
 */
#include "check.h"
#include "golden_json.h"

#include "model/metric_class.h"
#include "model/metric_interval.h"
#include "model/metric_point.h"
#include "model/metric_quantile.h"

/* The tolerances the fixtures state: relative, with a floor. */
#define REL_F64 1e-10
#define FLOOR_F64 1e-12
#define REL_F32 1e-5
#define FLOOR_F32 1e-6

static int cases;

/*
 * One array in both widths. Where a number of the file has no exact f32 form the f32 input is
 * another input, so there the expected value of a point score is that of the f64 routine (which
 * the file has just judged) on the rounded numbers.
 */
struct both {
    double *d;
    float *f;
    size_t n;
};

static struct both both_of(const cJSON *object, const char *name)
{
    struct both b = {NULL, NULL, 0};

    b.d = golden_array(object, name, &b.n);
    b.f = b.d != NULL ? golden_floats(b.d, b.n) : NULL;
    return b;
}

static void both_free(struct both *b)
{
    free(b->d);
    free(b->f);
}

static struct metric_vec vec(const struct both *b, int single)
{
    return (struct metric_vec){single ? NULL : b->d, single ? b->f : NULL, b->n};
}

static void near(const char *id, const char *what, int single, double found, double expected)
{
    check_made++;
    if (golden_near(found, expected, single ? REL_F32 : REL_F64, single ? FLOOR_F32 : FLOOR_F64))
        return;
    check_failed++;
    printf("%s, %s, f%d: %.17g, expected %.17g\n", id, what, single ? 32 : 64, found, expected);
}

/* Every number the file expects must be one we know. */
struct known {
    const char *name;
    double value;
};

static void all_known(const char *id, const cJSON *expected, const struct known *known,
                      int single)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, expected)
    {
        const struct known *k = known;

        if (cJSON_IsArray(item))
            continue; /* the caller compares those */
        while (k->name != NULL && strcmp(k->name, item->string) != 0)
            k++;
        CHECK(k->name != NULL);
        if (k->name != NULL)
            near(id, k->name, single, k->value, golden_number(item));
    }
}

static int is_rounded(const struct both *b)
{
    for (size_t i = 0; i < b->n; i++)
        if ((double)b->f[i] != b->d[i])
            return 1;
    return 0;
}

static void round_all(struct both *b)
{
    for (size_t i = 0; i < b->n; i++)
        b->d[i] = (double)b->f[i];
}

#define POINT_FIELDS 15
static void point_fields(struct known *k, const struct metric_point *p)
{
    const struct known all[POINT_FIELDS + 1] = {
        {"mae", p->mae}, {"mse", p->mse}, {"rmse", p->rmse}, {"bias", p->bias},
        {"medae", p->medae}, {"max_error", p->max_error}, {"mape_nonzero", p->mape_nonzero},
        {"mape_nonzero_n", (double)p->mape_nonzero_n}, {"mape_eps", p->mape_eps},
        {"smape", p->smape}, {"wape", p->wape}, {"r2", p->r2}, {"mase", p->mase},
        {"rmsse", p->rmsse}, {"rmsse_m5", p->rmsse_m5}, {NULL, 0}};

    memcpy(k, all, sizeof all);
}

static void point_case(const cJSON *c, int single)
{
    const char *id = golden_name(c, "id");
    struct both y = both_of(c, "actual"), f = both_of(c, "forecast"), x = both_of(c, "train");
    struct both w = both_of(c, "weight");
    struct metric_vec vy = vec(&y, single), vf = vec(&f, single), vx = vec(&x, single);
    struct metric_vec vw = vec(&w, single);
    struct known known[POINT_FIELDS + 1], exact[POINT_FIELDS + 1];
    size_t season = (size_t)golden_field(c, "season", 1);
    struct metric_point p;
    struct err e;

    CHECK_INT(metric_point_calc(&p, &vy, &vf, &vw, &vx, season, &e), 0);
    point_fields(known, &p);
    if (single && (is_rounded(&y) || is_rounded(&f) || is_rounded(&x))) {
        round_all(&y);
        round_all(&f);
        round_all(&x);
        vy = vec(&y, 0);
        vf = vec(&f, 0);
        vx = vec(&x, 0);
        vw = vec(&w, 0);
        CHECK_INT(metric_point_calc(&p, &vy, &vf, &vw, &vx, season, &e), 0);
        point_fields(exact, &p);
        for (int i = 0; i < POINT_FIELDS; i++)
            near(id, known[i].name, 1, known[i].value, exact[i].value);
    } else {
        all_known(id, cJSON_GetObjectItem(c, "expected"), known, single);
    }
    both_free(&y);
    both_free(&f);
    both_free(&x);
    both_free(&w);
}

static void compare_list(const char *id, const cJSON *expected, const char *name,
                         const double *found, size_t n, int single)
{
    size_t m;
    double *list = golden_array(expected, name, &m);

    CHECK_INT(m, n);
    for (size_t i = 0; i < n && i < m; i++)
        near(id, name, single, found[i], list[i]);
    free(list);
}

static void quantile_case(const cJSON *c, int single)
{
    const char *id = golden_name(c, "id");
    const cJSON *expected = cJSON_GetObjectItem(c, "expected");
    struct both y = both_of(c, "actual"), f = both_of(c, "forecast"), s = both_of(c, "samples");
    struct both w = both_of(c, "weight"), levels = both_of(c, "quantiles");
    struct metric_vec vy = vec(&y, single), vf = vec(&f, single), vs = vec(&s, single);
    struct metric_vec vw = vec(&w, single);
    double *per = calloc(3 * levels.n + 1, sizeof *per), crps = NAN, fair = NAN;
    struct metric_quantile q = {.pinball = per, .wql = per + levels.n, .below = per + 2 * levels.n};
    struct err e;

    CHECK_INT(metric_quantile_calc(&q, &vy, &vf, levels.d, levels.n, &vw, NULL, &e), 0);
    CHECK_INT(metric_quantile_samples(&crps, &fair, &vy, &vs, golden_shape(c, "samples", 1), &vw,
                                      &e), 0);
    struct known known[] = {{"pinball_mean", q.pinball_mean}, {"wql_mean", q.wql_mean},
        {"crps_quantile_mean", q.crps_mean}, {"crps_quantile_trapezoid", q.crps_trapezoid},
        {"coverage", q.coverage}, {"interval_width", q.width}, {"winkler", q.winkler},
        {"crossings", (double)q.crossings}, {"crps_ensemble", crps}, {"crps_ensemble_fair", fair},
        {NULL, 0}};
    all_known(id, expected, known, single);
    compare_list(id, expected, "pinball_per_quantile", q.pinball, levels.n, single);
    compare_list(id, expected, "wql_per_quantile", q.wql, levels.n, single);
    compare_list(id, expected, "below_per_quantile", q.below, levels.n, single);
    both_free(&y);
    both_free(&f);
    both_free(&s);
    both_free(&w);
    both_free(&levels);
    free(per);
}

static void class_case(const cJSON *c, int single)
{
    const char *id = golden_name(c, "id");
    const cJSON *expected = cJSON_GetObjectItem(c, "expected"), *at;
    struct both y = both_of(c, "label"), s = both_of(c, "score"), w = both_of(c, "weight");
    struct metric_vec vy = vec(&y, single), vs = vec(&s, single), vw = vec(&w, single);
    struct metric_class m;
    struct err e;

    CHECK_INT(metric_class_calc(&m, &vy, &vs, &vw, &e), 0);
    struct known known[] = {{"roc_auc", m.roc_auc}, {"average_precision", m.average_precision},
        {"brier", m.brier}, {"logloss", m.logloss}, {"best_f1", m.best_f1},
        {"best_f1_threshold", m.best_threshold}, {NULL, 0}};
    all_known(id, expected, known, single);
    CHECK(cJSON_GetArraySize(cJSON_GetObjectItem(expected, "at_thresholds")) > 0);
    cJSON_ArrayForEach(at, cJSON_GetObjectItem(expected, "at_thresholds"))
    {
        double t = golden_field(at, "threshold", NAN);
        struct metric_class_at x;

        CHECK_INT(metric_class_threshold(&x, &vy, &vs, &vw, t, &e), 0);
        struct known each[] = {{"threshold", t}, {"tp", x.tp}, {"fp", x.fp}, {"fn", x.fn},
            {"tn", x.tn}, {"precision", x.precision}, {"recall", x.recall}, {"f1", x.f1},
            {"accuracy", x.accuracy}, {NULL, 0}};
        all_known(id, at, each, single);
    }
    both_free(&y);
    both_free(&s);
    both_free(&w);
}

/* Adds every batch of a case. */
static void feed(struct metric_interval *m, const cJSON *c, int single)
{
    const cJSON *b;

    cJSON_ArrayForEach(b, cJSON_GetObjectItem(c, "batches"))
    {
        struct both x = both_of(b, "pred"), y = both_of(b, "actual");
        struct metric_vec vx = vec(&x, single), vy = vec(&y, single);
        struct err e;

        CHECK_INT(metric_interval_add(m, &vx, golden_shape(b, "pred", 1), &vy, &e), 0);
        both_free(&x);
        both_free(&y);
    }
}

static struct metric_interval_opt options(const cJSON *r, int single)
{
    const cJSON *p = cJSON_GetObjectItem(r, "params");
    const cJSON *interval = cJSON_GetObjectItem(p, "q_interval");
    const char *direction = golden_name(p, "direction");
    int is_mic = strcmp(golden_name(r, "metric"), "mic") == 0;
    struct metric_interval_opt o = metric_interval_plain(is_mic ? METRIC_MIC : METRIC_MIWS, single);

    if (interval != NULL) {
        o.q_lo = golden_number(cJSON_GetArrayItem(interval, 0));
        o.q_hi = golden_number(cJSON_GetArrayItem(interval, 1));
    }
    o.zero_thresh = golden_field(p, "zero_thresh", o.zero_thresh);
    o.nonzero_thresh = golden_field(p, "nonzero_thresh", o.nonzero_thresh);
    o.exp_base = golden_field(p, "exp_base", o.exp_base);
    o.direction = strcmp(direction, "min") == 0   ? METRIC_MIN
                  : strcmp(direction, "max") == 0 ? METRIC_MAX
                                                  : METRIC_ANY;
    return o;
}

static void interval_result(const cJSON *c, const cJSON *r, int single)
{
    const char *id = golden_name(c, "id"), *metric = golden_name(r, "metric");
    int fails = cJSON_IsTrue(cJSON_GetObjectItem(r, "error")), rc;
    struct metric_interval a, b;
    double value = NAN, expected = golden_field(r, single ? "value_f32" : "value", NAN), half;
    struct metric_interval_opt o = options(r, single);
    struct err e;

    if (strcmp(metric, "ratio") == 0) {
        struct metric_interval_opt x = metric_interval_half(METRIC_MIWS, single);
        struct metric_interval_opt y = metric_interval_half(METRIC_MIC, single);

        CHECK_INT(metric_interval_init(&a, &x, &e) | metric_interval_init(&b, &y, &e), 0);
        feed(&a, c, single);
        feed(&b, c, single);
        rc = metric_interval_ratio(&value, &a, &b, &e);
        if (!fails && !single) {
            CHECK_INT(metric_interval_value(&half, &a, &e), 0);
            near(id, "ratio miws", 0, half, golden_field(r, "miws", NAN));
            CHECK_INT(metric_interval_value(&half, &b, &e), 0);
            near(id, "ratio mic", 0, half, golden_field(r, "mic", NAN));
        }
    } else {
        CHECK(strcmp(metric, "miws") == 0 || strcmp(metric, "mic") == 0);
        CHECK_INT(metric_interval_init(&a, &o, &e), 0);
        feed(&a, c, single);
        rc = metric_interval_value(&value, &a, &e);
        if (!fails) {
            near(id, "zero_sum", single, a.zero_sum, golden_field(r, "zero_sum", NAN));
            near(id, "non_zero_sum", single, a.nonzero_sum, golden_field(r, "non_zero_sum", NAN));
            near(id, "zero_count", single, a.zero_count, golden_field(r, "zero_count", NAN));
            near(id, "non_zero_count", single, a.nonzero_count,
                 golden_field(r, "non_zero_count", NAN));
        }
    }
    CHECK_INT(rc, fails ? -1 : 0);
    if (fails)
        CHECK_STR(err_name(e.code), "invalid");
    else
        near(id, metric, single, value, expected);
}

static void interval_case(const cJSON *c, int single)
{
    const cJSON *r;

    CHECK(cJSON_GetArraySize(cJSON_GetObjectItem(c, "results")) > 0);
    cJSON_ArrayForEach(r, cJSON_GetObjectItem(c, "results")) interval_result(c, r, single);
}

static void file_cases(const char *file)
{
    cJSON *json = golden_open("metrics", file);
    const cJSON *list = cJSON_GetObjectItem(json, "cases"), *c;
    static const struct {
        const char *kind;
        void (*run)(const cJSON *c, int single);
    } kinds[] = {{"point", point_case}, {"quantile", quantile_case},
                 {"interval", interval_case}, {"classification", class_case}, {NULL, NULL}};
    int k = 0;

    while (kinds[k].kind != NULL && strcmp(kinds[k].kind, golden_name(json, "file")) != 0)
        k++;
    CHECK(kinds[k].run != NULL);
    CHECK(cJSON_GetArraySize(list) > 0);
    cJSON_ArrayForEach(c, list)
    {
        for (int single = 0; single < 2 && kinds[k].run != NULL; single++)
            kinds[k].run(c, single);
        cases++;
    }
    cJSON_Delete(json);
}

int main(void)
{
    cJSON *index = golden_open("metrics", "index.json");
    const cJSON *file;

    CHECK_STR(golden_name(index, "format"), "golden-metrics-1");
    cJSON_ArrayForEach(file, cJSON_GetObjectItem(index, "files"))
        file_cases(cJSON_GetStringValue(file));
    CHECK(cases > 0);
    printf("%d cases\n", cases);
    cJSON_Delete(index);
    return check_done();
}
