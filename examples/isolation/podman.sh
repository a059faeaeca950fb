#!/bin/sh
# podman.sh DIR: the server in DIR is in a container that has this machine's
# /usr, read-only, the server's folder, and nothing else. With an image, its name
# takes the place of --rootfs and of all volumes but the server's folder.
set -eu
cd "${1:-/srv/mc}"
for file in server.jar eula.txt server.properties; do
    [ -r "$file" ] || { echo "${0##*/}: $PWD/$file is missing; README.md says what has to be there" >&2; exit 1; }
done
port=$(sed -n 's/^server-port=//p' server.properties)
[ "$port" ] || { echo "${0##*/}: $PWD/server.properties: there is no line server-port=PORT" >&2; exit 1; }
root=/var/lib/mc-root
for folder in usr etc proc sys dev run tmp var srv; do
    mkdir -p "$root/$folder"
done
ln -sfn usr/bin "$root/bin"
ln -sfn usr/lib "$root/lib"
ln -sfn usr/lib64 "$root/lib64"

set -- --rootfs "$root" java -jar server.jar nogui
for folder in /etc/alternatives /etc/ssl /etc/java-*; do # where Debian has Java's settings
    [ ! -e "$folder" ] || set -- --volume="$folder:$folder:ro" "$@"
done
exec detach --via systemd -o console.log --console console.in --stop-console stop -p server.pid \
    --ready log='Done \(' --ready tcp="$port" -- \
    podman run --name=mc --replace --rm --interactive --cgroups=disabled --network=host \
    --security-opt=no-new-privileges --volume=/usr:/usr:ro \
    --volume="$PWD:$PWD" --workdir="$PWD" "$@"
