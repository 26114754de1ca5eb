// SPDX-License-Identifier: GPL-2.0-or-later
// The same wish made to others: a port of a host's, from one request to its answer.
#include <array>
#include <csignal>
#include <filesystem>
#include <stdexcept>
#include <thread>
#include <utility>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/netlink.h>

#include "gateway.hpp"
#include "lab/firewalld.hpp"
#include "lab/sockets.hpp"
#include "measures.hpp"
#include "raw.hpp"
#include "reserve_floor.hpp"

namespace porthole::bench {
namespace {

namespace fs = std::filesystem;

/// What is compared, and how many requests of theirs and of ours in a row make a round.
struct Comparison {
    std::string what;
    std::size_t existing;
    int rounds;
    std::size_t theirs;
    std::size_t ours;
    double goal = 0;
};

/// firewalld with a WAN in zone external, which masquerades.
class Firewalld {
  public:
    Firewalld(const fs::path& unpacked, const lab::Namespace& gateway)
        : firewalld_(gateway, unpacked),
          connection_(sdbus::createSessionBusConnectionWithAddress(firewalld_.bus().address())),
          proxy_(sdbus::createProxy(*connection_, "org.fedoraproject.FirewallD1",
                                    "/org/fedoraproject/FirewallD1")) {
        proxy_->finishRegistration();
        firewalld_.cmd({"--zone=external", "--change-interface=wan"});
    }

    void map(std::uint16_t port) {
        const auto text = std::to_string(port);
        call("addForwardPort", std::string("external"), text, std::string("udp"), text,
             std::string("10.0.0.2"), std::int32_t{0});
    }
    void unmap(std::uint16_t port) {
        const auto text = std::to_string(port);
        call("removeForwardPort", std::string("external"), text, std::string("udp"), text,
             std::string("10.0.0.2"));
    }

  private:
    template <typename... Arguments>
    void call(const char* method, const Arguments&... arguments) {
        std::string zone;
        proxy_->callMethod(method)
            .onInterface("org.fedoraproject.FirewallD1.zone")
            .withArguments(arguments...)
            .storeResultsTo(zone);
    }

    lab::Firewalld firewalld_;
    std::unique_ptr<sdbus::IConnection> connection_;
    std::unique_ptr<sdbus::IProxy> proxy_;
};

/// miniupnpd, asked over NAT-PMP (RFC 6886).
class Miniupnpd {
  public:
    Miniupnpd(const fs::path& unpacked, const Site& site)
        : socket_(site.host, lab::at(Site::host_address, 0)) {
        lab::output_of(site.gateway, {"nft", "-f", "-"}, {.input = std::string(chains)});
        lab::write_file(directory_ / "miniupnpd.conf", miniupnpd_configuration);
        // In the foreground it would log every step that it takes.
        lab::output_of(site.gateway,
                       {(unpacked / "usr/sbin/miniupnpd").string(), "-f",
                        (directory_ / "miniupnpd.conf").string(), "-P", pid_file().string()});
        const lab::Deadline deadline{lab::Duration(5'000)};
        while (lab::read_file(pid_file()).empty() && !deadline.passed()) std::this_thread::yield();
    }
    ~Miniupnpd() {
        const auto process = lab::read_file(pid_file());
        if (!process.empty()) ::kill(std::stoi(process), SIGTERM);
    }
    Miniupnpd(const Miniupnpd&) = delete;
    Miniupnpd& operator=(const Miniupnpd&) = delete;
    Miniupnpd(Miniupnpd&&) = delete;
    Miniupnpd& operator=(Miniupnpd&&) = delete;

    void map(std::uint16_t port) {
        constexpr std::uint16_t an_hour = 3'600;
        ask(port, port, an_hour);
    }
    void unmap(std::uint16_t port) { ask(port, 0, 0); }

  private:
    void ask(std::uint16_t internal, std::uint16_t external, std::uint16_t lifetime) {
        const auto high = [](std::uint16_t value) { return static_cast<char>(value >> 8U); };
        const auto low = [](std::uint16_t value) { return static_cast<char>(value & 0xFFU); };
        // version 0, map UDP, reserved, internal port, external port, lifetime in seconds
        const std::array<char, 12> request{0,
                                           1,
                                           0,
                                           0,
                                           high(internal),
                                           low(internal),
                                           high(external),
                                           low(external),
                                           0,
                                           0,
                                           high(lifetime),
                                           low(lifetime)};
        constexpr std::uint16_t natpmp_port = 5351;
        constexpr auto answer_limit = lab::Duration(2'000);
        socket_.send_to(lab::at(Site::lan_address, natpmp_port), {request.data(), request.size()});
        const auto answer = socket_.receive(answer_limit);
        // The result code follows the version and the operation.
        if (!answer || answer->payload.size() < 16 || answer->payload[2] != 0 ||
            answer->payload[3] != 0) {
            throw std::runtime_error("miniupnpd does not map a port");
        }
    }

    // The chains of its own nft_init.sh.
    static constexpr std::string_view chains = R"(table inet filter {
    chain forward { type filter hook forward priority 0; policy accept; jump miniupnpd; }
    chain miniupnpd { }
    chain prerouting { type nat hook prerouting priority -100; jump prerouting_miniupnpd; }
    chain postrouting { type nat hook postrouting priority 100; jump postrouting_miniupnpd; }
    chain prerouting_miniupnpd { }
    chain postrouting_miniupnpd { }
})";
    // It accepts no address for documentation as its external one.
    static constexpr std::string_view miniupnpd_configuration = R"(ext_ifname=wan
ext_ip=11.0.0.1
listening_ip=lan
http_port=0
enable_natpmp=yes
enable_upnp=no
secure_mode=yes
min_lifetime=120
max_lifetime=86400
upnp_table_name=filter
upnp_nat_table_name=filter
upnp_forward_chain=miniupnpd
upnp_nat_chain=prerouting_miniupnpd
upnp_nat_postrouting_chain=postrouting_miniupnpd
uuid=00000000-0000-0000-0000-000000000001
allow 1024-65535 0.0.0.0/0 1024-65535
)";

    [[nodiscard]] fs::path pid_file() const { return directory_ / "pid"; }

    lab::TemporaryDirectory directory_;
    lab::UdpSocket socket_;
};

/// `nft` as a process, which adds an element of a map.
class NftElements {
  public:
    NftElements() { kernel_.execute(scratch_table()); }
    void map(std::uint16_t port) {
        lab::output_of(site_.gateway, {"nft", nft_file({mapping(port)})});
    }
    void unmap(std::uint16_t port) { kernel_.execute(remove_mappings({mapping(port)})); }

  private:
    static Mapping mapping(std::uint16_t port) {
        return {Protocol::udp, parse<Address>("address", Site::host_address),
                Port::from(port).value(), Port::from(port).value()};
    }

    Site site_;
    RawNetlink kernel_{site_.gateway, NETLINK_NETFILTER};
};

/// Our own Reserve among as many others; what was reserved is released in between.
class Ours {
  public:
    explicit Ours(std::size_t existing) : service_(site_.gateway, existing) {}
    void measure(std::size_t requests) {
        std::vector<std::uint64_t> ids;
        for (std::size_t i = 0; i < requests; ++i) {
            latency.add(seconds([&] {
                ids.push_back(service_.client().reserve("10.0.2.1", "udp", free_port(i)).get<0>());
            }));
        }
        service_.client().release(ids);
        service_.wait_until_settled();
        floor_.measure(requests);
    }
    [[nodiscard]] double floor_p50() const { return floor_.sum.p50(); }
    Samples latency;

  private:
    Site site_;
    Service service_;
    ReserveFloor floor_{service_};
};

template <typename Theirs>
Line compare(const Comparison& comparison, Theirs& theirs) {
    constexpr std::uint16_t first = 20'000;
    const auto port = [](std::size_t index) { return static_cast<std::uint16_t>(first + index); };
    const auto existing = comparison.existing;
    Ours ours(existing);
    Samples latency;
    for (std::size_t i = 0; i < existing; ++i) theirs.map(port(i));
    for (int round = 0; round < comparison.rounds; ++round) {
        for (std::size_t i = 0; i < comparison.theirs; ++i) {
            latency.add(seconds([&] { theirs.map(port(existing + i)); }));
        }
        for (std::size_t i = 0; i < comparison.theirs; ++i) theirs.unmap(port(existing + i));
        ours.measure(comparison.ours);
    }
    const double ratio = latency.median() / ours.latency.median();
    const double floor = latency.median() / ours.floor_p50();
    const double goal = comparison.goal;
    return {.what = comparison.what,
            .measured = fmt::format("ours {}, floor {}", with_quartiles(ours.latency),
                                    milliseconds(ours.floor_p50())),
            .compared = fmt::format("theirs {}", with_quartiles(latency)),
            .ratio = times(ratio),
            .goal = goal > 0 ? fmt::format("{:.0f} times faster", goal) : "",
            .verdict = goal > 0 ? verdict_at_least(ratio, goal, floor) : ""};
}

Line not_measured(std::string what, std::string_view why) {
    return {.what = std::move(what),
            .measured = fmt::format("not measured: {}", why),
            .compared = "",
            .ratio = "",
            .goal = "",
            .verdict = "not met"};
}

Line against_firewalld(const Options& options) {
    const Site site;
    Firewalld firewalld(options.peers, site.gateway);
    return compare({.what = "Reserve against firewalld's addForwardPort, 1,000 others",
                    .existing = 1'000,
                    .rounds = 20,
                    .theirs = 5,
                    .ours = 200,
                    .goal = 30},
                   firewalld);
}

Line against_miniupnpd(const Options& options) {
    const Site site;
    Miniupnpd miniupnpd(options.peers, site);
    return compare({.what = "Reserve against miniupnpd's NAT-PMP mapping, 100 others",
                    .existing = 100,
                    .rounds = 60,
                    .theirs = 5,
                    .ours = 200,
                    .goal = 5},
                   miniupnpd);
}

Line against_nft() {
    NftElements nft;
    return compare({.what = "Reserve against nft add element, a process each, not durable",
                    .existing = 1'000,
                    .rounds = 20,
                    .theirs = 5,
                    .ours = 200},
                   nft);
}

}  // namespace

Lines measure_peers(const Options& options) {
    const auto attempt = [&](const std::string& what, const auto& measure) {
        if (options.peers.empty()) return not_measured(what, "--peers was not given");
        try {
            return measure(options);
        } catch (const std::exception& error) {
            return not_measured(what, error.what());
        }
    };
    return {attempt("Reserve against firewalld's addForwardPort", against_firewalld),
            attempt("Reserve against miniupnpd's NAT-PMP mapping", against_miniupnpd),
            against_nft()};
}

}  // namespace porthole::bench
