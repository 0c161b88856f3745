/*
 * lr_schedule.h - the learning rate of a step. Pure functions of the step (or epoch) number, but
 * for `plateau`, which remembers the best loss.
 *
 * Sources: Loshchilov and Hutter 2017 (warm restarts), Smith and Topin 2018 (one cycle), Izmailov
 * et al. 2018 (SWA).
 */
#ifndef MODEL_LR_SCHEDULE_H
#define MODEL_LR_SCHEDULE_H

/* floor + (base - floor) (1 + cos(pi t / T)) / 2; cycles of T0, T0 mult, T0 mult^2 … steps. `at`
 * may lie between steps. T0 > 0, mult >= 1. */
double lr_warm_restarts(double base, double floor, double T0, int mult, double at);

/* From `base` to `floor` over n steps, along half a cosine; `floor` after that. */
double lr_cosine(double base, double floor, double n, double at);

/*
 * Up from base / div to base over the first `warm` (0..1) of n steps, down to
 * base / (div * final_div) over the rest, both along a cosine.
 */
double lr_one_cycle(double base, double div, double final_div, double warm, double n, double at);

/* From `start` to `swa` over `anneal` epochs, then `swa`; along a cosine or a line. */
double lr_swa(double start, double swa, double anneal, int linear, double epoch);

/* Cuts the rate by `factor` when the loss has not gone below best - delta for `patience` epochs. */
struct lr_plateau {
    double factor, delta, best;
    int patience, bad;
    double scale; /* what the base rate is multiplied by now */
};
void lr_plateau_init(struct lr_plateau *p, double factor, int patience, double delta);
void lr_plateau_step(struct lr_plateau *p, double loss);

#endif
