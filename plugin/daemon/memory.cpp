// SPDX-License-Identifier: GPL-2.0-or-later
#include "memory.hpp"

#include <cstdint>

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

// Other C libraries, as OpenWrt's musl, give back what is free by themselves.
namespace porthole {
namespace {

// Whatever is in there is in the file, too: nothing ever writes to it.
void unmap(const dl_phdr_info& file, const ElfW(Phdr) & segment) {
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) return;
    const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
    const auto begin = (file.dlpi_addr + segment.p_vaddr) & ~(page - 1);
    const auto end = (file.dlpi_addr + segment.p_vaddr + segment.p_memsz + page - 1) & ~(page - 1);
    // NOLINTNEXTLINE(performance-no-int-to-ptr): ELF speaks of addresses
    madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace

void keep_no_large_blocks() {
#ifdef __GLIBC__
    // Once a block that was mapped is freed, glibc takes the like of it from the heap, where it
    // stays; not if a threshold is set.
    constexpr int large = 1 << 16;
    mallopt(M_MMAP_THRESHOLD, large);
#endif
}

void give_back_program() {
    dl_iterate_phdr(
        [](dl_phdr_info* file, std::size_t, void*) {
            for (int i = 0; i < file->dlpi_phnum; ++i) unmap(*file, file->dlpi_phdr[i]);
            return 0;
        },
        nullptr);
}

void give_back_memory() {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

}  // namespace porthole
