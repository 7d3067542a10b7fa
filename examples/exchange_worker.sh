#!/bin/sh
# A worker in curl, jq and shell that lives on the exchange: one call reports, fetches the next task
# and gives a sign of life. As a picture of it in any other language.
#
#   TASKFARM_URL=https://taskfarm.example.org/api TASKFARM_USER=me TASKFARM_PASSWORD=… \
#       examples/exchange_worker.sh RUN command ...
#
# For each task the command runs with the task's number as its last argument, and with TASKFARM_TASK,
# TASKFARM_ATTEMPT and TASKFARM_INPUT (JSON) in its environment. Exit code 0 means done, and what was
# printed is the task's output (JSON if it is JSON, else text); anything else means failed. What went
# to standard error is kept as the log, its last 64 KiB. TASKFARM_TOKEN replaces user and password.
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
worker=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
heartbeat=10
pid='' beats=''

umask 077
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# Whoever ends us, what we hold is given back at once: the worker signs off.
leave() {
    trap '' INT TERM HUP
    [ -z "$beats" ] || kill -KILL "$beats" 2>/dev/null || :
    [ -z "$pid" ] || kill "$pid" 2>/dev/null || :
    call DELETE "worker/$worker" '' /dev/null >/dev/null
    exit "$1"
}
trap 'leave 130' INT
trap 'leave 143' TERM HUP

# Credentials go to curl in a file: arguments can be read by every user of the machine.
credentials() {
    printf 'user = "%s"\n' "$(printf '%s' "$1" | sed 's/[\\"]/\\&/g')" >"$folder/curl"
}

# call METHOD PATH BODY ANSWER: sends the file BODY, writes the file ANSWER; prints the status.
call() {
    curl --config "$folder/curl" --silent --show-error --max-time 60 --request "$1" \
        ${3:+--header 'Content-Type: application/json' --data-binary "@$3"} \
        --output "$4" --write-out '%{http_code}' "$api/$2" || :
}

# Every call of this worker may be repeated, whatever became of it: so it is, for about an hour.
insist() {
    for wait in 1 2 5 10 $(yes 30 | head -n 120) 0; do
        status=$(call "$@")
        case $status in
            *000 | 429 | 5??) sleep "$wait" ;;
            *) break ;;
        esac
    done
    case "$status $2" in
        2*) return 0 ;;
        '409 worker') return 0 ;; # registered by a call whose answer was lost
    esac
    echo "$1 $2: HTTP $status $(head -c 500 "$4" 2>/dev/null || :)" >&2
    return 1
}

# exchange WANT NAME: says what is in reports.json and what queue.json holds; answers NAME.json.
exchange() {
    jq -c --arg run "$run" --argjson want "$1" --slurpfile reports "$folder/reports.json" '
        {want: $want, runs: [$run], reports: {($run): $reports},
         holding: {($run): [.[] | [.task, .attempt]]}}' \
        "$folder/queue.json" >"$folder/$2-body.json"
    insist POST "worker/$worker/exchange" "$folder/$2-body.json" "$folder/$2.json"
}

# While the command runs: signs of life. Taken away from us (restarted, cancelled)? Then it ends.
beat() {
    while sleep "$heartbeat"; do
        exchange 0 beat || return
        if jq -e --argjson task "$1" 'any(.drop[]; .[1] == $task)' "$folder/beat.json"; then
            : >"$folder/dropped"
            kill "$pid"
            return
        fi
    done
}

# Run the command for the first task of the queue; the report on it goes to reports.json.
work() {
    task=$1
    shift
    TASKFARM_TASK=$(jq '.[0].task' "$folder/queue.json")
    TASKFARM_ATTEMPT=$(jq '.[0].attempt' "$folder/queue.json")
    TASKFARM_INPUT=$(jq -c '.[0].input' "$folder/queue.json")
    export TASKFARM_TASK TASKFARM_ATTEMPT TASKFARM_INPUT
    rm -f "$folder/dropped"
    "$@" "$task" </dev/null >"$folder/output" 2>"$folder/log" &
    pid=$!
    beat "$task" >/dev/null 2>&1 &
    beats=$!
    code=0
    wait "$pid" || code=$?
    # Not TERM, which a shell that has just been forked may still take for its parent's and lose.
    kill -KILL "$beats" 2>/dev/null || :
    wait "$beats" 2>/dev/null || :
    pid='' beats=''
    tail -c 60000 "$folder/log" >"$folder/tail"
    [ ! -e "$folder/dropped" ] || : >"$folder/reports.json"
    [ -e "$folder/dropped" ] || jq -c --argjson code "$code" \
        --rawfile output "$folder/output" --rawfile log "$folder/tail" '
        def value: if . == "" then null else . as $text | try fromjson catch $text end;
        .[0] | {task, attempt, exitCode: $code, log: $log}
            + if $code != 0 then {status: "failed", error: "exit code \($code)"}
              elif ($output | length) > 200000 then {status: "failed", error: "too much output"}
              else {status: "done", output: ($output | value)} end' \
        "$folder/queue.json" >"$folder/reports.json"
}

if [ -n "${TASKFARM_TOKEN:-}" ]; then
    credentials "$TASKFARM_TOKEN:"
else
    : "${TASKFARM_USER:?is not set}" "${TASKFARM_PASSWORD:?is not set}"
    credentials "$TASKFARM_USER:$TASKFARM_PASSWORD"
    insist GET token '' "$folder/token.json"
    credentials "$(jq -r .token "$folder/token.json"):"
fi

jq -n --arg uuid "$worker" --arg host "$(uname -n)" --argjson pid $$ --argjson beat "$heartbeat" \
    '{uuid: $uuid, hostname: $host, pid: $pid, heartbeat: $beat}' >"$folder/worker.json"
insist POST worker "$folder/worker.json" "$folder/registered.json"

echo '[]' >"$folder/queue.json"
: >"$folder/reports.json"
while :; do
    # An answer that got lost on its way is handed out again, so that there may be two tasks.
    exchange "$(jq 'if . == [] then 1 else 0 end' "$folder/queue.json")" answer
    : >"$folder/reports.json"
    jq -c --slurpfile answer "$folder/answer.json" '
        ($answer[0].drop | map(.[1:])) as $dropped
        | . + $answer[0].tasks | map(select([.task, .attempt] | IN($dropped[]) | not))' \
        "$folder/queue.json" >"$folder/next.json"
    mv "$folder/next.json" "$folder/queue.json"
    task=$(jq '.[0].task // empty' "$folder/queue.json")
    if [ -n "$task" ]; then
        work "$task" "$@"
        jq -c '.[1:]' "$folder/queue.json" >"$folder/next.json"
        mv "$folder/next.json" "$folder/queue.json"
    elif jq -e .finished "$folder/answer.json" >/dev/null; then
        break
    else
        sleep "$(jq '.retryAfter // 1' "$folder/answer.json")"
    fi
done
call DELETE "worker/$worker" '' /dev/null >/dev/null
