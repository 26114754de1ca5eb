// SPDX-License-Identifier: GPL-2.0-or-later
#include "lab/wireguard.hpp"

#include <cerrno>
#include <map>
#include <sstream>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lab/links.hpp"
#include "lab/namespace.hpp"
#include "lab/process.hpp"
#include "lab/sockets.hpp"
#include "netlink/interface_editor.hpp"
#include "netlink/socket.hpp"
#include "random_wireguard.hpp"
#include "wg/kernel.hpp"
#include "wg/quick_file.hpp"

namespace porthole {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

/// Passes everything on to the kernel, but for one message, in whose place it reports a failure.
class FailingTransport : public netlink::Transport {
  public:
    explicit FailingTransport(int& sends_before_failure)
        : socket_(NETLINK_GENERIC), left_(sends_before_failure) {}
    void send(std::span<const std::byte> datagram) override {
        if (left_-- == 0) throw std::system_error(EIO, std::generic_category(), "send");
        socket_.send(datagram);
    }
    std::size_t receive(std::span<std::byte> buffer) override { return socket_.receive(buffer); }
    [[nodiscard]] int descriptor() const override { return socket_.descriptor(); }

  private:
    netlink::Socket socket_;
    int& left_;
};

class WireGuardKernel : public testing::Test {
  protected:
    void SetUp() override {
        if (!lab::kernel_has_wireguard()) {
            GTEST_SKIP() << "this kernel has no WireGuard: see tests/vm";
        }
        host_.run([] {
            netlink::InterfaceEditor().create(parse<InterfaceName>("i", "wg0"), "wireguard");
        });
    }

    [[nodiscard]] WireGuardDevice read() { return kernel().read(wg0_).device; }
    void apply(const WireGuardDevice& wanted) { kernel().apply(wg0_, read(), wanted); }

    wg::Kernel& kernel() {
        if (!kernel_) kernel_.emplace(host_.run([] { return wg::Kernel(); }));
        return *kernel_;
    }

    [[nodiscard]] std::string wg(std::vector<std::string> arguments) const {
        arguments.insert(arguments.begin(), "wg");
        return lab::output_of(host_, arguments);
    }

    lab::Namespace host_{"host"};
    const InterfaceName wg0_ = parse<InterfaceName>("interface", "wg0");
    std::optional<wg::Kernel> kernel_;
};

WireGuardDevice device_of(const TunnelSettings& settings) {
    WireGuardDevice device{
        .private_key = settings.private_key,
        .listen_port = settings.listen_port ? settings.listen_port->value() : std::uint16_t{0},
        .fwmark = settings.fwmark};
    for (const auto& peer : settings.peers) {
        std::optional<PeerEndpoint> endpoint;
        if (peer.endpoint) endpoint = PeerEndpoint{std::get<Place>(*peer.endpoint)};
        device.peers.push_back(
            {peer.public_key, peer.preshared_key, endpoint, peer.keepalive, peer.allowed_ips});
    }
    return device;
}

std::string revealed(const auto& key) {
    SecretText text;
    key.reveal(text);
    return std::string(text.view());
}

// The lines of `wg show wg0 dump`, sorted: the kernel has peers in an order of its own.
std::vector<std::string> sorted_lines(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    std::ranges::sort(lines);
    return lines;
}

// What wg(8) prints, from our view of it. Its allowed IPs are in the kernel's order.
std::vector<std::string> dumped(const WireGuardState& state) {
    const auto& device = state.device;
    const auto key = device.private_key;
    std::string text =
        fmt::format("{}\t{}\t{}\t{}\n", key ? revealed(*key) : "(none)",
                    key ? to_text(key->public_key()) : "(none)", device.listen_port,
                    device.fwmark == 0 ? "off" : fmt::format("{:#x}", device.fwmark));
    for (std::size_t i = 0; i < device.peers.size(); ++i) {
        const auto& peer = device.peers[i];
        const auto& activity = state.activity[i];
        std::vector<std::string> allowed;
        for (const auto& network : peer.allowed_ips) allowed.push_back(to_text(network));
        std::ranges::sort(allowed);
        const auto handshake =
            std::chrono::floor<std::chrono::seconds>(activity.last_handshake).time_since_epoch();
        text += fmt::format(
            "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\n", to_text(peer.public_key),
            peer.preshared_key ? revealed(*peer.preshared_key) : "(none)",
            peer.endpoint ? to_text(peer.endpoint->place) : "(none)",
            allowed.empty() ? "(none)" : fmt::format("{}", fmt::join(allowed, ",")),
            handshake.count(), activity.received_bytes, activity.sent_bytes,
            peer.keepalive.count() == 0 ? "off" : std::to_string(peer.keepalive.count()));
    }
    return sorted_lines(text);
}

// The same with the allowed IPs of every line sorted.
std::vector<std::string> with_sorted_allowed_ips(const std::string& dump) {
    std::string text;
    std::istringstream lines(dump);
    for (std::string line; std::getline(lines, line);) {
        std::vector<std::string> fields;
        std::istringstream stream(line);
        for (std::string field; std::getline(stream, field, '\t');) fields.push_back(field);
        if (fields.size() == 8) {
            std::vector<std::string> allowed;
            std::istringstream list(fields[3]);
            for (std::string each; std::getline(list, each, ',');) allowed.push_back(each);
            std::ranges::sort(allowed);
            fields[3] = fmt::format("{}", fmt::join(allowed, ","));
        }
        text += fmt::format("{}\n", fmt::join(fields, "\t"));
    }
    return sorted_lines(text);
}

TEST_F(WireGuardKernel, AgreesWithWgAboutRandomConfigurations) {
    random_wireguard::Random random(1);
    WireGuardDevice wanted;
    for (int i = 0; i < 1'000; ++i) {
        wanted = random_wireguard::one_in(random, 10) ? random_wireguard::device(random, 12)
                                                      : random_wireguard::neighbour(random, wanted);
        apply(wanted);
        const auto state = kernel().read(wg0_);
        ASSERT_EQ(state.device, wanted) << "step " << i;
        ASSERT_EQ(with_sorted_allowed_ips(wg({"show", "wg0", "dump"})), dumped(state))
            << "step " << i;
        ASSERT_EQ(device_of(wg::parse_quick_file(wg({"showconf", "wg0"}))), wanted) << "step " << i;
    }
}

TEST_F(WireGuardKernel, TakesTenThousandPeers) {
    random_wireguard::Random random(2);
    WireGuardDevice wanted{.private_key = PrivateKey::generate(), .listen_port = 51'820};
    std::set<Network> taken;
    for (int i = 0; i < 10'000; ++i) wanted.peers.push_back(random_wireguard::peer(random, taken));
    std::ranges::sort(wanted.peers, {}, &WireGuardPeer::public_key);
    apply(wanted);
    EXPECT_TRUE(read() == wanted);
    std::swap(wanted.peers[3].allowed_ips, wanted.peers[9'000].allowed_ips);
    apply(wanted);
    EXPECT_TRUE(read() == wanted);
}

TEST_F(WireGuardKernel, TakesAPeerWithFiveThousandAllowedIps) {
    WireGuardPeer peer{.public_key = PrivateKey::generate().public_key()};
    for (std::uint32_t i = 0; i < 5'000; ++i) {
        peer.allowed_ips.push_back(*Network::from(Address::v4(0x0A000000U + (i << 8U)), 24));
    }
    const WireGuardDevice wanted{.listen_port = 51'820, .peers = {peer}};
    apply(wanted);
    EXPECT_TRUE(read() == wanted);
}

TEST_F(WireGuardKernel, NamesThePortThatIsInUseAndTakesBackWhatWasDone) {
    const lab::UdpSocket other(host_, 51'820);
    netlink::InterfaceEditor editor = host_.run([] { return netlink::InterfaceEditor(); });
    const WireGuardPeer old{.public_key = PrivateKey::generate().public_key()};
    const WireGuardDevice before{
        .private_key = PrivateKey::generate(), .listen_port = 51'821, .peers = {old}};
    apply(before);
    editor.set_up(wg0_, true);
    try {
        apply({.private_key = before.private_key, .listen_port = 51'820});
        FAIL() << "it was taken";
    } catch (const KernelFailure& failure) {
        EXPECT_EQ(failure.code(), EADDRINUSE);
        EXPECT_THAT(failure.what(), HasSubstr("wg0"));
    }
    EXPECT_TRUE(read() == before);
}

TEST_F(WireGuardKernel, IsAsItWasWhereverAChangeFails) {
    random_wireguard::Random random(3);
    std::set<Network> taken;
    const auto many = [&] {
        WireGuardDevice device{.private_key = PrivateKey::generate(), .listen_port = 51'820};
        for (int i = 0; i < 700; ++i) device.peers.push_back(random_wireguard::peer(random, taken));
        std::ranges::sort(device.peers, {}, &WireGuardPeer::public_key);
        return device;
    };
    const auto before = many();
    const auto wanted = many();
    apply(before);
    int left = -1;
    wg::Kernel failing(host_.run([&left] { return std::make_unique<FailingTransport>(left); }));
    ASSERT_TRUE(failing.read(wg0_).device == before);
    int failures = 0;
    for (;; ++failures) {
        left = failures;
        try {
            failing.apply(wg0_, before, wanted);
            break;
        } catch (const KernelFailure& failure) {
            EXPECT_EQ(failure.code(), EIO);
        }
        ASSERT_TRUE(read() == before) << "after failure " << failures;
    }
    EXPECT_GE(failures, 3);
    EXPECT_TRUE(read() == wanted);
}

TEST_F(WireGuardKernel, RefusesWhatIsInconsistentBeforeItChangesAnything) {
    const auto key = PrivateKey::generate();
    const WireGuardDevice before{.private_key = key, .listen_port = 51'820};
    apply(before);
    auto wanted = before;
    wanted.fwmark = 7;
    wanted.peers = {{.public_key = key.public_key()}};
    EXPECT_THROW(apply(wanted), InvalidArgument);
    const auto all = *Network::from(Address::v4(0), 0);
    wanted.peers = {{.public_key = PublicKey({8}), .allowed_ips = {all}},
                    {.public_key = PublicKey({9}), .allowed_ips = {all}}};
    EXPECT_THROW(apply(wanted), Refused);
    EXPECT_TRUE(read() == before);
}

TEST_F(WireGuardKernel, SaysWhichInterfaceIsNoneOrAnother) {
    lab::add_bridge(host_, "br0");
    const auto error_of = [this](const char* name) {
        try {
            (void)kernel().read(parse<InterfaceName>("interface", name));
        } catch (const KernelFailure& failure) {
            EXPECT_THAT(failure.what(), HasSubstr(name));
            return failure.code();
        }
        return 0;
    };
    EXPECT_EQ(error_of("wg7"), ENODEV);
    EXPECT_EQ(error_of("br0"), EOPNOTSUPP);
}

/// A hub with peers that all talk to it: their sessions are what a change must not disturb.
class WireGuardSessions : public WireGuardKernel {
  protected:
    static constexpr std::size_t count = 4;

    void SetUp() override {
        WireGuardKernel::SetUp();
        if (IsSkipped()) return;
        lab::add_bridge(host_, "br0");
        lab::add_address(host_, "br0", "192.0.2.254/24");
        lab::add_address(host_, "wg0", "10.9.0.254/24");
        hub_.private_key = PrivateKey::generate();
        hub_.listen_port = 51'820;
        for (std::size_t i = 0; i < count; ++i) add_spoke(static_cast<unsigned>(i) + 1);
        std::ranges::sort(hub_.peers, {}, &WireGuardPeer::public_key);
        apply(hub_);
        lab::set_link(host_, "wg0", true);
        const auto hub_key = to_text(hub_.private_key->public_key());
        for (auto& spoke : spokes_) {
            spoke->wireguard->configure(
                51'820, {{hub_key, lab::at("192.0.2.254", 51'820), "10.9.0.254/32", 1}});
        }
    }

    struct Spoke {
        lab::Namespace host{"spoke"};
        std::optional<lab::WireGuard> wireguard;
        std::optional<lab::UdpSocket> socket;
    };

    void add_spoke(unsigned number) {
        auto& spoke = *spokes_.emplace_back(std::make_unique<Spoke>());
        const auto port = fmt::format("p{}", number);
        lab::add_cable({spoke.host, "eth0"}, {host_, port, "br0"});
        lab::add_address(spoke.host, "eth0", fmt::format("192.0.2.{}/24", number));
        spoke.wireguard.emplace(spoke.host, fmt::format("10.9.0.{}/24", number));
        hub_.peers.push_back(
            {.public_key = parse<PublicKey>("key", spoke.wireguard->public_key()),
             .endpoint = PeerEndpoint{parse<Place>("p", fmt::format("192.0.2.{}:51820", number))},
             .keepalive = Keepalive(25),
             .allowed_ips = {parse<Network>("n", fmt::format("10.9.0.{}/32", number))}});
        spoke.socket.emplace(spoke.host, lab::at(fmt::format("10.9.0.{}", number), 7));
    }

    /// Sends from a spoke. True if the hub has it before the limit.
    [[nodiscard]] bool comes_through(std::size_t spoke, const lab::UdpSocket& hub,
                                     lab::Duration limit) {
        const auto payload = fmt::format("packet {}", ++packets_);
        spokes_[spoke]->socket->send_to(lab::at("10.9.0.254", 7), payload);
        return hub.receive(payload, limit).has_value();
    }
    /// Sends from a spoke until the hub has something: there may be no session yet.
    [[nodiscard]] bool comes_through_in_the_end(std::size_t spoke, const lab::UdpSocket& hub) {
        return lab::comes_true([&] { return comes_through(spoke, hub, lab::Duration(100)); });
    }
    [[nodiscard]] PublicKey key_of(std::size_t spoke) const {
        return parse<PublicKey>("key", spokes_[spoke]->wireguard->public_key());
    }

    std::map<PublicKey, PeerActivity> activity() {
        std::map<PublicKey, PeerActivity> result;
        for (const auto& each : kernel().read(wg0_).activity) result.emplace(each.public_key, each);
        return result;
    }

    WireGuardDevice hub_;
    std::vector<std::unique_ptr<Spoke>> spokes_;
    int packets_ = 0;
};

TEST_F(WireGuardSessions, OfOtherPeersGoOnThroughEveryChangeOfOne) {
    const lab::UdpSocket socket(host_, lab::at("10.9.0.254", 7));
    for (std::size_t k = 0; k < count; ++k) ASSERT_TRUE(comes_through_in_the_end(k, socket));
    random_wireguard::Random random(4);
    std::set<Network> taken = random_wireguard::networks_of(hub_);
    auto wanted = hub_;
    for (int i = 0; i < 60; ++i) {
        const auto before = activity();
        const auto chosen = random_wireguard::below(random, count);
        const auto& original = hub_.peers[chosen];
        auto& peer = wanted.peers[chosen];
        const auto other = random_wireguard::peer(random, taken);
        // Those that end the session of the chosen one take five seconds to come back.
        const auto kind = random_wireguard::below(random, 20);
        switch (kind < 2 ? kind : 2 + kind % 3) {
            case 2:
                peer.keepalive = other.keepalive;
                break;
            case 3:
                peer.preshared_key = other.preshared_key;
                break;
            case 4:
                peer.allowed_ips = other.allowed_ips;
                break;
            case 0:
                peer.endpoint.reset();
                break;
            default:
                wanted.peers.erase(wanted.peers.begin() + chosen);
        }
        auto actual = kernel().read(wg0_).device;
        kernel().apply(wg0_, actual, wanted);
        for (const auto& [key, seen] : activity()) {
            if (key == original.public_key) continue;
            ASSERT_GE(seen.last_handshake, before.at(key).last_handshake) << "step " << i;
            ASSERT_GE(seen.received_bytes, before.at(key).received_bytes) << "step " << i;
            ASSERT_GE(seen.sent_bytes, before.at(key).sent_bytes) << "step " << i;
        }
        // The others' packets come through at once, in the sessions that they have.
        for (std::size_t k = 0; k < count; ++k) {
            if (key_of(k) == original.public_key) continue;
            ASSERT_TRUE(comes_through(k, socket, lab::Duration(1'000))) << "step " << i;
        }
        wanted = hub_;
        kernel().apply(wg0_, kernel().read(wg0_).device, wanted);
        for (std::size_t k = 0; k < count; ++k) {
            ASSERT_TRUE(comes_through_in_the_end(k, socket)) << "step " << i;
        }
    }
}

}  // namespace
}  // namespace porthole
