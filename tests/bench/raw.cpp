// SPDX-License-Identifier: GPL-2.0-or-later
#include "raw.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <sqlite3.h>
#include <sys/socket.h>

#include "gateway.hpp"
#include "netlink/message.hpp"
#include "nft/firewall_table.hpp"

namespace porthole::bench {
namespace {

void put_header(nlmsghdr* message, std::uint8_t family) {
    auto* header = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(nfgenmsg)));
    header->nfgen_family = family;
    header->version = NFNETLINK_V0;
}

netlink::FinalizedBatch conntrack_command(unsigned message, std::uint16_t flags) {
    netlink::Batch batch;
    batch.add("conntrack", static_cast<std::uint16_t>(NFNL_SUBSYS_CTNETLINK << 8U | message), flags,
              [](nlmsghdr* header) { put_header(header, AF_INET); });
    return std::move(batch).finalize();
}

netlink::FinalizedBatch edit_mappings(SetDifference<Mapping> mappings) {
    FirewallDifference difference;
    difference.mappings = std::move(mappings);
    std::ranges::sort(difference.mappings.added);
    std::ranges::sort(difference.mappings.removed);
    return nft::encode_difference({.scope = {}, .mappings = difference.mappings.removed},
                                  difference);
}

}  // namespace

RawNetlink::RawNetlink(const lab::Namespace& where, int bus)
    : socket_(where.run([bus] { return std::make_unique<netlink::Socket>(bus); })),
      buffer_(netlink::Transport::max_datagram_bytes) {}

void RawNetlink::execute(const netlink::FinalizedBatch& batch) {
    socket_->send(batch.bytes());
    const auto size = socket_->receive(buffer_);
    if (size < sizeof(nlmsghdr) + sizeof(int)) throw std::runtime_error("no acknowledgement");
    const auto* message = static_cast<const nlmsghdr*>(static_cast<const void*>(buffer_.data()));
    const auto* answer = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(message));
    if (message->nlmsg_type != NLMSG_ERROR || answer->error != 0) {
        throw std::runtime_error("the kernel refused " + batch.name());
    }
}

std::size_t RawNetlink::dump(const netlink::FinalizedBatch& request) {
    socket_->send(request.bytes());
    std::size_t messages = 0;
    while (true) {
        auto left = static_cast<int>(socket_->receive(buffer_));
        const auto* message =
            static_cast<const nlmsghdr*>(static_cast<const void*>(buffer_.data()));
        for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
            if (message->nlmsg_type == NLMSG_DONE) return messages;
            ++messages;
        }
    }
}

netlink::FinalizedBatch scratch_table(std::vector<Mapping> mappings) {
    Firewall firewall;
    firewall.scope.wans = {parse<InterfaceName>("interface", "wan")};
    firewall.scope.nat_sources = {parse<Network>("network", Site::lan_network)};
    firewall.scope.wan_addresses = {parse<Address>("address", Site::wan_address)};
    firewall.mappings = std::move(mappings);
    std::ranges::sort(firewall.mappings);
    return nft::encode_replacement(firewall);
}

netlink::FinalizedBatch remove_mappings(std::vector<Mapping> mappings) {
    return edit_mappings({.removed = std::move(mappings), .added = {}});
}

FirewallDifference one_element() {
    FirewallDifference difference;
    difference.wan_addresses.added = {parse<Address>("address", "10.1.0.1")};
    return difference;
}

std::string nft_file(const std::vector<Mapping>& mappings) {
    std::string exact;
    std::string exact_flows;
    std::string owners;
    std::string host_ports;  // as nobody's port is another one inside, the ports as well
    for (const auto& mapping : mappings) {
        const auto protocol = to_text(mapping.protocol);
        const auto external = mapping.external_port.value();
        const auto inside =
            fmt::format("{} . {}", to_text(*mapping.host), mapping.internal_port.value());
        exact += fmt::format("{} . {} : {},", protocol, inside, external);
        exact_flows += fmt::format("{} . {} . {},", protocol, inside, external);
        owners += fmt::format("{} . {} : {},", protocol, external, inside);
        host_ports += fmt::format("{} . {},", protocol, external);
    }
    return fmt::format(
        "add element inet porthole exact {{ {} }}\n"
        "add element inet porthole exact-flows {{ {} }}\n"
        "add element inet porthole owners {{ {} }}\n"
        "add element inet porthole host-ports {{ {} }}\n"
        "add element inet porthole ports {{ {} }}\n",
        exact, exact_flows, owners, host_ports, host_ports);
}

netlink::FinalizedBatch conntrack_dump() {
    return conntrack_command(IPCTNL_MSG_CT_GET, NLM_F_DUMP);
}

netlink::FinalizedBatch conntrack_flush() { return conntrack_command(IPCTNL_MSG_CT_DELETE, 0); }

netlink::FinalizedBatch delete_table() {
    auto batch = netlink::Batch::nfnetlink_transaction(NFNL_SUBSYS_NFTABLES);
    batch.add("delete table inet porthole", NFNL_SUBSYS_NFTABLES << 8U | NFT_MSG_DELTABLE, 0,
              [](nlmsghdr* message) {
                  put_header(message, NFPROTO_INET);
                  mnl_attr_put_strz(message, NFTA_TABLE_NAME, "porthole");
              });
    return std::move(batch).finalize();
}

RawDatabase::RawDatabase() {
    if (sqlite3_open((directory_ / "raw.db").c_str(), &database_) != SQLITE_OK) {
        throw std::runtime_error("cannot open a database");
    }
    execute("PRAGMA locking_mode = EXCLUSIVE");
    execute("PRAGMA journal_mode = WAL");
    execute("PRAGMA synchronous = FULL");
    execute(
        "CREATE TABLE reservation (id INTEGER PRIMARY KEY, host TEXT NOT NULL, protocol INTEGER, "
        "internal_port INTEGER, external_port INTEGER, filtering TEXT, origin TEXT, comment TEXT, "
        "expires INTEGER, last_seen INTEGER) STRICT");
    execute("CREATE TABLE counter (generation INTEGER NOT NULL) STRICT");
    execute("INSERT INTO counter VALUES (0)");
    sqlite3_prepare_v3(database_,
                       "INSERT INTO reservation VALUES (?, '10.0.1.200', 17, 51820, 51820, "
                       "'address-and-port-dependent', 'api', '', NULL, NULL)",
                       -1, SQLITE_PREPARE_PERSISTENT, &insert_, nullptr);
}

RawDatabase::~RawDatabase() {
    sqlite3_finalize(insert_);
    sqlite3_close(database_);
}

void RawDatabase::insert(std::size_t rows) {
    execute("BEGIN IMMEDIATE");
    for (std::size_t i = 0; i < rows; ++i) {
        sqlite3_bind_int64(insert_, 1, next_id_++);
        if (sqlite3_step(insert_) != SQLITE_DONE) throw std::runtime_error("cannot insert a row");
        sqlite3_reset(insert_);
    }
    execute("UPDATE counter SET generation = generation + 1");
    execute("COMMIT");
}

void RawDatabase::clear() { execute("DELETE FROM reservation"); }

void RawDatabase::read() {
    execute("PRAGMA quick_check(1)");
    sqlite3_stmt* select = nullptr;
    sqlite3_prepare_v2(database_, "SELECT * FROM reservation ORDER BY id", -1, &select, nullptr);
    std::int64_t rows = 0;
    for (; sqlite3_step(select) == SQLITE_ROW; ++rows) {
        for (int column = 0; column < sqlite3_column_count(select); ++column) {
            sqlite3_column_type(select, column) == SQLITE_TEXT
                ? static_cast<void>(sqlite3_column_text(select, column))
                : static_cast<void>(sqlite3_column_int64(select, column));
        }
    }
    sqlite3_finalize(select);
    if (rows + 1 != next_id_) throw std::runtime_error("not all rows were read");
}

void RawDatabase::execute(const char* sql) {
    if (sqlite3_exec(database_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) {
        throw std::runtime_error(std::string(sql) + ": " + sqlite3_errmsg(database_));
    }
}

}  // namespace porthole::bench
