#!/bin/sh
# Becomes the program of NAMESPACE_NODE with these arguments, inside a new network namespace that holds nothing but its
# own loopback interface: 127.0.0.0/8 as everywhere, and 10.200.0.0/24 for pods, since Kubernetes wants no loopback
# address as an endpoint. A user who is not root gets the namespace by way of a user namespace.
set -e
user=
[ "$(id -u)" = 0 ] || user="--user --map-root-user"
exec unshare $user --net /bin/sh -e -c '
  ip link set lo up
  ip address add 10.200.0.1/24 dev lo
  exec "$NAMESPACE_NODE" "$@"
' sh "$@"
