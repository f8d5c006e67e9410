#!/bin/sh
# A worker in plain POSIX shell: reads the batch file, runs one command for each user, says who failed.
#
# Needs only sh, awk and coreutils. The command is $SYNC_COMMAND (default: sync-one.sh beside this script), called as
#   $SYNC_COMMAND <user id> <wallet>
# It exits 0 when the user is synced; otherwise the last line it printed on standard output is the reason.
# Exit codes: 0 all synced, 1 some failed (the termination message says which), 2 nothing could be tried.
set -u
export LC_ALL=C # lengths are counted in bytes, as the limit of the termination message is

command=${SYNC_COMMAND:-"sh $(dirname "$0")/sync-one.sh"}
message_file=${SYNC_TERMINATION_LOG:-/dev/termination-log}
tab=$(printf '\t')

give_up() { # what is not JSON in the termination message means "all failed, unexplained", and people can read it
    echo "shell worker: nothing was synced: $1" >&2
    echo "$1" >"$message_file"
    exit 2
}

# Prints a line "id<TAB>wallet" for each user, in the order of the batch. JSON may come with or without spaces and with
# keys in any order, so this goes through its tokens and keeps track of depth instead of matching lines.
list_users() {
    awk '
        BEGIN { RS = ","; string = "^\"([^\"\\\\]|\\\\.)*\"" }
        {
            json = json (NR > 1 ? "," : "") $0
            while (next_token()) {
                read_token()
                last = token
            }
        }
        END { exit !(version == "1" && depth == 0 && json == "") }

        function next_token() {
            sub(/^[ \t\r\n]+/, "", json)
            if (!match(json, /^[][{}:,]/) && !match(json, string) && !match(json, /^[^][{}:," \t\r\n]+/))
                return 0 # the end, or a string with a comma in it, whose rest is still to come
            token = substr(json, 1, RLENGTH)
            json = substr(json, RLENGTH + 1)
            return 1
        }

        function read_token() {
            if (token == "{" || token == "[") {
                if (++depth == 2) in_users = (key == "users" && last == ":")
                if (depth == 3) id = wallet = ""
            } else if (token == "}" || token == "]") {
                if (depth-- == 3 && in_users) print id "\t" wallet
            } else if (token == ":") {
                key = substr(last, 2, length(last) - 2)
            } else if (last == ":") {
                if (depth == 1 && key == "version") version = token
                if (depth == 3 && key == "id") id = substr(token, 2, length(token) - 2)
                if (depth == 3 && key == "wallet") wallet = substr(token, 2, length(token) - 2)
            }
        }' "$1"
}

# Syncs one user; sets $reason, empty when it worked. Reasons are shown in the cluster, so they are cut to a short line
# of harmless characters, and one that holds the wallet address is not shown at all.
sync_user() {
    reason=
    case $2 in
    *\\*) reason="wallet with escaped characters" && return ;; # this script does not undo them
    esac
    output=$($command "$1" "$2" </dev/null) && return
    reason="exit status $?"
    [ -n "$output" ] || return
    line=$(printf '%s\n' "$output" | tail -n 1 | tr -cd 'A-Za-z0-9 .,:;_()/-' | cut -c 1-80)
    case $line in
    '') ;;
    *"${2:-$tab}"*) ;;
    *) reason=$line ;;
    esac
}

# Reads lines "position<TAB>id<TAB>reason" and prints the termination message: reasons for as many as fit into 4096
# bytes, positions for the others. 1,000 positions alone take 3,890 bytes, so a batch of 1,000 always fits.
termination_message() {
    awk -F '\t' '
        { position[NR] = $1; id[NR] = $2; reason[NR] = $3; size += length($1) + 1 }
        END {
            for (n = 1; n <= NR; n++) {
                more = length(id[n]) + length(reason[n]) + 6 - length(position[n]) - 1
                if (size + more <= 4000) {
                    size += more
                    named = named (named == "" ? "" : ",") "\"" id[n] "\":\"" reason[n] "\""
                } else {
                    others = others (others == "" ? "" : ",") position[n]
                }
            }
            printf "{\"version\":1,\"failed\":{%s},\"failedIndexes\":\"%s\"}\n", named, others
        }'
}

[ -n "${SYNC_BATCH_FILE:-}" ] || give_up "SYNC_BATCH_FILE is not set: the operator sets it to the mounted batch file"
[ -r "$SYNC_BATCH_FILE" ] || give_up "can't read the batch file that SYNC_BATCH_FILE names"
users=$(list_users "$SYNC_BATCH_FILE") || give_up "the batch file is no batch of version 1"

# Until when to start with further users: the time limit less a tenth, for the last one and for writing the results.
end=
[ -z "${SYNC_DEADLINE_SECONDS:-}" ] || end=$(($(date +%s) + SYNC_DEADLINE_SECONDS * 9 / 10))

# The shell lets the running command finish before it acts on a signal, which is what a worker should do.
stopping=
trap 'stopping=yes' TERM INT

failures=
position=0
while IFS=$tab read -r id wallet; do
    [ -n "$id" ] || continue
    if [ -n "$stopping" ]; then
        reason=interrupted
    elif [ -n "$end" ] && [ "$(date +%s)" -ge "$end" ]; then
        reason=deadline
    else
        sync_user "$id" "$wallet"
    fi
    if [ -n "$reason" ]; then
        echo "failed: $id: $reason" >&2
        failures="$failures$position$tab$id$tab$reason
"
    fi
    position=$((position + 1))
done <<END
$users
END

[ -n "$failures" ] || exit 0
printf '%s' "$failures" | termination_message >"$message_file"
exit 1
