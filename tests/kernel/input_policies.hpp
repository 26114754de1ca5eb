// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>

#include <gtest/gtest.h>

#include "lab/two_sites.hpp"

namespace porthole {

/// For tests of both kinds of stock gateways: INSTANTIATE_TEST_SUITE_P(Input, Suite,
/// input_policies(), input_policy_name).
inline auto input_policies() {
    return testing::Values(lab::InputPolicy::accept, lab::InputPolicy::drop);
}
inline std::string input_policy_name(const testing::TestParamInfo<lab::InputPolicy>& test) {
    return test.param == lab::InputPolicy::accept ? "Accepting" : "Dropping";
}

}  // namespace porthole
