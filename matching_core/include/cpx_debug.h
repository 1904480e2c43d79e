/* CPX_CHECK(condition): in a CPX_DEBUG build it stops the process where an index or a count is wrong. Our own mistakes
 * are assertions; a user's mistake is a numbered answer.
 */
#ifndef CPX_DEBUG_H
#define CPX_DEBUG_H

#ifdef CPX_DEBUG
#include <stdio.h>
#include <stdlib.h>
#define CPX_CHECK(condition)                                                              \
    do {                                                                                  \
        if (!(condition)) {                                                               \
            fprintf(stderr, "%s:%d: core check failed: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                      \
        }                                                                                 \
    } while (0)
#else
#define CPX_CHECK(condition) ((void)0)
#endif

#endif
