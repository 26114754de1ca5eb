// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <condition_variable>
#include <mutex>
#include <ostream>
#include <string>
#include <thread>

namespace porthole::cli {

/// Says on a terminal what is waited for, from a second after it was made until it goes, and erases
/// that then. Nobody else may write there meanwhile.
class Progress {
  public:
    /// `terminal`: null if there is none.
    Progress(std::ostream* terminal, std::string awaited);
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;
    Progress(Progress&&) = delete;
    Progress& operator=(Progress&&) = delete;
    ~Progress() = default;

  private:
    void wait(const std::stop_token& over);

    std::ostream* terminal_;
    std::string awaited_;
    std::mutex mutex_;
    std::condition_variable_any ended_;
    std::jthread thread_;  // last: it uses the others
};

}  // namespace porthole::cli
