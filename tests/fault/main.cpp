// SPDX-License-Identifier: GPL-2.0-or-later
// Faults of all kinds, one after the other, while hosts talk to remotes. After each one, as soon as
// the service says that all is settled, an observer at the remotes counts what must not be.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <functional>
#include <thread>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "bus_client.hpp"
#include "lab/deadline.hpp"
#include "lab/links.hpp"
#include "lab/porthole.hpp"
#include "lab/process.hpp"
#include "lab/two_sites.hpp"
#include "traffic.hpp"

namespace porthole::fault {
namespace {

namespace addresses = lab::address;
using lab::at;
using lab::UdpSocket;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr lab::Duration settle_limit{20'000};
// The service looks for itself from time to time; until then it cannot say what it has not seen.
constexpr lab::Duration declare_limit{65'000};

/// Where an inner socket's packets have to come from.
struct Expected {
    std::uint16_t port;
    std::uint64_t id;
    bool operator==(const Expected&) const = default;
};
using Owners = std::map<Inside, Expected>;

struct Counts {
    std::size_t judged = 0;
    std::size_t wrong_port = 0;
    std::size_t two_owners = 0;
    std::size_t declared = 0;  ///< not counted: there is a conflict about it
};

class FaultRun {
  public:
    explicit FaultRun(std::uint64_t seed) : random_(seed) {
        lab::masquerade(sites_.gateway_a, lab::InputPolicy::accept);
        std::vector<UdpSocket> inside;
        std::vector<Inside> names;
        for (const auto& [where, host] :
             {std::pair(&sites_.a1, addresses::a1), std::pair(&sites_.a2, addresses::a2)}) {
            // Two more addresses make two more hosts.
            for (const int more : {0, 10, 20}) {
                auto address = std::string(host);
                if (more != 0) {
                    address = fmt::format("192.168.2.{}", more + (where == &sites_.a1 ? 2 : 3));
                    lab::add_address(*where, "eth0", address + "/24");
                }
                for (const auto port : std::array<std::uint16_t, 3>{51820, 51825, 4000}) {
                    inside.emplace_back(*where, at(address, port));
                    names.push_back({address, port});
                }
            }
        }
        names_ = names;
        std::vector<UdpSocket> remotes;
        std::vector<lab::SocketAddress> remote_addresses;
        for (const auto port : std::array<std::uint16_t, 3>{51820, 7, 4000}) {
            remotes.emplace_back(sites_.outside, port);
            remote_addresses.push_back(at(addresses::outside, port));
        }
        porthole_.start();
        client_ = std::make_unique<BusClient>(porthole_);
        traffic_ = std::make_unique<Traffic>(std::move(inside), std::move(names),
                                             std::move(remotes), std::move(remote_addresses),
                                             UdpSocket(sites_.gateway_b, 51820), seed);
    }

    /// One fault, and what is seen afterwards.
    void step() {
        const auto& [name, inject] = faults_[random_() % faults_.size()];
        ++injected_[name];
        last_ = name;
        inject();
        if (!is_calm(settle_limit)) {
            throw std::runtime_error(fmt::format("nothing settles after: {}\n{}\n{}", name,
                                                 porthole_.ctl({"status", "--all"}).output, log()));
        }
        watch();
    }

    [[nodiscard]] bool failed() const {
        return counts_.wrong_port + counts_.two_owners + traffic_->strangers_let_in() != 0;
    }
    void report(std::uint64_t seed, std::chrono::seconds took) const {
        fmt::print("seed {}, {} s\n", seed, took.count());
        for (const auto& [name, count] : injected_) fmt::print("  {:5} x {}\n", count, name);
        fmt::print("{} packets sent, {} judged, {} more about declared conflicts\n",
                   traffic_->sent(), counts_.judged, counts_.declared);
        fmt::print("from a wrong external port: {}\nports with two owners: {}\n",
                   counts_.wrong_port, counts_.two_owners);
        fmt::print("strangers let in: {}\n", traffic_->strangers_let_in());
    }

  private:
    struct Fault {
        std::string name;
        std::function<void()> inject;
    };

    [[nodiscard]] std::string log() const {
        const auto text = porthole_.log();
        constexpr std::size_t enough = 4000;
        return text.size() > enough ? text.substr(text.size() - enough) : text;
    }
    void nft(const std::vector<std::string>& command) const {
        std::vector<std::string> arguments{"nft"};
        arguments.insert(arguments.end(), command.begin(), command.end());
        lab::command(sites_.gateway_a, arguments);  // there may be nothing to delete
    }
    [[nodiscard]] std::string wan_address() const {
        return moved_ ? "203.0.113.77" : std::string(addresses::a_wan);
    }
    void start() {
        porthole_.start();
        dead_ = false;
    }

    /// As its configuration daemon does it.
    void change_address() {
        lab::delete_address(sites_.gateway_a, "wan", wan_address() + "/24");
        moved_ = !moved_;
        lab::add_address(sites_.gateway_a, "wan", wan_address() + "/24");
        lab::command(sites_.gateway_a, {"ip", "route", "replace", "default", "via",
                                        std::string(addresses::internet)});
    }
    void flap() {
        lab::set_link(sites_.gateway_a, "wan", false);
        lab::set_link(sites_.gateway_a, "wan", true);
        lab::wait_for_links(sites_.gateway_a, lab::Deadline(lab::Duration(5'000)));
        lab::command(sites_.gateway_a, {"ip", "route", "replace", "default", "via",
                                        std::string(addresses::internet)});
    }
    void reserve() {
        const auto& inside = names_[random_() % names_.size()];
        static constexpr std::array<std::uint16_t, 5> ports{51820, 51825, 4000, 4001, 42000};
        dbus::Dictionary options{{"settle", sdbus::Variant(true)}};
        options["external-port"] = sdbus::Variant(ports.at(random_() % ports.size()));
        // Somebody else may have asked for it.
        error_of([&] { client_->reserve(inside.host, "udp", inside.port, options); });
    }
    void release() {
        std::vector<std::uint64_t> ids;
        for (const auto& row : rows()) {
            if (random_() % 3 == 0) ids.push_back(row.get<0>());
        }
        client_->release(ids);
    }

    std::vector<dbus::Row> rows() { return std::get<0>(client_->list()); }
    /// Of the service, or what it said last.
    const std::vector<dbus::ConflictRow>& conflicts() {
        if (dead_) return last_conflicts_;
        client_->proxy()
            .callMethod("List")
            .onInterface("org.porthole.Gateway1.Conflicts")
            .storeResultsTo(last_conflicts_);
        return last_conflicts_;
    }

    [[nodiscard]] bool has_address(const dbus::Dictionary& interface) const {
        auto all = interface.at("addresses").get<std::vector<std::string>>();
        std::erase_if(all,
                      [](const auto& address) { return address.find(':') != std::string::npos; });
        return all == std::vector{wan_address()};
    }
    /// Whether the service has taken in the interfaces, its table is there, and all is settled.
    bool is_calm(lab::Duration limit) {
        if (dead_) return true;
        const lab::Deadline deadline(limit);
        while (!deadline.passed()) {
            const auto wans = client_->status().at("wans").get<std::vector<dbus::Dictionary>>();
            const bool wan = wans.size() == 1 && has_address(wans[0]);
            const bool table =
                lab::command(sites_.gateway_a, {"nft", "list", "table", "inet", "porthole"})
                    .status == 0;
            const auto all = rows();
            const bool settled = std::ranges::none_of(
                all, [](const auto& row) { return row.template get<7>() == "settling"; });
            if (wan && table && settled) return true;
        }
        return false;
    }

    Owners owners() {
        if (dead_) return last_owners_;
        Owners owners;
        std::vector<lab::SocketAddress> targets;
        for (const auto& row : rows()) {
            targets.push_back(at(wan_address(), row.get<4>()));
            if (row.get<7>() != "active") continue;
            owners[{row.get<1>(), row.get<3>()}] = {row.get<4>(), row.get<0>()};
        }
        traffic_->set_stranger_targets(std::move(targets));
        return last_owners_ = owners;
    }

    /// Whether there is a conflict about this socket, or about this port.
    bool is_declared(const Inside& inside, std::uint16_t port) {
        const auto other = fmt::format("{}:{}", inside.host, inside.port);
        const lab::Deadline deadline(declare_limit);
        do {
            for (const auto& conflict : conflicts()) {
                const auto& cause = conflict.get<1>();
                if (cause != "overload" && cause != "remapped") continue;
                const auto& evidence = conflict.get<8>();
                if (evidence.at("other").get<std::string>() == other || conflict.get<4>() == port) {
                    return true;
                }
            }
        } while (!dead_ && !deadline.passed());
        return false;
    }

    void watch() {
        const auto before = owners();
        traffic_->begin();
        std::this_thread::sleep_for(milliseconds(50 + random_() % 150));
        const auto observed = traffic_->end();
        const auto after = owners();
        std::map<std::uint16_t, Inside> owned;  // all the time
        for (const auto& [inside, expected] : before) {
            const auto still = after.find(inside);
            if (still != after.end() && still->second == expected) owned[expected.port] = inside;
        }
        for (const auto& [inside, sources] : observed) {
            for (const auto& [source, count] : sources) judge(inside, source, count, before, owned);
        }
    }

    void judge(const Inside& inside, const lab::SocketAddress& source, std::size_t count,
               const Owners& before, const std::map<std::uint16_t, Inside>& owned) {
        counts_.judged += count;
        const auto expected = before.find(inside);
        const bool is_owner = expected != before.end() && owned.contains(expected->second.port) &&
                              owned.at(expected->second.port) == inside;
        const auto wanted = is_owner ? at(wan_address(), expected->second.port) : source;
        // What leaves untranslated is on nobody's port.
        const auto other = owned.find(source.port);
        const bool anothers = other != owned.end() && other->second != inside &&
                              source == at(wan_address(), source.port);
        if (source == wanted && !anothers) return;
        if (is_declared(inside, source.port)) {
            counts_.judged -= count;
            counts_.declared += count;
            return;
        }
        (anothers ? counts_.two_owners : counts_.wrong_port) += count;
        fmt::print("after \"{}\": {} packets of {}:{} from {} instead of {}{}\n{}\n", last_, count,
                   inside.host, inside.port, lab::to_text(source), lab::to_text(wanted),
                   anothers
                       ? fmt::format(", which is {}:{}'s", other->second.host, other->second.port)
                       : "",
                   lab::output_of(sites_.gateway_a, {"conntrack", "-L", "-s", inside.host}));
    }

    std::mt19937_64 random_;
    lab::TwoSites sites_;
    lab::Porthole porthole_{sites_.gateway_a, "[auto]\nlimit-per-mac = 100\n"};
    std::unique_ptr<BusClient> client_;
    std::vector<Inside> names_;
    std::unique_ptr<Traffic> traffic_;
    bool moved_ = false;
    bool dead_ = false;
    Owners last_owners_;
    std::vector<dbus::ConflictRow> last_conflicts_;
    std::string last_;
    std::map<std::string, std::size_t> injected_;
    Counts counts_;
    std::vector<Fault> faults_{
        {"nothing", [] {}},
        {"reservation", [this] { reserve(); }},
        {"release", [this] { release(); }},
        {"flush of the ruleset",
         [this] {
             nft({"flush", "ruleset"});
             lab::masquerade(sites_.gateway_a, lab::InputPolicy::accept);
         }},
        {"deletion of the table",
         [this] {
             nft({"delete", "table", "inet", "porthole"});
         }},
        {"flush of a chain",
         [this] {
             nft({"flush", "chain", "inet", "porthole", "reserved"});
         }},
        {"flush of conntrack",
         [this] {
             lab::command(sites_.gateway_a, {"conntrack", "-F"});
         }},
        {"another address of the WAN", [this] { change_address(); }},
        {"link down and up", [this] { flap(); }},
        {"kill, and what is seen without the service",
         [this] {
             owners();
             conflicts();
             porthole_.kill();
             dead_ = true;
             watch();
             start();
         }},
        {"restart", [this] { porthole_.restart(); }},
        {"death during a flush",
         [this] {
             porthole_.kill();
             nft({"flush", "ruleset"});
             lab::masquerade(sites_.gateway_a, lab::InputPolicy::accept);
             start();
         }},
    };
};

}  // namespace
}  // namespace porthole::fault

int main(int argc, char** argv) {
    using namespace porthole::fault;
    std::uint64_t seed = 1;
    std::chrono::seconds duration{600};
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string option = argv[i];
        if (option == "--seed") {
            seed = std::strtoull(argv[i + 1], nullptr, 10);
        } else if (option == "--seconds") {
            duration = std::chrono::seconds(std::strtoul(argv[i + 1], nullptr, 10));
        } else {
            fmt::print(stderr, "usage: porthole-fault-run [--seed N] [--seconds N]\n");
            return 2;
        }
    }
    try {
        FaultRun run(seed);
        const auto begin = steady_clock::now();
        while (steady_clock::now() - begin < duration) run.step();
        run.report(seed, duration);
        return run.failed() ? EXIT_FAILURE : EXIT_SUCCESS;
    } catch (const std::exception& error) {
        fmt::print(stderr, "seed {}: {}\n", seed, error.what());
        return EXIT_FAILURE;
    }
}
