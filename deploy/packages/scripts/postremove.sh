# Runs after the files were removed. Removing keeps the state and its user; only dpkg's purge removes both.
case "$1" in
remove | 0)
  if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
  fi
  ;;
purge)
  rm -rf "$state"
  rmdir --ignore-fail-on-non-empty /var/lib/probemesh 2>/dev/null || true
  if getent passwd "$name" >/dev/null; then
    userdel "$name" || true
  fi
  ;;
esac
