/*
 * fuzz_csv.c - text tables: detection, every separator, all records. The file lives in memory only.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/typed.h"
#include "fuzz_file.h"
#include "sheet/csv_read.h"

static void read_all(const char *path, char separator)
{
    struct csv_read *r;
    struct sheet_row row;
    struct err e;
    int64_t last = 0;
    int is_cut;

    if (csv_read_open(&r, path, &e) != 0)
        return;
    if (csv_read_rewind(r, separator, &e) == 0)
        while (csv_read_row(r, &row, &e) == 1) {
            if (row.number <= last || row.n_cells == 0 || row.n_cells > SHEET_COLUMNS_MAX)
                abort();
            last = row.number;
            for (uint32_t i = 0; i < row.n_cells; i++) {
                const struct sheet_cell *c = &row.cells[i];
                if (c->n_bytes == 0 || (i > 0 && c->column <= row.cells[i - 1].column) ||
                    typed_utf8_prefix(c->text, c->n_bytes, &is_cut) != c->n_bytes)
                    abort();
            }
        }
    csv_read_close(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = fuzz_file(data, size);

    read_all(path, ',');
    read_all(path, ';');
    fuzz_file_read(path);
    return 0;
}
