/*
 * tide_fit.h - training a TiDE: batches of windows in a random order that the seed fixes, a
 * schedule for the rate, early stopping, weight averaging, a second fit on everything.
 *
 * A fit is a state that is stepped batch by batch; between two steps it can be written down and
 * later go on, bit for bit. The same seed gives the same model for any number of threads. Not
 * shared between threads; compute runs on `par`.
 *
 * Phase 1 trains on windows whose targets lie before `valid_from` and watches the loss on those
 * from there on; the best weights are kept. Without a validation range there is only this phase.
 * With `refit` phase 2 starts over from the seed, on everything, for refit_factor times the best
 * number of epochs (the way of the reference, plastinka 4.10). A fit always goes on from the
 * weights the model has; `warm` says that they have been trained before.
 */
#ifndef MODEL_TIDE_FIT_H
#define MODEL_TIDE_FIT_H

#include <stdatomic.h>

#include "model/lr_schedule.h"
#include "model/optim.h"
#include "model/tide_window.h"

enum tide_schedule {
    TIDE_LR_CONST,
    TIDE_LR_COSINE,   /* to lr_floor over all epochs */
    TIDE_LR_RESTARTS, /* warm restarts, by step */
    TIDE_LR_ONE_CYCLE,
    TIDE_LR_PLATEAU,
    TIDE_LR_COUNT
};

struct tide_fit_conf {
    struct optim_conf optim;
    double lr, lr_floor;
    enum tide_schedule schedule;
    double T0;                             /* restarts: steps of the first cycle */
    int T_mult;
    double cycle_div, cycle_final, cycle_warm; /* one cycle */
    double plateau_factor;
    int plateau_patience;
    int batch, epochs, max_steps; /* max_steps: batches an epoch has at most; 0 = all windows */
    uint64_t seed;
    int train_from, valid_from, valid_to; /* steps of the data; valid_from 0: no validation */
    int stride;                           /* of training windows */
    int patience;                         /* epochs without improvement; 0: never stop early */
    double min_delta;
    int swa_start; /* epoch (from 0) from which on weights are averaged; -1: never */
    double swa_lr;
    int swa_anneal;
    int refit;
    double refit_factor;
    int warm; /* refit starts over from the weights the fit began with, not from the seed */
};

/* adam, lr 1e-3 constant, batch 32, 100 epochs, seed 1, no validation, no early stopping. */
void tide_fit_conf_init(struct tide_fit_conf *c);
int tide_fit_conf_check(const struct tide_fit_conf *c, struct err *e);
int tide_schedule_of(const char *name); /* "const" "cosine" "restarts" "one_cycle" "plateau" */

/* What an epoch came to. */
struct tide_report {
    int phase, epoch, epochs; /* epoch counts from 1 */
    double train_loss;        /* mean over the batches, with dropout */
    double valid_loss;        /* NaN without validation */
    double best_loss;         /* of valid_loss so far */
    int best_epoch;
    double lr, grad_norm; /* of the last batch; norm before clipping */
    double seconds;
    uint64_t steps;
};

/* The part of a fit that is a plain block of values: written to a checkpoint as it is. */
struct tide_fit_state {
    int32_t phase, epoch, epochs, bad_epochs, best_epoch, finished, n_batches, at;
    uint64_t steps, swa_n, optim_step;
    double loss_sum, loss_n, best_loss, swa_from, last_lr, last_norm;
    struct lr_plateau plateau;
};

struct tide_fit {
    struct tide *t;
    const struct tide_data *data;
    struct tide_fit_conf conf;
    struct par *par;
    struct tide_fit_state s;
    struct tide_windows train, valid;
    struct tide_cut cut;
    struct tide_work *work, *lean;
    struct optim optim;
    float *grads, *best, *avg; /* (n_params) each */
    float *first;              /* (n_params) with warm and refit, else NULL */
    float *out;                /* (batch, H C Q) */
    struct tide_report report; /* of the last epoch that ended */
    double epoch_began;
};

/* Borrows all it is given. Checks data and configuration; -1 with `invalid` when no window fits
 * (or none for validation, where one is asked for). */
int tide_fit_new(struct tide_fit **out, struct tide *t, const struct tide_data *data,
                 const struct tide_fit_conf *conf, struct par *par, struct err *e);
void tide_fit_free(struct tide_fit *f); /* NULL is fine */

/*
 * One batch. 0: more to come; 1: an epoch ended, see f->report, and f->s.finished says whether it
 * was the last: then t holds the model (best, averaged or last weights). -1 with `cancelled`
 * (t as it was before this batch: the fit may go on), `diverged` (t holds the best weights so
 * far), `nomem`.
 */
int tide_fit_step(struct tide_fit *f, const atomic_bool *stop, struct err *e);

/* Mean loss over windows, without dropout. */
int tide_fit_score(struct tide_fit *f, const struct tide_windows *w, double *loss,
                   const atomic_bool *stop, struct err *e);

/* Cuts the windows of a phase (1 or 2); for loading. */
int tide_fit_set_phase(struct tide_fit *f, int phase, struct err *e);

/* The model with the state of its training, into a model file; and back into a fit that was made
 * with the same configuration, data and options (`shape` or `corrupt` when it does not fit). */
int tide_fit_save(const struct tide_fit *f, const char *path, struct err *e);
int tide_fit_load(struct tide_fit *f, const char *path, struct err *e);

#endif
