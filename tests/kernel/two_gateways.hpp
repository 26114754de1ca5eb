// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "tunnel_sites.hpp"

namespace porthole {

/// The same with the service on both gateways.
class TwoGateways : public TunnelSites {
  protected:
    void SetUp() override {
        TunnelSites::SetUp();
        if (IsSkipped()) return;
        a.start();
        b.start();
    }

    void create_tunnels() const {
        done(a, {"tunnel", "create", "wg0", "--addresses", "10.9.0.1/24"});
        done(b, {"tunnel", "create", "wg0", "--addresses", "10.9.0.2/24"});
    }
    void let_b_look_for_a() const {
        done(b, {"tunnel", "peer", "set", "wg0", key_of(a), "--endpoint", "203.0.113.1:51820",
                 "--allowed-ips", "10.9.0.1/32,192.168.2.0/24", "--name", "site A"});
    }
    void connect_sites() const {
        create_tunnels();
        done(a, {"tunnel", "peer", "set", "wg0", key_of(b), "--endpoint", "203.0.113.2:51820",
                 "--allowed-ips", "10.9.0.2/32,192.168.3.0/24", "--name", "site B"});
        let_b_look_for_a();
    }
};

}  // namespace porthole
