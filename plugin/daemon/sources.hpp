// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "core/checkpoints.hpp"
#include "core/event_loop.hpp"
#include "core/gateway.hpp"
#include "core/own_ports.hpp"
#include "lease_reader.hpp"
#include "netlink/neighbour_table.hpp"
#include "netlink/rtnetlink.hpp"
#include "netlink/sock_diag.hpp"
#include "nft/firewall_table.hpp"
#include "nft/flow_watch.hpp"

namespace porthole {

/// When something that failed is to be tried again.
class Retry {
  public:
    void failed() { at_ = Clock::now() + std::chrono::seconds(1); }
    void done() { at_.reset(); }
    [[nodiscard]] bool due() const { return at_ && *at_ <= Clock::now(); }
    /// From now; nothing: there is nothing to try again.
    [[nodiscard]] std::optional<std::chrono::milliseconds> timeout() const;

  private:
    using Clock = std::chrono::steady_clock;
    std::optional<Clock::time_point> at_;
};

/// Blocks the signals that SignalSource takes, for this thread and those that it starts from now
/// on.
void block_signals();

/// SIGTERM and SIGINT end the loop; the rules stay. SIGHUP reads the configuration again.
class SignalSource : public EventSource {
  public:
    /// The signals must be blocked already, in all threads.
    SignalSource(EventLoop& loop, std::function<void()> reload);
    ~SignalSource() override;
    SignalSource(const SignalSource&) = delete;
    SignalSource& operator=(const SignalSource&) = delete;
    SignalSource(SignalSource&&) = delete;
    SignalSource& operator=(SignalSource&&) = delete;

    Interest prepare() override;
    void dispatch() override;

  private:
    EventLoop& loop_;
    std::function<void()> reload_;
    int descriptor_;
};

/// Makes the gateway follow its interfaces.
class InterfaceSource : public EventSource {
  public:
    InterfaceSource(netlink::InterfaceMonitor& monitor, netlink::InterfaceReader& reader,
                    Gateway& gateway)
        : monitor_(monitor), reader_(reader), gateway_(gateway) {}

    Interest prepare() override;
    void dispatch() override;

  private:
    netlink::InterfaceMonitor& monitor_;
    netlink::InterfaceReader& reader_;
    Gateway& gateway_;
    Retry retry_;
};

/// Passes on what the settler reports, and orders again what has failed.
class SettlerSource : public EventSource {
  public:
    SettlerSource(Settler& settler, Gateway& gateway) : settler_(settler), gateway_(gateway) {}

    Interest prepare() override;
    void dispatch() override;

  private:
    Settler& settler_;
    Gateway& gateway_;
    Retry retry_;
};

/// Returns memory when no change was settled for two seconds: with 60,000 reservations it takes
/// milliseconds, for which the next change would wait.
class MemorySource : public EventSource {
  public:
    explicit MemorySource(const Settling& settling) : settling_(settling) {}

    Interest prepare() override;
    void dispatch() override;

  private:
    using Clock = std::chrono::steady_clock;
    const Settling& settling_;
    std::uint64_t seen_ = 0;
    std::optional<Clock::time_point> at_;
    bool started_ = false;
};

/// Makes the gateway follow the sockets that it has itself: by looking, as nobody tells.
class ListenerSource : public EventSource {
  public:
    ListenerSource(netlink::ListenerReader& reader, OwnPorts own_ports, Gateway& gateway)
        : reader_(reader), own_ports_(std::move(own_ports)), gateway_(gateway) {}

    Interest prepare() override;
    void dispatch() override;

  private:
    using Clock = std::chrono::steady_clock;
    netlink::ListenerReader& reader_;
    OwnPorts own_ports_;
    Gateway& gateway_;
    Clock::time_point next_ = Clock::now();
    bool failed_ = false;
};

/// Passes on who sends from watched ports.
class WatchSource : public EventSource {
  public:
    WatchSource(nft::FlowWatch& watch, Gateway& gateway) : watch_(watch), gateway_(gateway) {}

    Interest prepare() override;
    void dispatch() override;

  private:
    nft::FlowWatch& watch_;
    Gateway& gateway_;
};

/// Finds out whether those who were seen are there, and has their ports claimed: several at once,
/// as every change wears flash memory out.
class ClaimSource : public EventSource {
  public:
    explicit ClaimSource(Gateway& gateway) : gateway_(gateway) {}

    Interest prepare() override;
    void dispatch() override;

  private:
    using Clock = std::chrono::steady_clock;
    netlink::NeighbourTable neighbours_;
    netlink::NeighbourMonitor monitor_;
    Gateway& gateway_;
    std::optional<Clock::time_point> next_;  // nothing: nobody waits
    Clock::time_point not_before_;
    bool failed_ = false;
};

/// Makes the gateway follow the hosts on the LANs: at once where a port follows one of them, from
/// time to time otherwise.
class HostSource : public EventSource {
  public:
    HostSource(Gateway& gateway, Gateway::Clock clock)
        : gateway_(gateway), clock_(std::move(clock)) {}

    Interest prepare() override;
    void dispatch() override;

  private:
    using Clock = std::chrono::steady_clock;
    netlink::NeighbourTable neighbours_;
    netlink::NeighbourMonitor monitor_;
    LeaseReader leases_;
    Gateway& gateway_;
    Gateway::Clock clock_;
    bool listening_ = false;
    Clock::time_point next_ = Clock::now();
    Clock::time_point not_before_;
    bool failed_ = false;
};

/// Has all flows looked at from time to time.
class LookSource : public EventSource {
  public:
    explicit LookSource(Gateway& gateway) : gateway_(gateway) {}

    Interest prepare() override;
    void dispatch() override;

  private:
    using Clock = std::chrono::steady_clock;
    Gateway& gateway_;
    Clock::time_point last_ = Clock::now();
};

/// Notices whether the kernel forwards: by looking, as nobody tells.
class ForwardingSource : public EventSource {
  public:
    explicit ForwardingSource(Gateway& gateway) : gateway_(gateway) {}

    Interest prepare() override;
    void dispatch() override;

  private:
    using Clock = std::chrono::steady_clock;
    Gateway& gateway_;
    Clock::time_point next_ = Clock::now();
};

/// The ports that the kernel chooses from for programs that name none.
PortRange ephemeral_ports();

/// Undoes what others do to our table.
class TableSource : public EventSource {
  public:
    TableSource(nft::FirewallTable& table, Gateway& gateway) : table_(table), gateway_(gateway) {}

    Interest prepare() override;
    void dispatch() override;

  private:
    nft::FirewallTable& table_;
    Gateway& gateway_;
    Retry retry_;
};

/// Has a checkpoint undone that was not committed in time.
class CheckpointSource : public EventSource {
  public:
    explicit CheckpointSource(Checkpoints& checkpoints) : checkpoints_(checkpoints) {}

    Interest prepare() override;
    void dispatch() override;

  private:
    Checkpoints& checkpoints_;
    Retry retry_;
    std::string failure_;  ///< that was said last
};

/// Releases reservations whose time has come.
class ExpirySource : public EventSource {
  public:
    ExpirySource(Gateway& gateway, Gateway::Clock clock)
        : gateway_(gateway), clock_(std::move(clock)) {}

    Interest prepare() override;
    void dispatch() override;

  private:
    Gateway& gateway_;
    Gateway::Clock clock_;
    Retry retry_;
};

}  // namespace porthole
