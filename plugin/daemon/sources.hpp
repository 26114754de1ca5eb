// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>

#include "core/event_loop.hpp"
#include "core/gateway.hpp"
#include "netlink/rtnetlink.hpp"

namespace porthole {

/// SIGTERM and SIGINT end the loop; the rules stay. SIGHUP reads the configuration again.
class SignalSource : public EventSource {
  public:
    /// Blocks the signals for this thread and those it starts.
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
    bool failed_ = false;
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
    bool failed_ = false;
};

}  // namespace porthole
