// SPDX-License-Identifier: GPL-2.0-or-later
// Reserves a port, hears of it, lists and releases it, by what gdbus-codegen makes from the
// contract. usage: porthole-gdbus-client HOST PORT
#include <cstdlib>
#include <iostream>
#include <memory>
#include <stdexcept>

#include <contract.h>

namespace {

constexpr auto bus_name = "org.porthole.Gateway1";
constexpr auto path = "/org/porthole/Gateway1";

struct Unref {
    void operator()(void* object) const { g_object_unref(object); }
    void operator()(GVariant* variant) const { g_variant_unref(variant); }
};
template <typename T>
using Owned = std::unique_ptr<T, Unref>;

/// What a function of GIO's answers that takes a GError** as its last argument.
template <typename Function, typename... Arguments>
auto checked(Function function, Arguments... arguments) {
    GError* error = nullptr;
    auto result = function(arguments..., nullptr, &error);
    if (error == nullptr) return result;
    const std::string message = error->message;
    g_error_free(error);
    throw std::runtime_error(message);
}

template <typename Function>
auto proxy(Function make) {
    return checked(make, G_BUS_TYPE_SYSTEM, G_DBUS_PROXY_FLAGS_NONE, bus_name, path);
}

void on_changed(PortholeReservations* /*sender*/, guint64 /*generation*/, GVariant* changed,
                GVariant* /*removed*/, gpointer heard) {
    *static_cast<gsize*>(heard) += g_variant_n_children(changed);
}

void run(const char* host, guint16 port) {
    const Owned<PortholeReservations> reservations(
        proxy(porthole_reservations_proxy_new_for_bus_sync));
    const Owned<PortholeHosts> hosts(proxy(porthole_hosts_proxy_new_for_bus_sync));
    const Owned<PortholeManager> manager(proxy(porthole_manager_proxy_new_for_bus_sync));
    gsize heard = 0;
    g_signal_connect(reservations.get(), "changed", G_CALLBACK(on_changed), &heard);

    GVariant* answer = nullptr;
    checked(porthole_reservations_call_reserve_sync, reservations.get(), host, "udp", port,
            g_variant_new_parsed("{'comment': <'by gdbus'>}"), &answer);
    const Owned<GVariant> row(answer);
    guint64 id = 0;
    g_variant_get_child(row.get(), 0, "t", &id);
    std::cout << "reserved " << id << '\n';
    while (heard == 0) g_main_context_iteration(nullptr, TRUE);

    guint total = 0;
    guint64 generation = 0;
    checked(porthole_reservations_call_list_sync, reservations.get(),
            g_variant_new_parsed("{'origin': <'api'>}"), 0U, 500U, &answer, &total, &generation);
    const Owned<GVariant> rows(answer);
    std::cout << "listed " << total << '\n';
    // Another interface has a method of this name.
    checked(porthole_hosts_call_list_sync, hosts.get(), &answer);
    const Owned<GVariant> all_hosts(answer);

    checked(porthole_reservations_call_release_sync, reservations.get(),
            g_variant_new_parsed("[%t]", id), g_variant_new_parsed("@a{sv} {}"));
    std::cout << "released " << id << '\n';
    if (porthole_manager_get_version(manager.get()) == nullptr) {
        throw std::runtime_error("there is no version");
    }
}

}  // namespace

int main(int argc, char** argv) {
    try {
        if (argc != 3) throw std::runtime_error("usage: porthole-gdbus-client HOST PORT");
        run(argv[1], static_cast<guint16>(std::atoi(argv[2])));
        return EXIT_SUCCESS;
    } catch (const std::exception& error) {
        std::cerr << error.what() << '\n';
        return EXIT_FAILURE;
    }
}
