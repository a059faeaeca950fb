#!/bin/sh
# bwrap.sh DIR: the server in DIR sees that folder, the programs of this machine,
# read-only, and no process but its own.
set -eu
cd "${1:-/srv/mc}"
for file in server.jar eula.txt server.properties; do
    [ -r "$file" ] || { echo "${0##*/}: $PWD/$file is missing; README.md says what has to be there" >&2; exit 1; }
done
port=$(sed -n 's/^server-port=//p' server.properties)
[ "$port" ] || { echo "${0##*/}: $PWD/server.properties: there is no line server-port=PORT" >&2; exit 1; }

exec detach -o console.log --console console.in --stop-console stop -p server.pid \
    --ready log='Done \(' --ready tcp="$port" -- \
    bwrap --unshare-pid --unshare-ipc --unshare-uts --hostname mc \
    --ro-bind /usr /usr --ro-bind /etc /etc \
    --symlink usr/bin /bin --symlink usr/lib /lib --symlink usr/lib64 /lib64 \
    --proc /proc --dev /dev --tmpfs /tmp --bind "$PWD" "$PWD" \
    java -jar server.jar nogui
