// SPDX-License-Identifier: GPL-2.0-or-later
#include "lab/namespace.hpp"

#include <cstring>
#include <exception>
#include <future>
#include <stdexcept>

#include <fcntl.h>
#include <fmt/format.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace porthole::lab {
namespace {

FileDescriptor open_current() {
    return FileDescriptor(checked(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC),
                                  "open /proc/thread-self/ns/net"));
}

void raise_loopback() {
    const FileDescriptor socket(checked(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket"));
    ifreq request{};
    std::strcpy(request.ifr_name, "lo");
    request.ifr_flags = IFF_UP;
    checked(::ioctl(socket.get(), SIOCSIFFLAGS, &request), "raise lo");
}

// In a thread that ends right afterwards, so that the caller's own namespace is never touched.
FileDescriptor create() {
    return std::async(std::launch::async,
                      [] {
                          checked(::unshare(CLONE_NEWNET), "make a network namespace");
                          raise_loopback();
                          return open_current();
                      })
        .get();
}

}  // namespace

Namespace::Namespace(std::string name) : name_(std::move(name)), descriptor_(create()) {
    // Link-local addresses too: without one, a router cannot ask for its neighbours.
    set_sysctl("net/ipv6/conf/all/accept_dad", "0");
    set_sysctl("net/ipv6/conf/default/accept_dad", "0");
}

unsigned long Namespace::inode() const {
    struct stat status {};
    checked(::fstat(descriptor(), &status), "fstat");
    return status.st_ino;
}

unsigned Namespace::link_index(const std::string& link) const {
    const auto index = run([&] { return ::if_nametoindex(link.c_str()); });
    if (index == 0) throw std::runtime_error(fmt::format("there is no link {} in {}", link, name_));
    return index;
}

void Namespace::set_sysctl(std::string_view path, std::string_view value) const {
    run([&] {
        const auto file = fmt::format("/proc/sys/{}", path);
        const FileDescriptor target(checked(::open(file.c_str(), O_WRONLY | O_CLOEXEC), file));
        checked(static_cast<int>(::write(target.get(), value.data(), value.size())),
                fmt::format("write {} to {}", value, file));
    });
}

Namespace::Visit::Visit(const Namespace& there) : home_(open_current()) {
    checked(::setns(there.descriptor(), CLONE_NEWNET), "enter namespace " + there.name());
}

Namespace::Visit::~Visit() {
    // A thread that cannot come home would go on in a strange namespace.
    if (::setns(home_.get(), CLONE_NEWNET) < 0) std::terminate();
}

}  // namespace porthole::lab
