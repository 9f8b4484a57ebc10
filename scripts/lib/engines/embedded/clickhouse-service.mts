/** ClickHouse as an embedded service: its configuration and users. The process itself is clickhouse-server.mts. */
import { createHash } from 'node:crypto'
import path from 'node:path'
import { reachable, type Settings } from '../../settings/settings.mts'
import { type EmbeddedService, type Installed, shared } from './definition.mts'

/** Sources that are files of this machine. */
const OF_FILES = ['FILE', 'SQLITE', 'HIVE']

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
      // The Node.js that runs this, wherever it is installed.
      PATH: `${path.dirname(process.execPath)}:${process.env.PATH ?? ''}`,
      CLICKHOUSE_DB: settings.CLICKHOUSE_DB,
      L2_EXTRA_SOURCES: settings.CLICKHOUSE_EXTRA_GRANTS.map((source) => `, ${source}`).join(''),
      L2_HTTP_ADDRESS: settings.BIND_ADDRESS,
      L2_HTTP_HOST: settings.KAFKA_ADVERTISED_HOST,
      L2_HTTP_PORT: String(settings.CLICKHOUSE_HTTP_PORT),
      L2_CLICKHOUSE_FILES: settings.CLICKHOUSE_EXTRA_GRANTS.some((source) => OF_FILES.includes(source)) ? 'all' : 'own',
      L2_KAFKA_BROKERS: `${host}:${settings.KAFKA_INTERNAL_PORT}`,
    },
    login: basicLogin(settings.CLICKHOUSE_USER, settings.CLICKHOUSE_PASSWORD),
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
      // What the container learns from its memory limit; and seconds to wait for clients' open connections at the end.
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
    // The library forgets its system.*_log tables at the end but not their files, and then cannot create them again.
    leftovers: [path.join(dataDir, 'clickhouse', 'data', 'system')],
    startTimeoutMs: 60_000,
  }
}

/**
 * The users of the embedded ClickHouse. The library's own session needs a user `default` without password: it may only start and
 * stop the listeners, and its one session is that one. The others have the rights that docker-compose.yml gives them. Their passwords
 * come as hashes: what from_env brings is read as XML, in which some passwords would be no text.
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
            <!-- Joins on disk as clickhouse/users.d/l2.xml has it for sorts; the image's version does not know these settings yet. -->
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

/** The header that logs in over HTTP. The X-ClickHouse-Key header takes neither letters beyond Latin-1 nor outer spaces. */
function basicLogin(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** `text` as XML holds it; a path may have an ampersand. */
function xmlText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
