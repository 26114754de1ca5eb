// SPDX-License-Identifier: GPL-2.0-or-later
#include "dbus/polkit.hpp"

#include <chrono>
#include <utility>

#include <fmt/format.h>
#include <sdbus-c++/IConnection.h>
#include <sdbus-c++/IProxy.h>
#include <sdbus-c++/Message.h>

#include "dbus/errors.hpp"
#include "dbus/names.hpp"
#include "dbus/values.hpp"

namespace porthole::dbus {
namespace {

constexpr auto authority_path = "/org/freedesktop/PolicyKit1/Authority";
constexpr auto authority_interface = "org.freedesktop.PolicyKit1.Authority";
constexpr std::uint32_t allow_user_interaction = 1;

constexpr auto time_to_decide = std::chrono::seconds(25);
constexpr auto no_reply = "org.freedesktop.DBus.Error.NoReply";

// To type a password.
constexpr auto time_to_authenticate = std::chrono::minutes(5);

using Subject = sdbus::Struct<std::string, Dictionary>;
using Details = std::map<std::string, std::string>;
using Result = sdbus::Struct<bool, bool, Details>;

const char* name_of(Action action) {
    return action == Action::manage ? "org.porthole.gateway1.manage"
                                    : "org.porthole.gateway1.secrets";
}

}  // namespace

PolkitAnswer parse_polkit_answer(Question question, bool authorized, bool challenge,
                                 const Details& details) {
    using enum PolkitAnswer::Kind;
    // How long a person's word counts is polkit's to know.
    const bool of_a_person =
        question.interactive || details.contains("polkit.temporary_authorization_id");
    if (authorized) return {of_a_person ? asked : decided, std::nullopt};
    if (challenge) {
        return {asked, fmt::format("polkit wants an authentication for {}: the call must allow it, "
                                   "and an authentication agent must be there",
                                   name_of(question.action))};
    }
    return {of_a_person ? asked : decided,
            fmt::format("polkit does not authorize you for {}", name_of(question.action))};
}

// Whatever else goes wrong must not open what polkit keeps closed.
PolkitAnswer parse_polkit_error(const std::string& name, const std::string& message) {
    if (name == "org.freedesktop.DBus.Error.ServiceUnknown" ||
        name == "org.freedesktop.DBus.Error.NameHasNoOwner") {
        return {PolkitAnswer::Kind::missing, "polkit is not there"};
    }
    return {PolkitAnswer::Kind::failed,
            fmt::format("polkit does not say whether you may: {}", message)};
}

Polkit::Polkit(sdbus::IConnection& connection, std::function<void()> changed)
    : authority_(sdbus::createProxy(connection, polkit_name, authority_path)),
      owner_changes_(connection.addMatch(
          fmt::format("type='signal',sender='{0}',interface='{0}',member='NameOwnerChanged',"
                      "arg0='{1}'",
                      bus_name, polkit_name),
          [changed](sdbus::Message& /*signal*/) { contained(changed); })) {
    authority_->uponSignal("Changed").onInterface(authority_interface).call(std::move(changed));
    authority_->finishRegistration();
}

Polkit::~Polkit() = default;

void Polkit::ask(const std::string& client, Question question, Answered answered) {
    const auto cancellation = fmt::format("{}", ++asked_);
    pending_[client] = cancellation;
    const auto heard = [=, this, answered = std::move(answered)](const sdbus::Error* error,
                                                                 const Result& result) {
        guarded([&] {
            // An agent must not go on asking for what nobody waits for any more.
            if (error != nullptr && error->getName() == no_reply) cancel(client);
            pending_.erase(client);
            if (error != nullptr) {
                answered(parse_polkit_error(error->getName(), error->getMessage()));
            } else {
                const auto& [authorized, challenge, details] = fields(result);
                answered(parse_polkit_answer(question, authorized, challenge, details));
            }
        });
    };
    const auto subject =
        Subject("system-bus-name", Dictionary{{"name", sdbus::Variant(std::string(client))}});
    const std::chrono::microseconds patience =
        question.interactive ? std::chrono::microseconds(time_to_authenticate) : time_to_decide;
    authority_->callMethodAsync("CheckAuthorization")
        .onInterface(authority_interface)
        .withTimeout(patience)
        .withArguments(subject, std::string(name_of(question.action)), Details(),
                       question.interactive ? allow_user_interaction : 0U, cancellation)
        .uponReplyInvoke(heard);
}

void Polkit::cancel(const std::string& client) {
    const auto asked = pending_.extract(client);
    if (asked.empty()) return;
    authority_->callMethodAsync("CancelCheckAuthorization")
        .onInterface(authority_interface)
        .withArguments(asked.mapped())
        .uponReplyInvoke([](const sdbus::Error* /*it has ended already*/) {});
}

}  // namespace porthole::dbus
