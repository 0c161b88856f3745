/*
 * gbt_param.h - the parameters of a training run. Names, aliases, meanings and defaults are
 * LightGBM's; gbt_param_set takes them as text, so a train.conf or an option table works as it is.
 */
#ifndef MODEL_GBT_PARAM_H
#define MODEL_GBT_PARAM_H

#include <stdint.h>

#include "base/buf.h"

#define GBT_LIST_MAX 4096
#define GBT_METRICS_MAX 8

enum gbt_goal { GBT_REGRESSION, GBT_L1, GBT_HUBER, GBT_FAIR, GBT_QUANTILE, GBT_POISSON, GBT_GAMMA,
                GBT_TWEEDIE, GBT_BINARY, GBT_MULTICLASS };
enum gbt_metric_id { GBT_M_L2, GBT_M_RMSE, GBT_M_L1, GBT_M_HUBER, GBT_M_FAIR, GBT_M_QUANTILE,
                     GBT_M_MAPE, GBT_M_POISSON, GBT_M_GAMMA, GBT_M_TWEEDIE, GBT_M_LOGLOSS,
                     GBT_M_ERROR, GBT_M_AUC, GBT_M_MULTI_LOGLOSS, GBT_M_MULTI_ERROR, GBT_N_METRICS };

struct gbt_param {
    enum gbt_goal goal;
    int n_metrics; /* 0: the objective's own */
    enum gbt_metric_id metrics[GBT_METRICS_MAX];
    int no_metric; /* metric = none */
    int goss;
    int num_iterations, num_leaves, max_depth, min_data_in_leaf, max_bin, min_data_in_bin;
    int bagging_freq, bin_construct_sample_cnt, early_stopping_round, num_class;
    int max_cat_threshold, max_cat_to_onehot, min_data_per_group;
    int use_missing, zero_as_missing, enable_bundle, boost_from_average, is_unbalance;
    int first_metric_only;
    int64_t seed, bagging_seed, feature_fraction_seed, data_random_seed; /* -1: from seed */
    double learning_rate, min_sum_hessian_in_leaf, lambda_l1, lambda_l2, min_gain_to_split;
    double max_delta_step, bagging_fraction, pos_bagging_fraction, neg_bagging_fraction;
    double feature_fraction, feature_fraction_bynode, top_rate, other_rate;
    double cat_l2, cat_smooth, scale_pos_weight, sigmoid, alpha, fair_c, poisson_max_delta_step;
    double tweedie_variance_power, early_stopping_min_delta;
    int n_categorical, n_monotone, n_class_weight;
    int categorical[GBT_LIST_MAX];        /* feature numbers */
    int8_t monotone[GBT_LIST_MAX];        /* -1, 0, 1 per feature */
    double class_weight[64];              /* per class; multiplies the row's weight */
};

void gbt_param_init(struct gbt_param *p);

/* `invalid` for a value out of range, `notfound` for a name that is not known. */
int gbt_param_set(struct gbt_param *p, const char *name, const char *value, struct err *e);

/* Do the values fit together? To be called after the last set. */
int gbt_param_check(const struct gbt_param *p, struct err *e);

/* The objective as a model file has it: "binary sigmoid:1". */
int gbt_param_objective(const struct gbt_param *p, struct buf *b, struct err *e);

/* The lines "[name: value]" of a model file. */
int gbt_param_write(const struct gbt_param *p, struct buf *b, struct err *e);

/* The metrics in use: as set, or the one of the objective. Returns how many. */
int gbt_param_metrics(const struct gbt_param *p, enum gbt_metric_id out[GBT_METRICS_MAX]);
const char *gbt_param_metric_name(enum gbt_metric_id id);

#endif
