// SPDX-License-Identifier: GPL-2.0-or-later
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/arguments.hpp"
#include "cli/complete_command.hpp"

namespace porthole::cli {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;

Completion completion(std::vector<std::string> words) {
    words.insert(words.begin(), {"complete", "--"});
    return std::get<Completion>(parse_arguments(words));
}

std::vector<std::string> words(const Completion& completion) {
    std::vector<std::string> all;
    for (const auto& candidate : completion.candidates) all.push_back(candidate.word);
    return all;
}

TEST(CliCompletion, FollowsTheCommands) {
    EXPECT_THAT(words(completion({""})), Contains("tunnel"));
    EXPECT_THAT(words(completion({})), Contains("tunnel"));
    const auto peer = completion({"--json", "tunnel", "peer", ""});
    EXPECT_THAT(peer.commands, ElementsAre("tunnel", "peer"));
    EXPECT_THAT(words(peer), ElementsAre("set", "apply", "remove"));
    // What is not known leads nowhere.
    EXPECT_THAT(words(completion({"unknown", ""})), Not(Contains("tunnel")));
}

TEST(CliCompletion, TellsArgumentsFromValuesOfOptions) {
    const auto peer = completion({"tunnel", "peer", "set", "--keepalive", "5", "wg0", ""});
    EXPECT_THAT(peer.arguments, ElementsAre("wg0"));
    EXPECT_THAT(peer.kinds, ElementsAre("PUBLIC-KEY"));
    EXPECT_THAT(completion({"apply", "--dry-run", ""}).kinds, ElementsAre("FILE"));
    EXPECT_THAT(completion({"tunnel", "peer", "set", "--preshared-key-file", ""}).kinds,
                ElementsAre("FILE"));
    EXPECT_THAT(words(completion({"list", "--origin", ""})), ElementsAre("static", "api", "auto"));
}

TEST(CliCompletion, KnowsArgumentsThatComeSeveralTimes) {
    for (const auto& before : {"", "1"}) {
        EXPECT_THAT(completion({"release", before, ""}).kinds,
                    ElementsAre("ID", "PROTO:EXTERNAL_PORT"));
    }
    EXPECT_THAT(completion({"change", "1", ""}).kinds, IsEmpty());
}

TEST(CliCompletion, OffersOptionsWhereTheyBeginOrNothingElseCanBe) {
    EXPECT_THAT(words(completion({"apply", "--"})),
                ElementsAre("--help", "--dry-run", "--keep-others", "--version", "--json"));
    EXPECT_THAT(words(completion({"reload", ""})), Contains("--json"));
}

TEST(CliCompletion, IsPrintedForTheShells) {
    const auto printed = [](const Completion& completion) {
        std::ostringstream out;
        print(completion, out);
        return out.str();
    };
    EXPECT_EQ(printed(completion({"con"})), "conflicts\tShow what keeps ports from being kept\n");
    EXPECT_EQ(printed(completion({"apply", "x"})), "\tfiles\n");
}

}  // namespace
}  // namespace porthole::cli
