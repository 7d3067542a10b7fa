#!/bin/sh
# A worker in curl and shell: no Python, no jq. For machines where nothing can be installed, and as
# a picture of the protocol in any other language.
#
#   TASKFARM_URL=https://taskfarm.example.org/api TASKFARM_USER=me TASKFARM_PASSWORD=… \
#       examples/worker.sh RUN command ...
#
# For each task the command runs with the task's number as its last argument; exit code 0 means
# done, anything else failed. TASKFARM_TOKEN replaces user and password.
set -eu

if [ $# -lt 2 ]; then
    sed -n '2,/^set/ { /^#/ s/^# \{0,1\}//p; }' "$0"
    exit 2
fi
run=$1
shift
api=${TASKFARM_URL:-http://localhost:5000/api}
api=${api%/}

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
umask 077

# Credentials go to curl in a file: arguments can be read by every user of the machine.
credentials() {
    # In curl's files a quote and a backslash are written with a backslash in front.
    printf 'user = "%s"\n' "$(printf '%s' "$1" | sed 's/[\\"]/\\&/g')" >"$folder/curl"
}

# call METHOD PATH [JSON]: the answer's body goes to $folder/answer, its status to $status.
# A call is sent once: a claim that is repeated takes a second task.
call() {
    set -- "$1" "$2" "${3:-}"
    status=$(curl --config "$folder/curl" --silent --show-error --max-time 60 \
        --request "$1" ${3:+--header 'Content-Type: application/json' --data "$3"} \
        --output "$folder/answer" --write-out '%{http_code}' "$api/$2") || status=000
}

# value NAME: a number or a plain text from a flat JSON object such as {"task": 17, "id": "x"}.
# Each comma becomes a line of its own first, so that no name is found inside another one's value.
value() {
    tr -d '\n\r' <"$folder/answer" | tr ',{}' '[\n*]' |
        sed -n 's/^[[:space:]]*"'"$1"'"[[:space:]]*:[[:space:]]*"\{0,1\}\([^"]*[^"[:space:]]\)"\{0,1\}[[:space:]]*$/\1/p' |
        head -n 1
}

fail() {
    echo "$1: HTTP $status $(head -c 500 "$folder/answer" 2>/dev/null || true)" >&2
    exit 1
}

# A report may be repeated: the second one finds things as the first left them.
report() {
    for wait in 1 2 5 10 30 0; do
        call PUT "runs/$run/tasks/$1" "$2"
        case $status in
            2*) return 0 ;;
            000 | 502 | 503 | 504) sleep "$wait" ;;
            409) echo "task $1: no longer ours" >&2 && return 0 ;;
            *) break ;;
        esac
    done
    fail "task $1"
}

uuid=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')

if [ -n "${TASKFARM_TOKEN:-}" ]; then
    credentials "$TASKFARM_TOKEN:"
else
    : "${TASKFARM_USER:?is not set}" "${TASKFARM_PASSWORD:?is not set}"
    credentials "$TASKFARM_USER:$TASKFARM_PASSWORD"
    call GET token
    [ "$status" = 200 ] || fail 'login'
    credentials "$(value token):"
fi

call POST worker "{\"uuid\": \"$uuid\", \"hostname\": \"$(uname -n)\", \"pid\": $$}"
[ "$status" = 201 ] || fail 'registering'

while :; do
    call POST "runs/$run/task" "{\"worker_uuid\": \"$uuid\"}"
    case $status in
        201) task=$(value task) ;;
        204) break ;;
        *) fail 'claiming a task' ;;
    esac
    if "$@" "$task" </dev/null; then
        report "$task" '{"percentCompleted": 100, "status": "done"}'
    else
        report "$task" '{"status": "failed"}'
    fi
done
