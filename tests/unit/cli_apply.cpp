// SPDX-License-Identifier: GPL-2.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/arguments.hpp"
#include "cli/difference.hpp"
#include "cli/exit_status.hpp"
#include "types/error.hpp"

namespace porthole::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Row row(std::uint64_t id, const char* host, std::uint16_t port, std::uint16_t external_port,
        const char* origin = "api") {
    return {.id = id,
            .host = host,
            .protocol = "udp",
            .internal_port = port,
            .external_port = external_port,
            .filtering = "address-dependent",
            .origin = origin,
            .state = "active",
            .comment = "",
            .extras = {}};
}

std::string error_of_csv(std::string_view text) {
    try {
        parse_csv(text, "f");
    } catch (const InvalidArgument& error) {
        return error.what();
    }
    return "";
}

std::string error_of_toml(std::string_view text) {
    try {
        parse_toml(text, "f");
    } catch (const InvalidArgument& error) {
        return error.what();
    }
    return "";
}

TEST(CliCsv, TakesColumnsInAnyOrder) {
    EXPECT_THAT(parse_csv("comment,port,protocol,host\r\n"
                          "\"a, \"\"b\"\"\",51820,udp,192.168.2.2\r\n"
                          ",1,tcp,02:00:5E:10:00:01",
                          "f"),
                ElementsAre(Wanted{.host = "192.168.2.2",
                                   .protocol = "udp",
                                   .port = 51820,
                                   .external_port = {},
                                   .filtering = {},
                                   .comment = "a, \"b\""},
                            Wanted{.host = "02:00:5e:10:00:01",
                                   .protocol = "tcp",
                                   .port = 1,
                                   .external_port = {},
                                   .filtering = {},
                                   .comment = ""}));
}

TEST(CliCsv, NamesWhatIsWrong) {
    const std::string head = "host,protocol,port,external-port,filtering\n";
    const std::string good = "192.168.2.2,udp,1,,\n";
    EXPECT_EQ(error_of_csv(head + good), "");
    EXPECT_THAT(error_of_csv(""), HasSubstr("names the columns"));
    EXPECT_THAT(error_of_csv(head + "x,udp,1,,\n"), HasSubstr("f:2: invalid host"));
    EXPECT_THAT(error_of_csv(head + good + "192.168.2.2,udp,0,,\n"),
                HasSubstr("f:3: invalid port"));
    EXPECT_THAT(error_of_csv(head + "192.168.2.2,udp,1,x,\n"),
                HasSubstr("f:2: invalid external-port"));
    EXPECT_THAT(error_of_csv(head + "192.168.2.2,udp,1,,x\n"), HasSubstr("f:2: invalid filtering"));
    EXPECT_THAT(error_of_csv(head + "192.168.2.2,udp,1\n"), HasSubstr("f:2: it has 3 values"));
    EXPECT_THAT(error_of_csv(head + good + good), HasSubstr("f:3: 192.168.2.2 udp 1 is there tw"));
    EXPECT_THAT(error_of_csv(head + "\"192.168.2.2,udp,1,,\n"), HasSubstr("does not end"));
    EXPECT_THAT(error_of_csv("host,port,x\n192.168.2.2,1,2\n"), HasSubstr("column \"x\""));
    EXPECT_THAT(error_of_csv("host,port\n192.168.2.2,1\n"), HasSubstr("protocol and port are"));
}

TEST(CliCsv, ReadsWhatItHasWritten) {
    auto odd = row(1, "192.168.2.2", 51820, 42000);
    odd.comment = " a \"b\", c ";
    EXPECT_THAT(parse_csv(to_csv({odd}), "f"), ElementsAre(Wanted{.host = "192.168.2.2",
                                                                  .protocol = "udp",
                                                                  .port = 51820,
                                                                  .external_port = 42000,
                                                                  .filtering = "address-dependent",
                                                                  .comment = odd.comment}));
    EXPECT_TRUE(difference({odd}, parse_csv(to_csv({odd}), "f"), false).empty());
}

TEST(CliToml, HasReservationsAsTheConfigurationHas) {
    EXPECT_THAT(parse_toml("[[reservation]]\nhost = \"192.168.2.2\"\nprotocol = \"udp\"\n"
                           "port = 51820\nexternal-port = 7\ncomment = \"x\"\n",
                           "f"),
                ElementsAre(Wanted{.host = "192.168.2.2",
                                   .protocol = "udp",
                                   .port = 51820,
                                   .external_port = 7,
                                   .filtering = {},
                                   .comment = "x"}));
    EXPECT_THAT(error_of_toml("[wan]\n"), HasSubstr("f:1: \"wan\""));
    EXPECT_THAT(error_of_toml("a = \n"), HasSubstr("f:1"));
    EXPECT_THAT(error_of_toml("[[reservation]]\nport = \"1\"\n"), HasSubstr("f:2: \"port\""));
    EXPECT_THAT(error_of_toml("[[reservation]]\nhost = \"192.168.2.2\"\n"), HasSubstr("required"));
}

TEST(CliDifference, HasWhatIsAddedChangedAndRemoved) {
    const std::vector<Row> present{row(1, "192.168.2.2", 1, 1), row(2, "192.168.2.3", 1, 2),
                                   row(3, "192.168.2.4", 1, 3), row(4, "192.168.2.5", 1, 4, "auto"),
                                   row(5, "192.168.2.6", 1, 5, "static")};
    const auto wanted = parse_csv(
        "host,protocol,port,external-port\n192.168.2.2,udp,1,1\n192.168.2.3,udp,1,3\n"
        "192.168.2.5,udp,1,\n192.168.2.6,udp,1,5\n192.168.2.7,udp,1,9\n",
        "f");
    const auto found = difference(present, wanted, false);
    EXPECT_EQ(difference_text(found),
              "+ 192.168.2.5 udp 1 -> 1\n"
              "+ 192.168.2.7 udp 1 -> 9\n"
              "~ 192.168.2.3 udp 1 -> 3  address-dependent\n"
              "- 192.168.2.4 udp 1 -> 3  address-dependent\n");
    EXPECT_TRUE(found.needs_removed_port());
    EXPECT_EQ(to_json(found)["changed"][0]["id"], 2U);
    EXPECT_THAT(difference(present, wanted, true).removed, testing::IsEmpty());
    EXPECT_EQ(difference_text(difference(present, {}, true)), "nothing to do\n");
}

TEST(CliDifference, LeavesTheConfigurationFileAlone) {
    const std::vector<Row> present{row(5, "192.168.2.6", 1, 5, "static")};
    EXPECT_TRUE(difference(present, {}, false).empty());
    const auto other = parse_csv("host,protocol,port,external-port\n192.168.2.6,udp,1,6\n", "f");
    EXPECT_THROW(difference(present, other, false), InvalidArgument);
}

template <typename Wish>
Wish command(const std::vector<std::string>& arguments) {
    const auto parsed = parse_arguments(arguments);
    if (const auto* stop = std::get_if<Stop>(&parsed)) throw std::runtime_error(stop->text);
    return std::get<Wish>(std::get<Invocation>(parsed).command);
}

TEST(CliArguments, DescribeWhatIsAskedOfTheServiceAsAWhole) {
    EXPECT_NO_THROW(command<Reload>({"reload"}));
    EXPECT_FALSE(command<SetEnabled>({"off"}).enabled);
    EXPECT_TRUE(command<SetEnabled>({"on"}).enabled);
    EXPECT_EQ(command<StartCheckpoint>({"checkpoint", "start", "60"}).seconds, 60U);
    const auto extended = command<ExtendCheckpoint>({"checkpoint", "extend", "3", "60"});
    EXPECT_EQ(extended.id, 3U);
    EXPECT_EQ(extended.seconds, 60U);
    EXPECT_TRUE(command<EndCheckpoint>({"checkpoint", "commit", "3"}).keep);
    EXPECT_FALSE(command<EndCheckpoint>({"checkpoint", "rollback", "3"}).keep);
    EXPECT_EQ(command<EndCheckpoint>({"checkpoint", "rollback", "3"}).id, 3U);
    EXPECT_NO_THROW(command<ShowCheckpoint>({"checkpoint", "show"}));
    EXPECT_EQ(std::get<Stop>(parse_arguments({"checkpoint"})).status, exit_usage);
    EXPECT_EQ(std::get<Stop>(parse_arguments({"checkpoint", "start", "x"})).status, exit_usage);
}

TEST(CliArguments, DescribeFilesConflictsAndOwners) {
    const auto applied = command<Apply>({"apply", "f.csv", "--dry-run", "--keep-others"});
    EXPECT_EQ(applied.file, "f.csv");
    EXPECT_TRUE(applied.dry_run);
    EXPECT_TRUE(applied.keep_others);
    EXPECT_TRUE(command<List>({"list", "--export"}).csv);
    EXPECT_EQ(command<Find>({"find", "udp", "51820"}).port.value(), 51820);
    const auto resolved = command<ResolveConflict>({"conflicts", "resolve", "3", "reserve"});
    EXPECT_EQ(resolved.id, 3U);
    EXPECT_EQ(resolved.action, "reserve");
    EXPECT_NO_THROW(command<ListConflicts>({"conflicts"}));
}

TEST(CliExitStatus, SaysThatAServiceIsTooOld) {
    EXPECT_THAT(explanation("org.freedesktop.DBus.Error.UnknownMethod", "Unknown method X"),
                HasSubstr("too old"));
    EXPECT_EQ(exit_status("org.freedesktop.DBus.Error.UnknownMethod"), exit_failed);
}

}  // namespace
}  // namespace porthole::cli
