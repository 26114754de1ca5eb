// SPDX-License-Identifier: GPL-2.0-or-later
#include <array>
#include <cerrno>
#include <memory>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libmnl/libmnl.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <linux/capability.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lab/namespace.hpp"
#include "netlink/connection.hpp"
#include "netlink/message.hpp"
#include "netlink/socket.hpp"

namespace porthole::netlink {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr std::uint32_t many = 65'536;
constexpr const char* table_name = "t";
constexpr const char* set_name = "s";

template <auto release>
struct Release {
    template <typename Object>
    void operator()(Object* object) const {
        release(object);
    }
};
using Table = std::unique_ptr<nftnl_table, Release<nftnl_table_free>>;
using Set = std::unique_ptr<nftnl_set, Release<nftnl_set_free>>;
using Elements = std::unique_ptr<nftnl_set_elems_iter, Release<nftnl_set_elems_iter_destroy>>;

constexpr std::uint16_t nf_tables(int message) {
    return static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | message);
}

void put_header(nlmsghdr* message) {
    auto* header = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(nfgenmsg)));
    header->nfgen_family = NFPROTO_INET;
    header->version = NFNETLINK_V0;
}

void add_table(Batch& batch, const std::string& name) {
    batch.add("add table " + name, nf_tables(NFT_MSG_NEWTABLE), NLM_F_CREATE,
              [&](nlmsghdr* message) {
                  put_header(message);
                  const Table table(nftnl_table_alloc());
                  nftnl_table_set_str(table.get(), NFTNL_TABLE_NAME, name.c_str());
                  nftnl_table_nlmsg_build_payload(message, table.get());
              });
}

void delete_table(Batch& batch, const std::string& name) {
    batch.add("delete table " + name, nf_tables(NFT_MSG_DELTABLE), 0, [&](nlmsghdr* message) {
        put_header(message);
        mnl_attr_put_strz(message, NFTA_TABLE_NAME, name.c_str());
    });
}

Set set() {
    Set set(nftnl_set_alloc());
    nftnl_set_set_str(set.get(), NFTNL_SET_TABLE, table_name);
    nftnl_set_set_str(set.get(), NFTNL_SET_NAME, set_name);
    nftnl_set_set_u32(set.get(), NFTNL_SET_FAMILY, NFPROTO_INET);
    nftnl_set_set_u32(set.get(), NFTNL_SET_ID, 1);
    nftnl_set_set_u32(set.get(), NFTNL_SET_KEY_LEN, sizeof(std::uint32_t));
    return set;
}

void add_set(Batch& batch) {
    batch.add("add set", nf_tables(NFT_MSG_NEWSET), NLM_F_CREATE, [](nlmsghdr* message) {
        put_header(message);
        nftnl_set_nlmsg_build_payload(message, set().get());
    });
}

void put_element(nftnl_set* set, std::uint32_t number) {
    const auto key = htonl(number);
    auto* element = nftnl_set_elem_alloc();
    nftnl_set_elem_set(element, NFTNL_SET_ELEM_KEY, &key, sizeof(key));
    nftnl_set_elem_add(set, element);
}

// One command for each element.
void add_elements_singly(Batch& batch, std::uint32_t count) {
    for (std::uint32_t number = 0; number < count; ++number) {
        batch.add("add element " + std::to_string(number), nf_tables(NFT_MSG_NEWSETELEM),
                  NLM_F_CREATE, [&](nlmsghdr* message) {
                      put_header(message);
                      const auto one = set();
                      put_element(one.get(), number);
                      nftnl_set_elems_nlmsg_build_payload(message, one.get());
                  });
    }
}

// As many elements in a command as there is room for.
void add_elements(Batch& batch, std::uint32_t count) {
    const auto all = set();
    for (std::uint32_t number = 0; number < count; ++number) put_element(all.get(), number);
    const Elements rest(nftnl_set_elems_iter_create(all.get()));
    for (int more = 1; more > 0;) {
        batch.add("add elements", nf_tables(NFT_MSG_NEWSETELEM), NLM_F_CREATE,
                  [&](nlmsghdr* message) {
                      put_header(message);
                      more = nftnl_set_elems_nlmsg_build_payload_iter(message, rest.get());
                  });
    }
}

Batch transaction() { return Batch::nfnetlink_transaction(NFNL_SUBSYS_NFTABLES); }

std::vector<CommandFailure> failures_of(Connection& connection, Batch batch) {
    try {
        connection.execute(std::move(batch).finalize());
    } catch (const BatchFailure& failure) {
        return failure.failures();
    }
    return {};
}

void drop_net_admin() {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> capabilities{};
    lab::checked(static_cast<int>(syscall(SYS_capget, &header, capabilities.data())), "capget");
    capabilities[0].effective &= ~(1U << CAP_NET_ADMIN);
    lab::checked(static_cast<int>(syscall(SYS_capset, &header, capabilities.data())), "capset");
}

class NetlinkInKernel : public testing::Test {
  protected:
    [[nodiscard]] std::unique_ptr<Socket> socket(int bus) const {
        return home.run([&] { return std::make_unique<Socket>(bus); });
    }

    std::vector<std::string> tables() {
        std::vector<std::string> names;
        nftables.dump(
            "list tables", nf_tables(NFT_MSG_GETTABLE), put_header,
            [&](const nlmsghdr* message) {
                const auto attributes = Attributes::of(message, sizeof(nfgenmsg));
                ASSERT_TRUE(attributes);
                names.emplace_back(attributes->text(NFTA_TABLE_NAME));
            },
            [&] { names.clear(); });
        return names;
    }

    std::size_t count_elements() {
        std::size_t count = 0;
        const auto one_of_them = [](const nlattr* /*element*/, void* sum) {
            ++*static_cast<std::size_t*>(sum);
            return MNL_CB_OK;
        };
        nftables.dump(
            "list elements", nf_tables(NFT_MSG_GETSETELEM),
            [](nlmsghdr* message) {
                put_header(message);
                nftnl_set_elems_nlmsg_build_payload(message, set().get());
            },
            [&](const nlmsghdr* message) {
                const auto attributes = Attributes::of(message, sizeof(nfgenmsg));
                ASSERT_TRUE(attributes);
                const auto list = attributes->payload(NFTA_SET_ELEM_LIST_ELEMENTS);
                ASSERT_TRUE(list);
                mnl_attr_parse_payload(list->data(), list->size(), one_of_them, &count);
            },
            [&] { count = 0; });
        return count;
    }

    lab::Namespace home{"home"};
    Connection nftables{socket(NETLINK_NETFILTER)};
    Connection routes{socket(NETLINK_ROUTE)};
};

using NetlinkSocket = NetlinkInKernel;
using NetlinkTransaction = NetlinkInKernel;
using NetlinkPlainBatch = NetlinkInKernel;

TEST_F(NetlinkSocket, NeverBlocksAndIsNotInherited) {
    const auto silent = socket(NETLINK_ROUTE);
    std::vector<std::byte> buffer(Transport::max_datagram_bytes);
    EXPECT_EQ(silent->receive(buffer), 0U);
    EXPECT_NE(fcntl(silent->descriptor(), F_GETFL) & O_NONBLOCK, 0);
    EXPECT_NE(fcntl(silent->descriptor(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST_F(NetlinkSocket, HearsTheKernelOnly) {
    const auto receiver = socket(NETLINK_ROUTE);
    sockaddr_nl address{};
    socklen_t length = sizeof(address);
    ASSERT_EQ(getsockname(receiver->descriptor(),
                          static_cast<sockaddr*>(static_cast<void*>(&address)), &length),
              0);
    const auto forger = socket(NETLINK_ROUTE);
    nlmsghdr forged{};
    forged.nlmsg_len = sizeof(forged);
    forged.nlmsg_type = RTM_DELLINK;
    ASSERT_EQ(sendto(forger->descriptor(), &forged, sizeof(forged), 0,
                     static_cast<sockaddr*>(static_cast<void*>(&address)), length),
              static_cast<ssize_t>(sizeof(forged)));
    std::vector<std::byte> buffer(Transport::max_datagram_bytes);
    EXPECT_EQ(receiver->receive(buffer), 0U);
}

TEST_F(NetlinkSocket, TellsOfADatagramThatDoesNotFit) {
    Batch batch;
    batch.add("list links", RTM_GETLINK, NLM_F_DUMP,
              [](nlmsghdr* message) { mnl_nlmsg_put_extra_header(message, sizeof(ifinfomsg)); });
    const auto small = socket(NETLINK_ROUTE);
    small->send(std::move(batch).finalize().bytes());
    std::vector<std::byte> buffer(64);
    try {
        small->receive(buffer);
        FAIL() << "no failure was reported";
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code().value(), EMSGSIZE);
    }
}

TEST_F(NetlinkSocket, RefusesGroupsThatDoNotExist) {
    const std::array groups{4096U};
    EXPECT_THROW(home.run([&] { return Socket(NETLINK_ROUTE, groups).descriptor(); }),
                 std::system_error);
}

TEST_F(NetlinkTransaction, IsAppliedAsAWhole) {
    auto batch = transaction();
    add_table(batch, "one");
    add_table(batch, "two");
    EXPECT_THAT(failures_of(nftables, std::move(batch)), IsEmpty());
    EXPECT_THAT(tables(), ElementsAre("one", "two"));
}

TEST_F(NetlinkTransaction, NamesEveryBadCommandAndRollsBackTheGoodOnes) {
    auto batch = transaction();
    delete_table(batch, "missing");
    add_table(batch, "good");
    delete_table(batch, "absent");
    const auto failures = failures_of(nftables, std::move(batch));
    ASSERT_THAT(failures, SizeIs(2));
    EXPECT_EQ(failures[0].command, "delete table missing");
    EXPECT_EQ(failures[0].error, ENOENT);
    EXPECT_EQ(failures[0].offset, NLMSG_HDRLEN + sizeof(nfgenmsg)) << "the table's name";
    EXPECT_EQ(failures[1].command, "delete table absent");
    EXPECT_EQ(failures[1].error, ENOENT);
    EXPECT_THAT(tables(), IsEmpty());

    auto next = transaction();
    add_table(next, "good");
    EXPECT_THAT(failures_of(nftables, std::move(next)), IsEmpty()) << "it goes on";
    EXPECT_THAT(tables(), ElementsAre("good"));
}

TEST_F(NetlinkTransaction, FailsIfOnlyItsLastCommandDoes) {
    auto batch = transaction();
    add_table(batch, "good");
    delete_table(batch, "missing");
    EXPECT_EQ(failures_of(nftables, std::move(batch)).at(0).command, "delete table missing");
    EXPECT_THAT(tables(), IsEmpty());
}

TEST_F(NetlinkTransaction, HoldsALargeSetInFewCommands) {
    auto batch = transaction();
    add_table(batch, table_name);
    add_set(batch);
    add_elements(batch, many);
    EXPECT_THAT(failures_of(nftables, std::move(batch)), IsEmpty());
    EXPECT_EQ(count_elements(), many);
}

TEST_F(NetlinkTransaction, HoldsALargeSetInOneCommandForEachElement) {
    auto batch = transaction();
    add_table(batch, table_name);
    add_set(batch);
    add_elements_singly(batch, many);
    EXPECT_THAT(failures_of(nftables, std::move(batch)), IsEmpty());
    EXPECT_EQ(count_elements(), many);
}

TEST_F(NetlinkTransaction, ReportsEachOfManyFailuresInOrder) {
    auto batch = transaction();
    add_elements_singly(batch, 5000);
    const auto failures = failures_of(nftables, std::move(batch));
    ASSERT_THAT(failures, SizeIs(5000));
    EXPECT_EQ(failures.front().command, "add element 0");
    EXPECT_EQ(failures.front().error, ENOENT);
    EXPECT_EQ(failures.back().command, "add element 4999");
}

TEST_F(NetlinkTransaction, ReportsTheFirstOfMoreFailuresThanTheSocketHolds) {
    auto batch = transaction();
    add_elements_singly(batch, many);
    const auto failures = failures_of(nftables, std::move(batch));
    ASSERT_FALSE(failures.empty());
    EXPECT_LT(failures.size(), many);
    EXPECT_EQ(failures.front().command, "add element 0");
    EXPECT_EQ(failures.front().error, ENOENT);
    EXPECT_THAT(tables(), IsEmpty()) << "what is left of the answers disturbs nothing";
}

TEST_F(NetlinkTransaction, ThatIsTooLargeToSendIsNamed) {
    const std::string large(60'000, 'x');
    auto batch = transaction();
    for (int i = 0; i < 700; ++i) {
        batch.add("add much", nf_tables(NFT_MSG_NEWTABLE), 0, [&](nlmsghdr* message) {
            put_header(message);
            mnl_attr_put_strz(message, NFTA_TABLE_USERDATA, large.c_str());
        });
    }
    EXPECT_THAT(failures_of(nftables, std::move(batch)),
                ElementsAre(CommandFailure{"add much and 699 more", EMSGSIZE, "", 0}));
}

TEST_F(NetlinkTransaction, NeedsAPrivilege) {
    std::vector<CommandFailure> failures;
    std::thread([&] {
        drop_net_admin();
        Connection unprivileged(socket(NETLINK_NETFILTER));
        auto batch = transaction();
        add_table(batch, "one");
        add_table(batch, "two");
        failures = failures_of(unprivileged, std::move(batch));
    }).join();
    EXPECT_THAT(failures, ElementsAre(CommandFailure{"begin batch", EPERM, "", 0}));
    EXPECT_THAT(tables(), IsEmpty());
}

void add_route_by(Batch& batch, const std::string& name, std::uint32_t link_index) {
    batch.add(name, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, [&](nlmsghdr* message) {
        auto* route = static_cast<rtmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(rtmsg)));
        route->rtm_family = AF_INET;
        route->rtm_table = RT_TABLE_MAIN;
        route->rtm_protocol = RTPROT_STATIC;
        route->rtm_scope = RT_SCOPE_LINK;
        route->rtm_type = RTN_UNICAST;
        mnl_attr_put_u32(message, RTA_OIF, link_index);
    });
}

TEST_F(NetlinkPlainBatch, IsAppliedCommandByCommandAndReportsTheKernelsText) {
    constexpr std::uint32_t loopback = 1;
    Batch batch;
    add_route_by(batch, "default route by nothing", 4711);
    add_route_by(batch, "default route", loopback);
    add_route_by(batch, "default route once more", loopback);
    batch.add("route with a strange length", RTM_NEWROUTE, NLM_F_CREATE, [](nlmsghdr* message) {
        auto* route = static_cast<rtmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(rtmsg)));
        route->rtm_family = AF_INET;
        route->rtm_dst_len = 99;
    });
    const auto failures = failures_of(routes, std::move(batch));
    ASSERT_THAT(failures, SizeIs(3));
    EXPECT_EQ(failures[0].command, "default route by nothing");
    EXPECT_EQ(failures[0].error, ENODEV);
    EXPECT_EQ(failures[1].command, "default route once more");
    EXPECT_EQ(failures[1].error, EEXIST);
    EXPECT_EQ(failures[2].command, "route with a strange length");
    EXPECT_EQ(failures[2].error, EINVAL);
    EXPECT_EQ(failures[2].detail, "Invalid prefix length");
}

}  // namespace
}  // namespace porthole::netlink
