/** ClickHouse as an embedded service: its configuration and users. clickhouse-server.mts is its process. */
import { createHash } from 'node:crypto'
import path from 'node:path'
import { reachable, type Settings } from '../../settings/settings.mts'
import { type EmbeddedService, type Installed, shared } from './definition.mts'

/** Sources that read files of this machine. */
const FILE_SOURCES = ['FILE', 'SQLITE', 'HIVE']

export function clickhouse(settings: Settings, installed: Installed): EmbeddedService {
  const dataDir = settings.EMBEDDED_DATA_DIR
  const run = path.join(dataDir, 'run', 'clickhouse')
  const host = reachable(settings.BIND_ADDRESS)
  const file = (name: string) => path.join(run, name)
  return {
    name: 'clickhouse',
    host,
    ports: [settings.CLICKHOUSE_HTTP_PORT],
    command: shared('scripts/lib/run'),
    args: [
      shared('scripts/lib/engines/embedded/clickhouse-server.mts'),
      installed.libraries,
      file('config.xml'),
      path.join(dataDir, 'clickhouse'),
    ],
    env: {
      // The Node.js that runs this command comes first.
      PATH: `${path.dirname(process.execPath)}:${process.env.PATH ?? ''}`,
      CLICKHOUSE_DB: settings.CLICKHOUSE_DB,
      L2_EXTRA_SOURCES: settings.CLICKHOUSE_EXTRA_GRANTS.map((source) => `, ${source}`).join(''),
      L2_HTTP_ADDRESS: settings.BIND_ADDRESS,
      L2_HTTP_HOST: settings.KAFKA_ADVERTISED_HOST,
      L2_HTTP_PORT: String(settings.CLICKHOUSE_HTTP_PORT),
      L2_CLICKHOUSE_FILES: settings.CLICKHOUSE_EXTRA_GRANTS.some((source) => FILE_SOURCES.includes(source))
        ? 'all'
        : 'own',
      L2_KAFKA_BROKERS: `${host}:${settings.KAFKA_INTERNAL_PORT}`,
    },
    authorization: basicAuthorization(settings.CLICKHOUSE_USER, settings.CLICKHOUSE_PASSWORD),
    stdin: JSON.stringify({
      L2_CLICKHOUSE_PASSWORD_SHA256: sha256(settings.CLICKHOUSE_PASSWORD),
      L2_CLICKHOUSE_READONLY_SHA256: sha256(settings.CLICKHOUSE_READONLY_PASSWORD),
    }),
    files: {
      [file('config.xml')]: {
        text: `<clickhouse>
    <listen_host>${settings.BIND_ADDRESS}</listen_host>
    <http_port>${settings.CLICKHOUSE_HTTP_PORT}</http_port>
    <tcp_port>${settings.CLICKHOUSE_TCP_PORT}</tcp_port>
    <user_directories><users_xml><path>${xmlText(file('users.xml'))}</path></users_xml></user_directories>
</clickhouse>
`,
      },
      // The container derives the first value from its memory limit. The second is the seconds to wait for open connections at shutdown.
      [file('config.d/embedded.xml')]: {
        text: `<clickhouse>
    <max_server_memory_usage>${Math.floor(settings.CLICKHOUSE_MEMORY_LIMIT * 0.85)}</max_server_memory_usage>
    <shutdown_wait_unfinished>1</shutdown_wait_unfinished>
</clickhouse>
`,
      },
      [file('users.xml')]: { text: usersXml(settings) },
    },
    links: {
      [file('config.d/l2.xml')]: shared('clickhouse/config.d/l2.xml'),
      [file('config.d/l2-http.xml')]: shared('clickhouse/config.d/http.xml'),
      [file('config.d/l2-ingest.xml')]: shared('clickhouse/config.d/ingest.xml'),
      [file('users.d/l2.xml')]: shared('clickhouse/users.d/l2.xml'),
    },
    folders: [path.join(dataDir, 'clickhouse'), file('config.d'), file('users.d')],
    // At shutdown the library drops its system.*_log tables but leaves their files, which would keep it from creating them again.
    leftovers: [path.join(dataDir, 'clickhouse', 'data', 'system')],
    startTimeoutMs: 60_000,
  }
}

/**
 * Returns the users of the embedded ClickHouse. The library's session needs a user `default` without a password. That user may only
 * start and stop the listeners, and is limited to this one session. The other users have the same grants as in docker-compose.yml.
 * Their passwords are passed as hashes, because from_env is parsed as XML and a password may contain special characters.
 */
function usersXml({ CLICKHOUSE_USER, CLICKHOUSE_READONLY_USER }: Settings): string {
  const user = (name: string, variable: string, grants: string) => `
        <${name}>
            <password_sha256_hex from_env="${variable}"/>
            <networks><ip>::/0</ip></networks>
            <profile>default</profile>
            <quota>default</quota>
            <grants incl="${grants}"/>
        </${name}>`
  return `<clickhouse>
    <include_from>${xmlText(shared('clickhouse/users.d/grants.xml'))}</include_from>
    <profiles>
        <default>
            <!-- Joins spill to disk at the size that clickhouse/users.d/l2.xml sets for sorts. The image's version lacks these settings. -->
            <max_bytes_before_external_join>67108864</max_bytes_before_external_join>
            <max_bytes_ratio_before_external_join>0</max_bytes_ratio_before_external_join>
        </default>
        <session><max_sessions_for_user>1</max_sessions_for_user></session>
    </profiles>
    <quotas><default/></quotas>
    <users>
        <default>
            <password></password>
            <networks><ip>127.0.0.1</ip></networks>
            <profile>session</profile>
            <quota>default</quota>
            <grants><query>GRANT SYSTEM LISTEN ON *.*</query></grants>
        </default>${user(CLICKHOUSE_USER, 'L2_CLICKHOUSE_PASSWORD_SHA256', 'owner')}${
          CLICKHOUSE_READONLY_USER ? user(CLICKHOUSE_READONLY_USER, 'L2_CLICKHOUSE_READONLY_SHA256', 'reader') : ''
        }
    </users>
</clickhouse>
`
}

/** Returns the Authorization header. The X-ClickHouse-Key header supports neither letters beyond Latin-1 nor spaces around it. */
function basicAuthorization(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** Escapes text for XML: a path may contain an ampersand. */
function xmlText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
