// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <stdexcept>
#include <string>

#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lab/process.hpp"
#include "lab/temporary_directory.hpp"

namespace porthole {

/// Makes this thread somebody else for whom it connects to. The C library would have all threads
/// change, and interrupt them for that.
class As {
  public:
    As(uid_t user, gid_t group) {
        if (!be(user, group)) throw std::runtime_error("cannot be others");
    }
    ~As() {
        // Who was root may be so again.
        [[maybe_unused]] const bool back = be(0, 0);
    }
    As(const As&) = delete;
    As& operator=(const As&) = delete;
    As(As&&) = delete;
    As& operator=(As&&) = delete;

  private:
    static bool be(uid_t user, gid_t group) {
        const auto set_user = [user] { return syscall(SYS_setresuid, -1, user, -1) == 0; };
        const auto set_group = [group] { return syscall(SYS_setresgid, -1, group, -1) == 0; };
        return user == 0 ? set_user() && set_group() : set_group() && set_user();
    }
};

/// The group "porthole", for a service that is started with it.
class PortholeGroup {
  public:
    static constexpr gid_t id = 65532;

    PortholeGroup() { lab::write_file(file_, fmt::format("root:x:0:\nporthole:x:{}:\n", id)); }
    [[nodiscard]] lab::Setting setting() const {
        return {.before_exec = [path = file_.c_str()] {
            if (unshare(CLONE_NEWNS) != 0 ||
                mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
                mount(path, "/etc/group", nullptr, MS_BIND, nullptr) != 0) {
                _exit(99);
            }
        }};
    }

  private:
    lab::TemporaryDirectory directory_;
    std::string file_ = (directory_ / "group").string();
};

}  // namespace porthole
