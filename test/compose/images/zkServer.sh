#!/bin/bash
# Stand-in for ZooKeeper's bin/zkServer.sh: `start-foreground` only. A heap of 1000 MB by default, which the user's JVMFLAGS override.
# Sources: https://github.com/apache/zookeeper/blob/release-3.8.6/bin/zkEnv.sh and zkServer.sh
[ "$1" = start-foreground ] || { echo "This stand-in supports only start-foreground, found: $*" >&2; exit 2; }
exec java -Dzookeeper.log.dir="$ZOO_LOG_DIR" -XX:+HeapDumpOnOutOfMemoryError -XX:OnOutOfMemoryError='kill -9 %p' \
  -cp '/apache-zookeeper/log:/apache-zookeeper/lib/*' -Xmx"${ZK_SERVER_HEAP:-1000}m" $SERVER_JVMFLAGS $JVMFLAGS \
  -Dcom.sun.management.jmxremote org.apache.zookeeper.server.quorum.QuorumPeerMain "$ZOOCFGDIR/zoo.cfg"
