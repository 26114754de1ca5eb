// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <memory>
#include <stdexcept>

#include <sys/socket.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

namespace porthole::dbus {

/// Makes messages: those can be made as soon as there is somebody whom they could be sent to.
class UnconnectedBus {
  public:
    struct Unref {
        void operator()(sd_bus_message* message) const { sd_bus_message_unref(message); }
    };
    using Message = std::unique_ptr<sd_bus_message, Unref>;

    UnconnectedBus() {
        std::array<int, 2> ends{};
        check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()));
        other_end_ = ends[1];
        sd_bus* bus = nullptr;
        check(sd_bus_new(&bus));
        bus_.reset(bus);
        check(sd_bus_set_fd(bus, ends[0], ends[0]));
        check(sd_bus_start(bus));
    }
    ~UnconnectedBus() { ::close(other_end_); }
    UnconnectedBus(const UnconnectedBus&) = delete;
    UnconnectedBus& operator=(const UnconnectedBus&) = delete;
    UnconnectedBus(UnconnectedBus&&) = delete;
    UnconnectedBus& operator=(UnconnectedBus&&) = delete;

    /// A call of the service without arguments yet.
    Message call(const char* member) {
        sd_bus_message* message = nullptr;
        check(sd_bus_message_new_method_call(bus_.get(), &message, "org.porthole.Gateway1", "/",
                                             nullptr, member));
        return Message(message);
    }

  private:
    struct Close {
        void operator()(sd_bus* bus) const { sd_bus_close_unref(bus); }
    };
    static void check(int result) {
        if (result < 0) throw std::runtime_error("there is no bus to make messages for");
    }

    int other_end_ = -1;
    std::unique_ptr<sd_bus, Close> bus_;
};

}  // namespace porthole::dbus
