// SPDX-License-Identifier: GPL-2.0-or-later
#include "lab/wireguard.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <sstream>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "lab/links.hpp"
#include "types/error.hpp"

namespace porthole::lab {
namespace {

std::string unique_name() {
    static std::atomic<unsigned> count = 0;
    return fmt::format("wg{:x}-{}", ::getpid(), ++count);
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

// Whether the kernel can make the link; every other reason not to is an error.
bool add_kernel_link(const Namespace& host, const std::string& name) {
    try {
        add_link(host, name, "wireguard");
        return true;
    } catch (const KernelFailure& failure) {
        if (failure.code() != EOPNOTSUPP) throw;
        return false;
    }
}

// A minimal container has no udev to make it.
void require_tun_device() {
    constexpr unsigned major = 10;
    constexpr unsigned minor = 200;
    if (std::filesystem::exists("/dev/net/tun")) return;
    std::filesystem::create_directories("/dev/net");
    if (::mknod("/dev/net/tun", S_IFCHR | 0600, makedev(major, minor)) < 0 && errno != EEXIST) {
        throw std::system_error(errno, std::generic_category(), "make /dev/net/tun");
    }
}

FileDescriptor listen_on(const std::filesystem::path& path) {
    std::filesystem::create_directories(path.parent_path());
    std::filesystem::remove(path);
    FileDescriptor socket(checked(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const auto text = path.string();
    std::ranges::copy(text, std::begin(address.sun_path));
    checked(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
            "bind " + text);
    checked(::listen(socket.get(), 8), "listen");
    return socket;
}

}  // namespace

bool kernel_has_wireguard() { return add_kernel_link(Namespace("probe"), "wg0"); }

WireGuard::WireGuard(const Namespace& host, std::string_view address)
    : host_(host),
      interface_(unique_name()),
      private_key_(first_line(output_of(host, {"wg", "genkey"}))),
      public_key_(first_line(output_of(host, {"wg", "pubkey"}, {.input = private_key_}))) {
    if (!add_kernel_link(host, interface_)) start_userspace();
    configure(0, {});
    add_address(host, interface_, address);
    set_link(host, interface_, true);
}

WireGuard::~WireGuard() {
    if (!userspace_) return;
    userspace_.reset();
    std::error_code ignored;
    std::filesystem::remove(socket_, ignored);
}

// wireguard-go gets its control socket from us, already listening: wg(8) can be called at once, and
// has its answer when the interface is there.
void WireGuard::start_userspace() {
    require_tun_device();
    socket_ = std::filesystem::path("/var/run/wireguard") / (interface_ + ".sock");
    const auto listener = listen_on(socket_);
    userspace_.emplace(
        host_, std::vector<std::string>{"wireguard-go", "--foreground", interface_},
        Setting{.environment = {fmt::format("WG_UAPI_FD={}", listener.get())},
                .before_exec = [number = listener.get()] { ::fcntl(number, F_SETFD, 0); }});
}

std::string_view WireGuard::implementation() const {
    return userspace_ ? "wireguard-go" : "kernel WireGuard";
}

void WireGuard::configure(std::uint16_t listen_port,
                          const std::vector<WireGuardPeer>& peers) const {
    auto text =
        fmt::format("[Interface]\nPrivateKey = {}\nListenPort = {}\n", private_key_, listen_port);
    for (const auto& peer : peers) {
        text += fmt::format(
            "[Peer]\nPublicKey = {}\n{}AllowedIPs = {}\nPersistentKeepalive = {}\n",
            peer.public_key,
            peer.endpoint ? fmt::format("Endpoint = {}\n", to_text(*peer.endpoint)) : "",
            peer.allowed_ips, peer.keepalive);
    }
    output_of(host_, {"wg", "setconf", interface_, "/dev/stdin"}, {.input = text});
}

std::string WireGuard::endpoint_of(const std::string& public_key) const {
    return shown("endpoints", public_key);
}

bool WireGuard::has_shaken_hands_with(const std::string& public_key) const {
    const auto when = shown("latest-handshakes", public_key);
    return !when.empty() && when != "0";
}

// What `wg show` says about one peer; empty if it has none of this key.
std::string WireGuard::shown(const std::string& what, const std::string& public_key) const {
    std::istringstream lines(output_of(host_, {"wg", "show", interface_, what}));
    std::string key;
    std::string value;
    while (lines >> key >> value) {
        if (key == public_key) return value;
    }
    return {};
}

}  // namespace porthole::lab
