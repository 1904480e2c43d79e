/* Runs a file of commands through the C face and tells what it sees: driver FLOW MAX_ORDERS FUNDS LISTED BATCH EVENTS
 *
 * The events go to the file EVENTS, answers about books 0 to 4, orders 0 to 63 and accounts 0 to 4 to stdout. A second
 * thread runs the same commands one at a time through an engine of its own meanwhile: exit code 3 if it sees other
 * events. Where the driver has started Python itself, Python ends before the first command.
 */
#include <Python.h>

#include <inttypes.h>
#include <pthread.h>
#include <string.h>

#include "matching_core_api.h"

typedef struct {
    const cpx_api *cpx;
    cpx_engine *engine;
    const cpx_command *commands;
    uint64_t count, batch, n_events;
    cpx_event *events;
} Run;

static void *apply(void *argument) {
    Run *run = argument;
    for (uint64_t from = 0; from < run->count; from += run->batch) {
        uint64_t size = run->count - from < run->batch ? run->count - from : run->batch, more;
        if (run->cpx->process(run->engine, run->commands + from, size, from + 1, 1) != size) return run;
        const cpx_event *events = run->cpx->events(run->engine, &more);
        cpx_event *room = realloc(run->events, (run->n_events + more + 1) * sizeof *room);
        if (room == NULL) return run;
        if (more) memcpy(room + run->n_events, events, more * sizeof *room);
        run->events = room;
        run->n_events += more;
    }
    return NULL;
}

static void print_answers(const cpx_api *cpx, const cpx_engine *engine) {
    for (uint32_t book = 0; book < 5; book++) {
        cpx_quote q;
        int is_open = cpx->top(engine, book, &q);
        printf("top %u %d %" PRId64 " %" PRIu64 " %" PRId64 " %" PRIu64 "\n", book, is_open, q.bid_price, q.bid_qty,
               q.ask_price, q.ask_qty);
        for (uint8_t side = 0; side < 2; side++) {
            cpx_level levels[4];
            uint32_t count = cpx->depth(engine, book, side, levels, 4);
            for (uint32_t i = 0; i < count; i++)
                printf("depth %u %u %" PRId64 " %" PRIu64 " %" PRIu64 "\n", book, side, levels[i].price, levels[i].qty,
                       levels[i].orders);
        }
    }
    for (uint64_t id = 0; id < 64; id++) {
        cpx_order o;
        if (cpx->order(engine, id, &o))
            printf("order %" PRIu64 " %u %u %u %" PRId64 " %" PRId64 " %" PRId64 " %" PRIu64 " %u %" PRId64 " %" PRId64
                   " %u %u %u %" PRId64 " %" PRId64 "\n",
                   o.order_id, o.book, o.side, o.account, o.price, o.qty, o.leaves, o.client_ref, o.tif, o.expiry_ns,
                   o.hold_micro, o.order_type, o.flags, o.stp, o.aux, o.shown);
    }
    for (uint32_t account = 0; account < 5; account++) {
        int64_t p[CPX_BUCKETS];
        if (cpx->balance(engine, account, p))
            printf("balance %u %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 "\n", account, p[0], p[1], p[2],
                   p[3], p[4]);
    }
    printf("orders %" PRIu64 " now %" PRId64 "\n", cpx->n_orders(engine), cpx->now_ns(engine));
}

int main(int count, char **words) {
    FILE *file = count == 7 ? fopen(words[1], "rb") : NULL;
    int is_mine = !Py_IsInitialized();
    const cpx_api *cpx = cpx_import();
    pthread_t thread;
    void *failed[2];
    if (file == NULL || cpx == NULL || fseek(file, 0, SEEK_END) != 0) return 2;
    uint64_t size = (uint64_t)ftell(file);
    char *bytes = malloc(size + 2); /* one byte off: commands may lie anywhere */
    rewind(file);
    if (bytes == NULL || fread(bytes + 1, 1, size, file) != size) return 2;
    fclose(file);
    if (is_mine && (PyGILState_Ensure(), Py_FinalizeEx()) != 0) return 4;

    Run runs[2];
    for (int i = 0; i < 2; i++) {
        cpx_engine *engine = cpx->create((uint32_t)atol(words[2]), atoi(words[3]), atoi(words[4]));
        if (engine == NULL) return 2;
        runs[i] = (Run){cpx, engine, (const cpx_command *)(bytes + 1), size / 64, i ? 1 : (uint64_t)atol(words[5]), 0, NULL};
    }
    if (pthread_create(&thread, NULL, apply, &runs[1]) != 0) return 2;
    failed[0] = apply(&runs[0]);
    if (pthread_join(thread, &failed[1]) != 0 || failed[0] || failed[1]) return 2;
    if (runs[0].n_events != runs[1].n_events || memcmp(runs[0].events, runs[1].events, runs[0].n_events * 64) != 0) return 3;

    file = fopen(words[6], "wb");
    if (file == NULL || fwrite(runs[0].events, 64, runs[0].n_events, file) != runs[0].n_events || fclose(file) != 0) return 2;
    print_answers(cpx, runs[0].engine);
    for (int i = 0; i < 2; i++) {
        cpx->destroy(runs[i].engine);
        free(runs[i].events);
    }
    free(bytes);
    return 0;
}
