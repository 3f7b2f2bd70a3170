# After the files are in place. dpkg calls it with "configure" and the version before, if any; rpm with the number of
# versions that are now installed.
first=yes
case "$1" in
configure) [ -z "$2" ] || first= ;;
1) ;;
[2-9]) first= ;;
*) exit 0 ;;
esac

if ! getent passwd "$name" >/dev/null; then
  useradd --system --user-group --home-dir "$state" --no-create-home --shell /usr/sbin/nologin --comment "$name service" "$name"
fi
# join may come before the first start, so the directory is here before systemd would make it.
install -d -m 0755 /var/lib/probemesh
install -d -m 0700 -o "$name" -g "$name" "$state"

# Nothing is enabled or started that was not; what runs goes on with the new version.
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload || true
  [ -n "$first" ] || systemctl try-restart "$name.service" || true
fi
[ -z "$first" ] || printf '%s\n' "$next"
