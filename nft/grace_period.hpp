// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <memory>

namespace porthole::nft {

/// Waits for packets that the kernel is handling at this moment: it handles each within one
/// read-side section of RCU (process_backlog of net/core/dev.c).
class GracePeriod {
  public:
    /// At most so long: where processors are busy the kernel may need half a minute to be certain.
    /// False: it is not certain yet.
    [[nodiscard]] bool wait(std::chrono::milliseconds limit);

  private:
    struct Call;
    std::shared_ptr<Call> call_;
};

}  // namespace porthole::nft
