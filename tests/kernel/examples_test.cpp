// SPDX-License-Identifier: GPL-2.0-or-later
// What the README and the manual pages tell people to type, as they would.
#include <algorithm>
#include <filesystem>
#include <optional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "lab/links.hpp"
#include "lab/porthole.hpp"
#include "lab/two_sites.hpp"
#include "lab/wireguard.hpp"
#include "manual_page.hpp"

namespace porthole {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Run elsewhere, by tools/check for example, or about the machine itself.
constexpr std::array run_elsewhere{
    "sudo tools/",     "sudo apt install ",      "cmake ",     "sudo cmake --install ",
    "sudo systemctl ", "sudo systemd-sysusers ", "journalctl "};

// The commands of a block: each begins behind the prompt, or where nothing is indented if there is
// none, and goes on in indented lines. What is between them is output.
std::vector<std::string> commands_of(const manual::Block& block) {
    const std::string prompt = block.language == "sh" ? "" : "$ ";
    std::vector<std::string> commands;
    bool open = false;
    for (const auto& line : block.lines) {
        if (open && line.starts_with(' ')) {
            commands.back() += '\n' + line;
        } else if ((open = !line.empty() && line.starts_with(prompt))) {
            commands.push_back(line.substr(prompt.size()));
        }
    }
    return commands;
}

enum class Kind : std::uint8_t { commands, configuration, other };

Kind kind_of(const manual::Block& block, const std::string& file) {
    const bool prompt = !block.lines.empty() && block.lines.front().starts_with("$ ");
    if (prompt || block.language == "sh") return Kind::commands;
    const bool toml = block.language == "toml" || file == "man/porthole.toml.5.scd";
    return toml ? Kind::configuration : Kind::other;
}

std::string text_of(const manual::Block& block) {
    std::string text;
    for (const auto& line : block.lines) text += line + '\n';
    return text;
}

void collect_keys(const json& value, std::set<std::string>& keys) {
    for (const auto& [key, each] : value.items()) {
        if (value.is_object()) keys.insert(key);
        if (each.is_structured()) collect_keys(each, keys);
    }
}

class ExamplesTest : public testing::TestWithParam<const char*> {
  protected:
    void SetUp() override {
        for (const auto* address : {"203.0.113.81/24", "203.0.113.82/24"})
            lab::add_address(sites.gateway_a, "wan", address);
        a.start();
        if (wireguard) b.emplace(sites.gateway_b).start();
        fs::create_directory(directory / "bin");
        fs::create_symlink(PORTHOLECTL, directory / "bin" / "portholectl");
        fs::create_symlink(PORTHOLED, directory / "bin" / "portholed");
        // Whoever runs the tests is root already.
        lab::write_file(directory / "bin" / "sudo", "#!/bin/sh\nexec \"$@\"\n");
        fs::permissions(directory / "bin" / "sudo", fs::perms::owner_all);
    }

    // The blocks of the file; backslashes are doubled in manual pages.
    [[nodiscard]] static std::vector<manual::Block> blocks() {
        const std::string file = GetParam();
        auto text = manual::source(file);
        if (file.ends_with(".scd")) text = std::regex_replace(text, std::regex(R"(\\\\)"), "\\");
        return manual::blocks(text);
    }

    lab::Finished shell(const std::string& command) const {
        const bool other = command.find("# on the other gateway") != std::string::npos;
        const auto& where = other ? sites.gateway_b : sites.gateway_a;
        const auto& porthole = other ? *b : a;
        return lab::command(
            where, {"sh", "-euc", "cd \"$0\"\n" + command, directory.path().string()},
            {.environment = {porthole.bus().environment(),
                             "PATH=" + (directory / "bin").string() + ":" +
                                 std::getenv("PATH")}});  // NOLINT(concurrency-mt-unsafe)
    }

    void run(const std::string& command) {
        const auto begins = [&](const char* beginning) { return command.starts_with(beginning); };
        if (std::ranges::any_of(run_elsewhere, begins)) return;
        ++found;
        if (!wireguard && command.find("portholectl tunnel") != std::string::npos) return;
        const auto finished = shell(command);
        EXPECT_EQ(finished.status, 0) << command << '\n' << finished.errors;
    }

    void check(const std::string& configuration) {
        const auto file = directory / "porthole.toml";
        lab::write_file(file, configuration);
        const auto finished = a.run({"--check-config", "--config", file.string()});
        EXPECT_EQ(finished.status, 0) << configuration << finished.errors;
        ++found;
    }

    const bool wireguard = lab::kernel_has_wireguard();
    lab::TwoSites sites;
    lab::Porthole a{sites.gateway_a};
    std::optional<lab::Porthole> b;
    lab::TemporaryDirectory directory;
    int found = 0;
};

TEST_P(ExamplesTest, DoWhatTheySay) {
    for (const auto& block : blocks()) {
        switch (kind_of(block, GetParam())) {
            case Kind::commands:
                for (const auto& command : commands_of(block)) run(command);
                break;
            case Kind::configuration:
                check(text_of(block));
                break;
            case Kind::other:
                EXPECT_THAT(text_of(block),
                            testing::Not(testing::ContainsRegex("portholectl|portholed")))
                    << "a command that nobody tries";
        }
    }
    EXPECT_GE(found, 2) << "where are the examples?";

    // What is there now is printed with fields that are documented.
    const auto described =
        manual::all(manual::sections("portholectl.1").at("JSON"), R"(\*([a-z0-9-]+)\*)");
    std::vector<std::vector<std::string>> shown{{"status"}, {"list"}, {"conflicts"}, {"hosts"}};
    shown.push_back({"explain", "192.168.2.2", "udp", "51820", "198.51.100.7:51820"});
    if (wireguard) shown.push_back({"tunnel", "show"});
    for (auto& arguments : shown) {
        arguments.insert(arguments.begin(), "--json");
        const auto finished = a.ctl(arguments);
        ASSERT_EQ(finished.status, 0) << finished.errors;
        std::set<std::string> keys;
        collect_keys(json::parse(finished.output), keys);
        EXPECT_THAT(keys, testing::Not(testing::IsEmpty()));
        EXPECT_THAT(keys, testing::IsSubsetOf(described)) << arguments.back();
    }
}

INSTANTIATE_TEST_SUITE_P(Documents, ExamplesTest,
                         testing::Values("README.md", "man/portholectl.1.scd",
                                         "man/porthole.toml.5.scd", "man/portholed.8.scd",
                                         "man/org.porthole.Gateway1.5.scd"),
                         [](const auto& document) {
                             auto name = fs::path(document.param).filename().string();
                             std::erase_if(name, [](char c) { return std::isalnum(c) == 0; });
                             return name;
                         });

}  // namespace
}  // namespace porthole
