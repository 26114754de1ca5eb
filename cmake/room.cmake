# SPDX-License-Identifier: GPL-2.0-or-later

# What every target of the project is compiled with.
add_library(porthole-flags INTERFACE)
target_compile_options(porthole-flags INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast
    -Wnon-virtual-dtor -Woverloaded-virtual -Wimplicit-fallthrough -Wformat=2 -Werror)
if(PORTHOLE_SANITIZE)
    target_compile_options(porthole-flags INTERFACE
        -fsanitize=${PORTHOLE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(porthole-flags INTERFACE -fsanitize=${PORTHOLE_SANITIZE})
endif()

# room(NAME SOURCES … [FAST …] [KNOWS …] [USES …]): a static library porthole-NAME whose public headers are
# in include/. KNOWS names the rooms whose headers its own headers use, USES everything that stays
# behind its .cpp files, so that a room that was not given another one cannot include it. FAST names
# the sources that handle every row of a large change.
function(room name)
    cmake_parse_arguments(ROOM "" "" "SOURCES;FAST;KNOWS;USES" ${ARGN})
    add_library(porthole-${name} STATIC ${ROOM_SOURCES})
    target_include_directories(porthole-${name} PUBLIC include)
    target_link_libraries(porthole-${name} PUBLIC ${ROOM_KNOWS} PRIVATE porthole-flags ${ROOM_USES})
    # Also where the rest is optimised for size.
    set_source_files_properties(${ROOM_FAST} PROPERTIES COMPILE_OPTIONS $<$<CONFIG:MinSizeRel>:-O2>)
endfunction()
