// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>

#include "core/firewall.hpp"
#include "lab/namespace.hpp"
#include "lab/temporary_directory.hpp"
#include "netlink/batch.hpp"
#include "netlink/socket.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace porthole::bench {

/// A netlink socket for messages that were encoded before, without anything around it.
class RawNetlink {
  public:
    /// `bus`: NETLINK_NETFILTER, …
    explicit RawNetlink(const lab::Namespace& where, int bus);

    /// Sends a batch and takes its acknowledgement. Throws std::runtime_error if it is refused.
    void execute(const netlink::FinalizedBatch& batch);
    /// Sends a dump request and reads the answer to its end without decoding it: how many
    /// messages it has.
    std::size_t dump(const netlink::FinalizedBatch& request);

  private:
    std::unique_ptr<netlink::Socket> socket_;
    std::vector<std::byte> buffer_;
};

/// The whole table with these mappings, and the skeleton alone. Sent by anybody it makes the table.
netlink::FinalizedBatch scratch_table(std::vector<Mapping> mappings = {});
/// Elements of sets of that table.
netlink::FinalizedBatch remove_mappings(std::vector<Mapping> mappings);
/// One element of one set more.
FirewallDifference one_element();
/// The elements of these mappings, as a file for nft(8).
std::string nft_file(const std::vector<Mapping>& mappings);

/// All IPv4 flows, and their deletion.
netlink::FinalizedBatch conntrack_dump();
netlink::FinalizedBatch conntrack_flush();
netlink::FinalizedBatch delete_table();

/// A database with the columns and the durability that the service's has.
class RawDatabase {
  public:
    RawDatabase();
    ~RawDatabase();
    RawDatabase(const RawDatabase&) = delete;
    RawDatabase& operator=(const RawDatabase&) = delete;
    RawDatabase(RawDatabase&&) = delete;
    RawDatabase& operator=(RawDatabase&&) = delete;

    /// Inserts so many rows in one transaction that is durable when this returns.
    void insert(std::size_t rows);
    void clear();
    /// Reads every column of every row, after a check that the file is whole.
    void read();

  private:
    void execute(const char* sql);
    lab::TemporaryDirectory directory_;
    sqlite3* database_ = nullptr;
    sqlite3_stmt* insert_ = nullptr;
    std::int64_t next_id_ = 1;
};

}  // namespace porthole::bench
