# SPDX-License-Identifier: GPL-2.0-or-later
# Completion for bash, by bash-completion: portholectl itself says what could be next.
# shellcheck shell=bash

_portholectl() {
    local cur words cword line word
    # MAC and IPv6 addresses and keys are words.
    _get_comp_words_by_ref -n := cur words cword || return
    COMPREPLY=()
    while IFS= read -r line; do
        word=${line%%$'\t'*}
        if [[ -n $word ]]; then
            COMPREPLY+=("$word")
        else
            compopt -o default # names of files
        fi
    done < <("${words[0]}" complete -- "${words[@]:1:cword}" 2>/dev/null)
    __ltrim_colon_completions "$cur"
}

complete -F _portholectl portholectl
