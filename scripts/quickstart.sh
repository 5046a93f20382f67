#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds Moulin and plays its whole story on this machine: a TLS gateway with an embedded master registry, a second replica with
# a gateway of its own, a sample application, clients that log in, allocate, wait, and survive the loss of the master.
#
#   scripts/quickstart.sh               stays up until Ctrl-C
#   scripts/quickstart.sh --once        ends by itself; exit status 0 only if every step was true
#   scripts/quickstart.sh --port N      uses the ports N..N+3 (default 12000)
set -u
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/packages.sh
. scripts/packages.sh

once=0 port=12000 moulin=${MOULIN:-}
while [ $# -gt 0 ]; do
    case $1 in
    --once) once=1 ;;
    --port) port=${2:?--port needs a number}; shift ;;
    -h | --help) sed -n '3,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "error: unknown option $1 (see --help)" >&2; exit 1 ;;
    esac
    shift
done

dir=$(mktemp -d "${TMPDIR:-/tmp}/moulin-quickstart.XXXXXX") || exit 1
pids=()
cleanup() {
    trap - EXIT INT TERM
    exec 5>&- 6>&-
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null; done
    rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

number=0
step() { number=$((number + 1)); printf '\n%2d. %s\n' "$number" "$*"; }
say() { printf '    %s\n' "$*"; }
fail() {
    printf '\nThis step went wrong: %s\n' "$*" >&2
    for log in "$dir"/*.log; do [ -s "$log" ] && { echo "--- $(basename "$log")"; tail -n 20 "$log"; } >&2; done
    exit 1
}
# wait_for FILE PATTERN [SECONDS]: until the file holds the pattern.
wait_for() {
    local end=$((SECONDS + ${3:-20}))
    until grep -q -- "$2" "$1" 2>/dev/null; do
        [ $SECONDS -ge $end ] && return 1
        read -r -t 0.05 <> <(:) || true
    done
}
show() { sed 's/^/    | /' "$1"; }

step "Building"
if [ -z "$moulin" ]; then
    install_packages scripts/dependencies.txt || exit 1
    { cmake --preset release && cmake --build --preset release --target moulin; } >"$dir/build.log" 2>&1 || fail "the build"
    moulin=$PWD/build/release/moulin/moulin
fi
say "$("$moulin" --version 2>&1)"

step "A private certificate authority, a server certificate and one for a client; a password file"
(
    cd "$dir" || exit 1
    "$moulin" certs ca && "$moulin" certs server gateway --host localhost --host 127.0.0.1 && "$moulin" certs client alice
) >"$dir/certs.log" 2>&1 || fail "making certificates"
show "$dir/certs.log"
printf 'wonderland\n' >"$dir/alice.password"
printf 'builder\n' >"$dir/bob.password"
printf 'looking-glass\n' >"$dir/wrong.password"
{ "$moulin" passwd alice <"$dir/alice.password" && "$moulin" passwd bob <"$dir/bob.password"; } >"$dir/passwords" 2>"$dir/passwd.log" ||
    fail "making the password file"
say "users alice and bob are in a password file (yescrypt)"

configure() { # NAME REPLICA REGISTRY-PORT GATEWAY-PORT
    cat <<CONFIG
# The gateway: the one door, TLS only.
Glacier2.InstanceName=DemoGlacier2
Glacier2.Client.Endpoints=ssl -h 127.0.0.1 -p $4
Glacier2.Server.Endpoints=tcp -h 127.0.0.1
Glacier2.CryptPasswords=$dir/passwords
Ice.Plugin.IceSSL=IceSSL:createIceSSL
IceSSL.DefaultDir=$dir/certs
IceSSL.CAs=ca.pem
IceSSL.CertFile=gateway.pem
IceSSL.KeyFile=gateway.key
IceSSL.VerifyPeer=1
# The registry behind it.
IceGrid.InstanceName=DemoIceGrid
IceGrid.Registry.ReplicaName=$2
IceGrid.Registry.Client.Endpoints=tcp -h 127.0.0.1 -p $3
IceGrid.Registry.Server.Endpoints=tcp -h 127.0.0.1
IceGrid.Registry.Internal.Endpoints=tcp -h 127.0.0.1
IceGrid.Registry.SessionManager.Endpoints=tcp -h 127.0.0.1
IceGrid.Registry.AdminPermissionsVerifier=DemoIceGrid/NullPermissionsVerifier
IceGrid.Registry.LMDB.Path=$dir/$1.db
IceGrid.Registry.Discovery.Enabled=0
Ice.Default.Locator=DemoIceGrid/Locator:tcp -h 127.0.0.1 -p $port:tcp -h 127.0.0.1 -p $((port + 1))
Ice.PrintAdapterReady=1
CONFIG
}
configure master Master "$port" $((port + 2)) >"$dir/master.cfg"
echo 'Glacier2.SessionManager=DemoIceGrid/SessionManager' >>"$dir/master.cfg"
configure replica1 Replica1 $((port + 1)) $((port + 3)) >"$dir/replica1.cfg"

step "A gateway with an embedded master registry (moulin serve)"
"$moulin" serve --nowarn --Ice.Config="$dir/master.cfg" >"$dir/master.log" 2>&1 &
master=$!
pids+=("$master")
wait_for "$dir/master.log" '^Glacier2.Client ready' || fail "the gateway did not become ready"
say "gateway: ssl 127.0.0.1:$((port + 2)), registry: tcp 127.0.0.1:$port, pid $master"

step "A second replica of the registry, with a gateway of its own"
"$moulin" serve --nowarn --Ice.Config="$dir/replica1.cfg" >"$dir/replica1.log" 2>&1 &
pids+=("$!")
wait_for "$dir/replica1.log" '^Glacier2.Client ready' || fail "the replica did not become ready"
admin() { "$moulin" admin -u admin -P /dev/null "--Ice.Default.Locator=DemoIceGrid/Locator:tcp -h 127.0.0.1 -p $port" "$@"; }
admin registry list >"$dir/registries" 2>&1 || fail "moulin admin registry list"
show "$dir/registries"
grep -q '^Replica1$' "$dir/registries" || fail "the master does not know its replica"

step "A sample application: two printers that clients can allocate, and a well-known object"
admin application add scripts/quickstart.xml >"$dir/deploy" 2>&1 || { show "$dir/deploy"; fail "deploying"; }
admin application list >"$dir/applications" 2>&1
show "$dir/applications"
grep -q '^PrinterDemo$' "$dir/applications" || fail "the application is not there"

router="DemoGlacier2/router:ssl -h 127.0.0.1 -p $((port + 2)):ssl -h 127.0.0.1 -p $((port + 3))"
client=("$moulin" client -i DemoIceGrid "--Ice.Default.Router=$router" --Ice.Plugin.IceSSL=IceSSL:createIceSSL
    "--IceSSL.DefaultDir=$dir/certs" --IceSSL.CAs=ca.pem)

step "alice logs in over TLS with a wrong password"
if "${client[@]}" -u alice -P "$dir/wrong.password" -e quit >"$dir/wrong" 2>&1; then fail "it was accepted"; fi
show "$dir/wrong"
grep -q 'PermissionDenied' "$dir/wrong" || fail "refused for another reason"

step "alice logs in with the right one and allocates a printer"
mkfifo "$dir/alice.in" "$dir/bob.in" || exit 1
"${client[@]}" --reconnect -u alice -P "$dir/alice.password" <"$dir/alice.in" >>"$dir/alice" 2>&1 &
pids+=("$!")
exec 5>"$dir/alice.in"
echo 'allocate-type ::Demo::Printer' >&5
wait_for "$dir/alice" '^allocated' || { show "$dir/alice"; fail "no allocation"; }
show "$dir/alice"
printer=$(sed -n 's/^allocated \([^ ]*\).*/\1/p' "$dir/alice")

step "bob wants the same printer ($printer): he waits, and gets it when alice releases it"
"${client[@]}" --reconnect -u bob -P "$dir/bob.password" <"$dir/bob.in" >>"$dir/bob" 2>&1 &
pids+=("$!")
exec 6>"$dir/bob.in"
echo "allocate $printer" >&6
wait_for "$dir/bob" '^logged in' || { show "$dir/bob"; fail "bob could not log in"; }
if wait_for "$dir/bob" '^allocated' 1; then fail "bob got what alice holds"; fi
show "$dir/bob"
say "bob waits"
: >"$dir/bob"
echo "release $printer" >&5
wait_for "$dir/alice" '^released' || fail "alice could not release"
say "alice releases $printer"
wait_for "$dir/bob" '^allocated' || { show "$dir/bob"; fail "bob did not get it"; }
show "$dir/bob"

step "The master and its gateway are killed (kill -9 $master)"
kill -9 "$master"
wait "$master" 2>/dev/null
say "gone"

step "alice goes on: her client logs in at the second gateway and finds the printers through the replica"
: >"$dir/alice"
echo 'find-type ::Demo::Printer' >&5
wait_for "$dir/alice" '^found' 30 || { show "$dir/alice"; fail "alice was lost with the master"; }
show "$dir/alice"

step "Where to go next"
cat <<NEXT
    The story's files are in $dir: the configuration (*.cfg), logs (*.log), certificates (certs/).
    Log in yourself while this script runs (password: wonderland):
        $moulin client -i DemoIceGrid -u alice "--Ice.Default.Router=$router" \\
            --Ice.Plugin.IceSSL=IceSSL:createIceSSL --IceSSL.DefaultDir=$dir/certs --IceSSL.CAs=ca.pem
    Any Ice 3.7 client can do the same: its Ice.Default.Router is the one above. README.md tells how to set up your own.
NEXT
[ $once -eq 1 ] && { echo; echo "Every step was true."; exit 0; }
echo
echo "Running until Ctrl-C."
wait
