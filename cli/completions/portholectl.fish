# SPDX-License-Identifier: GPL-2.0-or-later
# Completion for fish: portholectl itself says what could be next.

function __portholectl_complete
    set -l words (commandline -opc) (commandline -ct)
    for line in ($words[1] complete -- $words[2..] 2>/dev/null)
        if string match -q -- \t'*' $line
            __fish_complete_path (commandline -ct)
        else
            echo $line
        end
    end
end

complete -c portholectl -f -a '(__portholectl_complete)'
