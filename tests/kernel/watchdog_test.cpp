// SPDX-License-Identifier: GPL-2.0-or-later
// What a service manager hears of the service's event loop.
#include <array>
#include <csignal>
#include <cstring>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "lab/deadline.hpp"
#include "lab/file_descriptor.hpp"
#include "lab/porthole.hpp"
#include "lab/two_sites.hpp"

namespace porthole {
namespace {

using lab::Duration;

constexpr Duration limit{10'000};

// NOTIFY_SOCKET of sd_notify(3).
class Manager {
  public:
    Manager() {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strncpy(address.sun_path, path().c_str(), sizeof(address.sun_path) - 1);
        // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): as sockets have it
        lab::checked(bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)),
                     "bind");
    }

    [[nodiscard]] std::string path() const { return (directory_ / "notify").string(); }

    /// The next message; nothing after `wait`.
    [[nodiscard]] std::optional<std::string> heard(Duration wait = limit) const {
        const lab::Deadline deadline(wait);
        if (!deadline.poll(socket_.get(), POLLIN)) return std::nullopt;
        std::array<char, 256> text{};
        const auto size = recv(socket_.get(), text.data(), text.size(), 0);
        return std::string(text.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
    }

  private:
    lab::TemporaryDirectory directory_;
    lab::FileDescriptor socket_{
        lab::checked(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket")};
};

class Watchdog : public testing::Test {
  protected:
    void start(const std::string& microseconds) {
        porthole.start(
            {.environment = {"NOTIFY_SOCKET=" + manager.path(), "WATCHDOG_USEC=" + microseconds}});
    }

    const Manager manager;
    lab::TwoSites sites;
    lab::Porthole porthole{sites.gateway_a};
};

TEST_F(Watchdog, IsPingedTwiceAsOftenAsItWants) {
    start("400000");
    ASSERT_EQ(manager.heard(), "WATCHDOG=1");
    const auto begin = lab::Clock::now();
    for (int i = 0; i < 5; ++i) ASSERT_EQ(manager.heard(), "WATCHDOG=1");
    EXPECT_GE(lab::Clock::now() - begin, Duration(800));  // one may have been late
}

// Its other threads go on: they must not be what pings.
TEST_F(Watchdog, HearsNothingOfALoopThatHangs) {
    start("100000");
    ASSERT_EQ(manager.heard(), "WATCHDOG=1");
    const auto loop = porthole.process()->id();
    ASSERT_EQ(ptrace(PTRACE_SEIZE, loop, nullptr, nullptr), 0);
    ASSERT_EQ(ptrace(PTRACE_INTERRUPT, loop, nullptr, nullptr), 0);
    ASSERT_EQ(waitpid(loop, nullptr, __WALL), loop);
    while (manager.heard(Duration(0))) continue;
    EXPECT_EQ(manager.heard(Duration(500)), std::nullopt);
    ASSERT_EQ(ptrace(PTRACE_DETACH, loop, nullptr, nullptr), 0);
    EXPECT_EQ(manager.heard(), "WATCHDOG=1");
}

TEST_F(Watchdog, IsLeftAloneWhereNobodyAskedForIt) {
    start("0");
    EXPECT_EQ(porthole.ctl({"list"}).status, 0);
    EXPECT_EQ(porthole.stop(), 0);
    EXPECT_EQ(manager.heard(Duration(0)), std::nullopt);
}

}  // namespace
}  // namespace porthole
