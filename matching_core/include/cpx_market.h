/* Arithmetic of periods, costs and shares whose products do not fit into 64 bits. */
#ifndef CPX_MARKET_H
#define CPX_MARKET_H

#include "matching_core.h"

/* What no candidate may cost: one more than all the money there is. Two of them still add up within 64 bits. */
#define CPX_NO_COST (CPX_MAX_MONEY_MICRO + 1)

#define cpx_lowest_bit(word) __builtin_ctzll(word)

/* Whether a / b <= c / d; all of them positive. */
static inline int cpx_is_ratio_at_most(int64_t a, int64_t b, int64_t c, int64_t d) {
    return (unsigned __int128)(uint64_t)a * (uint64_t)d <= (unsigned __int128)(uint64_t)c * (uint64_t)b;
}

/* a x b, at most CPX_NO_COST; neither is negative. */
static inline int64_t cpx_cost(int64_t a, int64_t b) {
    int64_t product;
    return __builtin_mul_overflow(a, b, &product) || product > CPX_NO_COST ? CPX_NO_COST : product;
}

/* a + b, at most CPX_NO_COST; neither is negative or more than that. */
static inline int64_t cpx_cost_sum(int64_t a, int64_t b) { return a + b > CPX_NO_COST ? CPX_NO_COST : a + b; }

/* floor(a x b / 2^shift), at most CPX_NO_COST; nothing is negative. */
static inline int64_t cpx_scaled(int64_t a, int64_t b, uint32_t shift) {
    unsigned __int128 scaled = (unsigned __int128)(uint64_t)a * (uint64_t)b >> shift;
    return scaled > (unsigned __int128)CPX_NO_COST ? CPX_NO_COST : (int64_t)scaled;
}

/* The largest a with floor(a x b / 2^shift) <= most; -1 if there is none. */
static inline int64_t cpx_unscaled(int64_t most, int64_t b, uint32_t shift) {
    unsigned __int128 largest;
    if (most < 0) return -1;
    largest = ((((unsigned __int128)(uint64_t)most + 1) << shift) - 1) / (uint64_t)b;
    return largest > (unsigned __int128)CPX_NO_COST - 1 ? CPX_NO_COST - 1 : (int64_t)largest;
}

/* ceil(a x b / c), at most the largest number. */
static inline int64_t cpx_mul_div_ceil(int64_t a, int64_t b, int64_t c) {
    unsigned __int128 quotient = ((unsigned __int128)(uint64_t)a * (uint64_t)b + (uint64_t)c - 1) / (uint64_t)c;
    return quotient > (unsigned __int128)INT64_MAX ? INT64_MAX : (int64_t)quotient;
}

/* EM2: floor(cost x twelfths / 12). */
static inline int64_t cpx_charge(int64_t cost_micro, int64_t twelfths) {
    return (int64_t)((__int128)cost_micro * twelfths / 12);
}

/* origin + period x period_ns - before_ns, within 64 bits. */
static inline int64_t cpx_period_start(int64_t origin_ns, int64_t period_ns, int64_t period, int64_t before_ns) {
    __int128 start = (__int128)period * period_ns + origin_ns - before_ns;
    return start > INT64_MAX ? INT64_MAX : start < INT64_MIN ? INT64_MIN : (int64_t)start;
}

/* floor((time - origin) / period_ns). */
static inline int64_t cpx_period_at(int64_t origin_ns, int64_t period_ns, int64_t time_ns) {
    __int128 since = (__int128)time_ns - origin_ns;
    __int128 period = since / period_ns;
    return (int64_t)(since % period_ns < 0 ? period - 1 : period);
}

/* The first period that begins after time + later. */
static inline int64_t cpx_period_after(int64_t origin_ns, int64_t period_ns, int64_t time_ns, int64_t later_ns) {
    __int128 since = (__int128)time_ns + later_ns - origin_ns;
    __int128 period = since / period_ns;
    return (int64_t)(since % period_ns < 0 ? period : period + 1);
}

/* EM2: whole twelfths of a period that are left, 0 to 12. */
static inline int64_t cpx_twelfths(int64_t origin_ns, int64_t period_ns, int64_t period, int64_t now_ns) {
    __int128 left = (__int128)period * period_ns + origin_ns + period_ns - now_ns;
    return left <= 0 ? 0 : left >= period_ns ? 12 : (int64_t)(left * 12 / period_ns);
}

/* Bulk: whether spent <= floor(limit x filled / target). */
static inline int cpx_is_within_share(int64_t limit, int64_t filled, int64_t target, int64_t spent) {
    return (__int128)spent * target <= (__int128)limit * filled;
}

/* Bulk: of `there` lots at `unit` each, as many as leave spent <= limit x filled / target; all where they help. */
static inline int64_t cpx_affordable(
    int64_t limit, int64_t target, int64_t filled, int64_t spent, int64_t unit, int64_t there) {
    __int128 over = (__int128)unit * target - limit;
    __int128 slack = (__int128)limit * filled - (__int128)spent * target;
    if (over <= 0) return there;
    if (slack <= 0) return 0;
    return slack / over < there ? (int64_t)(slack / over) : there;
}

#endif
