/*
 * gbt_param.c - see gbt_param.h. One table holds every number; lists and words are beside it.
 */
#include "model/gbt_param.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum kind { INT, SEED, REAL, BOOL };

struct entry {
    const char *name, *aliases; /* aliases between spaces */
    enum kind kind;
    size_t at;
    double value, low, high;
};

#define P(field) offsetof(struct gbt_param, field)
#define BIG 1e300
static const struct entry entries[] = {
    { "num_iterations", " num_iteration n_iter num_tree num_trees num_round num_rounds nrounds"
      " num_boost_round n_estimators max_iter ", INT, P(num_iterations), 100, 1, 1000000 },
    { "learning_rate", " shrinkage_rate eta ", REAL, P(learning_rate), 0.1, 1e-9, 1e3 },
    { "num_leaves", " num_leaf max_leaves max_leaf max_leaf_nodes ", INT, P(num_leaves), 31, 2, 131072 },
    { "max_depth", " ", INT, P(max_depth), -1, -1e9, 1e9 },
    { "min_data_in_leaf", " min_data_per_leaf min_data min_child_samples min_samples_leaf ", INT,
      P(min_data_in_leaf), 20, 0, 1e9 },
    { "min_sum_hessian_in_leaf", " min_sum_hessian_per_leaf min_sum_hessian min_hessian"
      " min_child_weight ", REAL, P(min_sum_hessian_in_leaf), 1e-3, 0, BIG },
    { "lambda_l1", " reg_alpha l1_regularization ", REAL, P(lambda_l1), 0, 0, BIG },
    { "lambda_l2", " reg_lambda lambda l2_regularization ", REAL, P(lambda_l2), 0, 0, BIG },
    { "min_gain_to_split", " min_split_gain ", REAL, P(min_gain_to_split), 0, 0, BIG },
    { "max_delta_step", " max_tree_output max_leaf_output ", REAL, P(max_delta_step), 0, 0, BIG },
    { "bagging_fraction", " sub_row subsample bagging ", REAL, P(bagging_fraction), 1, 1e-9, 1 },
    { "pos_bagging_fraction", " pos_sub_row pos_subsample pos_bagging ", REAL,
      P(pos_bagging_fraction), 1, 1e-9, 1 },
    { "neg_bagging_fraction", " neg_sub_row neg_subsample neg_bagging ", REAL,
      P(neg_bagging_fraction), 1, 1e-9, 1 },
    { "bagging_freq", " subsample_freq ", INT, P(bagging_freq), 0, 0, 1e9 },
    { "bagging_seed", " bagging_fraction_seed ", SEED, P(bagging_seed), -1, -1, 9e15 },
    { "feature_fraction", " sub_feature colsample_bytree ", REAL, P(feature_fraction), 1, 1e-9, 1 },
    { "feature_fraction_bynode", " sub_feature_bynode colsample_bynode ", REAL,
      P(feature_fraction_bynode), 1, 1e-9, 1 },
    { "feature_fraction_seed", " ", SEED, P(feature_fraction_seed), -1, -1, 9e15 },
    { "seed", " random_seed random_state ", SEED, P(seed), 0, -1, 9e15 },
    { "data_random_seed", " data_seed ", SEED, P(data_random_seed), -1, -1, 9e15 },
    { "top_rate", " ", REAL, P(top_rate), 0.2, 0, 1 },
    { "other_rate", " ", REAL, P(other_rate), 0.1, 0, 1 },
    { "early_stopping_round", " early_stopping_rounds early_stopping n_iter_no_change ", INT,
      P(early_stopping_round), 0, 0, 1e9 },
    { "early_stopping_min_delta", " ", REAL, P(early_stopping_min_delta), 0, 0, BIG },
    { "first_metric_only", " ", BOOL, P(first_metric_only), 0, 0, 1 },
    { "min_data_per_group", " ", INT, P(min_data_per_group), 100, 1, 1e9 },
    { "max_cat_threshold", " ", INT, P(max_cat_threshold), 32, 1, 1e9 },
    { "cat_l2", " ", REAL, P(cat_l2), 10, 0, BIG },
    { "cat_smooth", " ", REAL, P(cat_smooth), 10, 0, BIG },
    { "max_cat_to_onehot", " ", INT, P(max_cat_to_onehot), 4, 1, 1e9 },
    { "max_bin", " max_bins ", INT, P(max_bin), 255, 2, 65535 },
    { "min_data_in_bin", " ", INT, P(min_data_in_bin), 3, 1, 1e9 },
    { "bin_construct_sample_cnt", " subsample_for_bin ", INT, P(bin_construct_sample_cnt), 200000,
      1, 1e9 },
    { "enable_bundle", " is_enable_bundle bundle ", BOOL, P(enable_bundle), 1, 0, 1 },
    { "use_missing", " ", BOOL, P(use_missing), 1, 0, 1 },
    { "zero_as_missing", " ", BOOL, P(zero_as_missing), 0, 0, 1 },
    { "num_class", " num_classes ", INT, P(num_class), 1, 1, 10000 },
    { "is_unbalance", " unbalance unbalanced_sets ", BOOL, P(is_unbalance), 0, 0, 1 },
    { "scale_pos_weight", " ", REAL, P(scale_pos_weight), 1, 1e-9, BIG },
    { "sigmoid", " ", REAL, P(sigmoid), 1, 1e-9, 1e9 },
    { "boost_from_average", " ", BOOL, P(boost_from_average), 1, 0, 1 },
    { "alpha", " ", REAL, P(alpha), 0.9, 1e-9, 1e9 },
    { "fair_c", " ", REAL, P(fair_c), 1, 1e-9, BIG },
    { "poisson_max_delta_step", " ", REAL, P(poisson_max_delta_step), 0.7, 1e-9, 100 },
    { "tweedie_variance_power", " ", REAL, P(tweedie_variance_power), 1.5, 1, 1.999999 },
};
#undef P
#define N_ENTRIES (sizeof entries / sizeof entries[0])

static const struct { const char *name; enum gbt_goal goal; } goals[] = {
    { "regression", GBT_REGRESSION }, { "regression_l2", GBT_REGRESSION }, { "l2", GBT_REGRESSION },
    { "mean_squared_error", GBT_REGRESSION }, { "mse", GBT_REGRESSION }, { "rmse", GBT_REGRESSION },
    { "regression_l1", GBT_L1 }, { "l1", GBT_L1 }, { "mean_absolute_error", GBT_L1 },
    { "mae", GBT_L1 }, { "huber", GBT_HUBER }, { "fair", GBT_FAIR }, { "quantile", GBT_QUANTILE },
    { "poisson", GBT_POISSON }, { "gamma", GBT_GAMMA }, { "tweedie", GBT_TWEEDIE },
    { "binary", GBT_BINARY }, { "multiclass", GBT_MULTICLASS }, { "softmax", GBT_MULTICLASS },
};

static const struct { const char *name; enum gbt_metric_id id; } metrics[] = {
    { "l2", GBT_M_L2 }, { "mean_squared_error", GBT_M_L2 }, { "mse", GBT_M_L2 },
    { "regression", GBT_M_L2 }, { "rmse", GBT_M_RMSE }, { "root_mean_squared_error", GBT_M_RMSE },
    { "l1", GBT_M_L1 }, { "mae", GBT_M_L1 }, { "mean_absolute_error", GBT_M_L1 },
    { "regression_l1", GBT_M_L1 }, { "huber", GBT_M_HUBER }, { "fair", GBT_M_FAIR },
    { "quantile", GBT_M_QUANTILE }, { "mape", GBT_M_MAPE }, { "poisson", GBT_M_POISSON },
    { "gamma", GBT_M_GAMMA }, { "tweedie", GBT_M_TWEEDIE }, { "binary_logloss", GBT_M_LOGLOSS },
    { "binary", GBT_M_LOGLOSS }, { "binary_error", GBT_M_ERROR }, { "auc", GBT_M_AUC },
    { "multi_logloss", GBT_M_MULTI_LOGLOSS }, { "multiclass", GBT_M_MULTI_LOGLOSS },
    { "multi_error", GBT_M_MULTI_ERROR },
};

void gbt_param_init(struct gbt_param *p)
{
    memset(p, 0, sizeof *p);
    for (size_t i = 0; i < N_ENTRIES; i++) {
        char *at = (char *)p + entries[i].at;

        if (entries[i].kind == REAL)
            *(double *)at = entries[i].value;
        else if (entries[i].kind == SEED)
            *(int64_t *)at = (int64_t)entries[i].value;
        else
            *(int *)at = (int)entries[i].value;
    }
}

static int set_entry(struct gbt_param *p, const struct entry *n, const char *value, struct err *e)
{
    char *at = (char *)p + n->at, *end;
    double x;

    if (n->kind == BOOL && (strcmp(value, "true") == 0 || strcmp(value, "+") == 0)) {
        *(int *)at = 1;
        return 0;
    }
    if (n->kind == BOOL && (strcmp(value, "false") == 0 || strcmp(value, "-") == 0)) {
        *(int *)at = 0;
        return 0;
    }
    x = strtod(value, &end);
    if (end == value || *end != '\0' || !(x >= n->low && x <= n->high))
        return err_set(e, ERR_INVALID, "%s = %.40s: a number from %g to %g expected", n->name, value,
                       n->low, n->high);
    if (n->kind != REAL && x != floor(x))
        return err_set(e, ERR_INVALID, "%s = %.40s: a whole number expected", n->name, value);
    if (n->kind == REAL)
        *(double *)at = x;
    else if (n->kind == SEED)
        *(int64_t *)at = (int64_t)x;
    else
        *(int *)at = (int)x;
    return 0;
}

static int set_goal(struct gbt_param *p, const char *value, struct err *e)
{
    for (size_t i = 0; i < sizeof goals / sizeof goals[0]; i++)
        if (strcmp(value, goals[i].name) == 0) {
            p->goal = goals[i].goal;
            return 0;
        }
    return err_set(e, ERR_UNSUPPORTED, "objective %.40s is not known", value);
}

static int set_metrics(struct gbt_param *p, const char *value, struct err *e)
{
    p->n_metrics = p->no_metric = 0;
    while (*value != '\0') {
        size_t n = strcspn(value, ", "), i, count = sizeof metrics / sizeof metrics[0];

        for (i = 0; i < count; i++)
            if (strlen(metrics[i].name) == n && strncmp(metrics[i].name, value, n) == 0)
                break;
        if (n == 4 && strncmp(value, "none", 4) == 0)
            p->no_metric = 1;
        else if (i == count)
            return err_set(e, ERR_UNSUPPORTED, "metric %.*s is not known", (int)n, value);
        else if (p->n_metrics == GBT_METRICS_MAX)
            return err_set(e, ERR_LIMIT, "at most %d metrics", GBT_METRICS_MAX);
        else
            p->metrics[p->n_metrics++] = metrics[i].id;
        value += n;
        value += strspn(value, ", ");
    }
    return 0;
}

/* Numbers separated by commas or blanks, handed to `put` one by one. */
static int set_list(struct gbt_param *p, const char *name, const char *value, double low,
                    double high, int max, int (*put)(struct gbt_param *, double), struct err *e)
{
    while (*(value += strspn(value, ", ")) != '\0') {
        char *end;
        double x = strtod(value, &end);

        if (end == value || (*end != '\0' && *end != ',' && *end != ' ') ||
            !(x >= low && x <= high))
            return err_set(e, ERR_INVALID, "%s: numbers from %g to %g expected, found %.40s", name,
                           low, high, value);
        if (put(p, x) > max)
            return err_set(e, ERR_LIMIT, "%s: at most %d numbers", name, max);
        value = end;
    }
    return 0;
}

static int put_categorical(struct gbt_param *p, double x)
{
    if (p->n_categorical < GBT_LIST_MAX)
        p->categorical[p->n_categorical++] = (int)x;
    else
        return GBT_LIST_MAX + 1;
    return p->n_categorical;
}

static int put_monotone(struct gbt_param *p, double x)
{
    if (p->n_monotone < GBT_LIST_MAX)
        p->monotone[p->n_monotone++] = (int8_t)x;
    else
        return GBT_LIST_MAX + 1;
    return p->n_monotone;
}

static int put_class_weight(struct gbt_param *p, double x)
{
    if (p->n_class_weight < 64)
        p->class_weight[p->n_class_weight++] = x;
    else
        return 65;
    return p->n_class_weight;
}

static int is_alias(const char *list, const char *name)
{
    size_t n = strlen(name);

    for (const char *at = list; n > 0 && (at = strstr(at, name)) != NULL; at++)
        if (at > list && at[-1] == ' ' && at[n] == ' ')
            return 1;
    return 0;
}

int gbt_param_set(struct gbt_param *p, const char *name, const char *value, struct err *e)
{
    for (size_t i = 0; i < N_ENTRIES; i++)
        if (strcmp(name, entries[i].name) == 0 || is_alias(entries[i].aliases, name))
            return set_entry(p, &entries[i], value, e);
    if (is_alias(" objective objective_type app application loss ", name))
        return set_goal(p, value, e);
    if (is_alias(" metric metrics metric_types ", name))
        return set_metrics(p, value, e);
    if (is_alias(" categorical_feature cat_feature categorical_column categorical_features ", name)) {
        p->n_categorical = 0;
        return set_list(p, name, value, 0, 1e6, GBT_LIST_MAX, put_categorical, e);
    }
    if (is_alias(" monotone_constraints mc monotone_constraint monotonic_cst ", name)) {
        p->n_monotone = 0;
        return set_list(p, name, value, -1, 1, GBT_LIST_MAX, put_monotone, e);
    }
    if (strcmp(name, "class_weight") == 0) {
        p->n_class_weight = 0;
        return set_list(p, name, value, 0, BIG, 64, put_class_weight, e);
    }
    if (is_alias(" boosting boosting_type boost data_sample_strategy ", name)) {
        if (strcmp(value, "goss") == 0)
            p->goss = 1;
        else if (strcmp(value, "gbdt") != 0 && strcmp(value, "gbrt") != 0 &&
                 strcmp(value, "bagging") != 0)
            return err_set(e, ERR_UNSUPPORTED, "%s = %.40s: gbdt or goss expected", name, value);
        return 0;
    }
    return err_set(e, ERR_NOTFOUND, "there is no parameter %.60s", name);
}

int gbt_param_check(const struct gbt_param *p, struct err *e)
{
    if (p->goal == GBT_MULTICLASS && p->num_class < 2)
        return err_set(e, ERR_INVALID, "num_class = %d: multiclass needs 2 or more", p->num_class);
    if (p->goal != GBT_MULTICLASS && p->num_class != 1)
        return err_set(e, ERR_INVALID, "num_class = %d: only multiclass has classes", p->num_class);
    if (p->goal == GBT_QUANTILE && p->alpha >= 1)
        return err_set(e, ERR_INVALID, "alpha = %g: a quantile is below 1", p->alpha);
    if (p->goss && !(p->top_rate + p->other_rate <= 1 && p->top_rate + p->other_rate > 0))
        return err_set(e, ERR_INVALID, "top_rate + other_rate = %g: above 0, at most 1 expected",
                       p->top_rate + p->other_rate);
    if (p->n_class_weight > 0 &&
        p->n_class_weight != (p->goal == GBT_MULTICLASS ? p->num_class : 2))
        return err_set(e, ERR_INVALID, "class_weight has %d numbers, one per class expected",
                       p->n_class_weight);
    if (p->n_class_weight > 0 && p->goal != GBT_BINARY && p->goal != GBT_MULTICLASS)
        return err_set(e, ERR_INVALID, "class_weight needs a binary or multiclass objective");
    if (p->is_unbalance && p->scale_pos_weight != 1)
        return err_set(e, ERR_INVALID, "is_unbalance and scale_pos_weight exclude each other");
    return 0;
}

static const char *goal_name(enum gbt_goal goal)
{
    for (size_t i = 0; i < sizeof goals / sizeof goals[0]; i++)
        if (goals[i].goal == goal)
            return goals[i].name;
    return "";
}

int gbt_param_objective(const struct gbt_param *p, struct buf *b, struct err *e)
{
    if (buf_adds(b, goal_name(p->goal), e) != 0)
        return -1;
    if (p->goal == GBT_BINARY)
        return buf_addf(b, e, " sigmoid:%g", p->sigmoid);
    if (p->goal == GBT_MULTICLASS)
        return buf_addf(b, e, " num_class:%d", p->num_class);
    return 0;
}

int gbt_param_write(const struct gbt_param *p, struct buf *b, struct err *e)
{
    enum gbt_metric_id ids[GBT_METRICS_MAX];
    int n = gbt_param_metrics(p, ids);

    if (buf_addf(b, e, "[boosting: gbdt]\n[objective: %s]\n[metric: ", goal_name(p->goal)) != 0)
        return -1;
    for (int i = 0; i < n; i++)
        if (buf_addf(b, e, i > 0 ? ",%s" : "%s", gbt_param_metric_name(ids[i])) != 0)
            return -1;
    if (buf_addf(b, e, "]\n[data_sample_strategy: %s]\n", p->goss ? "goss" : "bagging") != 0)
        return -1;
    for (size_t i = 0; i < N_ENTRIES; i++) {
        const char *at = (const char *)p + entries[i].at;
        double x = entries[i].kind == REAL ? *(const double *)at
                   : entries[i].kind == SEED ? (double)*(const int64_t *)at
                                             : *(const int *)at;

        if (buf_addf(b, e, "[%s: %.15g]\n", entries[i].name, x) != 0)
            return -1;
    }
    if (buf_adds(b, "[monotone_constraints: ", e) != 0)
        return -1;
    for (int i = 0; i < p->n_monotone; i++)
        if (buf_addf(b, e, i > 0 ? ",%d" : "%d", p->monotone[i]) != 0)
            return -1;
    if (buf_adds(b, "]\n[categorical_feature: ", e) != 0)
        return -1;
    for (int i = 0; i < p->n_categorical; i++)
        if (buf_addf(b, e, i > 0 ? ",%d" : "%d", p->categorical[i]) != 0)
            return -1;
    return buf_adds(b, "]\n\n", e);
}

int gbt_param_metrics(const struct gbt_param *p, enum gbt_metric_id out[GBT_METRICS_MAX])
{
    static const enum gbt_metric_id own[] = {
        [GBT_REGRESSION] = GBT_M_L2, [GBT_L1] = GBT_M_L1, [GBT_HUBER] = GBT_M_HUBER,
        [GBT_FAIR] = GBT_M_FAIR, [GBT_QUANTILE] = GBT_M_QUANTILE, [GBT_POISSON] = GBT_M_POISSON,
        [GBT_GAMMA] = GBT_M_GAMMA, [GBT_TWEEDIE] = GBT_M_TWEEDIE, [GBT_BINARY] = GBT_M_LOGLOSS,
        [GBT_MULTICLASS] = GBT_M_MULTI_LOGLOSS,
    };

    if (p->no_metric)
        return 0;
    if (p->n_metrics == 0) {
        out[0] = own[p->goal];
        return 1;
    }
    memcpy(out, p->metrics, sizeof p->metrics);
    return p->n_metrics;
}

const char *gbt_param_metric_name(enum gbt_metric_id id)
{
    for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++)
        if (metrics[i].id == id)
            return metrics[i].name;
    return "";
}
