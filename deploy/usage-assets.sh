#!/bin/sh
# Install as /usr/local/bin/usage-assets: the command as the service's user and with its settings.
set -eu
as_user=''
if [ "$(id -un)" != usage-assets ]; then
  as_user='sudo -u usage-assets --'
  if [ "$(id -u)" = 0 ]; then as_user='runuser -u usage-assets --'; fi
fi
# shellcheck disable=SC2016 # the inner shell expands it, as the service's user
exec $as_user sh -c '
  set -a
  . /etc/usage-assets/environment
  set +a
  cd /var/lib/usage-assets
  exec /opt/usage-assets/venv/bin/usage-assets "$@"' usage-assets "$@"
