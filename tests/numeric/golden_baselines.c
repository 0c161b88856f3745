/*
 * golden_baselines.c - every series and result of golden/baselines.
 */
#include "check.h"
#include "golden_json.h"

#include "model/baseline.h"

/* As the fixtures state: 1e-10 relative, floor 1e-10. */
#define REL 1e-10

static int results;

static void near(const char *series, const char *method, const char *what, double found,
                 double expected)
{
    check_made++;
    if (golden_near(found, expected, REL, REL))
        return;
    check_failed++;
    printf("%s, %s, %s: %.17g, expected %.17g\n", series, method, what, found, expected);
}

static void demand_class(const char *id, const cJSON *r, const double *y, size_t n)
{
    struct baseline_demand_class c = baseline_demand_of(y, n);
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItem(r, "class"));

    near(id, "demand_class", "adi", c.adi, golden_field(r, "adi", NAN));
    near(id, "demand_class", "cv2", c.cv2, golden_field(r, "cv2", NAN));
    if (name == NULL)
        CHECK(c.name == NULL);
    else
        CHECK_STR(c.name, name);
}

/* Every parameter the file gives must be one that is set. */
static struct baseline_opt options(const cJSON *r, const char *method)
{
    struct baseline_opt o = baseline_default(baseline_of(method));
    const cJSON *p;

    cJSON_ArrayForEach(p, cJSON_GetObjectItem(r, "params"))
    {
        double v = golden_number(p);

        if (strcmp(p->string, "m") == 0)
            o.season = (size_t)v;
        else if (strcmp(p->string, "k") == 0)
            o.window = (size_t)v;
        else if (strcmp(p->string, "alpha") == 0)
            o.alpha = v;
        else if (strcmp(p->string, "beta") == 0)
            o.beta = v;
        else if (strcmp(p->string, "gamma") == 0)
            o.gamma = v;
        else if (strcmp(p->string, "phi") == 0)
            o.phi = v;
        else if (strcmp(p->string, "alpha_p") == 0)
            o.alpha_p = v;
        else
            CHECK_STR(p->string, "a known parameter");
    }
    return o;
}

static void one_result(const char *id, const cJSON *r, const double *y, size_t n, size_t H)
{
    const char *method = golden_name(r, "method");
    double *mean = calloc(H + 1, sizeof *mean), *sd = calloc(H + 1, sizeof *sd);
    double *fitted = calloc(n + 1, sizeof *fitted), *list;
    struct baseline_result out = {.mean = mean, .sd = sd, .fitted = fitted};
    struct baseline_opt o = options(r, method);
    struct err e;
    size_t m;

    CHECK(o.method != BASELINE_COUNT);
    CHECK_INT(baseline_series(&o, y, n, H, NULL, 0, &out, &e), 0);
    list = golden_array(r, "forecast", &m);
    CHECK_INT(out.is_defined, list != NULL);
    CHECK(cJSON_GetObjectItem(r, "forecast") != NULL);
    for (size_t h = 0; h < H; h++)
        near(id, method, "forecast", mean[h], list != NULL && h < m ? list[h] : NAN);
    free(list);
    list = golden_array(r, "fitted", &m);
    for (size_t t = 0; list != NULL && t < n; t++)
        near(id, method, "fitted", fitted[t], t < m ? list[t] : NAN);
    free(list);
    if (cJSON_GetObjectItem(r, "sse") != NULL)
        near(id, method, "sse", out.sse, golden_field(r, "sse", NAN));
    if (cJSON_GetObjectItem(r, "alpha") != NULL)
        near(id, method, "alpha", out.alpha, golden_field(r, "alpha", NAN));
    free(mean);
    free(sd);
    free(fitted);
}

int main(void)
{
    cJSON *json = golden_open("baselines", "baselines.json");
    const cJSON *series, *r;

    CHECK_STR(golden_name(json, "format"), "golden-baselines-1");
    cJSON_ArrayForEach(series, cJSON_GetObjectItem(json, "series"))
    {
        const char *id = golden_name(series, "id");
        size_t n, H = (size_t)golden_field(series, "horizon", 8);
        double *y = golden_array(series, "y", &n);

        cJSON_ArrayForEach(r, cJSON_GetObjectItem(series, "results"))
        {
            if (strcmp(golden_name(r, "method"), "demand_class") == 0)
                demand_class(id, r, y, n);
            else
                one_result(id, r, y, n, H);
            results++;
        }
        free(y);
    }
    CHECK(results > 0);
    printf("%d results\n", results);
    cJSON_Delete(json);
    return check_done();
}
