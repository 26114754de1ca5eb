// SPDX-License-Identifier: GPL-2.0-or-later
#include "netlink/socket.hpp"

#include <array>
#include <cerrno>
#include <cstddef>
#include <system_error>

#include <arpa/inet.h>
#include <linux/filter.h>
#include <sys/socket.h>

namespace porthole::netlink {
namespace {

// 65,536 commands of one element each are a datagram of about 9 MiB.
constexpr int send_buffer_bytes = 16 << 20;
// The kernel charges three quarters of a KiB for each command that fails.
constexpr int receive_buffer_bytes = 8 << 20;

[[noreturn]] void fail(const char* action) {
    throw std::system_error(errno, std::generic_category(), action);
}

void set_buffer_size(int descriptor, int forced, int limited, int bytes) {
    if (setsockopt(descriptor, SOL_SOCKET, forced, &bytes, sizeof(bytes)) == 0) return;
    if (setsockopt(descriptor, SOL_SOCKET, limited, &bytes, sizeof(bytes)) != 0) {
        fail("set the size of a netlink socket's buffer");
    }
}

// These make answers better where the kernel has them; nothing depends on them.
void prefer(mnl_socket* socket, int option) {
    int on = 1;
    mnl_socket_setsockopt(socket, option, &on, sizeof(on));
}

}  // namespace

Socket::Socket(int bus, std::span<const unsigned> groups)
    : socket_(mnl_socket_open2(bus, SOCK_CLOEXEC | SOCK_NONBLOCK)) {
    if (!socket_) fail("open a netlink socket");
    auto* socket = socket_.get();
    const int number = mnl_socket_get_fd(socket);
    set_buffer_size(number, SO_SNDBUFFORCE, SO_SNDBUF, send_buffer_bytes);
    set_buffer_size(number, SO_RCVBUFFORCE, SO_RCVBUF, receive_buffer_bytes);
    prefer(socket, NETLINK_EXT_ACK);
    prefer(socket, NETLINK_CAP_ACK);
    if (bus == NETLINK_ROUTE) prefer(socket, NETLINK_GET_STRICT_CHK);
    if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) fail("bind a netlink socket");
    for (const auto group : groups) join(group);
}

void Socket::join(unsigned group) {
    if (mnl_socket_setsockopt(socket_.get(), NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0) {
        fail("join a netlink group");
    }
}

void Socket::leave(unsigned group) {
    if (mnl_socket_setsockopt(socket_.get(), NETLINK_DROP_MEMBERSHIP, &group, sizeof(group)) < 0) {
        fail("leave a netlink group");
    }
}

void Socket::ignore_changes_of(std::uint32_t port_id) {
    // A datagram has notifications of one transaction, so its first message speaks for all.
    std::array program{
        sock_filter{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(nlmsghdr, nlmsg_pid)},
        sock_filter{BPF_JMP | BPF_JEQ | BPF_K, 0, 1, htonl(port_id)},
        sock_filter{BPF_RET | BPF_K, 0, 0, 0},
        sock_filter{BPF_RET | BPF_K, 0, 0, 0xFFFFFFFF},
    };
    const sock_fprog filter{program.size(), program.data()};
    if (setsockopt(descriptor(), SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) != 0) {
        fail("filter notifications");
    }
}

void Socket::send(std::span<const std::byte> datagram) {
    if (mnl_socket_sendto(socket_.get(), datagram.data(), datagram.size()) < 0) {
        fail("send over netlink");
    }
}

std::size_t Socket::receive(std::span<std::byte> buffer) {
    for (;;) {
        sockaddr_nl sender{};
        iovec room{buffer.data(), buffer.size()};
        msghdr header{};
        header.msg_name = &sender;
        header.msg_namelen = sizeof(sender);
        header.msg_iov = &room;
        header.msg_iovlen = 1;
        const auto size = recvmsg(descriptor(), &header, 0);
        if (size < 0) {
            if (errno == EINTR) continue;
            if (errno == EAGAIN) return 0;
            fail("receive over netlink");
        }
        if (sender.nl_pid != 0) continue;  // another process may write to us, too
        if ((header.msg_flags & MSG_TRUNC) != 0) {
            errno = EMSGSIZE;
            fail("receive over netlink");
        }
        return static_cast<std::size_t>(size);
    }
}

int Socket::descriptor() const { return mnl_socket_get_fd(socket_.get()); }

}  // namespace porthole::netlink
