// SPDX-License-Identifier: GPL-2.0-or-later
#include "lab/authentication_agent.hpp"

#include <map>
#include <mutex>
#include <sstream>

#include <fmt/format.h>
#include <sdbus-c++/sdbus-c++.h>

#include "lab/temporary_directory.hpp"

namespace porthole::lab {
namespace {

constexpr auto agent_path = "/org/porthole/lab/AuthenticationAgent";
constexpr auto agent_interface = "org.freedesktop.PolicyKit1.AuthenticationAgent";
constexpr auto authority_name = "org.freedesktop.PolicyKit1";
constexpr auto authority_path = "/org/freedesktop/PolicyKit1/Authority";
constexpr auto authority_interface = "org.freedesktop.PolicyKit1.Authority";

// polkit's way to name a subject as well as an identity: its kind, and what tells it from others.
using Named = sdbus::Struct<std::string, std::map<std::string, sdbus::Variant>>;

// In ticks of the clock since the machine started: proc(5), stat (22).
std::uint64_t start_time(pid_t process) {
    const auto stat = read_file(fmt::format("/proc/{}/stat", process));
    std::istringstream fields(stat.substr(stat.rfind(')') + 2));
    std::string field;
    for (int number = 3; number <= 22; ++number) fields >> field;
    return std::stoull(field);
}

}  // namespace

class AuthenticationAgent::Agent {
  public:
    Agent(const Bus& bus, pid_t process, uid_t user)
        : connection_(sdbus::createSessionBusConnectionWithAddress(bus.address())),
          answers_(sdbus::createSessionBusConnectionWithAddress(bus.address())),
          authority_(sdbus::createProxy(*answers_, authority_name, authority_path)),
          object_(sdbus::createObject(*connection_, agent_path)) {
        authority_->finishRegistration();
        object_->registerMethod("BeginAuthentication")
            .onInterface(agent_interface)
            .implementedAs([this](const std::string& action, const std::string& /*message*/,
                                  const std::string& /*icon*/,
                                  const std::map<std::string, std::string>& /*details*/,
                                  const std::string& cookie, const std::vector<Named>& identities) {
                authenticate(action, cookie, identities.at(0));
            });
        object_->registerMethod("CancelAuthentication")
            .onInterface(agent_interface)
            .implementedAs([](const std::string& /*cookie*/) {});
        object_->finishRegistration();
        connection_->enterEventLoopAsync();

        const Named subject("unix-process",
                            {{"pid", sdbus::Variant(static_cast<std::uint32_t>(process))},
                             {"start-time", sdbus::Variant(start_time(process))},
                             {"uid", sdbus::Variant(static_cast<std::int32_t>(user))}});
        const auto authority = sdbus::createProxy(*connection_, authority_name, authority_path);
        authority->callMethod("RegisterAuthenticationAgent")
            .onInterface(authority_interface)
            .withArguments(subject, std::string("C"), std::string(agent_path));
    }
    ~Agent() { connection_->leaveEventLoop(); }
    Agent(const Agent&) = delete;
    Agent& operator=(const Agent&) = delete;
    Agent(Agent&&) = delete;
    Agent& operator=(Agent&&) = delete;

    [[nodiscard]] std::vector<std::string> asked() const {
        const std::lock_guard lock(mutex_);
        return asked_;
    }

  private:
    void authenticate(const std::string& action, const std::string& cookie, const Named& identity) {
        {
            const std::lock_guard lock(mutex_);
            asked_.push_back(action);
        }
        constexpr std::uint32_t root = 0;  // as who we have registered
        authority_->callMethod("AuthenticationAgentResponse2")
            .onInterface(authority_interface)
            .withArguments(root, cookie, identity);
    }

    mutable std::mutex mutex_;
    std::vector<std::string> asked_;
    // Answers go another way than questions, whose thread waits for polkit to take them.
    std::unique_ptr<sdbus::IConnection> connection_;
    std::unique_ptr<sdbus::IConnection> answers_;
    std::unique_ptr<sdbus::IProxy> authority_;
    std::unique_ptr<sdbus::IObject> object_;
};

AuthenticationAgent::AuthenticationAgent(const Bus& bus, pid_t process, uid_t user)
    : agent_(std::make_unique<Agent>(bus, process, user)) {}

AuthenticationAgent::~AuthenticationAgent() = default;

std::vector<std::string> AuthenticationAgent::asked() const { return agent_->asked(); }

}  // namespace porthole::lab
