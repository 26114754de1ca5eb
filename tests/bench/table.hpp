// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace porthole::bench {

/// Repeated measurements of one thing.
class Samples {
  public:
    void add(double value) { values_.push_back(value); }
    void add(const Samples& others);
    [[nodiscard]] bool empty() const { return values_.empty(); }
    [[nodiscard]] std::size_t size() const { return values_.size(); }
    [[nodiscard]] const std::vector<double>& values() const { return values_; }
    /// The value that a share of `fraction` of all is not above, interpolated; 0.5: the median.
    [[nodiscard]] double quantile(double fraction) const;
    [[nodiscard]] double median() const { return quantile(0.5); }

  private:
    std::vector<double> values_;
};

/// Calls that were measured in rounds, in turn with other things.
class Rounds {
  public:
    void add(const Samples& round);
    /// Of all calls.
    [[nodiscard]] double p50() const { return all_.median(); }
    /// Of one round, the median of the rounds: one in which something else has disturbed the
    /// machine counts once, and not with each of its calls.
    [[nodiscard]] double p99() const { return p99s_.median(); }
    /// The median of the slowest round.
    [[nodiscard]] double slowest_p50() const { return p50s_.quantile(1); }
    /// "p50 / p99", with the range of the rounds' 99th percentiles and that of all calls.
    [[nodiscard]] std::string text() const;

  private:
    Samples all_;
    Samples p50s_;
    Samples p99s_;
};

/// The median with its 95 % confidence interval, by order statistics: whatever the distribution,
/// and unmoved by the few rounds that something else on the machine has disturbed.
struct Interval {
    double median = 1;
    double low = 1;
    double high = 1;
};
Interval interval_of(const Samples& samples);

/// One line of the report. What does not apply stays empty.
struct Line {
    std::string what;
    std::string measured;  ///< with its spread
    std::string compared;  ///< a peer or a floor, measured in the same run
    std::string ratio;
    std::string goal;
    std::string verdict;
};
using Lines = std::vector<Line>;

std::string milliseconds(double seconds);
/// "median (first to third quartile)", of seconds.
std::string with_quartiles(const Samples& seconds);
/// "50th / 99th percentile", of seconds.
std::string p50_p99(const Samples& seconds);
std::string times(double ratio);

/// "met", "not met", or "below its floor" where the goal is less than what it consists of takes,
/// and it takes hardly longer than that. `floor`: the upper end of its spread. A goal within that
/// cannot be told from the floor, on whichever side of the goal this run came out.
std::string verdict_at_most(double measured, double goal, std::optional<double> floor = {});
std::string verdict_at_least(double measured, double goal, std::optional<double> floor = {});

/// Whether a goal of this line is not met, and not below its floor either.
bool is_missed(const Line& line);

/// Prints the lines as one table in Markdown.
void print(const Lines& lines);

}  // namespace porthole::bench
