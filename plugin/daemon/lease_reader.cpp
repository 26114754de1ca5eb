// SPDX-License-Identifier: GPL-2.0-or-later
#include "lease_reader.hpp"

#include <cerrno>
#include <fstream>
#include <system_error>

#include "core/log.hpp"

namespace porthole {
namespace {

namespace fs = std::filesystem;

// Of a longer file this much is read: more leases than hosts are remembered.
constexpr std::uintmax_t most_bytes = 4U << 20U;

std::string read_text(const fs::path& file, std::uintmax_t size) {
    std::ifstream stream(file, std::ios::binary);
    std::string text(std::min(size, most_bytes), '\0');
    if (!stream) throw std::system_error(errno, std::generic_category(), file.string());
    stream.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(stream.gcount()));
    return text;
}

}  // namespace

std::vector<Lease> LeaseReader::read(const std::vector<fs::path>& files, Time now) {
    constexpr std::chrono::minutes good_for{1};  // some run out without a change of the file
    std::vector<Lease> leases;
    for (const auto& path : files) {
        std::error_code missing;
        const auto changed = fs::last_write_time(path, missing);
        const auto size = missing ? 0 : fs::file_size(path, missing);
        if (missing) {
            files_.erase(path);
            continue;
        }
        auto& file = files_[path];
        const bool as_read = file.changed == changed && file.size == size;
        if (!as_read || now - file.read >= good_for || now < file.read) {
            try {
                file.leases = parse_leases(read_text(path, size), now);
                file.failed = false;
            } catch (const std::system_error& error) {
                if (!file.failed) log::warning("leases-unreadable", "{}", error.what());
                file.leases.clear();
                file.failed = true;
            }
            file.changed = changed;
            file.size = size;
            file.read = now;
        }
        leases.insert(leases.end(), file.leases.begin(), file.leases.end());
    }
    return leases;
}

}  // namespace porthole
