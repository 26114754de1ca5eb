// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "lab/file_descriptor.hpp"

namespace porthole::lab {

/// A network namespace that only this process's descriptor keeps alive: it has no name on the
/// machine, and is gone with the process and all that runs in it. Its loopback interface is up, and
/// IPv6 addresses are usable at once: there is no duplicate address detection.
class Namespace {
  public:
    /// `name`: what it is called in messages. Throws std::system_error (EPERM without root).
    explicit Namespace(std::string name);

    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] int descriptor() const { return descriptor_.get(); }
    /// Identifies the namespace on this machine, as in "net:[INODE]".
    [[nodiscard]] unsigned long inode() const;

    /// Calls `callable` with the calling thread in this namespace, and takes the thread back to
    /// its own one afterwards. Sockets that were opened inside stay there.
    template <typename Callable>
    decltype(auto) run(Callable&& callable) const {
        const Visit visit(*this);
        return std::forward<Callable>(callable)();
    }

    /// Throws std::runtime_error if there is no such link.
    [[nodiscard]] unsigned link_index(const std::string& link) const;

    /// Writes /proc/sys/PATH as seen from inside, with "net/ipv4/ip_forward" for example as path.
    void set_sysctl(std::string_view path, std::string_view value) const;

  private:
    class Visit {
      public:
        explicit Visit(const Namespace& there);
        ~Visit();
        Visit(const Visit&) = delete;
        Visit& operator=(const Visit&) = delete;
        Visit(Visit&&) = delete;
        Visit& operator=(Visit&&) = delete;

      private:
        FileDescriptor home_;
    };

    std::string name_;
    FileDescriptor descriptor_;
};

}  // namespace porthole::lab
