/*
 * tide_onnx.h - a TiDE as an ONNX file, for other programs to forecast with.
 *
 * Inputs, as far as the model takes them: lookback (series, L, C), past (series, L, P), future
 * (series, L + H, F), static (series, S), all f32 without gaps. Output forecast (series, H, C), or
 * (series, H, C, Q) with rising quantiles: what tide_predict gives, scaling included.
 */
#ifndef MODEL_TIDE_ONNX_H
#define MODEL_TIDE_ONNX_H

#include "model/tide.h"

/* What is done to the target on the way in, and undone on the way out. */
enum tide_scale {
    TIDE_SCALE_NONE,
    TIDE_SCALE_STANDARD,   /* (y - a) / b */
    TIDE_SCALE_LOG_MINMAX, /* (log(1 + y) - a) / b + 1e-6; back, never below 0 */
    TIDE_SCALE_COUNT
};

/* -1 with `limit` when the file would reach 2 GiB, `nomem`, `io`, `full`. */
int tide_onnx_save(const struct tide *t, enum tide_scale scale, double a, double b,
                   const char *path, struct err *e);

#endif
