/*
 * optim.h - one step of an optimizer over the whole parameter block, and weight averaging.
 *
 * The block is cut into chunks of OPTIM_CHUNK by its length alone; norms are added in chunk order,
 * so any number of threads gives the same bits. Sources: Kingma and Ba 2015 (Adam), Reddi et al.
 * 2018 (amsgrad), Loshchilov and Hutter 2019 (AdamW), Izmailov et al. 2018 (SWA).
 */
#ifndef MODEL_OPTIM_H
#define MODEL_OPTIM_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "tensor/par.h"

#define OPTIM_CHUNK 16384

enum optim_kind { OPTIM_ADAM, OPTIM_ADAMW, OPTIM_SGD, OPTIM_COUNT };

struct optim_conf {
    enum optim_kind kind;
    double beta1, beta2, eps;
    double weight_decay; /* adam and sgd: added to the gradient; adamw: p *= 1 - lr * decay first */
    double momentum;     /* sgd */
    double clip_norm;    /* 2-norm of all gradients together at most this; 0 = no limit */
    int amsgrad;
};

/* State: m, v (and vmax with amsgrad), all (n), in one block; step counts from 0. */
struct optim {
    struct optim_conf conf;
    size_t n;
    uint64_t step;
    float *m, *v, *vmax;
    double *part; /* one partial sum a chunk */
    /* one a chunk: its gradients have been 0 so far, m and v too, so that nothing would move. To be
     * cleared by whoever writes m or v. */
    uint8_t *idle;
};

/* beta 0.9, 0.999, eps 1e-8, no decay, momentum 0, no clipping. */
void optim_conf_init(struct optim_conf *c);

/* "adam", "adamw", "sgd"; -1 when it is none of them. */
int optim_kind_of(const char *name);

int optim_init(struct optim *o, const struct optim_conf *conf, size_t n, struct err *e);
void optim_deinit(struct optim *o); /* may run twice */

/*
 * Clips `grad` (n) in passing and moves `p` (n). Returns the 2-norm before clipping; when it is
 * not finite nothing is moved.
 */
double optim_step(struct optim *o, float *p, const float *grad, double lr, struct par *par);

/* avg += (p - avg) / (n_before + 1); with n_before = 0 avg becomes p. */
void optim_average(float *avg, const float *p, size_t n, uint64_t n_before);

#endif
