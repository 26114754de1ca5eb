// SPDX-License-Identifier: GPL-2.0-or-later
#include "measures.hpp"

namespace porthole::bench {

const std::vector<Measure>& measures() {
    static const std::vector<Measure> all{
        {"reserve", "one reservation over D-Bus", measure_reserve},
        {"peers", "the same against firewalld, miniupnpd and nft", measure_peers},
        {"many", "60,000 reservations in one call", measure_many},
        {"start", "start with 60,000 reservations in the store", measure_start},
        {"memory", "resident memory", measure_memory},
        {"abuse", "one reservation while other clients abuse the service", measure_abuse},
        {"packets", "cost of a new flow and of an established packet", measure_packets},
        {"settle", "settling among 10,000 flows of others", measure_settle},
        {"watch", "watching while others open 10,000 flows a second", measure_watch},
        {"restore", "a deleted table until it is back", measure_restore},
    };
    return all;
}

}  // namespace porthole::bench
