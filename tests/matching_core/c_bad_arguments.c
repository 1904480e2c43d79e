/* Every function with arguments that cannot be: answered as matching_core.h says, and nothing changes. */
#include <string.h>

#include "matching_core_api.h"

#define CHECK(condition)                                                          \
    do {                                                                          \
        if (!(condition)) {                                                       \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            return 1;                                                             \
        }                                                                         \
    } while (0)

static int is_zero(const void *memory, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (((const char *)memory)[i] != 0) return 0;
    return 1;
}

#define DIRTY(thing) memset(&(thing), 0xA5, sizeof(thing))

int main(void) {
    const cpx_api *cpx = cpx_import();
    const cpx_command command = {.op = CPX_OP_NEW, .order_id = 1, .price = 5, .qty = 3, .book = 9};
    const cpx_command unknown = {.op = 200, .order_id = 8};
    cpx_quote quote;
    cpx_level level;
    cpx_order order;
    int64_t purses[CPX_BUCKETS];
    uint64_t count;
    CHECK(cpx != NULL && cpx->struct_size == sizeof(cpx_api) && cpx->version == CPX_API_VERSION);

    CHECK(cpx->create(0, 0, 0) == NULL && cpx->create(CPX_MAX_ORDERS + 1, 0, 0) == NULL);
    CHECK(cpx->create(UINT32_MAX, 1, 1) == NULL);
    cpx->destroy(NULL);

    CHECK(cpx->process(NULL, &command, 1, 1, 1) == 0);
    count = 7;
    CHECK(cpx->events(NULL, &count) == NULL && count == 0 && cpx->events(NULL, NULL) == NULL);
    CHECK(cpx->n_orders(NULL) == 0 && cpx->now_ns(NULL) == 0);
    DIRTY(quote), DIRTY(order), DIRTY(purses);
    CHECK(cpx->top(NULL, 9, &quote) == 0 && is_zero(&quote, sizeof quote));
    CHECK(cpx->order(NULL, 1, &order) == 0 && is_zero(&order, sizeof order));
    CHECK(cpx->balance(NULL, 0, purses) == 0 && is_zero(purses, sizeof purses));
    CHECK(cpx->depth(NULL, 9, 0, &level, 1) == 0);

    cpx_engine *engine = cpx->create(1, -1, 0);
    CHECK(engine != NULL && cpx->balance(engine, 0, purses) == 1); /* any number but 0 is yes: funds are checked */
    cpx->destroy(engine);
    engine = cpx->create(CPX_MAX_ORDERS, 0, 0);
    CHECK(engine != NULL);
    CHECK(cpx->process(engine, &command, 1, CPX_MAX_SEQ, UINT64_MAX) == 1); /* a step that nothing takes */
    CHECK(cpx->events(engine, &count)->seq == CPX_MAX_SEQ && count == 1 && cpx->n_orders(engine) == 1);

    const cpx_command two[] = {unknown, unknown};
    CHECK(cpx->process(engine, NULL, 2, 1, 1) == 0);
    cpx->events(engine, &count);
    CHECK(count == 0);
    CHECK(cpx->process(engine, two, 2, CPX_MAX_SEQ, 1) == 0 && cpx->process(engine, two, 1, UINT64_MAX, 0) == 0);
    CHECK(cpx->process(engine, two, 2, 1, UINT64_MAX) == 0 && cpx->process(engine, two, UINT64_MAX, 1, 1) == 0);
    CHECK(cpx->process(engine, two, 2, 1, CPX_MAX_SEQ - 1) == 2);
    CHECK(cpx->events(engine, &count)[1].seq == CPX_MAX_SEQ && count == 2);
    CHECK(cpx->events(engine, NULL)[0].reason == CPX_REJECT_UNKNOWN_OP);
    CHECK(cpx->process(engine, two, 0, 1, 1) == 0 && cpx->n_orders(engine) == 1);

    DIRTY(quote), DIRTY(order), DIRTY(purses), DIRTY(level);
    CHECK(cpx->top(engine, 8, &quote) == 0 && is_zero(&quote, sizeof quote));
    CHECK(cpx->top(engine, 9, &quote) == 1 && quote.bid_price == 5 && quote.bid_qty == 3 && quote.ask_qty == 0);
    CHECK(cpx->top(engine, 9, NULL) == 0 && cpx->depth(engine, 9, 0, NULL, 1) == 0);
    CHECK(cpx->depth(engine, 9, 2, &level, 1) == 0 && cpx->depth(engine, 9, 255, &level, 1) == 0);
    CHECK(cpx->depth(engine, 9, 1, &level, 1) == 0 && cpx->depth(engine, 9, 0, &level, 0) == 0);
    CHECK(cpx->depth(engine, 9, 0, &level, UINT32_MAX) == 1 && level.price == 5 && level.qty == 3 && level.orders == 1);
    CHECK(cpx->order(engine, 1, NULL) == 0 && cpx->balance(engine, 0, NULL) == 0);
    CHECK(cpx->order(engine, 0, &order) == 0 && is_zero(&order, sizeof order));
    CHECK(cpx->order(engine, UINT64_MAX, &order) == 0 && cpx->order(engine, 2, &order) == 0);
    CHECK(cpx->order(engine, 1, &order) == 1 && order.book == 9 && order.leaves == 3);
    CHECK(cpx->balance(engine, UINT32_MAX, purses) == 0 && is_zero(purses, sizeof purses));

    const cpx_command page[] = { /* id 0 has the place of the order that goes last */
        {.op = CPX_OP_CANCEL, .order_id = 1},
        {.op = CPX_OP_NEW, .order_id = 1 << 19, .price = 5, .qty = 3, .book = 9},
        {.op = CPX_OP_NEW, .order_id = (1 << 19) + 1, .price = 5, .qty = 3, .book = 9},
        {.op = CPX_OP_CANCEL, .order_id = 1 << 19},
    };
    CHECK(cpx->process(engine, page, 4, 1, 1) == 4 && cpx->n_orders(engine) == 1);
    CHECK(cpx->order(engine, 0, &order) == 0 && cpx->order(engine, 1 << 19, &order) == 0);
    cpx->destroy(engine);
    return 0;
}
