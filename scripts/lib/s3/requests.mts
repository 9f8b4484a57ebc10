/** Requests to an S3 server: signed, tried again where that may help, and what a refusal means. */
import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { cannotTell, configError, error, type Finding, OpsError, unknown } from '../common/findings.mts'
import { networkCause } from '../common/tcp.mts'
import type { Settings } from '../settings/settings.mts'

export interface S3Request {
  method: 'GET' | 'PUT' | 'POST' | 'DELETE'
  /** Of an object; without it the request is of the bucket. */
  key?: string
  query?: Record<string, string>
  body?: Buffer
}

/**
 * What `use` makes of the answer, which it may be given again after a broken connection; undefined for an object that is not there.
 * @throws {OpsError} exit code 2 when the server refuses keys, region or bucket, 3 when it gives no answer, 1 for any other refusal
 */
export type Ask = <T>(request: S3Request, use: (answer: Response) => Promise<T>) => Promise<T | undefined>

/** Pauses before a request is sent again, in ms: every request of ours may come twice. */
const PAUSES_MS = [500, 1_000, 2_000]

type S3Settings = Pick<Settings, 'S3_ENDPOINT' | 'S3_REGION' | 'S3_ACCESS_KEY_ID' | 'S3_SECRET_ACCESS_KEY'>

/** @throws {OpsError} exit code 2, naming each setting that is missing */
export function requireS3(settings: S3Settings): void {
  const needed = [
    'S3_ACCESS_KEY_ID',
    'S3_SECRET_ACCESS_KEY',
    ...(settings.S3_ENDPOINT === '' ? ['S3_REGION'] : []),
  ] as const
  const missing = (needed as readonly (keyof S3Settings)[]).filter((variable) => settings[variable] === '')
  const found = 'none, which an address that begins with s3:// needs'
  if (missing.length > 0)
    throw configError(
      missing.map((variable) => error('S3_SETTING', variable, { found, hint: `edit .env: ${variable}=…` })),
    )
}

/**
 * @param timeoutMs deadline of each request
 * @throws {OpsError} as {@link requireS3}
 */
export async function connectS3(settings: S3Settings, bucket: string, timeoutMs: number): Promise<Ask> {
  requireS3(settings)
  const { AwsClient } = await import('aws4fetch')
  const region = settings.S3_REGION || 'us-east-1'
  const endpoint = settings.S3_ENDPOINT.replace(/\/$/, '') || `https://s3.${region}.amazonaws.com`
  const signer = new AwsClient({
    ...{ accessKeyId: settings.S3_ACCESS_KEY_ID, secretAccessKey: settings.S3_SECRET_ACCESS_KEY },
    ...{ service: 's3', region },
  })
  const send = async ({ method, key, query, body }: S3Request) => {
    const url = new URL(`${endpoint}/${bucket}${key === undefined ? '' : `/${encoded(key)}`}`)
    for (const [name, value] of Object.entries(query ?? {})) url.searchParams.set(name, value)
    const sha256 = createHash('sha256')
      .update(body ?? '')
      .digest('hex')
    const signed = await signer.sign(url, {
      method,
      headers: { 'X-Amz-Content-Sha256': sha256 },
      // Signed for this server: never sent on to another one.
      redirect: 'manual',
      signal: AbortSignal.timeout(timeoutMs),
      ...(body ? { body: body as Uint8Array<ArrayBuffer> } : {}),
    })
    return fetch(signed)
  }
  const silent = (failure: unknown) => {
    const hint = 'look at S3_ENDPOINT and S3_REGION in .env; then run it again'
    return cannotTell(unknown('S3_UNREACHABLE', `s3 ${endpoint}`, { found: networkCause(failure), hint }), failure)
  }
  return async (request, use) => {
    for (const pause of [...PAUSES_MS, undefined]) {
      try {
        const answer = await send(request)
        if (answer.ok) return await use(answer)
        const code = /<Code>(\w+)<\/Code>/.exec(await answer.text())?.[1] ?? ''
        if (code === 'NoSuchKey') return undefined
        const busy = answer.status >= 500 || answer.status === 429
        if (!busy) throw refused(`s3://${bucket}`, answer.status, code)
        throw new TypeError(`HTTP ${answer.status} ${code}`.trim())
      } catch (failure) {
        // What fetch throws, whose causes are of the network; anything else is of `use`.
        if (!(failure instanceof TypeError) && (failure as Error).name !== 'TimeoutError') throw failure
        if (pause === undefined || (failure as Error).name === 'TimeoutError') throw silent(failure)
        await delay(pause)
      }
    }
    throw new Error('not reached: the last try returns or throws')
  }
}

/** A key as the path of a URL has it, with all that a signature has encoded: some servers compare the two as they stand. */
const encoded = (key: string): string =>
  encodeURIComponent(key)
    .replaceAll('%2F', '/')
    .replace(/[!'()*]/g, (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`)

function refused(subject: string, status: number, code: string): OpsError {
  const what = code || `HTTP ${status}`
  const wrong = (name: string, found: string, hint: string): Finding => error(name, subject, { found, hint })
  if (code === 'NoSuchBucket')
    return configError([
      wrong('S3_BUCKET', 'no such bucket', 'create it, or name another; look at S3_ENDPOINT in .env'),
    ])
  if (status === 403 || status === 401 || code === 'InvalidAccessKeyId')
    return configError([
      wrong(
        'S3_REFUSED',
        `refused: ${what}`,
        'look at S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY in .env, and at what that key may do',
      ),
    ])
  if (status < 400 || code === 'AuthorizationHeaderMalformed')
    return configError([wrong('S3_REGION', `refused: ${what}`, 'look at S3_REGION and S3_ENDPOINT in .env')])
  return new OpsError(1, [
    wrong('S3_ERROR', `refused: ${what}`, 'look at S3_ENDPOINT in .env, and at the log of the server'),
  ])
}
