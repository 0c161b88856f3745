/*
 * lr_schedule.c - learning rates. See lr_schedule.h.
 */
#include "model/lr_schedule.h"

#include <math.h>

#define PI 3.14159265358979323846

double lr_warm_restarts(double base, double floor, double T0, int mult, double at)
{
    double length = T0;

    if (mult == 1) {
        at = fmod(at, T0);
    } else {
        while (at >= length) {
            at -= length;
            length *= mult;
        }
    }
    return floor + (base - floor) * (1 + cos(PI * at / length)) / 2;
}

double lr_cosine(double base, double floor, double n, double at)
{
    double t = n > 0 ? fmin(1, at / n) : 1;

    return floor + (base - floor) * (1 + cos(PI * t)) / 2;
}

double lr_one_cycle(double base, double div, double final_div, double warm, double n, double at)
{
    double up = warm * n, low = base / div;

    if (at < up)
        return base + (low - base) * (1 + cos(PI * at / up)) / 2;
    return lr_cosine(base, low / final_div, n - up, at - up);
}

double lr_swa(double start, double swa, double anneal, int linear, double epoch)
{
    double t = anneal > 0 ? fmin(1, epoch / anneal) : 1;
    double a = linear ? t : (1 - cos(PI * t)) / 2;

    return swa * a + start * (1 - a);
}

void lr_plateau_init(struct lr_plateau *p, double factor, int patience, double delta)
{
    p->factor = factor;
    p->patience = patience;
    p->delta = delta;
    p->best = INFINITY;
    p->bad = 0;
    p->scale = 1;
}

void lr_plateau_step(struct lr_plateau *p, double loss)
{
    if (loss < p->best - p->delta) {
        p->best = loss;
        p->bad = 0;
    } else if (++p->bad > p->patience) {
        p->scale *= p->factor;
        p->bad = 0;
    }
}
