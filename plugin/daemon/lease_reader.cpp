// SPDX-License-Identifier: GPL-2.0-or-later
#include "lease_reader.hpp"

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.hpp"

namespace porthole {
namespace {

namespace fs = std::filesystem;

// Of a longer file the end is read: that is where servers write.
constexpr off_t most_bytes = 4 << 20;

class LeaseFile {
  public:
    // Not waiting for whoever has the other end, if it is no file at all.
    explicit LeaseFile(const fs::path& path)
        : path_(path), descriptor_(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)) {
        if (descriptor_ < 0 && errno != ENOENT && errno != ENOTDIR) fail();
        if (descriptor_ >= 0 && fstat(descriptor_, &status_) != 0) fail();
    }
    ~LeaseFile() {
        if (descriptor_ >= 0) close(descriptor_);
    }
    LeaseFile(const LeaseFile&) = delete;
    LeaseFile& operator=(const LeaseFile&) = delete;
    LeaseFile(LeaseFile&&) = delete;
    LeaseFile& operator=(LeaseFile&&) = delete;

    [[nodiscard]] bool exists() const { return descriptor_ >= 0; }
    [[nodiscard]] std::string version() const {
        return fmt::format("{} {} {} {}.{};", status_.st_dev, status_.st_ino, status_.st_size,
                           status_.st_mtim.tv_sec, status_.st_mtim.tv_nsec);
    }
    // The first line and the last megabytes: the first one may say what the columns are.
    [[nodiscard]] std::string text() const {
        constexpr uid_t first_of_people = 1000;
        const bool system = status_.st_uid < first_of_people || status_.st_uid == geteuid();
        if (!S_ISREG(status_.st_mode) || !system || (status_.st_mode & S_IWOTH) != 0) {
            throw std::system_error(
                EPERM, std::generic_category(),
                path_.string() + " is not a file that the system alone can write");
        }
        if (status_.st_size <= most_bytes) return part(0, status_.st_size);
        constexpr off_t longest_first_line = 4096;
        auto begin = part(0, longest_first_line);
        begin.resize(std::min(begin.size(), begin.find('\n') + 1));
        const auto end = part(status_.st_size - most_bytes, most_bytes);
        return begin + end.substr(std::min(end.size(), end.find('\n') + 1));
    }

  private:
    [[noreturn]] void fail() const {
        throw std::system_error(errno, std::generic_category(), path_.string());
    }
    [[nodiscard]] std::string part(off_t offset, off_t size) const {
        std::string text(static_cast<std::size_t>(size), '\0');
        const auto count = pread(descriptor_, text.data(), text.size(), offset);
        if (count < 0) fail();
        text.resize(static_cast<std::size_t>(count));
        return text;
    }

    fs::path path_;
    int descriptor_;
    struct stat status_ {};
};

// Kea moves a file that has grown aside and goes on with an empty one: what it was comes first.
std::vector<fs::path> parts_of(const fs::path& file) {
    if (file.extension() != ".csv") return {file};
    const auto part = [&file](const char* suffix) { return fs::path(file.string() + suffix); };
    return {part(".completed"), part(".2"), part(".1"), file};
}

}  // namespace

std::vector<Lease> LeaseReader::read(const std::vector<fs::path>& files, Time now) {
    constexpr std::chrono::minutes good_for{1};  // some run out without a change of the file
    auto before = std::exchange(files_, {});
    std::vector<Lease> leases;
    for (const auto& path : files) {
        auto& file = files_[path];
        file = std::move(before[path]);
        try {
            std::string version;
            std::string text;
            for (const auto& part : parts_of(path)) version += LeaseFile(part).version();
            if (version != file.version || now - file.read >= good_for || now < file.read) {
                for (const auto& part : parts_of(path)) {
                    const LeaseFile found(part);
                    if (found.exists()) text += found.text();
                }
                file.leases = parse_leases(text, now);
                file.version = version;
                file.read = now;
            }
            file.failed = false;
        } catch (const std::system_error& error) {
            if (!file.failed) log::warning("leases-unreadable", "{}", error.what());
            file = {.version = {}, .read = never, .failed = true, .leases = {}};
        }
        leases.insert(leases.end(), file.leases.begin(), file.leases.end());
    }
    return leases;
}

}  // namespace porthole
