// SPDX-License-Identifier: GPL-2.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/exit_status.hpp"

namespace porthole::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(CliExitStatus, TellsARefusalFromNoService) {
    EXPECT_EQ(exit_status("org.porthole.Gateway1.Error.PortTaken"), 1);
    EXPECT_EQ(exit_status("org.freedesktop.DBus.Error.AccessDenied"), 1);
    EXPECT_EQ(exit_status("org.freedesktop.DBus.Error.ServiceUnknown"), 3);
    EXPECT_EQ(exit_status("org.freedesktop.DBus.Error.NoServer"), 3);
    EXPECT_EQ(exit_status("org.freedesktop.DBus.Error.NoReply"), 3);
}

TEST(CliExplanation, IsTheServicesOwnMessage) {
    EXPECT_EQ(explanation("org.porthole.Gateway1.Error.PortTaken", "taken"), "taken");
}

TEST(CliExplanation, SaysWhatToDoWithoutAService) {
    EXPECT_THAT(explanation("org.freedesktop.DBus.Error.ServiceUnknown", "no .service file"),
                HasSubstr("systemctl start porthole"));
    EXPECT_THAT(explanation("org.freedesktop.DBus.Error.NoReply", "too late"),
                AllOf(HasSubstr("too late"), HasSubstr("systemctl status porthole")));
}

}  // namespace
}  // namespace porthole::cli
