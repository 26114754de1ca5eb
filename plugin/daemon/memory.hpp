// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

namespace porthole {

/// Has malloc give back large blocks as soon as they are free. To be called first.
void keep_no_large_blocks();

/// A start goes through code and tables of the program and its libraries that are hardly ever
/// needed again: those pages are mapped no longer, and whichever is needed is mapped again at its
/// next use, once.
void give_back_program();

/// What a start or a large change took in between, malloc would keep for the next one: returns it
/// to the kernel. Takes milliseconds where there is much.
void give_back_memory();

}  // namespace porthole
