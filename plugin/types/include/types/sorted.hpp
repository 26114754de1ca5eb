// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <algorithm>
#include <vector>

namespace porthole {

/// Sorts the values; cheaply where they are sorted already, as they mostly are.
template <typename T>
void sort_unless_sorted(std::vector<T>& values) {
    if (!std::ranges::is_sorted(values)) std::ranges::sort(values);
}

/// Sorts the values and leaves one of each.
template <typename T>
void sort_unique(std::vector<T>& values) {
    sort_unless_sorted(values);
    values.erase(std::unique(values.begin(), values.end()), values.end());
}

}  // namespace porthole
