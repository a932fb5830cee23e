/* Numbers that look random and depend on their arguments alone (SplitMix64's finaliser). */
#ifndef CLUSTER_TESTS_SALES_NOISE_H
#define CLUSTER_TESTS_SALES_NOISE_H

#include <stdint.h>

static inline uint64_t noise(uint64_t seed, uint64_t a, uint64_t b)
{
    uint64_t z = seed * UINT64_C(0x9e3779b97f4a7c15) + a * UINT64_C(0xd1b54a32d192ed03) + b;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

#endif
