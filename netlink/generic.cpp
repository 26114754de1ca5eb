// SPDX-License-Identifier: GPL-2.0-or-later
#include "netlink/generic.hpp"

#include <cerrno>

#include <libmnl/libmnl.h>
#include <linux/genetlink.h>

#include "netlink/message.hpp"

namespace porthole::netlink {

static_assert(generic_header_bytes == sizeof(genlmsghdr));

void put_generic_header(nlmsghdr* message, std::uint8_t command, std::uint8_t version) {
    auto* header =
        static_cast<genlmsghdr*>(mnl_nlmsg_put_extra_header(message, sizeof(genlmsghdr)));
    header->cmd = command;
    header->version = version;
}

std::optional<std::uint16_t> find_generic_family(Connection& connection, std::string_view name) {
    Batch batch;
    const std::string text(name);
    batch.add("find the generic netlink family " + text, GENL_ID_CTRL, 0,
              [&text](nlmsghdr* message) {
                  put_generic_header(message, CTRL_CMD_GETFAMILY, 1);
                  mnl_attr_put_strz(message, CTRL_ATTR_FAMILY_NAME, text.c_str());
              });
    std::optional<std::uint16_t> found;
    try {
        connection.execute(std::move(batch).finalize(), [&found](const nlmsghdr* answer) {
            const auto attributes = Attributes::of(answer, generic_header_bytes);
            if (attributes) found = attributes->u16(CTRL_ATTR_FAMILY_ID);
        });
    } catch (const KernelFailure& failure) {
        if (failure.code() != ENOENT) throw;
        return std::nullopt;
    }
    return found;
}

}  // namespace porthole::netlink
