// SPDX-License-Identifier: GPL-2.0-or-later
#include "lab/file_descriptor.hpp"

#include <cerrno>
#include <system_error>

#include <unistd.h>

namespace porthole::lab {

void FileDescriptor::close() {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = -1;
}

int checked(int result, const std::string& action) {
    if (result < 0) throw std::system_error(errno, std::generic_category(), action);
    return result;
}

}  // namespace porthole::lab
