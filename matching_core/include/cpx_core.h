/* What the compiled engine needs from C itself: arithmetic that must not overflow or must wrap, slab memory, hints. */
#ifndef CPX_CORE_H
#define CPX_CORE_H

#include "matching_core.h"

#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#define cpx_likely(condition) __builtin_expect(!!(condition), 1)
#define cpx_unlikely(condition) __builtin_expect(!!(condition), 0)
#define cpx_highest_bit(word) (63 - __builtin_clzll(word))
#define cpx_count_bits(word) ((uint32_t)__builtin_popcountll(word))
/* A macro: compilers delete calls to inline functions that only prefetch. */
#define cpx_prefetch(address) __builtin_prefetch((address), 1, 3)

/* condition ? one : other, without a branch where it cannot be foreseen. */
static inline uint64_t cpx_pick(int condition, uint64_t one, uint64_t other) {
    return other ^ ((one ^ other) & (0 - (uint64_t)(condition != 0)));
}

static inline uint32_t *cpx_pick_place(int condition, uint32_t *one, uint32_t *other) {
    return (uint32_t *)(uintptr_t)cpx_pick(condition, (uint64_t)(uintptr_t)one, (uint64_t)(uintptr_t)other);
}

#define CPX_HUGE_PAGE ((uintptr_t)1 << 21)
#define CPX_PAGE ((uintptr_t)4096)

/* Ask for huge pages behind the first one of a range; a hint: refusal does no harm. */
static inline void cpx_advise_huge(void *address, size_t size) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    uintptr_t from = ((uintptr_t)address + CPX_HUGE_PAGE - 1) & ~(CPX_HUGE_PAGE - 1);
    uintptr_t to = ((uintptr_t)address + (uintptr_t)size) & ~(CPX_HUGE_PAGE - 1);
    if (to > from + CPX_HUGE_PAGE) (void)madvise((void *)(from + CPX_HUGE_PAGE), to - from - CPX_HUGE_PAGE, MADV_HUGEPAGE);
#else
    (void)address, (void)size;
#endif
}

/* Room for at least `need` items, doubling; new memory is not cleared. 0, or -1 and nothing changed. */
static inline int cpx_grow(void **slab, uint64_t *capacity, uint64_t need, size_t item) {
    uint64_t wanted = *capacity ? *capacity : 16;
    void *grown;
    if (need <= *capacity) return 0;
    while (wanted < need) wanted *= 2;
    if (wanted > SIZE_MAX / item) return -1;
    grown = realloc(*slab, (size_t)wanted * item);
    if (grown == NULL) return -1;
    if (wanted * item >= 2 * CPX_HUGE_PAGE) cpx_advise_huge(grown, (size_t)wanted * item);
    *slab = grown;
    *capacity = wanted;
    return 0;
}

/* As cpx_grow, for many small lists: the first room is for one item. */
static inline int cpx_grow_small(void **list, uint64_t *capacity, uint64_t need, size_t item) {
    uint64_t wanted = *capacity ? *capacity * 2 : 1;
    void *grown;
    if (need <= *capacity) return 0;
    if (wanted >= 16) return cpx_grow(list, capacity, need, item);
    if (wanted < need) wanted = need;
    grown = realloc(*list, (size_t)wanted * item);
    if (grown == NULL) return -1;
    *list = grown;
    *capacity = wanted;
    return 0;
}

/* Give back what a slab has room for beyond `need` items; where the system refuses, all stays as it is. */
static inline void cpx_shrink(void **slab, uint64_t *capacity, uint64_t need, size_t item) {
    void *smaller;
    if (need < 16) need = 16;
    if (*capacity <= need) return;
    smaller = realloc(*slab, (size_t)need * item);
    if (smaller == NULL) return;
    *slab = smaller;
    *capacity = need;
}

/* Zeroed address space; memory is taken when it is touched. NULL without. */
static inline void *cpx_reserve(size_t size) {
#if defined(__linux__)
    void *mapping = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return mapping == MAP_FAILED ? NULL : mapping;
#else
    return calloc(size, 1);
#endif
}

static inline void cpx_unreserve(void *address, size_t size) {
#if defined(__linux__)
    if (address != NULL) (void)munmap(address, size);
#else
    (void)size;
    free(address);
#endif
}

/* Take the memory of a range now; what is there stays as it is. */
static inline void cpx_touch(void *address, size_t size) {
    volatile uint8_t *byte = address;
    size_t at;
    for (at = 0; at < size; at += CPX_PAGE) byte[at] = byte[at];
}

/* The whole pages inside go back to the system and read as zeros; outside them nothing changes. */
static inline void cpx_return(void *address, size_t size) {
#if defined(__linux__)
    uintptr_t from = ((uintptr_t)address + CPX_PAGE - 1) & ~(CPX_PAGE - 1);
    uintptr_t to = ((uintptr_t)address + (uintptr_t)size) & ~(CPX_PAGE - 1);
    if (to > from) (void)madvise((void *)from, to - from, MADV_DONTNEED);
#else
    (void)address, (void)size;
#endif
}

/* The first eight bytes of a command as one word: op, side, order_type, tif, stp, flags, reserved, low byte first. */
static inline uint64_t cpx_command_head(const cpx_command *c) {
    uint64_t head;
    memcpy(&head, c, sizeof head);
    return head;
}

/* Fibonacci hashing: neighbours spread, and the top bits are the good ones. */
static inline uint64_t cpx_home(uint64_t key, uint32_t shift) {
    return (key * UINT64_C(0x9E3779B97F4A7C15)) >> shift;
}

/* One more word in the hash of several. */
static inline uint64_t cpx_mix(uint64_t hash, uint64_t word) {
    hash = (hash ^ word) * UINT64_C(0x9E3779B97F4A7C15);
    return hash ^ hash >> 29;
}

/* Bytes 8 to 15 of an event at once: kind, side, reason, flags, then the book, low byte first. */
static inline void cpx_event_head(cpx_event *event, uint64_t head) { memcpy(&event->kind, &head, sizeof head); }

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

/* B1: |price - base| * 10^6 <= base * ppm; the product needs 128 bits where H4 multiplies the ppm. */
static inline int cpx_is_within(int64_t price, int64_t base, uint64_t ppm) {
    uint64_t apart = price > base ? (uint64_t)(price - base) : (uint64_t)(base - price);
    return (unsigned __int128)apart * CPX_PPM <= (unsigned __int128)(uint64_t)base * ppm;
}

/* The highest and the lowest price within a band; base <= 1e12 and ppm <= 1e6, so 64 bits are enough. */
static inline int64_t cpx_upper_edge(int64_t base, int64_t ppm) { return base * (CPX_PPM + ppm) / CPX_PPM; }

static inline int64_t cpx_lower_edge(int64_t base, int64_t ppm) {
    return (base * (CPX_PPM - ppm) + CPX_PPM - 1) / CPX_PPM;
}

/* Whether price x qty <= most, for a most below 2^63: the same question where value and what went before are in `most`. */
static inline int cpx_product_fits(int64_t price, int64_t qty, int64_t most) {
    uint64_t product;
    return !__builtin_mul_overflow((uint64_t)price, (uint64_t)qty, &product) && product <= (uint64_t)most;
}

/* Whether a time is at least `early` before the start of period `end - length`, for an end of any size. */
static inline int cpx_is_before(int64_t time, int64_t origin, int64_t period_ns, int64_t end, int64_t length, int64_t early) {
    return time <= (__int128)origin + ((__int128)end - length) * period_ns - early;
}

static inline int64_t cpx_add_capped(int64_t count, int64_t lots) {
    int64_t sum;
    return __builtin_add_overflow(count, lots, &sum) ? INT64_MAX : sum;
}

#endif
