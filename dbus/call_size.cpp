// SPDX-License-Identifier: GPL-2.0-or-later
#include "dbus/call_size.hpp"

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>

#include <systemd/sd-bus.h>

#include "dbus/limits.hpp"
#include "types/error.hpp"
#include "types/limits.hpp"

namespace porthole::dbus {
namespace {

int checked(int result) {
    if (result < 0) throw InvalidArgument("the arguments of the call are malformed");
    return result;
}

// Variants of sdbus-c++ are messages.
constexpr std::size_t bytes_of_an_entry = 1024;

std::size_t bytes_of(char type) {
    switch (type) {
        case SD_BUS_TYPE_BYTE:
            return 1;
        case SD_BUS_TYPE_INT16:
        case SD_BUS_TYPE_UINT16:
            return 2;
        case SD_BUS_TYPE_INT32:
        case SD_BUS_TYPE_UINT32:
            return 4;
        case SD_BUS_TYPE_INT64:
        case SD_BUS_TYPE_UINT64:
        case SD_BUS_TYPE_DOUBLE:
            return 8;
        default:
            return 0;  // an array of them is read one by one
    }
}

struct Most {
    std::size_t rows;
    std::size_t values;
    std::size_t bytes;
    std::size_t text_bytes;
};

class Walk {
  public:
    Walk(sd_bus_message* call, const Most& most) : call_(call), most_(most) {}

    // Everything up to the end of the container that is open.
    void all() {
        while (next()) value();
    }
    [[nodiscard]] std::size_t bytes() const { return bytes_; }
    [[nodiscard]] std::size_t values() const { return values_; }

  private:
    bool next() {
        if (checked(sd_bus_message_peek_type(call_, &type_, &contents_)) == 0) return false;
        require_at_most(++values_, most_.values, "values in a call");
        return true;
    }

    void value() {
        switch (type_) {
            case SD_BUS_TYPE_STRING:
            case SD_BUS_TYPE_OBJECT_PATH:
            case SD_BUS_TYPE_SIGNATURE: {
                const char* text = nullptr;
                checked(sd_bus_message_read_basic(call_, type_, static_cast<void*>(&text)));
                const auto length = std::strlen(text);
                take_bytes(sizeof(std::string) + length);
                return require_at_most(length, most_.text_bytes, "bytes of a text in a call");
            }
            case SD_BUS_TYPE_ARRAY:
                return array();
            case SD_BUS_TYPE_STRUCT:
            case SD_BUS_TYPE_DICT_ENTRY:
            case SD_BUS_TYPE_VARIANT:
                return enclosed([this] { all(); });
            default:
                const std::array type{type_, '\0'};
                checked(sd_bus_message_skip(call_, type.data()));
                take_bytes(sizeof(std::uint64_t));
        }
    }

    void elements() {
        enclosed([this] {
            while (next()) {
                take_rows(1);
                value();
            }
        });
    }

    void array() {
        if (const auto bytes = bytes_of(contents_[0])) {
            const void* numbers = nullptr;
            std::size_t size = 0;
            const auto result = sd_bus_message_read_array(call_, contents_[0], &numbers, &size);
            // It does not read those of a machine of the other byte order.
            if (result == -EOPNOTSUPP) return elements();
            checked(result);
            take_bytes(size);
            return take_rows(size / bytes);
        }
        if (contents_[0] != '{') {
            return elements();
        }
        enclosed([this] {
            for (std::size_t keys = 1; next(); ++keys) {
                take_bytes(bytes_of_an_entry);
                require_at_most(keys, limits::keys, "keys in a dictionary");
                value();
            }
        });
    }

    void take_bytes(std::size_t more) {
        require_at_most(bytes_ += more, most_.bytes, "bytes in a call");
    }

    void take_rows(std::size_t more) {
        require_at_most(rows_ += more, most_.rows, "elements in all arrays of a call");
    }

    template <typename Inside>
    void enclosed(const Inside& inside) {
        require_at_most(++depth_, limits::depth, "values within each other in a call");
        checked(sd_bus_message_enter_container(call_, type_, contents_));
        inside();
        checked(sd_bus_message_exit_container(call_));
        --depth_;
    }

    sd_bus_message* call_;
    Most most_;
    std::size_t bytes_ = 0;
    std::size_t rows_ = 0;
    std::size_t values_ = 0;
    std::size_t depth_ = 0;
    char type_ = 0;  // of what comes next
    const char* contents_ = nullptr;
};

}  // namespace

std::size_t size_of(sd_bus_message* call, std::size_t most_text) {
    Walk walk(call, {limits::rows, limits::values, limits::bytes, most_text});
    walk.all();
    checked(sd_bus_message_rewind(call, 1));
    return walk.bytes();
}

std::optional<std::size_t> size_if_small(sd_bus_message* call) {
    constexpr auto bytes = limits::bytes_of_a_large_call;
    constexpr auto values = bytes / sizeof(std::uint64_t);
    try {
        Walk walk(call, {values, values, bytes, bytes});
        walk.all();
        // Containers may be empty, and a path is as long as somebody likes.
        const auto* path = sd_bus_message_get_path(call);
        const auto size = walk.bytes() + walk.values() * sizeof(std::uint64_t) +
                          (path != nullptr ? std::strlen(path) : 0);
        checked(sd_bus_message_rewind(call, 1));
        if (size <= bytes) return size;
    } catch (const Refused&) {
        sd_bus_message_rewind(call, 1);
    } catch (const InvalidArgument&) {
        sd_bus_message_rewind(call, 1);
    }
    return std::nullopt;
}

}  // namespace porthole::dbus
