#!/bin/sh
# setpriv.sh DIR USER: the server in DIR is an ordinary user's, whom DIR belongs
# to, and can become nobody else by any program that it executes.
set -eu
cd "${1:-/srv/mc}"
user=${2:-mc}
for file in server.jar eula.txt server.properties; do
    [ -r "$file" ] || { echo "${0##*/}: $PWD/$file is missing; README.md says what has to be there" >&2; exit 1; }
done
port=$(sed -n 's/^server-port=//p' server.properties)
[ "$port" ] || { echo "${0##*/}: $PWD/server.properties: there is no line server-port=PORT" >&2; exit 1; }

exec detach -o console.log --console console.in --stop-console stop -p server.pid \
    --ready log='Done \(' --ready tcp="$port" -- \
    setpriv --reuid="$user" --regid="$(id -g "$user")" --init-groups --reset-env \
    --no-new-privs --inh-caps=-all --bounding-set=-all \
    java -jar server.jar nogui
