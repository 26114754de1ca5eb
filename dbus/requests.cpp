// SPDX-License-Identifier: GPL-2.0-or-later
#include "dbus/requests.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "types/sorted.hpp"

namespace porthole::dbus {
namespace {

Port parse_port(std::string_view field, std::uint16_t value) {
    return parse<Port>(field, std::to_string(value));
}

/// Takes the values out of a dictionary, key by key, and knows in the end whether one is left over.
class Reader {
  public:
    explicit Reader(const Dictionary& dictionary) : dictionary_(dictionary) {}

    /// The value of a key that may be there. `T` is its D-Bus type.
    template <typename T>
    std::optional<T> value(const char* key) {
        allowed_.emplace_back(key);
        const auto found = dictionary_.find(key);
        if (found == dictionary_.end()) return std::nullopt;
        const auto wanted = sdbus::signature_of<T>::str();
        const auto given = found->second.peekValueType();
        if (given != wanted) {
            throw InvalidArgument(
                fmt::format(R"(invalid {}: expected a value of D-Bus type "{}", got "{}")", key,
                            wanted, given));
        }
        return found->second.get<T>();
    }

    /// The same for a value that is written as text.
    template <typename T>
    std::optional<T> parsed(const char* key) {
        const auto text = value<std::string>(key);
        return text ? std::optional(parse<T>(key, *text)) : std::nullopt;
    }

    template <typename T>
    std::optional<std::vector<T>> parsed_list(const char* key) {
        const auto texts = value<std::vector<std::string>>(key);
        if (!texts) return std::nullopt;
        std::vector<T> values;
        for (const auto& text : *texts) values.push_back(parse<T>(key, text));
        return values;
    }

    std::optional<Port> port(const char* key) {
        const auto number = value<std::uint16_t>(key);
        return number ? std::optional(parse_port(key, *number)) : std::nullopt;
    }

    std::optional<std::chrono::seconds> lifetime() {
        const auto seconds = value<std::uint32_t>("lifetime");
        return seconds ? std::optional(std::chrono::seconds(*seconds)) : std::nullopt;
    }

    bool settle() { return value<bool>("settle").value_or(false); }

    IfGeneration if_generation() { return value<std::uint64_t>("if-generation"); }

    /// Of the contract, but not of this version.
    void refuse(const char* key) const {
        if (!dictionary_.contains(key)) return;
        throw Refused(Refusal::unsupported,
                      fmt::format("this version does not support the option \"{}\"", key));
    }

    /// To be called when all keys were asked for.
    void finish() const {
        for (const auto& [key, value] : dictionary_) {
            if (std::ranges::find(allowed_, key) != allowed_.end()) continue;
            throw InvalidArgument(
                fmt::format("unknown key \"{}\": allowed are {}", key, fmt::join(allowed_, ", ")));
        }
    }

  private:
    const Dictionary& dictionary_;
    std::vector<std::string> allowed_;
};

// A reservation that is to stay until it is released has no lifetime.
std::optional<std::chrono::seconds> unless_zero(std::optional<std::chrono::seconds> lifetime) {
    return lifetime == std::chrono::seconds::zero() ? std::nullopt : lifetime;
}

IfGeneration parse_only_if_generation(const Dictionary& options) {
    Reader reader(options);
    const auto if_generation = reader.if_generation();
    reader.finish();
    return if_generation;
}

Endpoint parse_endpoint(const std::string& host, const std::string& protocol,
                        std::uint16_t internal_port) {
    return {parse<HostKey>("host", host), parse<Protocol>("protocol", protocol),
            parse_port("internal-port", internal_port)};
}

ReserveRequest parse_row(const RequestRow& row) {
    const auto& [host, protocol, internal, external, filtering, comment] = fields(row);
    ReserveRequest request{.internal = parse_endpoint(host, protocol, internal)};
    if (external != 0) request.external_port = parse_port("external-port", external);
    if (!filtering.empty()) request.filtering = parse<Filtering>("filtering", filtering);
    request.comment = parse<Comment>("comment", comment);
    return request;
}

}  // namespace

ReserveCall parse_reserve(const std::string& host, const std::string& protocol,
                          std::uint16_t internal_port, const Dictionary& options) {
    ReserveRequest request{.internal = parse_endpoint(host, protocol, internal_port)};
    Reader reader(options);
    reader.refuse("wan");
    request.external_port = reader.port("external-port");
    request.external_address = reader.parsed<ExternalAddress>("external-address");
    request.on_conflict = reader.parsed<OnConflict>("on-conflict").value_or(OnConflict::fail);
    request.filtering = reader.parsed<Filtering>("filtering");
    request.lifetime = unless_zero(reader.lifetime());
    request.comment = reader.parsed<Comment>("comment");
    const auto if_generation = reader.if_generation();
    const auto settle = reader.settle();
    reader.finish();
    return {std::move(request), if_generation, settle};
}

ReserveManyCall parse_reserve_many(const std::vector<RequestRow>& rows, const Dictionary& options) {
    Reader reader(options);
    const auto on_conflict = reader.parsed<OnConflict>("on-conflict").value_or(OnConflict::fail);
    const auto lifetime = unless_zero(reader.lifetime());
    ReserveManyCall call{{}, reader.if_generation(), reader.settle()};
    reader.finish();

    call.requests.reserve(rows.size());
    for (const auto& row : rows) {
        try {
            auto& request = call.requests.emplace_back(parse_row(row));
            request.on_conflict = on_conflict;
            request.lifetime = lifetime;
        } catch (const InvalidArgument& error) {
            throw InvalidArgument(fmt::format("rows[{}]: {}", call.requests.size(), error.what()));
        }
    }
    return call;
}

ChangeCall parse_change(std::uint64_t id, const Dictionary& changes, const Dictionary& options) {
    Reader reader(changes);
    ReservationChanges wanted;
    wanted.external_port = reader.port("external-port");
    wanted.external_address = reader.parsed<ExternalAddress>("external-address");
    wanted.filtering = reader.parsed<Filtering>("filtering");
    wanted.lifetime = reader.lifetime();
    wanted.comment = reader.parsed<Comment>("comment");
    reader.finish();
    Reader option_reader(options);
    const auto if_generation = option_reader.if_generation();
    const auto settle = option_reader.settle();
    option_reader.finish();
    return {ReservationId{id}, std::move(wanted), if_generation, settle};
}

ReleaseCall parse_release(const std::vector<std::uint64_t>& ids, const Dictionary& options) {
    ReleaseCall call{{}, parse_only_if_generation(options)};
    call.ids.reserve(ids.size());
    for (const auto id : ids) call.ids.push_back(ReservationId{id});
    return call;
}

Page parse_page(std::uint32_t offset, std::uint32_t limit) {
    if (limit <= max_page_rows) return {offset, limit};
    throw InvalidArgument("limit", std::to_string(limit),
                          fmt::format("a number from 0 to {}", max_page_rows));
}

InterfaceName parse_tunnel_name(const std::string& name, const Dictionary& options) {
    Reader(options).finish();
    return parse<InterfaceName>("name", name);
}

CreateTunnelCall parse_create(const std::string& name, const Dictionary& settings,
                              const Dictionary& options) {
    CreateTunnelCall call{parse_tunnel_name(name, options), {}};
    auto& wanted = call.settings;
    Reader reader(settings);
    if (const auto key = reader.value<std::string>("private-key")) {
        wanted.private_key = PrivateKey::read("private-key", *key);
        if (wanted.private_key == PrivateKey::none()) {
            throw InvalidArgument("invalid private-key: expected one that is not all zeros");
        }
    }
    wanted.listen_port = reader.port("listen-port");
    wanted.addresses =
        reader.parsed_list<InterfaceAddress>("addresses").value_or(std::vector<InterfaceAddress>());
    wanted.mtu = reader.value<std::uint32_t>("mtu");
    if (wanted.mtu && (*wanted.mtu < least_mtu || *wanted.mtu > most_mtu)) {
        throw InvalidArgument("mtu", std::to_string(*wanted.mtu),
                              fmt::format("bytes from {} to {}", least_mtu, most_mtu));
    }
    wanted.fwmark = reader.value<std::uint32_t>("fwmark").value_or(0);
    wanted.table = reader.parsed<RouteTable>("table").value_or(RouteTable());
    wanted.metric = reader.value<std::uint32_t>("metric").value_or(0);
    reader.finish();
    return call;
}

PublicKey parse_peer_key(const std::string& public_key, const Dictionary& options) {
    Reader(options).finish();
    return parse<PublicKey>("public-key", public_key);
}

PeerChanges parse_peer(const Dictionary& peer, const Dictionary& options) {
    Reader(options).finish();
    Reader reader(peer);
    const auto key = reader.parsed<PublicKey>("public-key");
    if (!key) throw InvalidArgument("public-key is missing");
    PeerChanges changes{.public_key = *key};
    changes.name = reader.parsed<Comment>("name");
    if (const auto text = reader.value<std::string>("preshared-key")) {
        changes.preshared_key.emplace();
        if (!text->empty()) *changes.preshared_key = PresharedKey::read("preshared-key", *text);
        if (*changes.preshared_key == PresharedKey::none()) changes.preshared_key->reset();
    }
    if (const auto text = reader.value<std::string>("endpoint")) {
        changes.endpoint.emplace();
        if (!text->empty()) *changes.endpoint = parse<EndpointSetting>("endpoint", *text);
    }
    if (const auto seconds = reader.value<std::uint16_t>("keepalive")) {
        changes.keepalive = Keepalive(*seconds);
    }
    changes.allowed_ips = reader.parsed_list<Network>("allowed-ips");
    if (changes.allowed_ips) sort_unique(*changes.allowed_ips);
    reader.finish();
    return changes;
}

ListCall parse_list(const Dictionary& query, std::uint32_t offset, std::uint32_t limit) {
    const auto page = parse_page(offset, limit);
    Reader reader(query);
    ReservationQuery wanted;
    wanted.host = reader.parsed<HostKey>("host");
    wanted.protocol = reader.parsed<Protocol>("protocol");
    wanted.port = reader.port("port");
    wanted.origin = reader.parsed<Origin>("origin");
    wanted.state = reader.parsed<ReservationState>("state");
    wanted.search = reader.value<std::string>("search").value_or("");
    wanted.sort = reader.parsed<SortKey>("sort").value_or(SortKey::id);
    wanted.descending = reader.value<bool>("descending").value_or(false);
    reader.finish();
    return {std::move(wanted), page.offset, page.limit};
}

ExplainCall parse_explain(const std::string& host, const std::string& protocol, std::uint16_t port,
                          const std::string& remote, const Dictionary& options) {
    Reader(options).finish();
    return {{parse<HostKey>("host", host), parse<Protocol>("protocol", protocol),
             parse_port("port", port)},
            parse<Place>("remote", remote)};
}

FindCall parse_find(const std::string& protocol, std::uint16_t external_port) {
    return {parse<Protocol>("protocol", protocol), parse_port("external-port", external_port)};
}

}  // namespace porthole::dbus
