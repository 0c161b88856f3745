/*
 * metric_class.c - scores of a yes/no prediction. See metric_class.h.
 */
#include "model/metric_class.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

/* Two thresholds whose F1 differ by less than this are equal, and the larger one is taken. */
#define F1_EQUAL 1e-13

struct scored {
    double score, yes, no; /* the weight is in one of the last two */
    size_t index;
};

static double ratio_or_0(double a, double b)
{
    return b > 0 ? a / b : 0;
}

static int descending(const void *a, const void *b)
{
    const struct scored *x = a, *y = b;

    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return (x->index > y->index) - (x->index < y->index);
}

static int check(const struct metric_vec *label, const struct metric_vec *score,
                 const struct metric_vec *weight, struct err *e)
{
    if (label->n == 0)
        return err_set(e, ERR_SHAPE, "no labels given");
    if (label->n != score->n)
        return err_set(e, ERR_SHAPE, "%zu scores for %zu labels", score->n, label->n);
    if (metric_check_finite(label, "label", 0, e) != 0 ||
        metric_check_finite(score, "score", 0, e) != 0)
        return -1;
    for (size_t i = 0; i < label->n; i++)
        if (metric_at(label, i) != 0 && metric_at(label, i) != 1)
            return err_set(e, ERR_INVALID, "label %zu is %g, 0 or 1 expected", i + 1,
                           metric_at(label, i));
    return metric_check_weight(weight, label->n, e);
}

/* Walks the distinct scores from the highest down; rows are sorted. */
static void rank_scores(struct metric_class *out, const struct scored *rows, size_t n,
                        double all_yes, double all_no)
{
    double yes = 0, no = 0, area = 0, precision_sum = 0, best = -1;

    for (size_t i = 0, j; i < n; i = j) {
        double step_yes = 0, step_no = 0, f1;

        for (j = i; j < n && rows[j].score == rows[i].score; j++) {
            step_yes += rows[j].yes;
            step_no += rows[j].no;
        }
        area += step_no * (yes + 0.5 * step_yes);
        yes += step_yes;
        no += step_no;
        precision_sum += step_yes * ratio_or_0(yes, yes + no);
        f1 = ratio_or_0(2 * yes, all_yes + yes + no);
        if (f1 > best + F1_EQUAL) {
            best = f1;
            out->best_threshold = rows[i].score;
        }
    }
    out->best_f1 = best;
    out->roc_auc = all_yes > 0 && all_no > 0 ? area / (all_yes * all_no) : NAN;
    out->average_precision = all_yes > 0 ? precision_sum / all_yes : NAN;
}

int metric_class_calc(struct metric_class *out, const struct metric_vec *label,
                      const struct metric_vec *score, const struct metric_vec *weight,
                      struct err *e)
{
    struct scored *rows;
    double yes = 0, no = 0, brier = 0, loss = 0;
    int is_share = 1;

    *out = (struct metric_class){.n = label->n};
    if (check(label, score, weight, e) != 0)
        return -1;
    rows = mem_alloc(label->n * sizeof *rows);
    if (rows == NULL)
        return err_set(e, ERR_NOMEM, "no memory for %zu scores", label->n);
    for (size_t i = 0; i < label->n; i++) {
        double p = metric_at(score, i), y = metric_at(label, i);
        double w = metric_given(weight) ? metric_at(weight, i) : 1;
        double clipped = fmin(fmax(p, DBL_EPSILON), 1 - DBL_EPSILON);

        rows[i] = (struct scored){p, w * y, w * (1 - y), i};
        yes += w * y;
        no += w * (1 - y);
        brier += w * (p - y) * (p - y);
        loss -= w * (y == 1 ? log(clipped) : log1p(-clipped));
        is_share = is_share && p >= 0 && p <= 1;
    }
    qsort(rows, label->n, sizeof *rows, descending);
    rank_scores(out, rows, label->n, yes, no);
    mem_free(rows);
    out->base_rate = yes + no > 0 ? yes / (yes + no) : NAN;
    out->brier = is_share && yes + no > 0 ? brier / (yes + no) : NAN;
    out->logloss = is_share && yes + no > 0 ? loss / (yes + no) : NAN;
    return 0;
}

int metric_class_threshold(struct metric_class_at *out, const struct metric_vec *label,
                           const struct metric_vec *score, const struct metric_vec *weight,
                           double threshold, struct err *e)
{
    *out = (struct metric_class_at){0};
    if (check(label, score, weight, e) != 0)
        return -1;
    for (size_t i = 0; i < label->n; i++) {
        double w = metric_given(weight) ? metric_at(weight, i) : 1;
        int said = metric_at(score, i) >= threshold, is = metric_at(label, i) == 1;

        *(said ? (is ? &out->tp : &out->fp) : (is ? &out->fn : &out->tn)) += w;
    }
    out->precision = ratio_or_0(out->tp, out->tp + out->fp);
    out->recall = ratio_or_0(out->tp, out->tp + out->fn);
    out->f1 = ratio_or_0(2 * out->tp, 2 * out->tp + out->fp + out->fn);
    out->accuracy = ratio_or_0(out->tp + out->tn, out->tp + out->fp + out->fn + out->tn);
    return 0;
}

int metric_class_calibration(struct metric_class_bin *bins, size_t n_bins, double *ece,
                             const struct metric_vec *label, const struct metric_vec *score,
                             const struct metric_vec *weight, struct err *e)
{
    double total = 0, apart = 0;

    if (n_bins == 0)
        return err_set(e, ERR_INVALID, "0 bins, 1 or more expected");
    if (check(label, score, weight, e) != 0)
        return -1;
    for (size_t b = 0; b < n_bins; b++)
        bins[b] = (struct metric_class_bin){0, 0, 0};
    for (size_t i = 0; i < label->n; i++) {
        double p = metric_at(score, i), w = metric_given(weight) ? metric_at(weight, i) : 1;
        size_t b;

        if (p < 0 || p > 1)
            return err_set(e, ERR_INVALID, "score %zu is %g, 0 to 1 expected", i + 1, p);
        b = (size_t)(p * (double)n_bins);
        b = b < n_bins ? b : n_bins - 1;
        bins[b].weight += w;
        bins[b].mean_score += w * p;
        bins[b].yes_rate += w * metric_at(label, i);
        total += w;
    }
    for (size_t b = 0; b < n_bins; b++) {
        apart += fabs(bins[b].mean_score - bins[b].yes_rate);
        bins[b].mean_score = bins[b].weight > 0 ? bins[b].mean_score / bins[b].weight : NAN;
        bins[b].yes_rate = bins[b].weight > 0 ? bins[b].yes_rate / bins[b].weight : NAN;
    }
    *ece = total > 0 ? apart / total : NAN;
    return 0;
}
