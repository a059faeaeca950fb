#!/bin/sh
# nspawn.sh DIR: the server in DIR is in a container that has this machine's
# /usr, read-only, the server's folder, and nothing else.
set -eu
cd "${1:-/srv/mc}"
for file in server.jar eula.txt server.properties; do
    [ -r "$file" ] || { echo "${0##*/}: $PWD/$file is missing; README.md says what has to be there" >&2; exit 1; }
done
port=$(sed -n 's/^server-port=//p' server.properties)
[ "$port" ] || { echo "${0##*/}: $PWD/server.properties: there is no line server-port=PORT" >&2; exit 1; }

set -- java -jar server.jar nogui
for folder in /etc/alternatives /etc/ssl /etc/java-*; do # where Debian has Java's settings
    [ ! -e "$folder" ] || set -- --bind-ro="$folder" "$@"
done
exec detach --via systemd -o console.log --console console.in --stop-console stop -p server.pid \
    --ready log='Done \(' --ready tcp="$port" -- \
    systemd-nspawn --quiet --keep-unit --register=no --machine=mc \
    --as-pid2 --kill-signal=SIGRTMIN+3 --console=pipe --no-new-privileges=yes \
    --directory=/ --volatile=yes --bind="$PWD" --chdir="$PWD" "$@"
