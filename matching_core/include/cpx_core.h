/* What the compiled engine needs from C itself: arithmetic that must not overflow or must wrap, slab memory, hints. */
#ifndef CPX_CORE_H
#define CPX_CORE_H

#include "matching_core.h"

#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#define cpx_unlikely(condition) __builtin_expect(!!(condition), 0)
/* A macro: compilers delete calls to inline functions that only prefetch. */
#define cpx_prefetch(address) __builtin_prefetch((address), 1, 3)

#define CPX_HUGE_PAGE ((uintptr_t)1 << 21)

/* Room for at least `need` items, doubling; new memory is not cleared. 0, or -1 and nothing changed. */
static inline int cpx_grow(void **slab, uint64_t *capacity, uint64_t need, size_t item) {
    uint64_t wanted = *capacity ? *capacity : 16;
    void *grown;
    if (need <= *capacity) return 0;
    while (wanted < need) wanted *= 2;
    if (wanted > SIZE_MAX / item) return -1;
    grown = realloc(*slab, (size_t)wanted * item);
    if (grown == NULL) return -1;
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (wanted * item >= 2 * CPX_HUGE_PAGE) { /* the whole huge pages inside */
        uintptr_t from = ((uintptr_t)grown + CPX_HUGE_PAGE - 1) & ~(CPX_HUGE_PAGE - 1);
        uintptr_t to = ((uintptr_t)grown + (uintptr_t)(wanted * item)) & ~(CPX_HUGE_PAGE - 1);
        if (to > from) (void)madvise((void *)from, to - from, MADV_HUGEPAGE); /* a hint: refusal does no harm */
    }
#endif
    *slab = grown;
    *capacity = wanted;
    return 0;
}

/* Fibonacci hashing: neighbours spread, and the top bits are the good ones. */
static inline uint64_t cpx_home(uint64_t key, uint32_t shift) {
    return (key * UINT64_C(0x9E3779B97F4A7C15)) >> shift;
}

/* ceil(ppm x notional / 1e6) without 128 bits: the notional is split at a million; ppm <= 1e6, notional <= 8e18. */
static inline int64_t cpx_fee(uint32_t fee_ppm, int64_t notional_micro) {
    uint64_t millions = (uint64_t)notional_micro / CPX_PPM, rest = (uint64_t)notional_micro % CPX_PPM;
    return (int64_t)(fee_ppm * millions + (fee_ppm * rest + CPX_PPM - 1) / CPX_PPM);
}

/* Whether price x qty x value + already <= CPX_MAX_MONEY_MICRO; price, qty, value <= 1e12 each and not negative. */
static inline int cpx_notional_fits(int64_t price, int64_t qty, int64_t value_micro, uint64_t already_micro) {
    unsigned __int128 notional = (unsigned __int128)price * (uint64_t)qty * (uint64_t)value_micro;
    return notional + already_micro <= (unsigned __int128)CPX_MAX_MONEY_MICRO;
}

static inline int64_t cpx_add_capped(int64_t count, int64_t lots) {
    int64_t sum;
    return __builtin_add_overflow(count, lots, &sum) ? INT64_MAX : sum;
}

#endif
