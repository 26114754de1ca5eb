// SPDX-License-Identifier: GPL-2.0-or-later
#include "memory.hpp"

#include <malloc.h>

// Other C libraries, as OpenWrt's musl, give back what is free by themselves.
namespace porthole {

void keep_no_large_blocks() {
#ifdef __GLIBC__
    // Once a block that was mapped is freed, glibc takes the like of it from the heap, where it
    // stays; not if a threshold is set.
    constexpr int large = 1 << 16;
    mallopt(M_MMAP_THRESHOLD, large);
#endif
}

void give_back_memory() {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

}  // namespace porthole
