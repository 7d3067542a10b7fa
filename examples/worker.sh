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
api=${api%/api}/api

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
call() {
    set -- "$1" "$2" "${3:-}"
    : >"$folder/answer"
    status=$(curl --config "$folder/curl" --silent --show-error --max-time 60 \
        --request "$1" ${3:+--header 'Content-Type: application/json' --data "$3"} \
        --output "$folder/answer" --write-out '%{http_code}' "$api/$2") || status=000
}

# persist METHOD PATH [JSON]: the same, but a server that is away is waited for, some 20 minutes.
# Every call of a worker may be sent again. A claim whose answer is lost may leave a task computing
# until the run is restarted; to give up would lose the whole job.
persist() {
    repeated=
    for wait in 1 2 5 10 30 60 60 60 60 60 60 60 60 60 60 60 60 60 60 60 60 60 60; do
        call "$@"
        case $status in
            000 | 429 | 502 | 503 | 504) ;;
            *) return 0 ;;
        esac
        echo "$1 $2: no luck (HTTP $status), again in $wait s" >&2
        repeated=yes
        sleep "$wait" &
        wait $! # which a signal ends at once
    done
    call "$@"
}

# talk METHOD PATH [JSON]: the same with the token, and with a new one if that has ended.
talk() {
    persist "$@"
    if [ "$status" = 401 ] && [ -z "${TASKFARM_TOKEN:-}" ]; then
        login
        persist "$@"
    fi
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

login() {
    credentials "$TASKFARM_USER:$TASKFARM_PASSWORD"
    persist GET token
    [ "$status" = 200 ] || fail 'login'
    credentials "$(value token):"
}

# The second one of two equal reports finds things as the first left them.
report() {
    talk PUT "runs/$run/tasks/$1" "$2"
    case $status in
        2*) ;;
        409) echo "task $1: no longer ours" >&2 ;;
        *) fail "task $1" ;;
    esac
}

uuid=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')

if [ -n "${TASKFARM_TOKEN:-}" ]; then
    credentials "$TASKFARM_TOKEN:"
else
    : "${TASKFARM_USER:?is not set}" "${TASKFARM_PASSWORD:?is not set}"
    login
fi

talk POST worker "{\"uuid\": \"$uuid\", \"hostname\": \"$(uname -n)\", \"pid\": $$}"
case $status$repeated in
    201* | 409yes) ;; # the answer to the first registration was lost
    *) fail 'registering' ;;
esac

while :; do
    talk POST "runs/$run/task" "{\"worker_uuid\": \"$uuid\"}"
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
