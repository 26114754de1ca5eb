// SPDX-License-Identifier: GPL-2.0-or-later
#include "lab/porthole.hpp"

#include <csignal>
#include <regex>
#include <sstream>
#include <stdexcept>

#include <fmt/format.h>

namespace porthole::lab {
namespace {

Finished run_program(const Namespace& where, const Bus& bus, const char* program,
                     std::vector<std::string> arguments, Setting setting) {
    arguments.insert(arguments.begin(), program);
    setting.environment.push_back(bus.environment());
    return command(where, std::move(arguments), setting);
}

}  // namespace

std::string table_of(const Namespace& gateway) {
    static const std::regex learnt(
        R"((flags dynamic,timeout\n\t\ttimeout \w+\n)\t\telements = [^}]*\}\n)");
    return std::regex_replace(
        output_of(gateway, {"nft", "-s", "list", "table", "inet", "porthole"}), learnt, "$1");
}

Porthole::Porthole(const Namespace& gateway, std::string_view configuration, BusPolicy policy)
    : gateway_(gateway), bus_(gateway, policy) {
    write_file(configuration_file(), configuration);
    std::filesystem::create_directory(state_directory());
}

void Porthole::start(const Setting& setting) {
    auto complete = setting;
    complete.environment.push_back(bus_.environment());
    complete.log = directory_ / "log";
    daemon_.emplace(gateway_,
                    std::vector<std::string>{PORTHOLED, "--config", configuration_file().string(),
                                             "--state", state_directory().string()},
                    complete);
    if (!bus_.wait_for_owner("org.porthole.Gateway1", *daemon_, start_limit)) {
        daemon_.reset();
        throw std::runtime_error("portholed does not start: " + log());
    }
}

int Porthole::stop() {
    daemon_->signal(SIGTERM);
    const auto status = daemon_->wait(start_limit);
    if (!status) throw std::runtime_error("portholed does not stop: " + log());
    daemon_.reset();
    return *status;
}

void Porthole::kill() { daemon_.reset(); }

std::size_t Porthole::memory(const std::string& line) const {
    std::istringstream status(read_file(fmt::format("/proc/{}/status", daemon_->id())));
    std::string word;
    std::size_t kibibytes = 0;
    while (status >> word) {
        if (word == line + ":" && status >> kibibytes) return kibibytes * 1024;
    }
    throw std::runtime_error("no " + line + " in /proc/PID/status");
}

Finished Porthole::run(std::vector<std::string> arguments, Setting setting) const {
    return run_program(gateway_, bus_, PORTHOLED, std::move(arguments), std::move(setting));
}

Finished Porthole::ctl(std::vector<std::string> arguments, Setting setting) const {
    return run_program(gateway_, bus_, PORTHOLECTL, std::move(arguments), std::move(setting));
}

std::filesystem::path Porthole::configuration_file() const { return directory_ / "porthole.toml"; }

std::filesystem::path Porthole::state_directory() const { return directory_ / "state"; }

std::string Porthole::log() const { return read_file(directory_ / "log"); }

}  // namespace porthole::lab
