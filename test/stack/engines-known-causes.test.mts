/**
 * Causes recognized in log lines. The lines are copied from the services' logs. engines-embedded-failure.test.mts has lines of services
 * that really fail: a taken port, the heap, a damaged append-only file, Kafka's folder and ZooKeeper.
 */
import { readFileSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { failedInitFile, knownCause } from '../../scripts/lib/engines/known-causes.mts'
import { runFile } from '../support/command.mts'
import { ALL, installed } from '../support/embedded.mts'
import { sharedStack } from '../support/stack.mts'

const causes = suite('known causes')

const LINES: [string, string][] = [
  // Kafka 3.6.2; 3.9 uses the second wording.
  [
    'KAFKA_CLUSTER_ID',
    "kafka.common.InconsistentClusterIdException: The Cluster ID kNU3jVEQRDiXcqLWHe6E6A doesn't match stored clusterId Some(xar89uutROKJcH_9v9BYkw) in meta.properties. The broker is trying to join the wrong cluster. Configured zookeeper.connect may be wrong.",
  ],
  [
    'KAFKA_CLUSTER_ID',
    'java.lang.RuntimeException: Invalid cluster.id in: /var/lib/kafka/data/meta.properties. Expected m20_y5MrSoe7LEeIwqgveQ, but read xar89uutROKJcH_9v9BYkw',
  ],
  [
    'KAFKA_NODE_EXISTS',
    "[2026-11-23 06:35:42,909] ERROR Error while creating ephemeral at /brokers/ids/1, node already exists and owner '0x10000629f530000' does not match current session '0x10000629f530001' (kafka.zk.KafkaZkClient$CheckedEphemeral)",
  ],
  ['KAFKA_NODE_EXISTS', 'org.apache.zookeeper.KeeperException$NodeExistsException: KeeperErrorCode = NodeExists'],
  [
    'KAFKA_NODE_EXISTS',
    'java.lang.NullPointerException: Cannot invoke "org.apache.zookeeper.data.Stat.getEphemeralOwner()" because the return value of "kafka.zookeeper.GetDataResponse.stat()" is null',
  ],
  ['JAVA_HEAP', 'Exception in thread "main" java.lang.OutOfMemoryError: Java heap space'],
  ['JAVA_MEMORY', '# There is insufficient memory for the Java Runtime Environment to continue.'],
  // Docker 28: a port held by another program, or by another container.
  ['PORT_TAKEN', 'failed to bind host port 127.0.0.1:8123/tcp: address already in use'],
  ['PORT_TAKEN', 'Bind for 127.0.0.1:8123 failed: port is already allocated'],
  [
    'OPEN_FILES_LIMIT',
    'runc create failed: unable to start container process: error setting rlimit type 7: operation not permitted',
  ],
  // strerror of ENOSPC and EACCES, as Java and Redis print it.
  ['DISK_FULL', 'java.io.IOException: No space left on device'],
  ['DISK_FULL', '* Write error writing append only file on disk: No space left on device'],
  ['PERMISSION', 'java.io.FileNotFoundException: /var/lib/kafka/data/.lock (Permission denied)'],
  ['PERMISSION', "# Can't open the append-only file: Permission denied"],
  // Redis 6.2 with aof-load-truncated no, aof.c.
  [
    'REDIS_AOF',
    "# Unexpected end of file reading the append only file. You can: 1) Make a backup of your AOF file, then use ./redis-check-aof --fix <filename>. 2) Alternatively you can set the 'aof-load-truncated' configuration option to yes and restart the server.",
  ],
]

for (const [code, line] of LINES) {
  causes(`${code}: ${line.slice(0, 60)}`, () => {
    assert.is(knownCause(`INFO one line\n${line}\nINFO and another`)?.code, code)
  })
}

causes('JAVA_VERSION: Java’s message about an unknown option', async () => {
  const { exitCode, stdout, stderr } = await runFile(installed.java, ['-XX:NoSuchOption', '-version'])
  assert.is(exitCode, 1)
  assert.is(knownCause(`${stdout}${stderr}`)?.code, 'JAVA_VERSION')
})

causes('logs of healthy services match none', async () => {
  const stack = await sharedStack()
  for (const name of ALL) {
    const log = readFileSync(`${stack.settings.EMBEDDED_DATA_DIR}/logs/${name}.log`, 'utf8')
    assert.ok(log.length > 500, name)
    assert.is(knownCause(log), undefined, name)
  }
  await stack.stop()
})

const initFile = suite('failedInitFile')

const RUN = '/entrypoint.sh: running /docker-entrypoint-initdb.d/'
const AGAIN = 'ClickHouse Database directory appears to contain a database; Skipping initialization'

initFile('names the last file begun before the image restarted, and the client’s error', () => {
  // In clickhouse-client's format: a line that introduces the server's error, then the error.
  const error =
    'Code: 62. DB::Exception: Received from 127.0.0.1:9000. DB::Exception: Syntax error: failed at position 1'
  const log = [
    `${RUN}010_a.sql`,
    '',
    `${RUN}020_b.sql`,
    'Received exception from server (version 26.3.20):',
    error,
    AGAIN,
  ]
  assert.equal(failedInitFile(log.join('\n')), { file: '020_b.sql', error })
})

initFile('returns nothing if all files ran, the volume is not new, or a start is still in progress', () => {
  const done = [`${RUN}010_a.sql`, '', AGAIN].join('\n')
  const later = [AGAIN, 'Code: 62. DB::Exception: Syntax error of a later query'].join('\n')
  const now = [`${RUN}010_a.sql`, 'Code: 62. DB::Exception: Syntax error'].join('\n')
  for (const log of [done, later, now]) assert.is(failedInitFile(log), undefined)
})

causes.run()
initFile.run()
