# Runs before the files are removed: dpkg passes "remove", rpm 0. On an upgrade the service keeps running until the new
# files are installed.
case "$1" in
remove | 0)
  if [ -d /run/systemd/system ]; then
    systemctl --no-reload disable --now "$name.service" || true
  fi
  ;;
esac
