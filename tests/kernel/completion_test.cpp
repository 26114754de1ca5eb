// SPDX-License-Identifier: GPL-2.0-or-later
// What real shells offer while a command line of portholectl is typed.
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <map>
#include <set>
#include <sstream>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lab/porthole.hpp"
#include "lab/two_sites.hpp"

namespace porthole {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using Words = std::set<std::string>;

/// One of the shells. Its script reads command lines, and prints what it offers for each on a line.
struct Shell {
    std::string program;
    std::string script;
    std::string interactive;  ///< what it has to be told to be used by a person
};

const std::string completions = PORTHOLE_SOURCE_DIR "/cli/completions";

const std::vector<Shell>& shells() {
    static const std::vector<Shell> all{
        {"bash",
         "source /usr/share/bash-completion/bash_completion\n"
         "source " +
             completions +
             "/portholectl.bash\n"
             "while IFS= read -r line; do\n"
             "    read -ra COMP_WORDS <<<\"$line\"\n"
             "    [[ $line != *' ' ]] || COMP_WORDS+=('')\n"
             "    COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_LINE=$line COMP_POINT=${#line}\n"
             "    _portholectl\n"
             "    echo \"${COMPREPLY[*]}\"\n"
             "done\n",
         "source /usr/share/bash-completion/bash_completion\n"
         "source " +
             completions +
             "/portholectl.bash\n"
             "PS1='ready''> '\n"},
        {"zsh",
         "fpath=(" + completions +
             " $fpath)\n"
             "autoload -Uz _portholectl\n"
             "compadd() { offered=($candidates) }\n"
             "_files() { offered=(files) }\n"
             "while IFS= read -r line; do\n"
             "    words=(${(z)line})\n"
             "    [[ $line != *' ' ]] || words+=('')\n"
             "    CURRENT=$#words offered=()\n"
             "    _portholectl\n"
             "    print -r -- $offered\n"
             "done\n",
         "fpath=(" + completions +
             " $fpath)\n"
             "autoload -U compinit && compinit -u -D\n"
             "PS1='ready''> '\n"},
        {"fish",
         "source " + completions +
             "/portholectl.fish\n"
             "while read -l line\n"
             "    echo (complete -C $line | string replace -r '\\t.*' '')\n"
             "end\n",
         "source " + completions +
             "/portholectl.fish\n"
             "function fish_prompt; echo 'ready''> '; end\n"},
    };
    return all;
}

Words words_of(const std::string& text) {
    std::istringstream words(text);
    return {std::istream_iterator<std::string>(words), {}};
}

class CompletionTest : public testing::TestWithParam<std::size_t> {
  protected:
    void SetUp() override {
        const auto found =
            lab::command(sites.gateway_a, {"sh", "-c", "command -v " + shell().program});
        if (found.status != 0) GTEST_SKIP() << shell().program << " is not installed";
        porthole.start();
    }

    void reserve() const {
        ASSERT_EQ(porthole.ctl({"reserve", "192.168.2.2", "udp", "51820"}).status, 0);
    }

    static const Shell& shell() { return shells().at(GetParam()); }

    [[nodiscard]] std::vector<std::string> environment() const {
        const auto programs = std::filesystem::path(PORTHOLECTL).parent_path().string();
        return {porthole.bus().environment(), "PATH=" + programs + ":" + std::getenv("PATH"),
                "HOME=" + home_.path().string(), "TERM=xterm", "LC_ALL=C.UTF-8"};
    }

    /// What the shell offers at the end of each of these, which go on after "portholectl ".
    [[nodiscard]] std::vector<Words> offered(const std::vector<std::string>& lines) const {
        std::string input;
        for (const auto& line : lines) input += "portholectl " + line + "\n";
        std::istringstream output(lab::output_of(sites.gateway_a,
                                                 {shell().program, "-c", shell().script},
                                                 {.input = input, .environment = environment()}));
        std::vector<Words> all;
        for (std::string line; std::getline(output, line);) all.push_back(words_of(line));
        EXPECT_EQ(all.size(), lines.size());
        all.resize(lines.size());
        return all;
    }
    [[nodiscard]] Words offered(const std::string& line) const {
        return offered(std::vector{line})[0];
    }

    lab::TwoSites sites;
    lab::Porthole porthole{sites.gateway_a};

  private:
    lab::TemporaryDirectory home_;
};

/// A command as its help describes it.
struct Help {
    Words commands;
    Words options;
};

Help help_of(const lab::Porthole& porthole, const std::string& path) {
    std::istringstream words(path + " --help");
    std::istringstream text(porthole.ctl({std::istream_iterator<std::string>(words), {}}).output);
    Help help;
    Words* section = nullptr;
    for (std::string line; std::getline(text, line);) {
        if (!line.starts_with(' ')) {
            section = line == "Options:"       ? &help.options
                      : line == "Subcommands:" ? &help.commands
                                               : nullptr;
        } else if (section != nullptr && line.size() > 2 && line[2] != ' ') {
            auto name = line.substr(2, line.find(' ', 2) - 2);
            if (const auto comma = name.find(','); comma != std::string::npos)
                name.erase(0, comma + 1);
            section->insert(name);
        }
    }
    return help;
}

/// Every command with its own options and those of the commands above it.
void collect(const lab::Porthole& porthole, const std::string& path, const Words& above,
             std::map<std::string, Help>& all) {
    auto help = help_of(porthole, path);
    help.options.insert(above.begin(), above.end());
    all[path] = help;
    for (const auto& command : help.commands) {
        collect(porthole, path + command + " ", help.options, all);
    }
}

TEST_P(CompletionTest, OffersWhatHelpHas) {
    std::map<std::string, Help> all;
    collect(porthole, "", {}, all);
    EXPECT_GE(all.size(), 35U);
    std::vector<std::string> lines;
    for (const auto& [path, help] : all) {
        lines.push_back(path + "--");
        lines.push_back(path);
    }
    const auto found = offered(lines);
    auto next = found.begin();
    for (const auto& [path, help] : all) {
        SCOPED_TRACE("portholectl " + path);
        EXPECT_EQ(*next++, help.options);
        const auto without = *next++;
        if (!help.commands.empty()) {
            EXPECT_EQ(without, help.commands);
        }
    }
}

TEST_P(CompletionTest, OffersWordsAndWhatTheServiceHas) {
    reserve();
    const auto found =
        offered({"reserve 192.168.2.2 ", "list --origin ", "list --json --state a",
                 "reserve --filtering a", "reserve --filtering endpoint-independent 1 u", "change ",
                 "release ", "release 1 udp", "checkpoint commit "});
    EXPECT_THAT(found,
                ElementsAre(Words{"udp", "tcp"}, Words{"static", "api", "auto"}, Words{"active"},
                            Words{"address-dependent", "address-and-port-dependent"}, Words{"udp"},
                            Words{"1"}, Words{"1", "udp:51820"}, Words{"udp:51820"}, IsEmpty()));
}

TEST_P(CompletionTest, IsQuietWithoutTheService) {
    porthole.stop();
    const auto found = offered({"change ", "tunnel show ", "reserve ", "conf"});
    EXPECT_THAT(found, ElementsAre(IsEmpty(), IsEmpty(), IsEmpty(), Words{"conflicts"}));
}

// By keys, as a person has it.
TEST_P(CompletionTest, CompletesWhatIsTyped) {
    std::vector<std::string> arguments{shell().program, "-i"};
    if (shell().program == "bash")
        arguments.insert(arguments.begin() + 1, {"--norc", "--noprofile"});
    if (shell().program == "zsh") arguments.insert(arguments.begin() + 1, "-f");
    if (shell().program == "fish") arguments.insert(arguments.begin() + 1, "--no-config");
    lab::Process process(sites.gateway_a, arguments,
                         {.environment = environment(), .terminal = lab::Terminal{.columns = 200}});
    process.type(shell().interactive);
    ASSERT_TRUE(process.wait_for_output("ready>", lab::command_limit)) << process.output();
    reserve();
    process.type("portholectl rele\tudp\t\n");
    EXPECT_TRUE(process.wait_for_output("released 1", lab::command_limit)) << process.output();
    const lab::TemporaryDirectory files;
    const auto file = (files.path() / "some-reservations.csv").string();
    lab::write_file(file, "host,protocol,port\n");
    process.type("portholectl app\t --dry\t" + files.path().string() + "/some\t\n");
    EXPECT_TRUE(process.wait_for_output("nothing to do", lab::command_limit)) << process.output();
}

INSTANTIATE_TEST_SUITE_P(Of, CompletionTest, testing::Values(0, 1, 2),
                         [](const auto& each) { return shells().at(each.param).program; });

}  // namespace
}  // namespace porthole
