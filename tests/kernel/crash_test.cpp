// SPDX-License-Identifier: GPL-2.0-or-later
// The daemon is interrupted anywhere, or a step of a change fails: store, kernel and memory agree
// with each other and with what the caller was told.
#include <algorithm>
#include <csignal>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <thread>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <nlohmann/json.hpp>
#include <sys/resource.h>

#include "bus_client.hpp"
#include "core/gateway.hpp"
#include "core/store.hpp"
#include "lab/kill_at_call.hpp"
#include "lab/links.hpp"
#include "lab/namespace.hpp"
#include "lab/porthole.hpp"
#include "lab/process.hpp"
#include "lab/temporary_directory.hpp"
#include "netlink/connection.hpp"
#include "netlink/socket.hpp"
#include "nft/conntrack_settler.hpp"
#include "nft/firewall_table.hpp"

namespace porthole {
namespace {

using nlohmann::json;
using std::chrono::microseconds;
using testing::HasSubstr;

// Host, protocol, internal port, external port, comment.
using Row = std::tuple<std::string, std::string, std::uint16_t, std::uint16_t, std::string>;

// What the service keeps, as its clients see it.
struct State {
    std::uint64_t generation = 0;
    std::map<std::uint64_t, Row> rows;  // by id
    bool operator==(const State&) const = default;
};

[[maybe_unused]] void PrintTo(const State& state, std::ostream* stream) {
    *stream << "generation " << state.generation << ", " << testing::PrintToString(state.rows);
}

// The elements of the sets of the table that reservations are in, as nft prints them.
using Elements = std::map<std::string, std::set<std::string>>;

Elements elements_of(const State& state) {
    Elements all{{"exact", {}}, {"exact-flows", {}}, {"host-ports", {}}};
    const auto joined = [](json fields) { return json{{"concat", std::move(fields)}}; };
    for (const auto& [id, row] : state.rows) {
        const auto& [host, protocol, internal, external, comment] = row;
        all["exact"].insert(json{joined({protocol, host, internal}), external}.dump());
        all["exact-flows"].insert(joined({protocol, host, internal, external}).dump());
        all["host-ports"].insert(joined({protocol, external}).dump());
    }
    return all;
}

Elements elements_in(const lab::Namespace& gateway) {
    Elements all{{"exact", {}}, {"exact-flows", {}}, {"host-ports", {}}};
    const auto table =
        json::parse(lab::output_of(gateway, {"nft", "-j", "list", "table", "inet", "porthole"}));
    for (const auto& object : table["nftables"]) {
        for (const auto* kind : {"map", "set"}) {
            if (!object.contains(kind)) continue;
            const auto found = all.find(object[kind]["name"]);
            if (found == all.end()) continue;
            for (const auto& element : object[kind].value("elem", json::array())) {
                found->second.insert(element.dump());
            }
        }
    }
    return all;
}

std::pair<std::uint64_t, Row> row_of(const dbus::Row& row) {
    const auto& [id, host, protocol, internal, external, filtering, origin, state, comment, expires,
                 last_seen, more] = dbus::fields(row);
    return {id, {host, protocol, internal, external, comment}};
}

// A call that changes something, and what it makes of the state.
struct Call {
    std::function<void(BusClient&)> send;
    State after;
};

class Agreement : public testing::Test {
  protected:
    Agreement() {
        lab::add_bridge(gateway, "lan");
        lab::add_address(gateway, "lan", "192.168.2.1/24");
    }

    void start(const lab::Setting& setting = {}) {
        porthole.start(setting);
        client.emplace(porthole);
        // The service asks the bus who the caller is, and remembers it.
        ASSERT_THAT(error_of([this] { client->release({no_such_id}); }).first,
                    HasSubstr("NoSuchReservation"));
    }

    // The name and the message of an error, or an acknowledgement.
    [[nodiscard]] std::pair<std::string, std::string> outcome_of(const Call& call) {
        return error_of([&] { call.send(*client); });
    }
    void acknowledged(const Call& call) {
        EXPECT_EQ(outcome_of(call), acknowledgement);
        take(call);
    }

    [[nodiscard]] State listed() {
        State found;
        std::uint32_t total = 1;
        for (std::uint32_t offset = 0; offset < total; offset += 500) {
            const auto [rows, count, generation] = client->list({}, offset, 500);
            for (const auto& row : rows) found.rows.insert(row_of(row));
            found.generation = generation;
            total = count;
        }
        return found;
    }
    [[nodiscard]] Elements in_kernel() const { return elements_in(gateway); }

    // The list, the kernel and, after a restart, the store hold `state`.
    void expect_agreement(const lab::Setting& setting = {}) {
        ASSERT_EQ(listed(), state);
        ASSERT_EQ(in_kernel(), elements_of(state));
        porthole.kill();
        ASSERT_EQ(in_kernel(), elements_of(state));
        start(setting);
        ASSERT_EQ(listed(), state);
        ASSERT_EQ(in_kernel(), elements_of(state));
    }

    Call reserve(const std::vector<Row>& rows) const {
        Call call{{}, state};
        std::vector<dbus::RequestRow> requests;
        for (const auto& [host, protocol, internal, external, comment] : rows) {
            requests.emplace_back(host, protocol, internal, external, "", comment);
            call.after.rows.emplace(next_id + requests.size() - 1,
                                    Row{host, protocol, internal, external, comment});
        }
        ++call.after.generation;
        call.send = [requests, first = next_id](BusClient& bus) {
            auto id = first;
            for (const auto& reserved : bus.reserve_many(requests)) {
                EXPECT_EQ(std::get<0>(reserved), id++);
            }
        };
        return call;
    }
    Call reserve(const Row& row) const {
        auto call = reserve(std::vector{row});
        call.send = [row, expected = std::pair(next_id, row)](BusClient& bus) {
            const auto& [host, protocol, internal, external, comment] = row;
            EXPECT_EQ(row_of(bus.reserve(host, protocol, internal,
                                         {{"external-port", external}, {"comment", comment}})),
                      expected);
        };
        return call;
    }
    Call change(std::uint64_t id, std::uint16_t external, const std::string& comment) const {
        Call call{{}, state};
        auto& row = call.after.rows.at(id);
        std::get<3>(row) = external;
        std::get<4>(row) = comment;
        ++call.after.generation;
        call.send = [=, expected = std::pair(id, row)](BusClient& bus) {
            EXPECT_EQ(row_of(bus.change(id, {{"external-port", external}, {"comment", comment}})),
                      expected);
        };
        return call;
    }
    Call release(const std::vector<std::uint64_t>& ids) const {
        Call call{[ids](BusClient& bus) { bus.release(ids); }, state};
        for (const auto id : ids) call.after.rows.erase(id);
        ++call.after.generation;
        return call;
    }

    // What the daemon had done of a call when it was killed.
    struct Progress {
        bool in_kernel;
        bool in_store;
        bool acknowledged;
        auto operator<=>(const Progress&) const = default;
    };

    friend void PrintTo(const Progress& progress, std::ostream* stream) {
        *stream << fmt::format("kernel_{:d}_store_{:d}_answer_{:d}", progress.in_kernel,
                               progress.in_store, progress.acknowledged);
    }

    // Starts the daemon again after it was killed during `call`. Everything that was acknowledged
    // before is there, `call` is there or not, as a whole, and nothing else is.
    Progress recover(const Call& call, bool was_acknowledged) {
        const auto before = elements_of(state);
        const auto after = elements_of(call.after);
        const auto left = in_kernel();
        EXPECT_TRUE(left == before || left == after) << testing::PrintToString(left);
        start();
        const auto found = listed();
        EXPECT_TRUE(found == state || found == call.after) << testing::PrintToString(found);
        EXPECT_EQ(in_kernel(), elements_of(found));
        const Progress progress{left == after, found == call.after, was_acknowledged};
        // First the kernel, then the store, then the answer.
        EXPECT_GE(progress.in_kernel, progress.in_store);
        EXPECT_GE(progress.in_store, progress.acknowledged);
        if (progress.in_store) take(call);
        return progress;
    }
    void take(const Call& call) {
        state = call.after;
        if (!state.rows.empty()) next_id = std::max(next_id, state.rows.rbegin()->first + 1);
    }

    lab::Namespace gateway{"gateway"};
    lab::Porthole porthole{gateway};
    std::optional<BusClient> client;
    State state;  // what was acknowledged
    std::uint64_t next_id = 1;

    static constexpr std::uint64_t no_such_id = 1'000'000;
    const std::pair<std::string, std::string> acknowledgement;
};

std::uint16_t port(std::size_t number) { return static_cast<std::uint16_t>(number); }

std::vector<Row> some_rows(std::size_t first_port, std::size_t count) {
    std::vector<Row> rows;
    for (auto i = first_port; i < first_port + count; ++i) {
        rows.emplace_back(i % 2 == 0 ? "192.168.2.2" : "192.168.2.3", i % 3 == 0 ? "tcp" : "udp",
                          port(i), port(i), fmt::format("row {}", i));
    }
    return rows;
}

// Killed at each of its system calls during a change, from when the call comes to when it was
// answered: begin, batch sent, batch acknowledged, store committed and replied are among them.
class KilledAtEachStep : public Agreement {
  protected:
    void SetUp() override {
        if (!lab::can_kill_at_calls()) GTEST_SKIP() << "no PTRACE_GET_SYSCALL_INFO here";
        Agreement::SetUp();
    }
    // `make`: the N-th call of its kind.
    void kill_during(const std::function<Call(unsigned)>& make) {
        start();
        acknowledged(reserve(some_rows(1000, 400)));
        std::set<Progress> seen;
        bool answered = false;
        for (unsigned count = 1; !answered && !HasFailure(); ++count) {
            SCOPED_TRACE(fmt::format("killed at system call {}", count));
            const auto call = make(count);
            {
                const lab::KillAtCall killer(porthole.process()->id(), count);
                const auto outcome = outcome_of(call);
                answered = outcome == acknowledgement;
                // It may have been about something else, and die before the call comes.
                EXPECT_THAT(
                    outcome.first,
                    testing::AnyOf(acknowledgement.first, "org.freedesktop.DBus.Error.NoReply",
                                   "org.freedesktop.DBus.Error.ServiceUnknown"));
                porthole.kill();
            }
            seen.insert(recover(call, answered));
        }
        EXPECT_THAT(
            seen, testing::ElementsAre(Progress{false, false, false}, Progress{true, false, false},
                                       Progress{true, true, false}, Progress{true, true, true}));
    }
};

TEST_F(KilledAtEachStep, OfReserve) {
    kill_during([this](unsigned n) { return reserve(some_rows(5000 + n, 1).front()); });
}

TEST_F(KilledAtEachStep, OfReserveMany) {
    kill_during([this](unsigned n) { return reserve(some_rows(5000 + 10 * n, 10)); });
}

TEST_F(KilledAtEachStep, OfChange) {
    kill_during([this](unsigned n) { return change(7, port(5000 + n), fmt::format("{}", n)); });
}

TEST_F(KilledAtEachStep, OfRelease) {
    kill_during([this](unsigned) {
        return release({state.rows.begin()->first, state.rows.rbegin()->first});
    });
}

// 200 of 2,000 calls are each struck at a random moment.
TEST_F(Agreement, AfterKillsAtRandomMoments) {
    constexpr unsigned seed = 4787;
    constexpr int calls = 2000;
    constexpr int kills = 200;
    SCOPED_TRACE(fmt::format("seed {}", seed));
    std::mt19937 random{seed};
    const auto below = [&random](std::int64_t limit) {
        return std::uniform_int_distribution<std::int64_t>(0, limit - 1)(random);
    };
    // Releases the port if it is somebody's, else reserves it.
    const auto flip = [this](std::size_t number, int call) {
        auto row = some_rows(number, 1).front();
        std::get<4>(row) = fmt::format("call {}", call);
        const auto same_port = [&row](const auto& other) {
            return std::get<3>(other.second) == std::get<3>(row);
        };
        const auto found = std::ranges::find_if(state.rows, same_port);
        return found == state.rows.end() ? reserve(row) : release({found->first});
    };
    std::vector<int> all(calls);
    std::iota(all.begin(), all.end(), 0);
    std::set<int> struck;
    std::ranges::sample(all, std::inserter(struck, struck.end()), kills, random);

    start();
    microseconds duration{2000};  // of the last call that was left alone
    std::map<Progress, int> seen;
    for (int i = 0; i < calls && !HasFailure(); ++i) {
        SCOPED_TRACE(fmt::format("call {}", i));
        const auto call = flip(1024 + static_cast<std::size_t>(below(200)), i);
        if (!struck.contains(i)) {
            const auto begin = lab::Clock::now();
            acknowledged(call);
            duration = std::chrono::ceil<microseconds>(lab::Clock::now() - begin);
            continue;
        }
        std::pair<std::string, std::string> outcome;
        {
            const std::jthread killer([id = porthole.process()->id(),
                                       moment = microseconds(below(2 * duration.count()))] {
                std::this_thread::sleep_for(moment);
                ::kill(id, SIGKILL);
            });
            outcome = outcome_of(call);
        }
        porthole.kill();
        ++seen[recover(call, outcome == acknowledgement)];
    }
    if (HasFailure()) return;
    int answered = 0;
    for (const auto& [progress, count] : seen) {
        RecordProperty(testing::PrintToString(progress), count);
        if (progress.acknowledged) answered += count;
    }
    EXPECT_GT(answered, 0);
    EXPECT_LT(answered, kills);
}

class FailingStep : public Agreement {
  protected:
    const std::vector<std::uint64_t> first_rows{1, 2, 3};
    // One call of each kind, to be made in this order.
    [[nodiscard]] std::vector<std::function<Call()>> each_kind() const {
        return {[this] { return reserve(some_rows(5000, 1).front()); },
                [this] { return reserve(some_rows(6000, 10)); },
                [this] { return change(7, 7000, "moved"); },
                [this] { return release(first_rows); }};
    }
    void expect_failure(const std::string& error) {
        for (const auto& make : each_kind()) {
            EXPECT_EQ(outcome_of(make()).first, "org.porthole.Gateway1.Error." + error);
            EXPECT_EQ(listed(), state);
        }
    }
    void expect_success() {
        for (const auto& make : each_kind()) acknowledged(make());
    }
    // From now on the service's files cannot be written beyond this place.
    void limit_files(rlim_t bytes) {
        const rlimit limit{bytes, RLIM_INFINITY};
        lab::checked(::prlimit(porthole.process()->id(), RLIMIT_FSIZE, &limit, nullptr), "prlimit");
    }
    // A write beyond the limit fails, as on a full disk, instead of ending the service.
    const lab::Setting without_signal{.before_exec = [] { ::signal(SIGXFSZ, SIG_IGN); }};
};

TEST_F(FailingStep, AStoreThatCannotCommit) {
    start(without_signal);
    acknowledged(reserve(some_rows(1000, 100)));
    limit_files(0);
    expect_failure("StorageFailed");
    EXPECT_EQ(in_kernel(), elements_of(state));
    limit_files(RLIM_INFINITY);
    expect_success();
    expect_agreement();
}

// The disk is full after the first, the second, … part of what a change writes.
TEST_F(FailingStep, AStoreThatRunsFullAnywhere) {
    start(without_signal);
    int failures = 0;
    bool answered = false;
    for (rlim_t limit = 0; !answered && !HasFailure(); limit += 1000) {
        SCOPED_TRACE(fmt::format("limit {}", limit));
        const auto call = reserve(some_rows(1000, 200));
        limit_files(limit);
        const auto outcome = outcome_of(call);
        answered = outcome == acknowledgement;
        if (answered) {
            take(call);
        } else {
            EXPECT_THAT(outcome.first, HasSubstr("StorageFailed"));
            ++failures;
        }
        expect_agreement(without_signal);
    }
    EXPECT_GT(failures, 10);
}

// A table that belongs to another process: the kernel lets nobody else change or delete it.
class ForeignTable {
  public:
    explicit ForeignTable(const lab::Namespace& gateway)
        : connection_(
              gateway.run([] { return std::make_unique<netlink::Socket>(NETLINK_NETFILTER); })) {
        auto batch = netlink::Batch::nfnetlink_transaction(NFNL_SUBSYS_NFTABLES);
        add(batch, "delete table inet porthole", NFT_MSG_DELTABLE, 0);
        add(batch, "add table inet porthole { flags owner; }", NFT_MSG_NEWTABLE, NFT_TABLE_F_OWNER);
        connection_.execute(std::move(batch).finalize());
    }

  private:
    static void add(netlink::Batch& batch, const char* name, std::uint16_t type,
                    std::uint32_t flags) {
        batch.add(name, static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8U | type), NLM_F_CREATE,
                  [flags](nlmsghdr* message) {
                      auto* header = static_cast<nfgenmsg*>(
                          mnl_nlmsg_put_extra_header(message, sizeof(nfgenmsg)));
                      header->nfgen_family = NFPROTO_INET;
                      mnl_attr_put_strz(message, NFTA_TABLE_NAME, "porthole");
                      mnl_attr_put_u32(message, NFTA_TABLE_FLAGS, htonl(flags));
                  });
    }
    netlink::Connection connection_;
};

TEST_F(FailingStep, AKernelThatRefuses) {
    start();
    acknowledged(reserve(some_rows(1000, 100)));
    {
        const ForeignTable foreign(gateway);
        expect_failure("KernelFailed");
    }
    expect_success();
    expect_agreement();
}

// The kernel's socket, which loses answers: as it does when its buffer is full.
class LossySocket : public netlink::Transport {
  public:
    // Counts down `to_lose`.
    explicit LossySocket(int& to_lose) : to_lose_(to_lose) {}
    void send(std::span<const std::byte> datagram) override { socket_.send(datagram); }
    std::size_t receive(std::span<std::byte> buffer) override {
        const auto size = socket_.receive(buffer);
        if (size == 0 || to_lose_ == 0) return size;
        --to_lose_;
        throw std::system_error(ENOBUFS, std::generic_category(), "receive");
    }
    [[nodiscard]] int descriptor() const override { return socket_.descriptor(); }

  private:
    netlink::Socket socket_{NETLINK_NETFILTER};
    int& to_lose_;
};

// The kernel has done what was asked, but the gateway does not hear of it.
TEST(LostAcknowledgement, LeavesNoDoubt) {
    const lab::Namespace router("router");
    const lab::TemporaryDirectory directory;
    int to_lose = 0;
    auto table =
        router.run([&] { return nft::FirewallTable(std::make_unique<LossySocket>(to_lose)); });
    const auto settler = router.run([] { return std::make_unique<nft::ConntrackSettler>(); });
    Gateway gateway({}, Store::open(directory.path()), table, *settler,
                    [] { return Time(std::chrono::seconds(1'000'000)); });
    gateway.start({{{2, parse<InterfaceName>("name", "lan"), LinkLayer::ethernet, "bridge", true}},
                   {{2, parse<Address>("address", "192.168.2.1"), 24}},
                   {}});
    const auto reserve = [&gateway](std::uint64_t number) {
        const HostKey host = parse<HostKey>("host", "192.168.2.2");
        return gateway.reserve({.internal = {host, Protocol::udp, *Port::from(number)}}, {});
    };
    reserve(1);
    to_lose = 1;
    try {
        reserve(2);
    } catch (const KernelFailure&) {  // NOLINT(bugprone-empty-catch)
    }
    EXPECT_EQ(to_lose, 0);
    State state;
    for (const auto& [id, row] : gateway.reservations().rows()) {
        state.rows.emplace(
            number(id),
            Row{to_text(row.internal.host), to_text(row.internal.protocol),
                row.internal.port.value(), row.external_port.value(), to_text(row.comment)});
    }
    EXPECT_EQ(elements_in(router), elements_of(state));
}

}  // namespace
}  // namespace porthole
