/*
 * loss.h - losses with their gradients. Sums in f64, in index order.
 *
 * `pred` and `target` hold n values; the result is the mean. dpred (n), when not NULL, is SET to
 * the gradient of the mean.
 */
#ifndef MODEL_LOSS_H
#define MODEL_LOSS_H

#include <stddef.h>

double loss_mse(float *dpred, const float *pred, const float *target, size_t n);
double loss_mae(float *dpred, const float *pred, const float *target, size_t n); /* 0 at a tie */

/* e^2 / 2 up to delta, delta (|e| - delta / 2) past it. */
double loss_huber(float *dpred, const float *pred, const float *target, double delta, size_t n);

/* Log-loss of logits; positive targets count pos_weight times. */
double loss_logits(float *dpred, const float *pred, const float *target, double pos_weight,
                   size_t n);

/* Log-loss of probabilities; each logarithm stops at -100, the gradient's divisor at 1e-12. */
double loss_bce(float *dpred, double *each, const float *pred, const float *target, size_t n);

/*
 * Pinball loss of pred (n, Q) against target (n): sum over the quantiles of q_weight times
 * max((q - 1) e, q e), e = target - pred, times weight, mean over n. q_weight (Q) and weight (n)
 * may be NULL. At e = 0 the gradient is shared: 0.5 - q.
 */
double loss_pinball(float *dpred, const float *pred, const float *target, const double *quantiles,
                    const double *q_weight, const float *weight, int Q, size_t n);

/* The losses a model trains on; pinball with or without quantile weights. */
enum loss_kind { LOSS_MSE, LOSS_MAE, LOSS_HUBER, LOSS_PINBALL, LOSS_COUNT };
#define LOSS_QUANTILES 32

struct loss_conf {
    enum loss_kind kind;
    double delta; /* huber */
    int n_quantiles;
    double quantiles[LOSS_QUANTILES], q_weight[LOSS_QUANTILES];
};

/* "mse", "mae", "huber", "pinball"; -1 when it is none of them. */
int loss_kind_of(const char *name);

/*
 * One sample: pred (n, Q) against target (n). Returns the sum of the losses times `weight`; dpred
 * (n, Q), when not NULL, is SET to its gradient times `scale`. A target that is NaN counts nothing.
 */
double loss_sample(const struct loss_conf *c, float *dpred, const float *pred,
                   const float *target, int n, int Q, double weight, double scale);

/*
 * The weights of plastinka's loss: a bell of height `base` on `peak`, its sides sigma_left * peak
 * and sigma_right * (1 - peak) wide; the right side falls to 0.5 only. With both sigmas <= 0 the
 * weights rise evenly from 0.3 to 3.
 */
void loss_quantile_weights(double *out, const double *quantiles, int Q, double sigma_left,
                           double sigma_right, double peak, double base);

/*
 * One draw from a predicted quantile function: `value` (Q) at `quantiles` (Q, rising), linear
 * between them and flat beyond; u in [0, 1).
 */
double loss_quantile_draw(const float *value, const double *quantiles, int Q, double u);

#endif
