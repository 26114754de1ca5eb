// SPDX-License-Identifier: GPL-2.0-or-later
// Sixty thousand reservations: in one call, at the start, and in memory.
//
// Whoever listens to the notifications of nf_tables, in whatever network namespace, makes the
// kernel write one for each element of everybody's: floors are measured while the service is
// stopped.
#include <atomic>
#include <thread>

#include <fmt/format.h>
#include <linux/netlink.h>

#include "gateway.hpp"
#include "measures.hpp"
#include "raw.hpp"

namespace porthole::bench {
namespace {

constexpr std::size_t many = 60'000;
constexpr double mebibyte = 1024.0 * 1024;

std::vector<dbus::RequestRow> existing_rows() {
    std::vector<dbus::RequestRow> rows;
    for (std::size_t i = 0; i < many; ++i) rows.push_back(existing_row(i));
    return rows;
}

std::vector<Mapping> existing_mappings() {
    std::vector<Mapping> mappings;
    for (std::size_t i = 0; i < many; ++i) mappings.push_back(existing_mapping(i));
    return mappings;
}

/// Takes the same message as ReserveMany does and answers with one of the same size, without
/// looking at it.
class Echo {
  public:
    static constexpr auto interface = "org.porthole.Bench";
    static constexpr auto path = "/org/porthole/Bench";

    explicit Echo(const lab::Namespace& where)
        : bus_(where, lab::BusPolicy::everything),
          connection_(sdbus::createSessionBusConnectionWithAddress(bus_.address())),
          object_(sdbus::createObject(*connection_, path)),
          client_(sdbus::createSessionBusConnectionWithAddress(bus_.address())),
          proxy_(sdbus::createProxy(*client_, connection_->getUniqueName(), path)) {
        for (std::size_t i = 0; i < many; ++i) answer_.emplace_back(i, 1);
        object_->registerMethod(interface, "ReserveMany", "a(ssqqss)a{sv}", "a(tq)",
                                [this](sdbus::MethodCall call) {
                                    auto reply = call.createReply();
                                    encoding_ = seconds([&] { reply << answer_; });
                                    reply.send();
                                });
        object_->finishRegistration();
        proxy_->finishRegistration();
        connection_->enterEventLoopAsync();
    }

    [[nodiscard]] sdbus::IProxy& proxy() { return *proxy_; }
    /// What the last answer took to be written into its message: not the bus's work.
    [[nodiscard]] double encoding() const { return encoding_; }

  private:
    lab::Bus bus_;
    std::vector<dbus::ReservedRow> answer_;
    std::atomic<double> encoding_ = 0;
    std::unique_ptr<sdbus::IConnection> connection_;
    std::unique_ptr<sdbus::IObject> object_;
    std::unique_ptr<sdbus::IConnection> client_;
    std::unique_ptr<sdbus::IProxy> proxy_;
};

/// Sends a ReserveMany that is ready and takes the answer, without decoding it: how long that took.
double call_many(sdbus::IProxy& proxy, const char* interface,
                 const std::vector<dbus::RequestRow>& rows, sdbus::MethodReply& reply) {
    auto call = proxy.createMethodCall(interface, "ReserveMany");
    call << rows << dbus::Dictionary();
    return seconds([&] { reply = proxy.callMethod(call); });
}

}  // namespace

Lines measure_many(const Options&) {
    constexpr int rounds = 15;
    constexpr double goal = 2;
    const Site site;
    Service service(site.gateway);
    Echo echo(site.gateway);
    const auto rows = existing_rows();

    const Site scratch;
    RawNetlink kernel(scratch.gateway, NETLINK_NETFILTER);
    RawDatabase database;
    const auto table = scratch_table(existing_mappings());
    const auto remove = remove_mappings(existing_mappings());
    const lab::TemporaryDirectory directory;
    const auto file = directory / "elements.nft";
    lab::write_file(file, nft_file(existing_mappings()));

    Samples seen;
    Samples bus;
    Samples inside;
    Samples cpu;
    Samples batch;
    Samples commit;
    Samples floor;
    Samples ratios;
    Samples forked;
    for (int round = 0; round < rounds; ++round) {
        sdbus::MethodReply reply;
        const double cpu_before = service.cpu_time();
        seen.add(call_many(service.client().proxy(), BusClient::reservations, rows, reply));
        cpu.add(service.cpu_time() - cpu_before);
        std::vector<dbus::ReservedRow> reserved;
        reply >> reserved;
        service.wait_until_settled();
        std::vector<std::uint64_t> ids;
        for (const auto& row : reserved) ids.push_back(row.get<0>());
        service.client().release(ids);

        bus.add(call_many(echo.proxy(), Echo::interface, rows, reply) - echo.encoding());
        inside.add(seen.values().back() - bus.values().back());

        service.porthole().stop();
        batch.add(seconds([&] { kernel.execute(table); }));
        kernel.execute(remove);
        commit.add(seconds([&] { database.insert(many); }));
        database.clear();
        floor.add(batch.values().back() + commit.values().back());
        ratios.add(inside.values().back() / floor.values().back());
        forked.add(seconds([&] { lab::output_of(scratch.gateway, {"nft", "-f", file.string()}); }));
        kernel.execute(remove);
        service.porthole().start();
    }
    const double ratio = ratios.median();
    return {
        {.what = "60,000 in one ReserveMany, in the service",
         .measured = with_quartiles(inside),
         .compared = fmt::format("floor {}: batch {}, transaction {}", milliseconds(floor.median()),
                                 milliseconds(batch.median()), milliseconds(commit.median())),
         .ratio = times(ratio),
         .goal = "below 2",
         .verdict = verdict_at_most(ratio, goal)},
        {.what = "the same as its caller sees it",
         .measured = with_quartiles(seen),
         .compared = fmt::format("of which the bus {}; CPU time of the service's thread {}",
                                 milliseconds(bus.median()), milliseconds(cpu.median())),
         .ratio = "",
         .goal = "",
         .verdict = ""},
        {.what = "nft -f with the same elements, not durable",
         .measured = with_quartiles(forked),
         .compared = "ReserveMany as its caller sees it",
         .ratio = times(forked.median() / seen.median()),
         .goal = "",
         .verdict = ""},
    };
}

Lines measure_start(const Options&) {
    constexpr int rounds = 11;
    constexpr double goal = 0.4;
    const Site site;
    const Site other_site;
    Service service(site.gateway, many);
    Service empty(other_site.gateway);
    RawNetlink kernel(site.gateway, NETLINK_NETFILTER);
    RawNetlink scratch(site.outside, NETLINK_NETFILTER);
    RawDatabase database;
    const auto table = scratch_table(existing_mappings());
    database.insert(many);
    empty.porthole().stop();

    Samples boot;
    Samples again;
    Samples floor;
    Samples program;
    Samples rows;
    Samples batch;
    for (int round = 0; round < rounds; ++round) {
        service.porthole().stop();
        again.add(seconds([&] { service.porthole().start(); }));
        service.wait_until_settled();
        service.porthole().stop();
        kernel.execute(delete_table());

        program.add(seconds([&] { empty.porthole().start(); }));
        empty.porthole().stop();
        rows.add(seconds([&] { database.read(); }));
        batch.add(seconds([&] { scratch.execute(table); }));
        floor.add(program.values().back() + rows.values().back() + batch.values().back());
        scratch.execute(delete_table());
        boot.add(seconds([&] { service.porthole().start(); }));
        service.wait_until_settled();
    }
    const auto line = [&](std::string what, const Samples& samples) {
        return Line{.what = std::move(what),
                    .measured = with_quartiles(samples),
                    .compared = fmt::format(
                        "floor {}: a start with none {}, reading the rows {}, the table's raw "
                        "batch {}",
                        with_quartiles(floor), milliseconds(program.median()),
                        milliseconds(rows.median()), milliseconds(batch.median())),
                    .ratio = times(samples.median() / floor.median()),
                    .goal = "0.4 s",
                    .verdict = verdict_at_most(samples.median(), goal, floor.quantile(0.75))};
    };
    return {line("start with 60,000, after a boot", boot),
            line("start with 60,000, its table still in the kernel", again)};
}

Lines measure_memory(const Options&) {
    constexpr double rest_goal = 8 * mebibyte;
    constexpr double full_goal = 24 * mebibyte;
    const Site site;
    Service service(site.gateway);
    const auto line = [&](std::string what, std::string goal_text, double goal) {
        // Two seconds after its last walk, and not before, the service returns what it took for it.
        std::this_thread::sleep_for(std::chrono::seconds(3));
        const auto resident = static_cast<double>(service.porthole().memory("VmRSS"));
        return Line{
            .what = std::move(what),
            .measured = fmt::format("{:.1f} MiB", resident / mebibyte),
            .compared = fmt::format(
                "{:.1f} MiB of its own, {:.1f} MiB of program and library files; peak {:.1f} MiB",
                static_cast<double>(service.porthole().memory("RssAnon")) / mebibyte,
                static_cast<double>(service.porthole().memory("RssFile")) / mebibyte,
                static_cast<double>(service.porthole().memory("VmHWM")) / mebibyte),
            .ratio = "",
            .goal = std::move(goal_text),
            .verdict = verdict_at_most(resident, goal)};
    };
    Lines lines{line("resident memory at rest", "8 MiB", rest_goal)};
    service.reserve_existing(many);
    service.wait_until_settled();
    lines.push_back(line("resident memory after 60,000 in one call", "24 MiB", full_goal));
    service.porthole().restart();
    service.wait_until_settled();
    lines.push_back(line("resident memory after a start with 60,000", "24 MiB", full_goal));
    return lines;
}

}  // namespace porthole::bench
