/* How long single commands take: latency FLOW_FILE MAX_ORDERS, one JSON object on stdout.
 *
 * FLOW_FILE holds 64-byte commands. Each is one process call of its own (a batch of one, so the engine cannot look ahead)
 * on an engine without funds that takes any book; the clock is read right before and right after the call. The figures
 * contain the clock's own reading time, which is measured too and told beside them: nothing is subtracted. On x86-64
 * the clock is the time stamp counter, fenced, and set against CLOCK_MONOTONIC over the run; elsewhere CLOCK_MONOTONIC.
 *
 *   {"commands": n, "events": n, "timer": "rdtscp" or "clock_gettime", "timer_overhead_ns": median of an empty measurement,
 *    "p50_ns": …, "p99_ns": …, "p99_9_ns": …, "max_ns": …, "mean_ns": …}
 *
 * Build:  cc -O2 -o latency tests/bench/latency.c $(python -m matching_core.c_flags)
 * Run:    VIRTUAL_ENV=.venv ./latency flow.bin 1000000    (or PYTHONPATH with the folder of matching_core and its packages)
 * Exit codes: 0; 1 no engine or no memory; 2 arguments or file.
 */
#include <Python.h>

#include <inttypes.h>
#include <string.h>
#include <time.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#define TIMER "rdtscp"
#else
#define TIMER "clock_gettime"
#endif

#include "matching_core_api.h"

enum { EMPTY_MEASUREMENTS = 100001, LEAST_CALIBRATION_NS = 50000000 };

static uint64_t clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Nothing of the call moves before ticks_before or behind ticks_after. */
static inline uint64_t ticks_before(void) {
#if defined(__x86_64__)
    uint64_t now;
    _mm_lfence();
    now = __rdtsc();
    _mm_lfence();
    return now;
#else
    return clock_ns();
#endif
}

static inline uint64_t ticks_after(void) {
#if defined(__x86_64__)
    unsigned int processor;
    uint64_t now = __rdtscp(&processor);
    _mm_lfence();
    return now;
#else
    return clock_ns();
#endif
}

static int by_size(const void *a, const void *b) {
    uint64_t first = *(const uint64_t *)a, second = *(const uint64_t *)b;
    return (first > second) - (first < second);
}

/* The smallest sample that so many millionths of all do not exceed. */
static double percentile(const uint64_t *sorted, uint64_t count, uint64_t ppm, double ns_per_tick) {
    uint64_t rank = (count * ppm + 999999) / 1000000;
    return (double)sorted[rank ? rank - 1 : 0] * ns_per_tick;
}

static cpx_command *read_commands(const char *path, uint64_t *count) {
    FILE *file = fopen(path, "rb");
    cpx_command *commands = NULL;
    long size;
    if (file == NULL) return NULL;
    if (fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) > 0 && size % (long)sizeof *commands == 0) {
        rewind(file);
        *count = (uint64_t)size / sizeof *commands;
        commands = malloc((size_t)size);
        if (commands != NULL && fread(commands, sizeof *commands, *count, file) != *count) {
            free(commands);
            commands = NULL;
        }
    }
    fclose(file);
    return commands;
}

static uint64_t measure(const cpx_api *cpx, cpx_engine *engine, const cpx_command *commands, uint64_t count,
                        uint64_t *samples) {
    uint64_t n_events = 0, of_this_one;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t before = ticks_before();
        uint64_t applied = cpx->process(engine, commands + i, 1, i + 1, 0);
        samples[i] = ticks_after() - before;
        if (applied != 1) return UINT64_MAX;
        cpx->events(engine, &of_this_one);
        n_events += of_this_one;
    }
    return n_events;
}

static uint64_t empty_measurement(uint64_t *samples) {
    for (int i = 0; i < EMPTY_MEASUREMENTS; i++) {
        uint64_t before = ticks_before();
        samples[i] = ticks_after() - before;
    }
    qsort(samples, EMPTY_MEASUREMENTS, sizeof *samples, by_size);
    return samples[EMPTY_MEASUREMENTS / 2];
}

int main(int argc, char **argv) {
    uint64_t count = 0, overhead, n_events, from_ns, from_ticks;
    cpx_command *commands = argc == 3 ? read_commands(argv[1], &count) : NULL;
    if (commands == NULL) {
        fprintf(stderr, "latency FLOW_FILE MAX_ORDERS: FLOW_FILE holds 64-byte commands\n");
        return 2;
    }
    const cpx_api *cpx = cpx_import();
    cpx_engine *engine = cpx ? cpx->create((uint32_t)strtoul(argv[2], NULL, 10), 0, 0) : NULL;
    size_t room = (count > EMPTY_MEASUREMENTS ? count : EMPTY_MEASUREMENTS) * sizeof(uint64_t);
    uint64_t *samples = malloc(room);
    if (engine == NULL || samples == NULL) return 1;
    memset(samples, 0xFF, room); /* its pages are there before the first measurement */

    from_ns = clock_ns();
    from_ticks = ticks_before();
    overhead = empty_measurement(samples);
    n_events = measure(cpx, engine, commands, count, samples);
    if (n_events == UINT64_MAX) return 1;
    while (clock_ns() - from_ns < LEAST_CALIBRATION_NS) continue;
    uint64_t ticks = ticks_after() - from_ticks;
    double ns_per_tick = (double)(clock_ns() - from_ns) / (double)ticks, sum = 0;

    for (uint64_t i = 0; i < count; i++) sum += (double)samples[i];
    qsort(samples, count, sizeof *samples, by_size);
    printf("{\"commands\": %" PRIu64 ", \"events\": %" PRIu64 ", \"timer\": \"" TIMER "\", \"timer_overhead_ns\": %.1f, "
           "\"p50_ns\": %.1f, \"p99_ns\": %.1f, \"p99_9_ns\": %.1f, \"max_ns\": %.1f, \"mean_ns\": %.1f}\n",
           count, n_events, (double)overhead * ns_per_tick, percentile(samples, count, 500000, ns_per_tick),
           percentile(samples, count, 990000, ns_per_tick), percentile(samples, count, 999000, ns_per_tick),
           (double)samples[count - 1] * ns_per_tick, sum / (double)count * ns_per_tick);
    cpx->destroy(engine);
    free(samples);
    free(commands);
    return 0;
}
