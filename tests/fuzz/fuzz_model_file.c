/*
 * fuzz_model_file.c - any bytes as a model file; what opens must also predict. The checksums would
 * stop nearly every mutation at the door, so the configuration is tried by itself as well.
 */
#include <string.h>

#include "base/mem.h"
#include "model/tide_file.h"
#include "model/tide_predict.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SMALL 200000 /* parameters of a model worth running here */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct model_file f;
    struct tide_conf c;
    struct tide *t;
    struct err e;

    if (model_file_parse(&f, data, size, &e) == 0 && tide_open(&t, &f, &e) == 0)
        tide_free(t);
    if (tide_conf_parse(&c, (const char *)data, size, &e) != 0)
        return 0;
    double rough = (double)c.hidden * ((double)c.hidden * (c.n_enc + c.n_dec) * 3 +
                                       (double)c.output_chunk * c.decoder_out *
                                           (c.loss.n_quantiles + 1));
    rough += (double)c.hidden * (c.input_chunk + c.output_chunk) *
             (c.n_targets + c.past_cov + c.future_cov + c.temporal_width_past +
              c.temporal_width_future + 1 + c.static_cov);
    rough += (double)c.input_chunk * c.output_chunk * (c.loss.n_quantiles + 1);
    rough += (double)(c.temporal_decoder_hidden + c.temporal_hidden_past +
                      c.temporal_hidden_future) * 70000;
    if (rough < SMALL && tide_new(&t, &c, 1, &e) == 0)
        tide_free(t);
    return 0;
}
