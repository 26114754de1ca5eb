// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/secret_file.hpp"

#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "types/error.hpp"

namespace porthole {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const char* action, const fs::path& file) {
    const int error = errno;
    throw StorageFailure(std::string(action) + ' ' + file.string(),
                         std::generic_category().message(error));
}

class File {
  public:
    explicit File(int descriptor) : descriptor_(descriptor) {}
    ~File() {
        if (descriptor_ >= 0) close(descriptor_);
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    File(File&&) = delete;
    File& operator=(File&&) = delete;
    [[nodiscard]] int get() const { return descriptor_; }

  private:
    int descriptor_;
};

void write_all(int descriptor, std::string_view text, const fs::path& file) {
    while (!text.empty()) {
        const auto written = write(descriptor, text.data(), text.size());
        if (written < 0 && errno != EINTR) fail("write", file);
        if (written > 0) text.remove_prefix(static_cast<std::size_t>(written));
    }
}

// A new name is durable when its directory is.
void sync_directory(const fs::path& directory) {
    const File opened(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (opened.get() < 0 || fsync(opened.get()) != 0) fail("write", directory);
}

}  // namespace

std::optional<SecretText> read_secret_file(const fs::path& file) {
    const File opened(open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (opened.get() < 0) {
        if (errno == ENOENT) return std::nullopt;
        fail("read", file);
    }
    SecretText text;
    constexpr std::size_t part = 4096;
    for (bool more = true; more;) {
        text.append(part, [&](std::span<char> room) {
            ssize_t size = 0;
            do {
                size = read(opened.get(), room.data(), room.size());
            } while (size < 0 && errno == EINTR);
            if (size < 0) fail("read", file);
            more = size > 0;
            return static_cast<std::size_t>(size);
        });
        if (text.view().size() > most_secret_file_bytes) {
            throw StorageFailure("read " + file.string(), "it is larger than 1 MiB");
        }
    }
    return text;
}

void write_secret_file(const fs::path& file, std::string_view text) {
    const auto unfinished = fs::path(file.string() + ".new");
    unlink(unfinished.c_str());  // what a crash has left
    {
        constexpr mode_t owner_alone = S_IRUSR | S_IWUSR;
        const File opened(
            open(unfinished.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, owner_alone));
        if (opened.get() < 0) fail("write", unfinished);
        write_all(opened.get(), text, unfinished);
        if (fsync(opened.get()) != 0) fail("write", unfinished);
    }
    if (rename(unfinished.c_str(), file.c_str()) != 0) fail("write", file);
    sync_directory(file.parent_path());
}

}  // namespace porthole
