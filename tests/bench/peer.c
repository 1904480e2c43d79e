/* orderly-chaos (PyPI) on a flow of flow.py, through the C functions of the library that its package installs, compiled
 * with the package's own flags.
 *
 * peer LIBRARY FLOW_FILE PASSES: JSON with ns per command of every pass and what came of the last one. One book per book
 * of the flow, made when its first order arrives. It knows neither immediate-or-cancel with a limit nor replace: the
 * first is a limit order whose rest is canceled, the second a cancel and, where that worked, a limit order.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { OP_NEW = 1, OP_CANCEL = 2, OP_REPLACE = 3, TIF_IOC = 1, N_RECORDS = 1 << 14 };

typedef struct { uint8_t op, side; uint16_t tif; uint32_t book; uint64_t order_id; int64_t price, qty; } command;
typedef struct { uint64_t taker_id, maker_id, price; uint32_t quantity, maker_remaining; int32_t taker_side; } trade;
typedef struct { uint64_t taker_id, maker_id, price, quantity; } record;
_Static_assert(sizeof(command) == 32 && sizeof(record) == 32, "records are 32 bytes");

static void *(*book_new)(void);
static void (*book_free)(void *);
static int32_t (*set_trade_callback)(void *, void (*)(const trade *, void *), void *);
static int32_t (*limit)(void *, int32_t, uint64_t, uint32_t, uint64_t, uint32_t *);
static int32_t (*cancel)(void *, uint64_t);
static uint64_t (*count)(void *);

static record records[N_RECORDS];
static uint64_t n_trades, n_rejected;

static void on_trade(const trade *t, void *unused) {
    (void)unused;
    records[n_trades++ % N_RECORDS] = (record){t->taker_id, t->maker_id, t->price, t->quantity};
}

static int32_t place(void **book, const command *c) {
    uint32_t filled = 0;
    int32_t status;
    if (*book == NULL) {
        *book = book_new();
        set_trade_callback(*book, on_trade, NULL);
    }
    status = limit(*book, c->side == 0, c->order_id, (uint32_t)c->qty, (uint64_t)c->price, &filled);
    if (status == 0 && c->tif == TIF_IOC && filled < (uint64_t)c->qty) (void)cancel(*book, c->order_id);
    return status;
}

static int32_t run(void **books, const command *c) {
    void **book = &books[c->book];
    if (c->op == OP_NEW) return place(book, c);
    if (*book == NULL || cancel(*book, c->order_id) != 0) return 1;
    return c->op == OP_REPLACE ? place(book, c) : 0;
}

static double now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return 1e9 * (double)now.tv_sec + (double)now.tv_nsec;
}

static void *symbol(void *library, const char *name) {
    void *found = dlsym(library, name);
    if (found == NULL) {
        fprintf(stderr, "no %s in the library\n", name);
        exit(1);
    }
    return found;
}

int main(int n_words, char **words) {
    void *library = n_words == 4 ? dlopen(words[1], RTLD_NOW) : NULL;
    FILE *file = n_words == 4 ? fopen(words[2], "rb") : NULL;
    if (library == NULL || file == NULL) {
        fprintf(stderr, "usage: peer LIBRARY FLOW_FILE PASSES%s%s\n", n_words == 4 && library == NULL ? ": " : "",
                n_words == 4 && library == NULL ? dlerror() : "");
        return 1;
    }
    book_new = symbol(library, "oc_book_new");
    book_free = symbol(library, "oc_book_free");
    set_trade_callback = symbol(library, "oc_book_set_trade_callback");
    limit = symbol(library, "oc_book_limit");
    cancel = symbol(library, "oc_book_cancel");
    count = symbol(library, "oc_book_count");
    fseek(file, 0, SEEK_END);
    size_t n = (size_t)ftell(file) / sizeof(command), n_books = 1;
    rewind(file);
    command *commands = malloc(n * sizeof(command));
    if (commands == NULL || fread(commands, sizeof(command), n, file) != n) return 1;
    for (size_t i = 0; i < n; i++)
        if (commands[i].book >= n_books) n_books = commands[i].book + 1;

    uint64_t resting = 0;
    int passes = atoi(words[3]);
    printf("{\"ns\": [");
    for (int pass = 0; pass < passes; pass++) {
        void **books = calloc(n_books, sizeof(void *));
        if (books == NULL) return 1;
        n_trades = n_rejected = resting = 0;
        double started = now_ns();
        for (size_t i = 0; i < n; i++) n_rejected += run(books, &commands[i]) != 0;
        printf("%s%.2f", pass ? ", " : "", (now_ns() - started) / (double)n);
        for (size_t i = 0; i < n_books; i++)
            if (books[i] != NULL) {
                resting += count(books[i]);
                book_free(books[i]);
            }
        free(books);
    }
    printf("], \"trades\": %llu, \"rejected\": %llu, \"resting\": %llu}\n", (unsigned long long)n_trades,
           (unsigned long long)n_rejected, (unsigned long long)resting);
    return 0;
}
