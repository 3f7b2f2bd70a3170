# Runs after the files were installed. dpkg passes "configure" and the previous version, if any; rpm passes the number
# of installed versions.
first=yes
case "$1" in
configure) [ -z "$2" ] || first= ;;
1) ;;
[2-9]) first= ;;
*) exit 0 ;;
esac

if ! getent passwd "$name" >/dev/null; then
  useradd --system --user-group --home-dir "$state" --no-create-home --shell /usr/sbin/nologin \
    --comment "$name service" "$name"
fi
# join may run before the first start, at which systemd would create the state directory, so create it here.
install -d -m 0755 /var/lib/probemesh
install -d -m 0700 -o "$name" -g "$name" "$state"

# Enable and start nothing; restart what already runs, so that it runs the new version.
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload || true
  [ -n "$first" ] || systemctl try-restart "$name.service" || true
fi
[ -z "$first" ] || printf '%s\n' "$next"
