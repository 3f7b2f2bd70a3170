# Before the files go: dpkg calls it with "remove", rpm with 0. On an upgrade the service runs on until the new files are
# there.
case "$1" in
remove | 0)
  if [ -d /run/systemd/system ]; then
    systemctl --no-reload disable --now "$name.service" || true
  fi
  ;;
esac
