// SPDX-License-Identifier: GPL-2.0-or-later
#include <cerrno>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dbus/errors.hpp"
#include "types/error.hpp"

namespace porthole::dbus {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

template <typename Failure>
sdbus::Error error_of(const Failure& failure) {
    try {
        guarded([&] { std::rethrow_exception(std::make_exception_ptr(failure)); });
    } catch (const sdbus::Error& error) {
        return error;
    }
    return sdbus::Error("nothing was thrown");
}

TEST(DBusErrors, HaveTheNamesOfTheContract) {
    EXPECT_EQ(error_of(InvalidArgument("x")).getName(),
              "org.porthole.Gateway1.Error.InvalidArgument");
    const auto refused = [](Refusal reason) { return error_of(Refused(reason, "no")).getName(); };
    EXPECT_EQ(refused(Refusal::port_taken), "org.porthole.Gateway1.Error.PortTaken");
    EXPECT_EQ(refused(Refusal::no_such_reservation),
              "org.porthole.Gateway1.Error.NoSuchReservation");
    EXPECT_EQ(refused(Refusal::no_such_conflict), "org.porthole.Gateway1.Error.NoSuchConflict");
    EXPECT_EQ(refused(Refusal::no_such_tunnel), "org.porthole.Gateway1.Error.NoSuchTunnel");
    EXPECT_EQ(refused(Refusal::tunnel_exists), "org.porthole.Gateway1.Error.TunnelExists");
    EXPECT_EQ(refused(Refusal::no_such_peer), "org.porthole.Gateway1.Error.NoSuchPeer");
    EXPECT_EQ(refused(Refusal::no_such_checkpoint), "org.porthole.Gateway1.Error.NoSuchCheckpoint");
    EXPECT_EQ(refused(Refusal::allowed_ip_taken), "org.porthole.Gateway1.Error.AllowedIpTaken");
    EXPECT_EQ(refused(Refusal::read_only), "org.porthole.Gateway1.Error.ReadOnly");
    EXPECT_EQ(refused(Refusal::limit_exceeded), "org.porthole.Gateway1.Error.LimitExceeded");
    EXPECT_EQ(refused(Refusal::stale_generation), "org.porthole.Gateway1.Error.StaleGeneration");
    EXPECT_EQ(refused(Refusal::busy), "org.porthole.Gateway1.Error.Busy");
    EXPECT_EQ(refused(Refusal::unsupported), "org.porthole.Gateway1.Error.Unsupported");
    EXPECT_EQ(refused(Refusal::access_denied), "org.freedesktop.DBus.Error.AccessDenied");
    EXPECT_EQ(error_of(KernelFailure("add an element", ENOENT, "")).getName(),
              "org.porthole.Gateway1.Error.KernelFailed");
    EXPECT_EQ(error_of(StorageFailure("commit", "disk full")).getName(),
              "org.porthole.Gateway1.Error.StorageFailed");
}

TEST(DBusErrors, KeepTheMessage) {
    EXPECT_EQ(error_of(InvalidArgument("port", "0", "more")).getMessage(),
              "invalid port \"0\": expected more");
    EXPECT_EQ(error_of(StorageFailure("commit", "disk full")).getMessage(), "commit: disk full");
}

TEST(DBusErrors, LeaveErrorsOfTheBusAlone) {
    const auto error = error_of(sdbus::Error("org.example.Error", "text"));
    EXPECT_EQ(error.getName(), "org.example.Error");
    EXPECT_EQ(error.getMessage(), "text");
}

TEST(DBusErrors, LogADefect) {
    testing::internal::CaptureStderr();
    const auto error = error_of(std::out_of_range("element 7"));
    EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("element 7"));
    EXPECT_EQ(error.getName(), "org.freedesktop.DBus.Error.Failed");
    EXPECT_EQ(error.getMessage(), "element 7");
}

TEST(DBusErrors, LetNothingElseThrough) {
    testing::internal::CaptureStderr();
    EXPECT_EQ(error_of(42).getName(), "org.freedesktop.DBus.Error.Failed");
    testing::internal::GetCapturedStderr();
}

TEST(DBusErrors, DoNotLogWhatCallersDidWrong) {
    testing::internal::CaptureStderr();
    error_of(InvalidArgument("x"));
    error_of(Refused(Refusal::port_taken, "x"));
    EXPECT_THAT(testing::internal::GetCapturedStderr(), IsEmpty());
}

TEST(DBusErrors, AreNoneWhereNothingFails) {
    EXPECT_EQ(guarded([] { return std::string("done"); }), "done");
}

}  // namespace
}  // namespace porthole::dbus
