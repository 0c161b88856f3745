/*
 * bind_tide.h - what bind_tide.c (the model) and bind_tide_fit.c (data, training) share.
 */
#ifndef BIND_BIND_TIDE_H
#define BIND_BIND_TIDE_H

#include "bind/bind.h"
#include "model/model_file.h"
#include "model/tide_window.h"
#include "tensor/tensor.h"

#define BIND_TIDE "core.tide"
#define BIND_TIDE_FIT "core.tide.fit"

/* A model and who uses it: its box, fits, operations on the pool. Loop thread only. */
struct tide_held {
    int refs;
    int training;           /* a fit owns the parameters */
    int changing, reading;  /* an operation of that fit runs; so many forecasts run */
    struct tide *t;
    struct model_file file; /* mapped when the model was loaded */
    char *meta;             /* what the face keeps with it */
    size_t meta_bytes;
};

void bind_tide_drop(struct tide_held *h); /* one user less; NULL is fine */
struct tide_held *bind_tide_check(lua_State *L, int arg);

/* A data set made of tensors; `held` keeps them alive (views, or copies of what is not dense). */
#define TIDE_HELD 6
struct tide_set {
    struct tide_data d;
    struct tensor *held[TIDE_HELD];
    uint8_t *keep;
};

/*
 * Reads the table at `arg`: target (N, T) or (N, T, C); past (N, T, P) or (T, P); future
 * (N, T', F) or (T', F); static (N, S); weight, keep (N, T); weight_lookback, missing. Sizes are
 * checked against the model. -1 with `e`; misuse raises before anything is owned.
 */
int bind_tide_set(lua_State *L, int arg, const struct tide_conf *c, struct tide_set *set,
                  struct err *e);
void bind_tide_set_free(struct tide_set *set);

/* Registers the class of fits; `fit(model, data, opt)` is a function of core.tide. */
void bind_tide_fit_open(lua_State *L);
int bind_tide_fit_new(lua_State *L);

#endif
