/** Sends signed requests to an S3 server, retries transient failures, and explains errors. */
import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { cannotTell, configError, error, type Finding, OpsError, unknown } from '../common/findings.mts'
import { HttpFailure, type HttpResponse, readText, sendHttp } from '../common/http.mts'
import { networkCause } from '../common/tcp.mts'
import type { Settings } from '../settings/settings.mts'

export interface S3Request {
  method: 'GET' | 'PUT' | 'POST' | 'DELETE'
  /** Key of an object; without it the request concerns the bucket. */
  key?: string
  query?: Record<string, string>
  body?: Buffer
}

/**
 * Sends a request and returns the result of `use`, which may be called again after a broken connection; undefined if the object does not exist.
 * @throws {OpsError} exit code 2 if the server rejects the keys, region or bucket; 3 if it does not answer; 1 for any other error
 */
export type S3Client = <T>(request: S3Request, use: (answer: HttpResponse) => Promise<T>) => Promise<T | undefined>

/** Milliseconds before each retry. Every request is safe to repeat. */
const PAUSES_MS = [500, 1_000, 2_000]

type S3Settings = Pick<Settings, 'S3_ENDPOINT' | 'S3_REGION' | 'S3_ACCESS_KEY_ID' | 'S3_SECRET_ACCESS_KEY'>

/** @throws {OpsError} exit code 2, with a finding for each missing setting */
export function requireS3(settings: S3Settings): void {
  const needed = [
    'S3_ACCESS_KEY_ID',
    'S3_SECRET_ACCESS_KEY',
    ...(settings.S3_ENDPOINT === '' ? ['S3_REGION'] : []),
  ] as const
  const missing = (needed as readonly (keyof S3Settings)[]).filter((variable) => settings[variable] === '')
  const found = 'none, but s3:// addresses require it'
  if (missing.length > 0)
    throw configError(
      missing.map((variable) => error('S3_SETTING', variable, { found, hint: `edit .env: ${variable}=…` })),
    )
}

/**
 * Returns a client for one bucket.
 * @param timeoutMs deadline of each request
 * @throws {OpsError} as {@link requireS3}
 */
export async function connectS3(settings: S3Settings, bucket: string, timeoutMs: number): Promise<S3Client> {
  requireS3(settings)
  const { AwsV4Signer } = await import('aws4fetch')
  const region = settings.S3_REGION || 'us-east-1'
  const endpoint = settings.S3_ENDPOINT.replace(/\/$/, '') || `https://s3.${region}.amazonaws.com`
  const credentials = {
    ...{ accessKeyId: settings.S3_ACCESS_KEY_ID, secretAccessKey: settings.S3_SECRET_ACCESS_KEY },
    ...{ service: 's3', region, cache: new Map() },
  }
  const send = async ({ method, key, query, body }: S3Request) => {
    const url = new URL(`${endpoint}/${bucket}${key === undefined ? '' : `/${encoded(key)}`}`)
    for (const [name, value] of Object.entries(query ?? {})) url.searchParams.set(name, value)
    const sha256 = createHash('sha256')
      .update(body ?? '')
      .digest('hex')
    const headers = { 'X-Amz-Content-Sha256': sha256 }
    const signed = await new AwsV4Signer({ ...credentials, method, url: url.href, headers }).sign()
    return sendHttp(signed.url, {
      ...{ method, headers: Object.fromEntries(signed.headers), timeoutMs },
      ...(body ? { body } : {}),
    })
  }
  const noAnswer = (failure: unknown) => {
    const hint = 'check S3_ENDPOINT and S3_REGION in .env, then run it again'
    return cannotTell(unknown('S3_UNREACHABLE', `s3 ${endpoint}`, { found: networkCause(failure), hint }), failure)
  }
  return async (request, use) => {
    for (const pause of [...PAUSES_MS, undefined]) {
      try {
        const answer = await send(request)
        if (answer.status >= 200 && answer.status < 300) return await use(answer)
        const code = /<Code>(\w+)<\/Code>/.exec(await readText(answer))?.[1] ?? ''
        if (code === 'NoSuchKey') return undefined
        const busy = answer.status >= 500 || answer.status === 429
        if (!busy) throw refused(`s3://${bucket}`, answer.status, code)
        throw new HttpFailure(new Error(`HTTP ${answer.status} ${code}`.trim()))
      } catch (failure) {
        // Anything else comes from `use`.
        if (!(failure instanceof HttpFailure)) throw failure
        if (pause === undefined || failure.timedOut) throw noAnswer(failure)
        await delay(pause)
      }
    }
    throw new Error('unreachable: the last attempt returns or throws')
  }
}

/** Encodes a key for a URL path exactly as the signature does: some servers compare the two literally. */
const encoded = (key: string): string =>
  encodeURIComponent(key)
    .replaceAll('%2F', '/')
    .replace(/[!'()*]/g, (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`)

function refused(subject: string, status: number, code: string): OpsError {
  const what = code || `HTTP ${status}`
  const wrong = (name: string, found: string, hint: string): Finding => error(name, subject, { found, hint })
  if (code === 'NoSuchBucket')
    return configError([wrong('S3_BUCKET', 'no such bucket', 'create it, or name another; check S3_ENDPOINT in .env')])
  if (status === 403 || status === 401 || code === 'InvalidAccessKeyId')
    return configError([
      wrong(
        'S3_REFUSED',
        `refused: ${what}`,
        'check S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY in .env, and the permissions of that key',
      ),
    ])
  if (status < 400 || code === 'AuthorizationHeaderMalformed')
    return configError([wrong('S3_REGION', `refused: ${what}`, 'check S3_REGION and S3_ENDPOINT in .env')])
  return new OpsError(1, [
    wrong('S3_ERROR', `refused: ${what}`, 'check S3_ENDPOINT in .env, and the log of the server'),
  ])
}
