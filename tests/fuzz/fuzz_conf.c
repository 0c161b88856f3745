/* Configuration and .env files: any bytes are taken or refused with a message. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = { 0 };

    if (conf_parse((const char *)data, size, "fuzz.conf", &e) != 0)
        assert(e.code != ERR_NONE && e.text[0] != '\0');
    if (conf_parse_env((const char *)data, size, "fuzz.env", &e) != 0)
        assert(e.code != ERR_NONE && e.text[0] != '\0');
    conf_reset();
    return 0;
}
