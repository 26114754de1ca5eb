// SPDX-License-Identifier: GPL-2.0-or-later
#include <cerrno>
#include <cstdlib>
#include <exception>
#include <memory>
#include <optional>
#include <system_error>

#include <sys/stat.h>

#include "core/checkpoints.hpp"
#include "core/event_loop.hpp"
#include "core/gateway.hpp"
#include "core/log.hpp"
#include "core/peer_watch.hpp"
#include "core/static_tunnels.hpp"
#include "core/store.hpp"
#include "dbus/service.hpp"
#include "memory.hpp"
#include "netlink/rtnetlink.hpp"
#include "netlink/sock_diag.hpp"
#include "nft/conntrack_settler.hpp"
#include "nft/firewall_table.hpp"
#include "nft/flow_watch.hpp"
#include "nft/kernel_tracer.hpp"
#include "options.hpp"
#include "peer_source.hpp"
#include "resolver/ares_resolver.hpp"
#include "sources.hpp"
#include "watchdog.hpp"
#include "wg/kernel_tunnels.hpp"
#include "wg/quick_file.hpp"

namespace porthole {
namespace {

Time now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

OpenedStore open_store(const std::filesystem::path& directory) {
    auto opened = Store::open(directory);
    if (!opened.kept_aside.empty()) log::error("database-kept-aside", "{}", opened.kept_aside);
    return opened;
}

// The rule that reports flows can only be made where somebody can hear of them.
std::unique_ptr<nft::FlowWatch> watch_flows(Gateway& gateway) {
    try {
        return std::make_unique<nft::FlowWatch>();
    } catch (const Error& error) {
        log::warning("watching-failed", "no ports are claimed for hosts: {}", error.what());
        gateway.cannot_watch(error.what());
        return nullptr;
    }
}

void run(const Options& options) {
    block_signals();
    const auto read = [&options] { return read_configuration(options); };
    auto configuration = read();
    const auto wanted_tunnels = configuration.tunnels;

    dbus::Bus bus;
    netlink::InterfaceMonitor monitor;
    netlink::InterfaceReader reader;
    netlink::ListenerReader listener_reader;
    nft::FirewallTable table;
    nft::ConntrackSettler settler;
    auto opened = open_store(options.state);
    auto stored_tunnels = std::move(opened.state.tunnels);
    const auto unreadable = std::move(opened.state.tunnels_unreadable);
    const auto checkpoint = opened.state.checkpoint;
    Gateway gateway(std::move(configuration), std::move(opened), table, settler, now);
    const auto watch = watch_flows(gateway);
    gateway.start(reader.read());
    wg::KernelTunnels kernel_tunnels;
    Tunnels tunnels(gateway, kernel_tunnels, std::move(stored_tunnels), now);
    if (!unreadable.empty()) {
        log::error("tunnels-unreadable", "no stored tunnel is up: {}", unreadable);
        tunnels.cannot_read(unreadable);
    }
    tunnels.start();
    StaticTunnels static_tunnels(gateway, tunnels, options.state);
    static_tunnels.start(wanted_tunnels);
    Checkpoints checkpoints(gateway, tunnels, checkpoint, now);
    CheckpointSource checkpoint_source(checkpoints);
    checkpoint_source.dispatch();  // before anybody sees what was not committed in time
    resolver::AresResolver names;
    PeerWatch peers(tunnels, names);

    nft::KernelTracer tracer;
    Invitations invitations(tunnels, gateway, now);
    dbus::Service service(
        bus, {gateway, tunnels, invitations, peers, static_tunnels, checkpoints, tracer}, read,
        {wg::parse_quick_file, wg::format_quick_file});
    InterfaceSource interfaces(monitor, reader, gateway);
    ListenerSource listeners(listener_reader, OwnPorts(ephemeral_ports()), gateway);
    TableSource table_changes(table, gateway);
    SettlerSource settled(settler, gateway);
    MemorySource memory(gateway.settling());
    ExpirySource expiry(gateway, now);
    ClaimSource claims(gateway);
    HostSource hosts(gateway, now);
    LookSource looks(gateway);
    PeerSource peer_source(peers, names);
    ForwardingSource forwarding(gateway);
    std::optional<WatchSource> seen;
    if (watch) seen.emplace(*watch, gateway);
    EventLoop loop;
    SignalSource signals(loop, [&service] {
        try {
            service.reload();
            log::info("reloaded", "the configuration was read again");
        } catch (const Error& error) {
            log::error("reload-refused", "the old configuration stays: {}", error.what());
        }
    });
    loop.add(signals);
    loop.add(interfaces);
    loop.add(listeners);
    loop.add(table_changes);
    if (seen) loop.add(*seen);
    loop.add(claims);
    loop.add(hosts);
    loop.add(looks);
    loop.add(forwarding);
    loop.add(settled);
    loop.add(memory);
    loop.add(expiry);
    loop.add(checkpoint_source);
    loop.add(service);
    loop.add(peer_source);
    WatchdogSource watchdog;
    loop.add(watchdog);

    service.request_name();
    log::info("ready", "{} reservations are in force", gateway.reservations().size());
    loop.run();
}

const char* advice(int error) {
    return error == EPERM ? "; portholed needs the capability CAP_NET_ADMIN" : "";
}

}  // namespace
}  // namespace porthole

int main(int argc, char** argv) {
    using namespace porthole;  // NOLINT(google-build-using-namespace)
    keep_no_large_blocks();
    int status = EXIT_SUCCESS;
    try {
        umask(S_IRWXG | S_IRWXO);  // what it writes is its own
        const auto options = read_options(argc, argv, status);
        if (!options) return status;
        if (options->check_configuration) {
            read_configuration(*options);
            return EXIT_SUCCESS;
        }
        run(*options);
        return EXIT_SUCCESS;
    } catch (const ConfigurationInvalid& invalid) {
        log::error("configuration-invalid", "\n{}", invalid.what());
    } catch (const KernelFailure& failure) {
        log::error("kernel-failed", "{}{}", failure.what(), advice(failure.code()));
    } catch (const std::system_error& error) {
        log::error("failed", "{}{}", error.what(), advice(error.code().value()));
    } catch (const std::exception& error) {
        log::error("failed", "{}", error.what());
    }
    return EXIT_FAILURE;
}
