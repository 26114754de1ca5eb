// SPDX-License-Identifier: GPL-2.0-or-later
// The real firewalld and the real iptables beside the real service: ours decides first about
// reserved ports, theirs do what they did, whoever comes first and whenever they load their rules
// again.
#include <filesystem>
#include <future>
#include <memory>
#include <optional>
#include <sstream>
#include <system_error>

#include <gtest/gtest.h>

#include "bus_client.hpp"
#include "lab/conntrack.hpp"
#include "lab/firewalld.hpp"
#include "lab/porthole.hpp"
#include "lab/process.hpp"
#include "lab/sockets.hpp"
#include "lab/two_sites.hpp"

namespace porthole {
namespace {

namespace addresses = lab::address;
using lab::at;
using lab::UdpSocket;

constexpr std::uint16_t wireguard = 51820;
constexpr std::uint16_t first_of_pool = 61440;

/// What makes a gateway the one that it is without us: LAN behind WAN, masqueraded, nothing let in
/// but TCP port 8080, which is a2's port 80.
class Neighbour {
  public:
    Neighbour() = default;
    virtual ~Neighbour() = default;
    Neighbour(const Neighbour&) = delete;
    Neighbour& operator=(const Neighbour&) = delete;
    Neighbour(Neighbour&&) = delete;
    Neighbour& operator=(Neighbour&&) = delete;

    [[nodiscard]] virtual bool installed() const = 0;
    /// Makes the rules, and loads them once: from then on they are listed in the same order.
    virtual void begin() = 0;
    virtual void reload() const = 0;
    [[nodiscard]] virtual std::string rules() const = 0;
};

class Firewalld : public Neighbour {
  public:
    Firewalld(const lab::Namespace& gateway, std::string reload)
        : gateway_(gateway), reload_(std::move(reload)) {}

    [[nodiscard]] bool installed() const override { return std::filesystem::exists(unpacked); }
    void begin() override {
        daemon_.emplace(gateway_, unpacked);
        daemon_->cmd({"--zone=trusted", "--change-interface=lan"});
        daemon_->cmd({"--zone=external", "--change-interface=wan"});
        daemon_->cmd(
            {"--zone=external", "--add-forward-port=port=8080:proto=tcp:toport=80:toaddr=" +
                                    std::string(addresses::a2)});
        daemon_->cmd({"--runtime-to-permanent"});
        reload();
    }
    void reload() const override { daemon_->cmd({reload_}); }
    [[nodiscard]] std::string rules() const override {
        return lab::output_of(gateway_, {"nft", "-s", "list", "table", "inet", "firewalld"});
    }

  private:
    // Where tools/check puts it.
    static constexpr auto unpacked = PORTHOLE_SOURCE_DIR "/build/firewalld";

    const lab::Namespace& gateway_;
    std::string reload_;
    std::optional<lab::Firewalld> daemon_;
};

/// As Docker and administrators use it.
class Iptables : public Neighbour {
  public:
    explicit Iptables(const lab::Namespace& gateway) : gateway_(gateway) {}

    [[nodiscard]] bool installed() const override {
        try {
            lab::output_of(gateway_, {"iptables-nft", "--version"});
            return true;
        } catch (const std::system_error&) {
            return false;
        }
    }
    void begin() override {
        for (const auto* const rule :
             {"-t nat -A POSTROUTING -s 192.168.2.0/24 -o wan -j MASQUERADE", "-t nat -N DOCKER",
              "-t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
              "-t nat -A DOCKER ! -i lan -p tcp --dport 8080 -j DNAT --to-destination "
              "192.168.2.3:80",
              "-P FORWARD DROP", "-N DOCKER", "-A FORWARD -o lan -j DOCKER",
              "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
              "-A FORWARD -i lan -o wan -j ACCEPT",
              "-A DOCKER -d 192.168.2.3 ! -i lan -o lan -p tcp --dport 80 -j ACCEPT"}) {
            std::istringstream words(rule);
            std::vector<std::string> arguments{"iptables-nft"};
            for (std::string word; words >> word;) arguments.push_back(word);
            lab::output_of(gateway_, arguments);
        }
        reload();
    }
    void reload() const override {
        lab::output_of(gateway_, {"iptables-nft-restore"},
                       {.input = lab::output_of(gateway_, {"iptables-nft-save"})});
    }
    [[nodiscard]] std::string rules() const override {
        return lab::output_of(gateway_, {"nft", "-s", "list", "table", "ip", "nat"}) +
               lab::output_of(gateway_, {"nft", "-s", "list", "table", "ip", "filter"});
    }

  private:
    const lab::Namespace& gateway_;
};

struct Remote {
    UdpSocket socket;
    lab::SocketAddress address;
};

constexpr auto firewalld = "Firewalld";
constexpr auto firewalld_completely = "FirewalldCompletely";
constexpr auto iptables = "Iptables";

std::unique_ptr<Neighbour> make_neighbour(const std::string& name, const lab::Namespace& gateway) {
    if (name == firewalld) return std::make_unique<Firewalld>(gateway, "--reload");
    if (name == firewalld_completely) {
        return std::make_unique<Firewalld>(gateway, "--complete-reload");
    }
    return std::make_unique<Iptables>(gateway);
}

class RealNeighbours : public testing::TestWithParam<std::string> {
  protected:
    void SetUp() override {
        if (!neighbour->installed()) GTEST_SKIP() << GetParam() << " is not installed";
    }
    void start() {
        porthole.start();
        client = std::make_unique<BusClient>(porthole);
        client->reserve(std::string(addresses::a1), "udp", wireguard,
                        {{"settle", sdbus::Variant(true)}});
        client->reserve(std::string(addresses::a1), "udp", 40000,
                        {{"external-port", sdbus::Variant(std::uint16_t{40001})},
                         {"settle", sdbus::Variant(true)}});
        table = listed();
    }
    [[nodiscard]] std::string listed() const { return lab::table_of(sites.gateway_a); }
    /// Whoever begins.
    void expect_ports(const Remote& to) const {
        to.socket.send_to(at(addresses::a_wan, wireguard), "knock");
        const auto displaced = lab::exchange(a2, to.socket, to.address);
        ASSERT_TRUE(displaced);
        EXPECT_EQ(displaced->address, at(addresses::a_wan, 0).address);
        EXPECT_GE(displaced->port, first_of_pool);
        EXPECT_EQ(lab::exchange(a1, to.socket, to.address), at(addresses::a_wan, wireguard));
        EXPECT_EQ(lab::exchange(moved, to.socket, to.address), at(addresses::a_wan, 40001));
    }
    void expect_forward() const {
        const lab::TcpListener server(sites.a2, 80);
        EXPECT_TRUE(lab::TcpSocket::connect(sites.outside, lab::any(), at(addresses::a_wan, 8080)));
    }
    void expect_our_table_untouched() const {
        EXPECT_EQ(listed(), table);
        EXPECT_EQ(client->status()
                      .at("counters")
                      .get<dbus::Dictionary>()
                      .at("rebuilds")
                      .get<std::uint64_t>(),
                  0U);
    }
    /// Of all flows that there are, whether their packets arrived anywhere or not.
    void expect_no_flow_with_a_wrong_port() const {
        int of_a1 = 0;
        int of_a2 = 0;
        for (const auto& flow : lab::flows(sites.gateway_a)) {
            if (flow.original.source == at(addresses::a1, wireguard)) {
                EXPECT_EQ(flow.reply.destination.port, wireguard) << flow.text;
                ++of_a1;
            }
            if (flow.reply.source == at(addresses::a1, wireguard)) {
                EXPECT_EQ(flow.original.destination.port, wireguard) << flow.text;
                ++of_a1;
            }
            if (flow.original.source == at(addresses::a2, wireguard)) {
                EXPECT_GE(flow.reply.destination.port, first_of_pool) << flow.text;
                ++of_a2;
            }
        }
        EXPECT_GT(of_a1, 0);
        EXPECT_GT(of_a2, 0);
    }
    void expect_all_as_it_should_be() const {
        const auto expect_now = [this] {
            for (const auto* const to : {&remote, &same_host, &other_host}) expect_ports(*to);
            expect_forward();
            expect_no_flow_with_a_wrong_port();
        };
        expect_now();
        // The kernel gives a source the port again that it has given it once, whatever the rules.
        lab::output_of(sites.gateway_a, {"conntrack", "-F"});
        expect_now();
    }
    /// Flows go on and flows begin all the while.
    void reload_under_load() const {
        auto reload = std::async(std::launch::async, [this] { neighbour->reload(); });
        std::uint16_t port = 20000;
        do {
            remote.socket.send_to(at(addresses::a_wan, wireguard), "knock");
            for (const auto destination : {remote.address, at(addresses::outside, port++)}) {
                a2.send_to(destination, "a2");
                a1.send_to(destination, "a1");
            }
            while (const auto packet = remote.socket.receive(lab::Duration{0})) {
                const bool reserved = packet->source.port == wireguard;
                EXPECT_EQ(reserved, packet->payload == "a1") << packet->payload;
            }
            while (a1.receive(lab::Duration{0})) {
            }
        } while (reload.wait_for(lab::Duration(1)) != std::future_status::ready);
        reload.get();
    }

    lab::TwoSites sites;
    // What a host gets that uses another one's port is up to the pool then, not to claims.
    lab::Porthole porthole{sites.gateway_a, "[auto]\nenabled = false\n"};
    std::unique_ptr<Neighbour> neighbour = make_neighbour(GetParam(), sites.gateway_a);
    std::unique_ptr<BusClient> client;
    std::string table;
    UdpSocket a1{sites.a1, wireguard};
    UdpSocket moved{sites.a1, 40000};
    UdpSocket a2{sites.a2, wireguard};
    Remote remote{UdpSocket(sites.outside, wireguard), at(addresses::outside, wireguard)};
    Remote same_host{UdpSocket(sites.outside, 7000), at(addresses::outside, 7000)};
    Remote other_host{UdpSocket(sites.gateway_b, wireguard), at(addresses::b_wan, wireguard)};
};

TEST_P(RealNeighbours, WereThereBefore) {
    neighbour->begin();
    const auto before = neighbour->rules();
    start();
    expect_all_as_it_should_be();
    EXPECT_EQ(neighbour->rules(), before);
}

TEST_P(RealNeighbours, ComeLater) {
    start();
    expect_ports(remote);
    neighbour->begin();
    expect_all_as_it_should_be();
    expect_our_table_untouched();

    const auto beside_us = neighbour->rules();
    porthole.stop();
    lab::output_of(sites.gateway_a, {"nft", "delete", "table", "inet", "porthole"});
    neighbour->reload();
    EXPECT_EQ(neighbour->rules(), beside_us);
}

// Whom a host has contacted comes in: firewalld lets through what was sent on to a host, the chain
// FORWARD of iptables has to be opened, and the conflict says how.
TEST_P(RealNeighbours, LetContactsIn) {
    neighbour->begin();
    start();
    ASSERT_EQ(lab::exchange(a1, remote.socket, remote.address), at(addresses::a_wan, wireguard));
    const UdpSocket other_port(sites.outside, 7001);
    const auto comes_in = [&] {
        other_port.send_to(at(addresses::a_wan, wireguard), "inbound");
        return a1.receive("inbound", lab::Duration(100)).has_value();
    };
    const auto stopped = [&] {
        auto rows = client->conflicts();
        std::erase_if(rows,
                      [](const auto& row) { return row.template get<1>() != "foreign-firewall"; });
        return rows;
    };
    const bool closed = GetParam() == iptables;
    EXPECT_EQ(comes_in(), !closed);
    if (closed) {
        // The gateway's own ports make it look at all flows: no need to wait for its minute.
        std::vector<UdpSocket> own;
        ASSERT_TRUE(lab::comes_true([&] {
            own.emplace_back(sites.gateway_a, static_cast<std::uint16_t>(7100 + own.size()));
            return lab::comes_true([&] { return !stopped().empty(); }, lab::Duration(4000));
        }));
        const auto row = stopped().at(0);
        EXPECT_EQ(row.get<4>(), wireguard);
        const auto command = row.get<8>().at("command").get<std::string>();
        lab::output_of(sites.gateway_a, {"sh", "-c", command});
        EXPECT_TRUE(lab::comes_true(comes_in)) << command;
    }
    EXPECT_TRUE(lab::comes_true([&] { return stopped().empty(); }));
}

class ReloadedNeighbours : public RealNeighbours {};

TEST_P(ReloadedNeighbours, LeaveUsAlone) {
    neighbour->begin();
    const auto before = neighbour->rules();
    start();
    expect_ports(remote);
    reload_under_load();
    expect_all_as_it_should_be();
    expect_our_table_untouched();
    EXPECT_EQ(neighbour->rules(), before);
}

constexpr auto name_of = [](const auto& test) { return test.param; };
INSTANTIATE_TEST_SUITE_P(Of, RealNeighbours, testing::Values(firewalld, iptables), name_of);
INSTANTIATE_TEST_SUITE_P(Of, ReloadedNeighbours,
                         testing::Values(firewalld, firewalld_completely, iptables), name_of);

}  // namespace
}  // namespace porthole
