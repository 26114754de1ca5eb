// SPDX-License-Identifier: GPL-2.0-or-later
// What portholectl prints on a terminal, and what not.
#include <csignal>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lab/porthole.hpp"
#include "lab/two_sites.hpp"

namespace porthole {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr auto escape = "\033[";

class TerminalTest : public testing::Test {
  protected:
    void SetUp() override { porthole.start(); }

    /// Starts a command line with "$0" as portholectl on a terminal.
    [[nodiscard]] lab::Process shell(const std::string& line, lab::Terminal terminal = {},
                                     std::vector<std::string> environment = {}) const {
        environment.push_back(porthole.bus().environment());
        environment.emplace_back("TERM=xterm");
        return {sites.gateway_a,
                {"sh", "-c", line, PORTHOLECTL},
                {.environment = std::move(environment), .terminal = terminal}};
    }
    /// What it has shown there in the end.
    [[nodiscard]] std::string shown(const std::string& line, lab::Terminal terminal = {},
                                    std::vector<std::string> environment = {}) const {
        auto process = shell(line, terminal, std::move(environment));
        EXPECT_EQ(process.wait(lab::command_limit), 0) << process.output();
        return process.output();
    }
    void reserve_with_long_comment() const {
        ASSERT_EQ(
            porthole
                .ctl({"reserve", "192.168.2.2", "udp", "51820", "--comment", std::string(100, 'c')})
                .status,
            0);
    }
    static std::size_t longest_line(const std::string& text) {
        std::istringstream lines(text);
        std::size_t longest = 0;
        for (std::string line; std::getline(lines, line);) longest = std::max(longest, line.size());
        return longest;
    }

    lab::TwoSites sites;
    lab::Porthole porthole{sites.gateway_a};
};

TEST_F(TerminalTest, HasTablesOfItsWidth) {
    reserve_with_long_comment();
    const auto at_120 = shown("\"$0\" list", {.columns = 120}, {"NO_COLOR=1"});
    EXPECT_THAT(at_120, AllOf(HasSubstr("…"), HasSubstr("address-dependent")));
    // The character that stands for what is left out has three bytes.
    EXPECT_EQ(longest_line(at_120), 120U + 2);
    EXPECT_LE(longest_line(shown("\"$0\" list", {.columns = 90}, {"NO_COLOR=1"})), 90U + 4);
    EXPECT_GT(longest_line(shown("\"$0\" list", {.columns = 200}, {"NO_COLOR=1"})), 160U);
    // One that does not know its own width.
    EXPECT_EQ(longest_line(shown("\"$0\" list", {.columns = 0}, {"NO_COLOR=1", "COLUMNS=120"})),
              120U + 2);
}

TEST_F(TerminalTest, HasWholeTablesInPipes) {
    reserve_with_long_comment();
    const auto piped = shown("\"$0\" list | cat", {.columns = 60}, {"COLUMNS=60"});
    EXPECT_EQ(piped, porthole.ctl({"list"}, {.environment = {"COLUMNS=60"}}).output);
    EXPECT_THAT(piped, AllOf(HasSubstr(std::string(100, 'c')), Not(HasSubstr(escape))));
}

TEST_F(TerminalTest, HasColoursUnlessTheyAreUnwanted) {
    reserve_with_long_comment();
    EXPECT_THAT(shown("\"$0\" list"), HasSubstr("\033[32mactive\033[0m"));
    EXPECT_THAT(shown("\"$0\" list", {}, {"NO_COLOR=1"}), Not(HasSubstr(escape)));
    EXPECT_THAT(shown("TERM=dumb \"$0\" list"), Not(HasSubstr(escape)));
    EXPECT_THAT(shown("TERM=dumb \"$0\" list"), HasSubstr("…"));
    EXPECT_THAT(shown("\"$0\" --json list"), Not(HasSubstr(escape)));
}

// The service stands still until the terminal says what is waited for.
TEST_F(TerminalTest, SaysWhatIsWaitedForAndErasesIt) {
    const std::string message = "waiting for flows to be settled …";
    porthole.process()->signal(SIGSTOP);
    lab::Process unseen(sites.gateway_a, {PORTHOLECTL, "reserve", "192.168.2.2", "udp", "51821"},
                        {.environment = {porthole.bus().environment(), "TERM=xterm"}});
    auto seen = shell("\"$0\" reserve 192.168.2.2 udp 51820");
    ASSERT_TRUE(seen.wait_for_output(message, lab::command_limit)) << seen.output();
    porthole.process()->signal(SIGCONT);
    EXPECT_EQ(seen.wait(lab::command_limit), 0);
    EXPECT_THAT(seen.output(), StartsWith(message + "\r\033[K" + "ID "));
    EXPECT_EQ(unseen.wait(lab::command_limit), 0);
    EXPECT_EQ(unseen.errors(), "");
    // What takes no time has nothing to say.
    EXPECT_THAT(shown("\"$0\" reserve 192.168.2.2 udp 51820"), StartsWith("ID "));
}

}  // namespace
}  // namespace porthole
