// SPDX-License-Identifier: GPL-2.0-or-later
#include <chrono>
#include <csignal>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include "lab/bus.hpp"
#include "lab/conntrack.hpp"
#include "lab/links.hpp"
#include "lab/porthole.hpp"
#include "lab/process.hpp"
#include "lab/sockets.hpp"
#include "lab/two_sites.hpp"
#include "lab/wireguard.hpp"

namespace porthole::lab {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr std::uint16_t port = 51820;

// What on this machine still refers to the namespace "net:[INODE]": processes that run in it and
// descriptors of this process.
std::vector<std::string> references_to(unsigned long inode) {
    const auto text = "net:[" + std::to_string(inode) + "]";
    std::vector<std::string> found;
    const auto look_at = [&](const fs::path& link) {
        std::error_code gone;
        if (fs::read_symlink(link, gone) == text) found.push_back(link);
    };
    for (const auto& entry : fs::directory_iterator("/proc")) look_at(entry.path() / "ns/net");
    for (const auto& entry : fs::directory_iterator("/proc/self/fd")) look_at(entry.path());
    return found;
}

TEST(Lab, RaisesTheShapeOfTwoSites) {
    const auto start = Clock::now();
    const TwoSites lab;
    const auto took = std::chrono::duration_cast<Duration>(Clock::now() - start);
    RecordProperty("milliseconds", static_cast<int>(took.count()));
    std::cout << "two sites raised in " << took.count() << " ms\n";

    const auto gateway = output_of(lab.gateway_a, {"ip", "-brief", "address"});
    EXPECT_THAT(gateway, HasSubstr("203.0.113.1/24"));
    EXPECT_THAT(gateway, HasSubstr("192.168.2.1/24"));
    EXPECT_THAT(output_of(lab.gateway_a, {"ip", "-brief", "link", "show", "master", "lan"}),
                testing::AllOf(HasSubstr("a1@"), HasSubstr("a2@")));
    EXPECT_THAT(output_of(lab.gateway_b, {"ip", "route", "show", "default"}),
                HasSubstr("default via 203.0.113.254 dev wan"));
    EXPECT_THAT(output_of(lab.a2, {"ip", "route", "show", "default"}),
                HasSubstr("default via 192.168.2.1 dev eth0"));
}

TEST(Lab, MasqueradedPacketShowsTheAddressOfTheGateway) {
    const TwoSites lab;
    masquerade(lab.gateway_a, InputPolicy::accept);
    const UdpSocket inside(lab.a1, port);
    const UdpSocket outside(lab.outside, 7000);
    EXPECT_EQ(exchange(inside, outside, at(address::outside, 7000)), at(address::a_wan, port));

    const auto found = flows_from(lab.gateway_a, address::a1, port);
    ASSERT_THAT(found, SizeIs(1));
    EXPECT_EQ(found[0].original, (Tuple{at(address::a1, port), at(address::outside, 7000)}));
    EXPECT_EQ(found[0].reply, (Tuple{at(address::outside, 7000), at(address::a_wan, port)}));
    EXPECT_FALSE(found[0].unreplied);
}

TEST(Lab, DroppingGatewayLetsNothingUnsolicitedIn) {
    const TwoSites lab;
    masquerade(lab.gateway_a, InputPolicy::accept);
    masquerade(lab.gateway_b, InputPolicy::drop);
    const UdpSocket outside(lab.outside);
    const UdpSocket on_a(lab.gateway_a, port);
    const UdpSocket on_b(lab.gateway_b, port);
    EXPECT_TRUE(source_shown(outside, on_a, at(address::a_wan, port)));
    EXPECT_FALSE(source_shown(outside, on_b, at(address::b_wan, port), Duration{200}));
    EXPECT_TRUE(
        exchange(on_b, outside, {parse<Address>("", address::outside), outside.local().port}));
}

TEST(Lab, TcpConnectionIsMasqueraded) {
    const TwoSites lab;
    masquerade(lab.gateway_a, InputPolicy::drop);
    const TcpListener listener(lab.outside, 7000);
    const auto inside = TcpSocket::connect(lab.a1, any(port), at(address::outside, 7000));
    ASSERT_TRUE(inside);
    const auto outside = listener.accept();
    ASSERT_TRUE(outside);
    EXPECT_EQ(outside->remote(), at(address::a_wan, port));
    outside->send("hello");
    EXPECT_EQ(inside->receive(), "hello");
    EXPECT_FALSE(TcpSocket::connect(lab.outside, any(), at(address::a_wan, 7000), Duration{200}));
}

TEST(Lab, RoutedHostIsReachedWithoutNat) {
    const TwoSites lab;
    masquerade(lab.gateway_a, InputPolicy::drop);
    const auto routed = lab.add_routed_host();
    const UdpSocket inside(routed, port);
    const UdpSocket outside(lab.outside, 7000);
    EXPECT_EQ(exchange(inside, outside, at(address::outside, 7000)), at(address::routed, port));
    EXPECT_EQ(exchange(outside, inside, at(address::routed, port)), at(address::outside, 7000));
}

TEST(Lab, Ipv6HostsReachEachOther) {
    const TwoSites lab;
    lab.add_ipv6();
    const UdpSocket on_a(lab.a1, at("::", port));
    const UdpSocket on_b(lab.b1, at("::", port));
    EXPECT_EQ(exchange(on_a, on_b, at(address6::b1, port)), at(address6::a1, port));
}

TEST(Lab, TwoLabsWithTheSameAddressesDoNotSeeEachOther) {
    const TwoSites one;
    const TwoSites other;
    const UdpSocket sender(one.a1);
    const UdpSocket near(one.a2, port);
    const UdpSocket far(other.a2, port);
    EXPECT_TRUE(source_shown(sender, near, at(address::a2, port)));
    EXPECT_FALSE(far.receive(Duration{0}));
}

TEST(Lab, NothingIsLeftBehind) {
    std::vector<unsigned long> inodes;
    pid_t program = 0;
    std::string bus_directory;
    {
        const TwoSites lab;
        masquerade(lab.gateway_a, InputPolicy::drop);
        const Bus bus(lab.gateway_a);
        bus_directory = bus.address().substr(bus.address().find('/'));
        bus_directory.resize(bus_directory.rfind('/'));
        const Process sleeper(lab.a1, {"sleep", "600"});
        program = sleeper.id();
        for (const auto* where : {&lab.internet, &lab.outside, &lab.gateway_a, &lab.gateway_b,
                                  &lab.a1, &lab.a2, &lab.b1}) {
            inodes.push_back(where->inode());
            EXPECT_FALSE(references_to(where->inode()).empty());
        }
        EXPECT_TRUE(fs::exists(bus_directory));
        EXPECT_EQ(::kill(program, 0), 0);
    }
    for (const auto inode : inodes) EXPECT_THAT(references_to(inode), IsEmpty());
    EXPECT_EQ(::kill(program, 0), -1);
    EXPECT_FALSE(fs::exists(bus_directory));
}

// Not by a destructor: the kernel ends what a dead test leaves.
TEST(Lab, ProgramsEndWithTheThreadThatStartedThem) {
    const Namespace where("alone");
    std::optional<Process> program;
    std::thread([&] { program.emplace(where, std::vector<std::string>{"sleep", "600"}); }).join();
    EXPECT_EQ(program->wait(Duration{5000}), 128 + SIGKILL);
}

TEST(Lab, ThreadComesHomeAfterAnException) {
    const auto home = fs::read_symlink("/proc/thread-self/ns/net");
    const Namespace where("elsewhere");
    std::string inside;
    EXPECT_THROW(where.run([&] {
        inside = fs::read_symlink("/proc/thread-self/ns/net");
        throw std::runtime_error("on the way");
    }),
                 std::runtime_error);
    EXPECT_EQ(inside, "net:[" + std::to_string(where.inode()) + "]");
    EXPECT_EQ(fs::read_symlink("/proc/thread-self/ns/net"), home);
}

TEST(Lab, ProgramsReportHowTheyEnded) {
    const Namespace where("shell");
    const auto result = command(where, {"sh", "-c", "cat; echo no >&2; echo $COLOUR; exit 3"},
                                {.input = "yes\n", .environment = {"COLOUR=green"}});
    EXPECT_EQ(result.status, 3);
    EXPECT_EQ(result.output, "yes\ngreen\n");
    EXPECT_EQ(result.errors, "no\n");
    EXPECT_EQ(command(where, {"sh", "-c", "kill -TERM $$"}).status, 128 + SIGTERM);
    EXPECT_THROW(command(where, {"no-such-program"}), std::system_error);
    EXPECT_THROW(output_of(where, {"false"}), std::runtime_error);
    EXPECT_FALSE(Process(where, {"sleep", "600"}).wait(Duration{1}));
}

TEST(Lab, ProgramsRunAsAnotherUserAndWithoutCapabilities) {
    const Namespace where("users");
    EXPECT_EQ(output_of(where, {"id", "-u"}, {.before_exec = as_user(65534, 65534)}), "65534\n");
    EXPECT_NE(command(where, {"ip", "link", "add", "type", "dummy"},
                      {.before_exec = without_capability(12 /* CAP_NET_ADMIN */)})
                  .status,
              0);
}

TEST(Lab, BusTellsWhenItsClientDoesNotCome) {
    const Namespace where("bus");
    const Bus bus(where);
    EXPECT_THAT(bus.address(), HasSubstr("unix:path="));
    const Process nobody(where, {"false"});
    EXPECT_FALSE(bus.wait_for_owner("org.porthole.Gateway1", nobody, Duration{5000}));
}

TEST(Lab, PortholeAnswersOnTheBusOfItsGateway) {
    const TwoSites lab;
    Porthole porthole(lab.gateway_a);
    porthole.start();
    EXPECT_EQ(porthole.ctl({"list"}).status, 0);
    porthole.restart();
    EXPECT_EQ(porthole.ctl({"list"}).status, 0);
    porthole.kill();
    EXPECT_EQ(porthole.ctl({"list"}).status, 3);
    porthole.start();
    EXPECT_EQ(porthole.stop(), 0);
}

TEST(Lab, PortholeThatDoesNotStartSaysWhy) {
    const TwoSites lab;
    Porthole porthole(lab.gateway_a, "[nat]\nmasquerade = 7\n");
    try {
        porthole.start();
        FAIL() << "it started";
    } catch (const std::runtime_error& error) {
        EXPECT_THAT(error.what(), HasSubstr("masquerade"));
    }
}

TEST(Lab, WireGuardHostsOnOneLanShakeHands) {
    const TwoSites lab;
    const WireGuard one(lab.a1, "10.9.0.1/24");
    const WireGuard other(lab.a2, "10.9.0.2/24");
    EXPECT_FALSE(one.has_shaken_hands_with(other.public_key()));
    one.configure(port, {{other.public_key(), at(address::a2, port), "10.9.0.2/32"}});
    other.configure(port, {{one.public_key(), at(address::a1, port), "10.9.0.1/32"}});
    EXPECT_EQ(command(lab.a1, {"ping", "-nqc1", "-i0.2", "-w10", "10.9.0.2"}).status, 0);
    EXPECT_TRUE(one.has_shaken_hands_with(other.public_key()));
}

TEST(Lab, ReadsTheLinesOfConntrack) {
    const auto flow = parse_flow(
        "udp      17 27 src=192.168.2.2 dst=203.0.113.9 sport=51820 dport=7 [UNREPLIED] "
        "src=203.0.113.9 dst=203.0.113.1 sport=7 dport=4242 mark=0 use=1 id=12");
    ASSERT_TRUE(flow);
    EXPECT_EQ(flow->original, (Tuple{at("192.168.2.2", 51820), at("203.0.113.9", 7)}));
    EXPECT_EQ(flow->reply, (Tuple{at("203.0.113.9", 7), at("203.0.113.1", 4242)}));
    EXPECT_TRUE(flow->unreplied);
    EXPECT_FALSE(flow->assured);
    EXPECT_EQ(flow->timeout, 27U);
    EXPECT_FALSE(
        parse_flow("icmp     1 29 src=10.0.0.1 dst=10.0.0.2 type=8 code=0 id=1 src=10.0.0.2"
                   " dst=10.0.0.1 type=0 code=0 id=1 mark=0 use=1 id=2"));
}

}  // namespace
}  // namespace porthole::lab
